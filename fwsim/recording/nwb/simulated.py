"""A recording that was written as NWB, as it was."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from fwsim.recording.arrays import restored
from fwsim.recording.nwb.extension import NAME
from fwsim.recording.schema import VARIABLES
from fwsim.recording.windows import DIGITS, check_memory


def simulated(file: Any) -> xr.Dataset:
    """The recording that a file of `write_nwb` holds."""
    described = json.loads(file.lab_meta_data[NAME].recording)
    variables = {}
    for name, each in described["series"].items():
        variables[name] = _series(file.acquisition[name].data, each)
    for name, each in described["arrays"].items():
        variables[name] = _array(file.scratch[name].data, each)
    if file.units is not None:
        variables = _spikes(file) | variables
    coords = [
        name
        for kind in ("series", "arrays")
        for name, each in described[kind].items()
        if each["coordinate"] is True
    ]
    run = xr.Dataset(variables, attrs=described["attributes"])
    return run.set_coords(coords)


def _series(data: Any, each: dict[str, Any]) -> xr.Variable:
    """A variable from `[trial · time, …]`."""
    dims, shape = list(each["dimensions"]), list(each["shape"])
    time = next(dim for dim in dims if dim == "time" or dim.endswith("_time"))
    first = ["trial", time] if "trial" in dims else [time]
    stored = [*first, *(dim for dim in dims if dim not in first)]
    values = _checked(data, each).reshape([shape[dims.index(dim)] for dim in stored])
    return xr.Variable(stored, values, each["attributes"]).transpose(*dims)


def _array(data: Any, each: dict[str, Any]) -> xr.Variable:
    values = _checked(data, each).reshape(each["shape"])
    return restored(xr.Variable(each["dimensions"], values, each["attributes"]))


def _checked(data: Any, each: dict[str, Any]) -> np.ndarray:
    """Values of the declared size and type."""
    size = math.prod(np.shape(data))
    if size != math.prod(each["shape"]):
        raise ValueError(f"{size} values where {math.prod(each['shape'])} were written")
    check_memory(size * 8)
    values = np.asarray(data)  # hdmf reads an array of one value as a scalar
    if each["dtype"] == "str":
        texts = [text.decode() if isinstance(text, bytes) else str(text) for text in values.ravel()]
        return np.array(texts, dtype=np.dtypes.StringDType()).reshape(values.shape)
    kind = np.dtype(each["dtype"])
    if kind.kind not in "biuf":
        raise ValueError(f"{kind} is no type of numbers")
    return values.astype(kind, copy=False)


def _spikes(file: Any) -> dict[str, xr.Variable]:
    starts, stops = (np.asarray(file.trials[name].data[:], float) for name in ("start_time", "stop_time"))
    check_memory(16 * len(file.units["spike_times"].target.data))
    ends = np.asarray(file.units["spike_times"].data[:], np.int64)
    times = np.asarray(file.units["spike_times"].target.data[:], float)
    return spikes(starts, stops, ends, times)


def spikes(
    starts: np.ndarray, stops: np.ndarray, ends: np.ndarray, times: np.ndarray
) -> dict[str, xr.Variable]:
    """Spikes in trials from those on one time line.

    Parameters
    ----------
    starts, stops
        Of the trials, `[trial]` in s.
    ends
        Number of spikes of each unit and those before it, `[unit]`.
    times
        Of all spikes, unit by unit.
    """
    unit = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    trial = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, None)
    if (times > stops[trial]).any() or (times < starts[trial]).any():
        raise ValueError("spikes between the trials")
    within = np.round(times - starts[trial], DIGITS) if len(starts) > 1 else times
    order = np.lexsort((unit, trial, within))
    values = {"spike_time": within, "spike_unit": unit, "spike_trial": trial}
    return {
        name: xr.Variable("spike", each[order].astype(VARIABLES[name].dtype), VARIABLES[name].attributes)
        for name, each in values.items()
    }
