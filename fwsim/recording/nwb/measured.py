"""Measured spikes and time series of an NWB file, cut into trials."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError, choice
from fwsim.recording.nwb.simulated import check_memory
from fwsim.recording.schema import SCHEMA, VARIABLES
from fwsim.units import outside

TAKEN = ("trial", "unit", "time", "spike", *VARIABLES)
"""Names of columns that get another one."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Trials on the time line of a file.

    Parameters
    ----------
    start
        Beginning of each window `[trial]` in s.
    length
        Of every window in s.
    labels
        Coordinates of the dimension `trial`.
    """

    start: np.ndarray
    length: float
    labels: dict[str, Any] = field(default_factory=dict)


def measured(file: Any, align: str, before: float, after: float | None) -> xr.Dataset:
    """The recording of a file that fwsim did not write; see `read_nwb`."""
    series = dict(_numeric_series(file))
    windows = _windows(file, list(series.values()), align, before, after)
    variables: dict[str, Any] = {}
    coords = dict(windows.labels)
    if file.units is not None and "spike_times" in file.units.colnames:
        variables |= _spikes(file.units, windows)
        coords |= _labels(file.units, "unit", np.arange(len(file.units)))
    for name, each in series.items():
        variables |= _cut(name, each, windows)
    if not variables:
        raise RecordingError("the file holds neither spikes nor time series of numbers in these trials")
    attributes = {
        "fwsim_schema": SCHEMA,
        "duration": float(windows.length),
        "nwb_identifier": str(file.identifier),
        "nwb_session_description": str(file.session_description),
        "nwb_session_start_time": str(file.session_start_time),
        "nwb_align": align,
        "nwb_before": before,
    }
    return xr.Dataset(variables, coords=coords, attrs=attributes)


def _windows(file: Any, series: list[Any], align: str, before: float, after: float | None) -> Windows:
    trials = file.trials
    if trials is None or not len(trials):
        if align != "start_time":
            raise ConfigError(f"align={align!r}: the file has no trials; leave it out")
        start, stop = _extent(file, series)
        length = stop - start if after is None else min(after, stop - start)
        return _checked(np.array([start]), length, {"trial": np.array([0])})
    times = _times_of(trials)
    choice("align", align, tuple(times))
    zero = times[align]
    kept = np.isfinite(zero) & np.isfinite(times["stop_time"])
    zero, rows = zero[kept], np.flatnonzero(kept)
    if after is None:
        lengths = times["stop_time"][kept] - zero
        if len(lengths) and np.ptp(lengths) > 1e-6 * max(1.0, abs(lengths.max())):
            warnings.warn(
                f"trials last from {lengths.min():g} to {lengths.max():g} s after {align}; all are cut to the "
                "shortest; give after= for another length",
                UserWarning,
                stacklevel=outside(),
            )
        after = float(lengths.min(initial=np.inf))
    labels = _labels(trials, "trial", rows)
    return _checked(
        zero - before, before + after, labels | {"trial_start": ("trial", zero - before, SECONDS)}
    )


SECONDS = {"units": "s", "long_name": "beginning of the trial in the file"}


def _checked(start: np.ndarray, length: float, labels: dict[str, Any]) -> Windows:
    if not len(start):
        raise RecordingError("no trial has this time; choose another column with align")
    if not 0 < length < np.inf:
        raise ConfigError(f"the window lasts {length:g} s; give before and after that leave some time")
    return Windows(start, float(length), labels)


def _extent(file: Any, series: list[Any]) -> tuple[float, float]:
    """First and last moment of everything, of which the first is 0 at the latest."""
    moments = [0.0]
    if file.units is not None and "spike_times" in file.units.colnames:
        spikes = np.asarray(file.units["spike_times"].target.data[:], float)
        moments += [spikes.min(initial=0.0), spikes.max(initial=0.0)]
    for each in series:
        times = _clock(each)
        moments += [float(times[0]), float(times[-1])] if len(times) else []
    return min(moments), max(moments)


def _times_of(trials: Any) -> dict[str, np.ndarray]:
    """Columns of a table of trials that may hold times."""
    found = {}
    for name in trials.colnames:
        values = _column(trials, name)
        if values is not None and values.dtype.kind in "iuf":
            found[name] = values.astype(float)
    return found


def _column(table: Any, name: str) -> np.ndarray | None:
    """Numbers or texts of a column, `None` if it holds something else."""
    column = table[name]
    if type(column).__name__ not in ("VectorData", "EnumData") or len(np.shape(column.data)) != 1:
        return None
    check_memory(8 * len(column.data))
    values = np.asarray(column.data[:])
    if values.dtype.kind in "OSU":
        if not all(isinstance(each, (str, bytes)) for each in values):
            return None
        return np.array([each.decode() if isinstance(each, bytes) else each for each in values], dtype=str)
    return values if values.dtype.kind in "biuf" else None


def _labels(table: Any, dimension: str, rows: np.ndarray) -> dict[str, Any]:
    """Coordinates from the columns of a table, and the identifiers as those of the dimension."""
    found: dict[str, Any] = {dimension: (dimension, np.asarray(table.id[:])[rows])}
    for name in table.colnames:
        values = _column(table, name)
        if values is not None:
            free = f"{dimension}_{name}" if name in TAKEN else name
            about = {"long_name": " ".join(str(table[name].description).split())}
            found[_word(free)] = (dimension, values[rows], about)
    return found


def _word(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or "unnamed"


def _spikes(units: Any, windows: Windows) -> dict[str, xr.Variable]:
    """Spikes of every unit in every window, ascending in time."""
    edges = np.asarray(units["spike_times"].data[:], np.int64)
    target = units["spike_times"].target.data
    check_memory(8 * len(target))
    times = np.asarray(target[:], float)
    parts = [(np.empty(0), np.empty(0, int), np.empty(0, int))]
    for unit, (low, high) in enumerate(zip(np.r_[0, edges[:-1]], edges)):
        own = np.sort(times[low:high])
        first = np.searchsorted(own, windows.start)
        last = np.searchsorted(own, windows.start + windows.length)
        for trial, (begin, end) in enumerate(zip(first, last)):
            within = (own[begin:end] - windows.start[trial]).clip(0)
            parts.append((within, np.full(len(within), unit), np.full(len(within), trial)))
    values = dict(zip(("spike_time", "spike_unit", "spike_trial"), map(np.concatenate, zip(*parts))))
    order = np.lexsort((values["spike_unit"], values["spike_trial"], values["spike_time"]))
    return {
        name: xr.Variable("spike", each[order].astype(VARIABLES[name].dtype), VARIABLES[name].attributes)
        for name, each in values.items()
    }


def _numeric_series(file: Any) -> Iterator[tuple[str, Any]]:
    """Time series of numbers under names that are all different."""
    given: set[str] = set()
    for each in file.objects.values():
        kinds = [kind.__name__ for kind in type(each).__mro__]
        if "TimeSeries" not in kinds or {"ImageSeries", "AnnotationSeries", "SpikeEventSeries"} & set(kinds):
            continue
        if each.parent is None or each.get_ancestor("NWBFile") is None or each.data is None:
            continue
        numbers = getattr(each.data, "dtype", np.asarray(each.data).dtype).kind in "biuf"
        if not numbers or not 1 <= len(np.shape(each.data)) <= 4 or not len(each.data):
            continue
        name = _word(each.name)
        name = f"{name}_series" if name in TAKEN else name
        if name in given:
            name = f"{_word(each.parent.name)}_{name}"
        if name not in given:
            given.add(name)
            yield name, each


def _clock(series: Any) -> np.ndarray:
    """Time of every sample in s."""
    if series.timestamps is not None:
        check_memory(8 * len(series.timestamps))
        return np.asarray(series.timestamps[:], float)
    start = float(series.starting_time or 0.0)
    return start + np.arange(len(series.data)) / float(series.rate)


def _cut(name: str, series: Any, windows: Windows) -> dict[str, Any]:
    """A variable `[trial, <name>_time, …]`; NaN where the series has not begun or has ended."""
    clock = _clock(series)
    if len(clock) != len(series.data):
        raise ValueError(f"{name} has {len(series.data)} samples and {len(clock)} times")
    grid = _grid(clock, windows)
    if grid is None:
        warnings.warn(
            f"{name} is left out: it has no samples at the same times in every trial; resample it, or read it "
            "with pynwb",
            UserWarning,
            stacklevel=outside(),
        )
        return {}
    first, count, times = grid
    shape = np.shape(series.data)
    check_memory(8 * len(first) * count * int(np.prod(shape[1:])))
    values = np.full((len(first), count, *shape[1:]), np.nan)
    for trial, begin in enumerate(first):
        low, high = max(begin, 0), min(begin + count, len(clock))
        if low < high:
            values[trial, low - begin : high - begin] = series.data[low:high]
    factor = np.asarray(getattr(series, "channel_conversion", None) or 1.0, float)
    values = values * (float(series.conversion) * factor) + float(series.offset or 0.0)
    dims = ("trial", f"{name}_time", f"{name}_channel", f"{name}_axis", f"{name}_second_axis")
    about = {"units": str(series.unit), "long_name": " ".join(str(series.description).split()) or name}
    clock_of = xr.Variable(f"{name}_time", times, {"units": "s", "long_name": "time"})
    return {name: xr.Variable(dims[: values.ndim], values, about), f"{name}_time": clock_of}


def _grid(clock: np.ndarray, windows: Windows) -> tuple[np.ndarray, int, np.ndarray] | None:
    """First sample of each trial (before the beginning: negative), number of samples, times; `None` without a grid."""
    if len(clock) < 2 or not np.isfinite(clock).all() or not (np.diff(clock) > 0).all():
        return None
    step = float(np.median(np.diff(clock)))
    regular = np.abs(np.diff(clock) - step).max() < 0.01 * step
    if regular:
        first = np.ceil((windows.start - clock[0]) / step - 1e-6).astype(int)
        count = int(np.floor(windows.length / step + 1e-6))
    else:
        first = np.searchsorted(clock, windows.start - 1e-9)
        count = int((np.searchsorted(clock, windows.start + windows.length + 1e-9) - first).min())
    if count < 1:
        return None
    if regular:
        offset = float(np.median(clock[0] + first * step - windows.start))
        return first, count, np.round(offset + step * np.arange(count), 12)
    within = np.stack([clock[low : low + count] - start for low, start in zip(first, windows.start)])
    if np.abs(within - within[0]).max() > 0.5 * np.diff(within[0]).min(initial=step):
        return None
    return first, count, np.round(within[0], 12)
