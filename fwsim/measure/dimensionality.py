"""Number of dimensions that states use, and their directions."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, ShapeError, whole
from fwsim.measure.recorded import described, numbers, recorded
from fwsim.names import known_arguments


@known_arguments
def participation_ratio(
    states: ArrayLike | xr.DataArray | xr.Dataset, dim: str | tuple[str, ...] = "time"
) -> np.ndarray | xr.DataArray:
    """Effective dimension (Σλ)²/Σλ² of the covariance of states, from 1 (a line) to the number of units.

    Parameters
    ----------
    states
        A recording with `hidden` or `rate`; a DataArray with dimension `unit`; or an array or tensor
        `[..., sample, unit]`. Dask-backed recordings are read in chunks.
    dim
        Dimensions of a DataArray that are samples; the others remain. `("trial", "time")` pools trials.

    Returns
    -------
    array or DataArray
        `[...]`; NaN if the states do not vary, or if one of them is NaN.

    Notes
    -----
    From n samples at most n − 1 dimensions can be found, so short recordings give too small values.
    """
    if not isinstance(states, (xr.DataArray, xr.Dataset)):
        array = numbers(states, "states")
        if array.ndim < 2:
            raise ShapeError(f"states have shape {list(array.shape)}; expected [..., sample, unit]")
        outer = tuple(f"axis_{i}" for i in range(array.ndim - 2))
        covariance, _ = _covariance(xr.DataArray(array, dims=(*outer, "time", "unit")), "time")
        return _ratio(covariance).values[()]
    covariance, _ = _covariance(recorded(states, "hidden", "rate"), dim)
    return described(_ratio(covariance), "participation_ratio", "1", "participation ratio")


@known_arguments
def principal_components(
    states: xr.DataArray | xr.Dataset, count: int = 3, dim: str | tuple[str, ...] = ("trial", "time")
) -> xr.Dataset:
    """Directions of largest variance, and the states along them.

    Parameters
    ----------
    states
        A recording with `hidden` or `rate`, or a DataArray with dimension `unit`. Dask-backed recordings are
        read in chunks, and `projection` stays lazy.
    count
        Number of components.
    dim
        Dimensions that are samples; missing dimensions are ignored, others remain.

    Returns
    -------
    Dataset
        `component[..., mode, unit]`, unit vectors whose largest element is positive;
        `variance[..., mode]` in squared units of the state; `explained[..., mode]`, the fraction of the
        total variance; `mean[..., unit]`; `projection[..., mode]`, the centred states along the components.
    """
    values = recorded(states, "hidden", "rate")
    whole("count", count, least=1)
    if count > values.sizes.get("unit", 0):
        raise ConfigError(
            f"count={count} components of {values.sizes.get('unit', 0)} units; give 1 to that many"
        )
    covariance, mean = _covariance(values, dim)
    variance, vectors = xr.apply_ufunc(
        _leading,
        covariance.compute(),
        input_core_dims=[["unit", "other"]],
        output_core_dims=[["mode"], ["mode", "unit"]],
        kwargs={"count": count},
    )
    units = values.attrs.get("units", "1")
    squared = "1" if units == "1" else f"{units}^2"
    projection = xr.dot(values - mean, vectors, dim="unit")
    return xr.Dataset(
        {
            "component": described(vectors, "component", "1", "principal component"),
            "variance": described(variance, "variance", squared, "variance along the component"),
            "explained": described(variance / _trace(covariance), "explained", "1", "share of the variance"),
            "mean": described(mean, "mean", units, "mean state"),
            "projection": described(projection, "projection", units, "state along the component"),
        }
    )


def _covariance(values: xr.DataArray, dim: str | tuple[str, ...]) -> tuple[xr.DataArray, xr.DataArray]:
    """Covariance `[..., unit, other]` and mean `[..., unit]` over the sample dimensions."""
    if not isinstance(dim, str | tuple | list):
        raise ShapeError(f"dim={dim!r} is no dimension; give the name of one, or several in a tuple")
    named = dict.fromkeys((dim,) if isinstance(dim, str) else dim)
    samples = [name for name in named if name in values.dims]
    if "unit" not in values.dims or not samples:
        raise ShapeError(f"states have dimensions {list(values.dims)}; they need 'unit' and one of {dim!r}")
    if "unit" in samples or not values.sizes["unit"]:
        raise ShapeError(
            f"{values.sizes['unit']} units, with dim={dim!r}; units vary, samples are other dimensions"
        )
    count = int(np.prod([values.sizes[name] for name in samples]))
    if count < 2:
        raise ShapeError(f"{count} sample along {samples}; a covariance needs at least two")
    values = values.drop_vars("unit", errors="ignore").astype(float)
    mean = values.mean(samples, skipna=False)
    centred = values - mean
    centred = centred.where(np.isfinite(centred))  # of infinite numbers some processors warn in the product
    covariance = xr.dot(centred, centred.rename(unit="other"), dim=samples) / (count - 1)
    return covariance, mean


def _ratio(covariance: xr.DataArray) -> xr.DataArray:
    size = abs(covariance).max(["unit", "other"], skipna=False)
    scaled = covariance / size.where(size > 0)  # squares do not overflow, and 0/0 is NaN without a warning
    return _trace(scaled) ** 2 / (scaled**2).sum(["unit", "other"], skipna=False)


def _trace(covariance: xr.DataArray) -> xr.DataArray:
    diagonal = xr.DataArray(np.arange(covariance.sizes["unit"]), dims="diagonal")
    return covariance.isel(unit=diagonal, other=diagonal).sum("diagonal", skipna=False)


def _leading(covariance: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalues `[..., mode]` and their vectors `[..., mode, unit]`."""
    if not np.isfinite(covariance).all():
        raise ConfigError("states are NaN or infinite somewhere; leave out the trials or samples that are")
    values, vectors = np.linalg.eigh(covariance)
    values = values[..., ::-1][..., :count]
    vectors = np.swapaxes(vectors, -1, -2)[..., ::-1, :][..., :count, :]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(-1)[..., None], axis=-1)
    return np.maximum(values, 0.0), vectors * np.sign(largest)
