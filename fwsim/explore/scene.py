"""The explored part of a recording: one activity, in one trial and at one index of every other dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError, choice
from fwsim.explore.spikes import Spikes
from fwsim.explore.states import States
from fwsim.measure.recorded import recorded
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.recording import open_recording
from fwsim.recording.display import configured
from fwsim.recording.trains import duration_of
from fwsim.study.runs import find_run

SPIKING = "spikes"
BINS = 1000  # number of bins of a spiking recording, as far as their length allows it
SHORTEST, LONGEST = 0.001, 0.01  # s; length of a bin
FIRST = 100_000  # spikes that are read to count trials and neurons, if the recording does not declare them
OF_UNITS = ("unit", "timescale", "post", "pre", "past", "iteration")
"""Dimensions that views show completely."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A recording with one index chosen for every dimension except time, units and the like.

    Parameters
    ----------
    run
        The recording, lazy or not, after the choice.
    activity
        The activity over time.
    """

    run: xr.Dataset
    activity: States | Spikes

    def at(self, name: str, time: float) -> xr.DataArray | None:
        """Last sample of a variable at or before a time in s; `None` if there is none."""
        if name not in self.run:
            return None
        values = recorded(self.run, name)
        if "time" not in values.dims:
            return None
        index = int(np.searchsorted(values["time"].values, time + 1e-9 * max(1.0, time), side="right")) - 1
        return values.isel(time=index).load() if index >= 0 else None

    @property
    def beginning(self) -> int:
        """Sample with most to see: the last if states are remembered, otherwise that of largest mean activity."""
        if {"attention", "inner", "memory"} & set(self.run.variables) or "iteration" in self.run.sizes:
            return len(self.activity.times) - 1
        times, mean = self.activity.overview()
        known = np.flatnonzero(np.isfinite(mean))
        if not len(known):
            return 0
        busiest = times[known[np.argmax(mean[known])]]
        return int(np.clip(np.searchsorted(self.activity.times, busiest), 0, len(self.activity.times) - 1))


def find_recording(given: str | Path) -> xr.Dataset:
    """Recording of a run, or a recording in a folder that `to=` wrote."""
    path = local_path(given, "recording")
    return open_recording(path) if (path / "zarr.json").is_file() else find_run(given).recording


def activities(run: xr.Dataset) -> list[str]:
    """Names of the activities over time; spikes and rates first."""
    found = [
        str(name) for name, values in run.variables.items() if name not in run.dims and _axes(values.dims)
    ]
    usual = ("hidden", "rate", "potential")
    found.sort(key=lambda name: (usual.index(name) if name in usual else len(usual), name))
    return [SPIKING, *found] if {"spike_time", "spike_unit"} <= set(run.variables) else found


def check_explorable(run: xr.Dataset) -> None:
    """Raise `RecordingError` if a recording has neither activity of units nor any number to show."""
    if activities(run):
        open_scene(run)
    elif not any(values.dtype.kind in "biuf" and values.size for values in run.data_vars.values()):
        raise RecordingError(
            f"the recording holds no numbers (it holds {', '.join(map(str, run.data_vars)) or 'nothing'}); "
            "explore another run"
        )


def others(run: xr.Dataset, name: str) -> dict[str, int]:
    """Dimensions for which an index has to be chosen, and their sizes."""
    if name == SPIKING:
        trials = _trials(run)
        return {"trial": trials} if trials > 1 else {}
    axes = _axes(run[name].dims)
    return {str(dim): size for dim, size in run[name].sizes.items() if dim not in axes}


@known_arguments
def open_scene(run: xr.Dataset, name: str | None = None, chosen: Mapping[str, int] | None = None) -> Scene:
    """Choose what to explore.

    Parameters
    ----------
    run
        A recording.
    name
        One of `activities`, the first by default.
    chosen
        Index for each of the `others`, by default the first.

    Raises
    ------
    RecordingError
        Nothing in the recording has both time and units.
    ConfigError
        It does not contain that activity.
    """
    names = activities(run)
    if not names:
        raise RecordingError(
            f"nothing in the recording has both time and units (it holds {', '.join(map(str, run.data_vars))}); "
            "explore one with hidden, rate or spikes"
        )
    name = names[0] if name is None else name
    choice("activity", name, tuple(names))
    entries = dict.fromkeys(others(run, name), 0) | dict(chosen or {})
    kept = run.isel(entries, missing_dims="ignore")
    if name == SPIKING:
        return Scene(kept, _spikes(run, entries.get("trial", 0)))
    time, unit = _axes(run[name].dims)
    values = recorded(kept, name)
    values = values.rename({time: "time"}) if time in values.dims else values
    values = values.transpose("time", unit)
    times = values["time"].values if "time" in values.coords else np.arange(1.0, values.sizes["time"] + 1)
    label = str(values.attrs.get("long_name", name))
    return Scene(kept, States(values, np.asarray(times, float), label, str(values.attrs.get("units", "1"))))


def _axes(dims: tuple) -> tuple[str, ...]:
    """The dimensions of time and of units, or nothing."""
    time = next((str(dim) for dim in dims if str(dim).endswith("time")), None)
    unit = next((str(dim) for dim in dims if str(dim).endswith("unit")), None)
    shown = set(dims) & (set(OF_UNITS) - {unit})
    return (time, unit) if time and unit and not shown else ()


def _spikes(run: xr.Dataset, trial: int) -> Spikes:
    last = float(run["spike_time"][-1]) if run.sizes["spike"] else 0.0
    duration = duration_of(run, last)
    if not duration > 0:
        raise RecordingError("the recording holds no spikes and no duration; there is nothing to look at")
    bins = max(1, min(BINS, round(duration / SHORTEST)), round(duration / LONGEST))
    units = max(run.sizes.get("unit", 0), _neurons(run))  # other variables may be of some of the neurons only
    return Spikes(run, trial, _trials(run), units, duration / bins * np.arange(1, bins + 1))


def _neurons(run: xr.Dataset) -> int:
    populations = configured(run).get("populations")
    if populations:
        return sum(each["size"] for each in populations)
    return _largest(run["spike_unit"]) + 1 if run.sizes["spike"] else 1


def _trials(run: xr.Dataset) -> int:
    if "trial" in run.sizes:
        return run.sizes["trial"]
    return _largest(run["spike_trial"]) + 1 if "spike_trial" in run and run.sizes["spike"] else 1


def _largest(values: xr.DataArray) -> int:
    """Largest of the first numbers: reading all may take long, and all trials and neurons soon have a spike."""
    return int(values[:FIRST].max())
