"""Attention of the inner loop to past states."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError
from fwsim.measure.recorded import described, recorded, require_entries
from fwsim.names import known_arguments
from fwsim.recording.timing import in_steps


@known_arguments
def attention(run: xr.Dataset) -> xr.Dataset:
    """Describe the attention of the inner loop to past states: how far back, how concentrated, and to which state.

    Weights are the recorded attention κ(t−τ) h(τ)·h_s without its sign, as a fraction of the sum over the past.

    Parameters
    ----------
    run
        A recording with `attention[trial, time, iteration, past]`. Dask-backed recordings stay lazy.

    Returns
    -------
    Dataset
        `weight[trial, time, iteration, past]`, fractions; `span[trial, time, iteration]` (s), the inverse participation
        number 1/Σ weight² times the step, comparable with `fwsim.theory.attention_span`;
        `concentration[trial, time, iteration]`, 1 − entropy/ln(number of past states): 0 for uniform, 1 for a single
        one; `lag[trial, time, iteration]` (s), mean time since the attended states;
        `peak[trial, time, iteration]`, the step with most attention. NaN (peak: −1) if there is no past, or no
        attention to any of it, where weights are 0.
        If the recorded attention is NaN or infinite for any past state, all values are NaN, weights too.
    """
    values = recorded(run, "attention")
    require_entries(values, "time", "iteration", "past")
    dt = _dt(run)
    steps = run["past"].values if "past" in run.coords else np.arange(values.sizes["past"]) + 1
    past, first = xr.DataArray(steps, dims="past"), int(steps[0])
    step = xr.DataArray(np.round(in_steps(values["time"].values, dt)), dims="time")
    size: xr.DataArray = abs(values)
    total = size.sum("past", skipna=False)
    known = np.isfinite(total)
    weight = size / total.where(known & (total > 0))
    available = (past < step).sum("past")
    entropy = -(weight * np.log(weight.where(weight > 0, 1.0))).sum("past", skipna=False)
    spread = np.log(available.where(available > 1, math.e))
    summary = {
        "weight": (xr.where(total == 0, 0.0, weight), "1", "share of the attention"),
        "span": (dt / (weight**2).sum("past", skipna=False), "s", "effective attention span"),
        "concentration": (
            xr.where(available > 1, 1 - entropy / spread, 1 + 0 * entropy),
            "1",
            "concentration",
        ),
        "lag": (
            (weight * (step - past)).sum("past", skipna=False) * dt,
            "s",
            "mean lag of the attended states",
        ),
        "peak": (
            xr.where(known & (total > 0), first + size.fillna(-1.0).argmax("past"), -1),
            "1",
            "step attended to most",
        ),
    }
    order = ("trial", "time", "iteration", "past")
    return xr.Dataset(
        {
            name: described(value.transpose(*(dim for dim in order if dim in value.dims)), name, units, label)
            for name, (value, units, label) in summary.items()
        }
    )


def _dt(run: xr.Dataset) -> float:
    if not isinstance(run, xr.Dataset) or "dt" not in run.attrs:
        raise RecordingError("attention needs a recording with its step in run.attrs['dt'] (s)")
    dt = run.attrs["dt"]
    if not isinstance(dt, float | int | np.number) or not 0 < float(dt) < math.inf:
        raise RecordingError(
            f"the recording's step, run.attrs['dt']={dt!r}, is no positive number of seconds"
        )
    return float(dt)
