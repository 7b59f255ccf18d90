"""Recordings as objects of pynapple, and such objects as recordings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from fwsim.errors import ConfigError, type_of
from fwsim.names import known_arguments
from fwsim.recording.schema import SCHEMA
from fwsim.recording.timeline import Timeline
from fwsim.recording.trains import trains_of
from fwsim.recording.windows import checked_windows, shortest
from fwsim.requirements import required

if TYPE_CHECKING:
    import xarray as xr


@known_arguments
def to_pynapple(run: xr.Dataset) -> tuple[Any, Any]:
    """Convert the spikes of a recording to a `pynapple.TsGroup` of its units and an `IntervalSet` of its trials.

    Pynapple has one time line, so the trials follow each other with a second between them. Labels of units and trials
    (coordinates) are metadata. Pynapple rounds times to 1 ns.

    Raises
    ------
    ConfigError
        Pynapple is not installed.
    RecordingError
        The recording contains no spikes.
    """
    nap = required("pynapple", "to_pynapple", extra="pynapple")
    trains = trains_of(run)
    timeline = Timeline.of(run, trains)
    times, ends = timeline.spikes(trains)
    trials = nap.IntervalSet(timeline.starts, timeline.stops, metadata=_labels(run, "trial"))
    units = {unit: nap.Ts(each) for unit, each in enumerate(np.split(times, ends[:-1]))}
    return nap.TsGroup(units, time_support=trials, metadata=_labels(run, "unit")), trials


def _labels(run: xr.Dataset, dimension: str) -> dict[str, Any]:
    """Coordinates along a dimension under names that pynapple has not taken."""
    found = {}
    for name, values in run.coords.items():
        if values.dims == (dimension,) and values.dtype.kind in "biufUTO":
            plain = np.array(values.values.tolist(), str) if values.dtype.kind in "UTO" else values.values
            found[f"{dimension}_label" if name == dimension else str(name)] = plain
    return found


def from_pynapple(units: Any, trials: Any = None, **series: Any) -> xr.Dataset:
    """Convert objects of pynapple to a recording.

    Parameters
    ----------
    units
        A `TsGroup`; its metadata become coordinates of `unit`.
    trials
        An `IntervalSet`, by default the time support of the units. Its metadata become coordinates of `trial`.
    series
        `Tsd`, `TsdFrame` or `TsdTensor` by name, cut into the same trials: `[trial, <name>_time, <name>_channel, …]`.

    Raises
    ------
    ConfigError
        Pynapple is not installed, or something is of another kind.

    Warns
    -----
    UserWarning
        Trials differ in length, so all are cut to the shortest; or a series cannot be cut into trials.
    """
    import xarray as xr

    nap = required("pynapple", "from_pynapple", extra="pynapple")
    if not isinstance(units, nap.TsGroup):
        raise ConfigError(f"units is {type_of(units)}; give a pynapple.TsGroup")
    trials = units.time_support if trials is None else trials
    if not isinstance(trials, nap.IntervalSet):
        raise ConfigError(f"trials is {type_of(trials)}; give a pynapple.IntervalSet")
    start = np.asarray(trials.start, float)
    length = shortest(
        np.asarray(trials.end, float) - start, "since recordings have one length; cut them first"
    )
    windows = checked_windows(start, length, {}, closed=True)
    variables: dict[str, Any] = windows.spikes([np.asarray(units[key].t, float) for key in units.index])
    for name, each in series.items():
        if not isinstance(each, nap.Tsd | nap.TsdFrame | nap.TsdTensor):
            raise ConfigError(f"{name} is {type_of(each)}; give a Tsd, TsdFrame or TsdTensor of pynapple")
        variables |= windows.cut(name, np.asarray(each.t), each.d, {"units": "1", "long_name": name})
    coords: dict[str, Any] = {"trial": np.arange(len(start)), "unit": np.asarray(units.index)}
    for dimension, table in (("trial", trials.metadata), ("unit", units.metadata)):
        for name in table.columns:
            values = np.asarray(table[name])
            if name != "rate" and values.dtype.kind in "biufOU":
                values = values.astype(str) if values.dtype.kind == "O" else values
                own = dimension if name == f"{dimension}_label" else re.sub(r"\W+", "_", str(name))
                coords[own] = (dimension, values)
    return xr.Dataset(variables, coords=coords, attrs={"fwsim_schema": SCHEMA, "duration": length})
