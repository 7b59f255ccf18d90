"""Convergence of the inner loop."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fwsim.errors import ShapeError, number
from fwsim.measure.recorded import computable, described, held, lengths, require_entries
from fwsim.names import known_arguments


@known_arguments
def convergence(run: xr.Dataset | xr.DataArray, *, tolerance: float = 1e-3) -> xr.Dataset:
    """Compute whether, when and how fast the inner loop converges.

    Parameters
    ----------
    run
        A recording with `inner[trial, time, iteration, unit]`, or any DataArray with dimensions `iteration` and `unit`.
        Dask-backed recordings stay lazy.
    tolerance
        The loop has settled when an iteration changes the state by less than this fraction of its length.

    Returns
    -------
    Dataset
        `distance[..., iteration]`, |h_{s+1} − h_s|/|h_{s+1}| of each iteration (0/0 counts as 0);
        `iterations[...]`, the number after which the state remains settled, NaN if not within those recorded;
        `settled[...]`; `rate[...]`, the factor by which an iteration shortens the next step, from the slope of
        ln distance (below 1: contraction), NaN with fewer than two steps larger than rounding. A state that is NaN or
        infinite has not settled, and its rate is NaN.
    """
    number("tolerance", tolerance, above=0)
    stored = held(run, "inner").drop_vars("iteration", errors="ignore")
    path = computable(stored)
    require_entries(path, "iteration", "unit")
    if path.sizes["iteration"] < 2:
        raise ShapeError("the recording has no inner iteration (inner_steps=0); there is nothing to converge")
    after = path.isel(iteration=slice(1, None))
    length = lengths(after)
    distance = lengths(after - path.isel(iteration=slice(None, -1))) / length.where(length != 0, 1.0)
    distance = distance.assign_coords(iteration=np.arange(1, path.sizes["iteration"]))

    late = ~(distance <= tolerance) * distance["iteration"]  # NaN counts as not settled
    iterations = late.max("iteration")
    settled = iterations < distance.sizes["iteration"]
    rate = xr.apply_ufunc(
        _contraction,
        distance,
        input_core_dims=[["iteration"]],
        kwargs={"rounding": _rounding(stored.dtype)},
        dask="parallelized",
        output_dtypes=[float],
    )
    return xr.Dataset(
        {
            "distance": described(distance, "distance", "1", "relative length of the iteration"),
            "iterations": described(iterations.where(settled), "iterations", "1", "iterations to settle"),
            "settled": described(settled, "settled", "1", "settled"),
            "rate": described(rate, "rate", "1", "contraction of an iteration"),
        },
        attrs={"tolerance": tolerance},
    )


def _rounding(stored: np.dtype) -> float:
    """Distance below which stored states of this type may differ by rounding only."""
    return 100 * float(np.finfo(stored if np.issubdtype(stored, np.floating) else np.float64).eps)


def _contraction(distance: np.ndarray, rounding: float) -> np.ndarray:
    """Exp of the least-squares slope of ln distance `[..., iteration]`, over steps larger than rounding."""
    known = np.isfinite(distance).all(-1)
    valid = known[..., None] & (distance > rounding)
    logs = np.log(np.where(valid, distance, 1.0))
    s = np.arange(distance.shape[-1])
    count = valid.sum(-1, keepdims=True)
    centre = np.sum(valid * s, -1, keepdims=True) / np.maximum(count, 1)
    offset = valid * (s - centre)
    variance = np.sum(offset**2, -1)
    slope = np.sum(offset * logs, -1) / np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, np.exp(slope), np.nan)
