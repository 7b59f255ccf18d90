"""Similarity of the dynamics of two systems: dynamical similarity analysis (DSA)."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from fwsim.errors import ConfigError, ShapeError, choice, whole
from fwsim.measure.recorded import numbers, recorded
from fwsim.measure.similarity import States
from fwsim.names import known_arguments
from fwsim.requirements import required
from fwsim.seeds import check_seed

METHODS = ("wasserstein", "angular", "euclidean")

SMALLEST = 1e-5
"""Singular values of delayed states below this fraction of the largest are rounding, since DSA computes in float32."""


@known_arguments
def dynamical_distance(
    one: States,
    other: States,
    *,
    delays: int = 10,
    rank: int = 10,
    method: str = "wasserstein",
    iterations: int = 1500,
    seed: int = 0,
) -> float:
    """Distance of the dynamics of two systems by dynamical similarity analysis, 0 if they are the same up to rotation.

    Delayed states are reduced to their first `rank` components, and a linear map is fitted that takes them one time
    step further. The distance is that of the two maps. The systems need not have the same units, trials or times, but
    must have the same time step.

    Parameters
    ----------
    one, other
        Each is a recording with `hidden` or `rate`, a DataArray with dimensions `time`, `unit` and if wanted `trial`,
        or an array or tensor `[time, unit]` or `[trial, time, unit]`. Of spikes, give `firing_rate(run, bin=...)`.
    delays
        Number of successive states that are joined to one.
    rank
        Number of components of the joined states.
    method
        `"wasserstein"`: mean squared distance of the eigenvalues of the two maps in the complex plane, paired as well
        as possible. `"angular"`, from 0 to π, and `"euclidean"`: angle and distance of the two maps after the
        rotation that brings them closest, which is searched by gradient descent.
    iterations
        Steps of that search.
    seed
        Of its start.

    Returns
    -------
    float
        The distance. It has no unit and no absolute scale: compare it with that of two runs of the same system, and
        with that of systems known to differ.

    Raises
    ------
    ConfigError, ShapeError
        The package dsa-metric is not installed; an argument is not allowed; the time steps differ; or the joined states
        have fewer than `rank` dimensions.

    Notes
    -----
    Ostrow, Eisen, Kozachkov & Fiete 2023, arXiv 2306.10168, in their package dsa-metric (extra `dsa`).

    Examples
    --------
    Two rotations by 0.1 and 0.3 rad for each step, whatever the coordinates:

    >>> def turn(angle):
    ...     time = angle * np.arange(200)
    ...     return np.stack([np.cos(time), np.sin(time)], 1)
    >>> distance = dynamical_distance(turn(0.1), 5 * turn(0.3)[:, ::-1], delays=1, rank=2)
    >>> bool(np.isclose(distance, abs(np.exp(0.1j) - np.exp(0.3j)) ** 2, atol=1e-4))
    True
    """
    choice("method", method, METHODS)
    whole("delays", delays, least=1)
    whole("rank", rank, least=1)
    whole("iterations", iterations, least=1)
    check_seed(seed)
    pair = [_states(name, given) for name, given in (("one", one), ("other", other))]
    _require_same_step(*(step for _, step in pair))
    for name, (states, _) in zip(("one", "other"), pair):
        _require_rank(name, states, delays, rank)
    DSA = required("DSA", "dynamical_distance", extra="dsa")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = DSA.DSA(
            *(states for states, _ in pair),
            n_delays=delays,
            rank=rank,
            score_method=method,
            iters=iterations,
        )
        return float(found.fit_score())


def _states(name: str, given: States) -> tuple[np.ndarray, float | None]:
    """Centred states `[trial, time, unit]`, and their time step in s if it is known."""
    step = None
    if isinstance(given, xr.DataArray | xr.Dataset):
        values = recorded(given, "hidden", "rate")
        if {*values.dims} - {"trial"} != {"time", "unit"}:
            raise ShapeError(
                f"{name} has dimensions {list(values.dims)}; expected time, unit and if wanted trial"
            )
        step = _step(name, values)
        array = values.transpose(..., "time", "unit").values
    else:
        array = numbers(given, name)
    if array.ndim not in (2, 3) or array.shape[-2] < 2:
        raise ShapeError(
            f"{name} has shape {list(array.shape)}; expected [time, unit] or [trial, time, unit], at least two times"
        )
    array = array.reshape(-1, *array.shape[-2:]).astype(float)
    if not np.isfinite(array).all() or not array.size:
        raise ConfigError(f"{name} is empty, NaN or infinite somewhere; leave out such trials or times")
    return array - array.mean((0, 1)), step


def _step(name: str, values: xr.DataArray) -> float | None:
    """Time between samples, after a check that it is always the same."""
    if "time" not in values.coords or values.sizes["time"] < 2:
        return None
    gaps = np.diff(values["time"].values)
    if not np.allclose(gaps, gaps[0], rtol=1e-4, atol=0):
        raise ConfigError(f"{name} has times at different distances; give samples at equal ones")
    return float(gaps[0])


def _require_same_step(one: float | None, other: float | None) -> None:
    if one is not None and other is not None and not np.isclose(one, other, rtol=1e-4, atol=0):
        raise ConfigError(
            f"one has a sample every {one:g} s, other every {other:g} s; record both with the same step"
        )


def _require_rank(name: str, states: np.ndarray, delays: int, rank: int) -> None:
    """Raise unless the joined states have so many dimensions, and each trial is long enough."""
    trials, times, units = states.shape
    rows = times - delays + 1
    if rows < 2 or trials * rows < delays * units:
        raise ConfigError(
            f"{name} has {trials} trials of {times} times and {units} units; delays={delays} needs at least "
            f"{delays + 1} times and {delays * units} joined states, reduce units (principal_components) or delays"
        )
    joined = np.concatenate([states[:, lag : lag + rows] for lag in range(delays)], -1).reshape(
        -1, delays * units
    )
    size = np.linalg.svd(joined, compute_uv=False)
    dimensions = int((size > SMALLEST * size[0]).sum())
    if dimensions < rank:
        raise ConfigError(
            f"{name} has {dimensions} dimensions with delays={delays}; give rank={dimensions} or less, or more delays"
        )
