"""Similarity of the states of two systems at the same moments: Procrustes distance and linear CKA."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, ShapeError
from fwsim.measure.recorded import numbers, recorded, same_order
from fwsim.names import known_arguments

States = ArrayLike | xr.DataArray | xr.Dataset


@known_arguments
def procrustes_distance(one: States, other: States, dim: str | tuple[str, ...] = ("trial", "time")) -> float:
    """Distance of two sets of states after the best shift, scale and rotation, from 0 to √2.

    min over orthogonal Q of ‖X − Y Q‖, where X and Y `[sample, unit]` are centred and of length 1. It is a metric: it
    fulfils the triangle inequality. The numbers of units may differ; the smaller set is filled up with zeros.

    Parameters
    ----------
    one, other
        Each is a recording with `hidden` or `rate`, a DataArray with dimension `unit`, or an array or tensor
        `[..., sample, unit]`. They have the same samples (trials and times) in the same order. Of spikes, give
        `firing_rate(run, bin=...)`, and of a rate network the samples at the ends of the bins.
    dim
        Dimensions of a DataArray that are samples; missing dimensions are ignored.

    Returns
    -------
    float
        The distance.

    Raises
    ------
    ConfigError, ShapeError
        The samples are not the same in number, states are NaN or infinite, or states do not vary.

    Notes
    -----
    Williams, Kunz, Kornblith & Linderman 2021, arXiv 2110.14739. It uses all dimensions; noise in many units hides what
    two systems share, so reduce noisy states first (`principal_components`).

    Examples
    --------
    >>> circle = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> round(procrustes_distance(circle, 3 * circle[:, ::-1] + 5), 6)
    0.0
    """
    X, Y = _matrices(one, other, dim)
    overlap = np.linalg.svd(X.T @ Y, compute_uv=False).sum()
    return float(np.sqrt(max(0.0, 2 - 2 * overlap)))


@known_arguments
def linear_cka(one: States, other: States, dim: str | tuple[str, ...] = ("trial", "time")) -> float:
    """Linear centred kernel alignment of two sets of states, from 0 to 1 (the same up to shift, scale and rotation).

    ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) with X and Y `[sample, unit]` centred. Directions count by the square of their variance, so
    that few large ones decide.

    Parameters
    ----------
    one, other, dim
        As in `procrustes_distance`.

    Returns
    -------
    float
        The alignment. Of independent states it is 0 only with many more samples than units.

    Raises
    ------
    ConfigError, ShapeError
        As in `procrustes_distance`.

    Notes
    -----
    Kornblith, Norouzi, Lee & Hinton 2019, arXiv 1905.00414.
    """
    X, Y = _matrices(one, other, dim)
    return float(np.sum((X.T @ Y) ** 2) / (np.linalg.norm(X.T @ X) * np.linalg.norm(Y.T @ Y)))


def _matrices(one: States, other: States, dim: str | tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Both sets of states as `[sample, unit]`, centred and of length 1."""
    dims = _samples(dim)
    (X, sizes), (Y, others) = _matrix("one", one, dims), _matrix("other", other, dims)
    if sizes != others:
        raise ShapeError(
            f"one has samples {sizes}, other {others}; give states of both at the same trials and times"
        )
    if isinstance(one, xr.DataArray | xr.Dataset):
        same_order("other", other, one, *dims)
    return _normalised("one", X), _normalised("other", Y)


def sample_matrix(name: str, states: States, dim: str | tuple[str, ...]) -> np.ndarray:
    """States as `[sample, unit]`; errors use `name`."""
    return _matrix(name, states, _samples(dim))[0]


def _samples(dim: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names of the dimensions that are samples, checked."""
    if not isinstance(dim, str | tuple | list):
        raise ConfigError(f"dim={dim!r} is not allowed; give names of dimensions")
    return (dim,) if isinstance(dim, str) else tuple(dim)


def _matrix(name: str, states: States, dims: tuple[str, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    """States `[sample, unit]`, and the sizes of the dimensions that are samples."""
    if not isinstance(states, xr.DataArray | xr.Dataset):
        array = numbers(states, name)
        if array.ndim < 2:
            raise ShapeError(f"{name} has shape {list(array.shape)}; expected [..., sample, unit]")
        return array.reshape(-1, array.shape[-1]).astype(float), array.shape[:-1]
    values = recorded(states, "hidden", "rate")
    samples = [each for each in dims if each in values.dims]
    if {*values.dims} != {*samples, "unit"}:
        raise ShapeError(f"{name} has dimensions {list(values.dims)}; expected unit and samples {list(dims)}")
    array = values.transpose(*samples, "unit").values.astype(float)
    return array.reshape(-1, array.shape[-1]), array.shape[:-1]


def _normalised(name: str, states: np.ndarray) -> np.ndarray:
    if not np.isfinite(states).all() or not states.size:
        raise ConfigError(f"{name} is empty, NaN or infinite somewhere; leave out such trials or times")
    centred = states - states.mean(0)
    length = np.linalg.norm(centred)
    if not length > 1e-12 * np.linalg.norm(states):
        raise ConfigError(f"{name} does not vary between samples; there is nothing to compare")
    return centred / length
