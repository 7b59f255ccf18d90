"""Measured spikes and time series of an NWB file, cut into trials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError, choice
from fwsim.recording.schema import SCHEMA, VARIABLES
from fwsim.recording.windows import Windows, check_memory, checked_windows, shortest

TAKEN = ("trial", "unit", "time", "spike", *VARIABLES)
"""Names of columns that get another one."""


def measured(file: Any, align: str, before: float, after: float | None) -> xr.Dataset:
    """The recording of a file that fwsim did not write; see `read_nwb`."""
    series = dict(_numeric_series(file))
    windows = _windows(file, list(series.values()), align, before, after)
    variables: dict[str, Any] = {}
    coords = dict(windows.labels)
    if file.units is not None and "spike_times" in file.units.colnames:
        variables |= windows.spikes(_trains(file.units))
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
        return checked_windows(np.array([start]), length, {"trial": np.array([0])}, closed=True)
    times = _times_of(trials)
    choice("align", align, tuple(times))
    zero = times[align]
    kept = np.isfinite(zero) & np.isfinite(times["stop_time"])
    zero, rows = zero[kept], np.flatnonzero(kept)
    if after is None:
        after = shortest(times["stop_time"][kept] - zero, f"after {align}; give after= for another length")
    labels = _labels(trials, "trial", rows)
    return checked_windows(
        zero - before, before + after, labels | {"trial_start": ("trial", zero - before, SECONDS)}
    )


SECONDS = {"units": "s", "long_name": "beginning of the trial in the file"}


def _extent(file: Any, series: list[Any]) -> tuple[float, float]:
    """First and last moment of everything, of which the first is 0 at the latest."""
    moments = [0.0]
    if file.units is not None and "spike_times" in file.units.colnames:
        spikes = np.concatenate([np.empty(0), *_trains(file.units)])
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


def _trains(units: Any) -> list[np.ndarray]:
    """Spike times of every unit in s."""
    ends = np.asarray(units["spike_times"].data[:], np.int64)
    target = units["spike_times"].target.data
    check_memory(8 * len(target))
    return np.split(np.asarray(target[:], float), ends[:-1]) if len(ends) else []


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
    """A time series in SI units, cut into trials."""
    factor = np.asarray(getattr(series, "channel_conversion", None) or 1.0, float) * float(series.conversion)
    about = {"units": str(series.unit), "long_name": " ".join(str(series.description).split()) or name}
    cut = windows.cut(name, _clock(series), series.data, about)
    return {
        key: each.copy(data=each.values * factor + float(series.offset or 0.0)) if key == name else each
        for key, each in cut.items()
    }
