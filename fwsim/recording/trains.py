"""The spike trains of a recording."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError, instance
from fwsim.recording.timing import bin_count, bin_of, slack, window
from fwsim.units import SYMBOLS, checked

MOST = 2**31
"""Largest number of counts at once."""


@dataclass(frozen=True, eq=False)
class Trains:
    """Spikes of a recording within a window.

    `time` (s), `train` (trial · units + unit) by spike, ascending in time; `start` and `stop` of the window in s.
    """

    time: np.ndarray
    train: np.ndarray
    trials: int
    units: int
    start: float
    stop: float

    def counts(self, bin: float, name: str = "bin") -> np.ndarray:
        """Number of spikes in bins of equal length, `[trial, time, unit]`; an incomplete last bin is left out."""
        bin = checked(name, bin, "time", above=0)
        bins = bin_count(self.start, self.stop, bin, name)
        if bins * self.trials * self.units > MOST:
            raise ConfigError(
                f"{name}={bin:g} s makes {bins} bins of {self.trials * self.units} trains; lengthen it"
            )
        # A spike in step t has time (t+1)·dt and belongs to the bin that ends there or later.
        at = bin_of(self.time, self.start, bin).clip(min=0)  # a spike at 0 belongs to the first
        inside = at < bins
        flat = at[inside] * self.trials * self.units + self.train[inside]
        counted = np.bincount(flat, minlength=bins * self.trials * self.units)
        return counted.reshape(bins, self.trials, self.units).swapaxes(0, 1)

    def times(self, bin: float) -> np.ndarray:
        """End of each bin in s."""
        bin = checked("bin", bin, "time", above=0)
        count = bin_count(self.start, self.stop, bin)
        return np.round(self.start + bin * np.arange(1, count + 1), 12)


def require_dataset(run: object) -> None:
    """Raise `ConfigError` unless a recording is a Dataset."""
    instance("run", run, xr.Dataset, "a recording (xarray.Dataset)")


def trains_of(run: xr.Dataset, start: float = 0.0, stop: float | None = None) -> Trains:
    """Spikes of a recording within a window in s; by default all of them."""
    require_dataset(run)
    missing = [name for name in ("spike_time", "spike_unit", "spike_trial") if name not in run]
    if missing:
        raise RecordingError(
            f"the recording holds no {', '.join(missing)}; record spike_time, spike_unit and spike_trial"
        )
    said = str(run["spike_time"].attrs.get("units", "s"))
    if SYMBOLS["time"].get(said, 1.0) != 1.0:
        raise RecordingError(
            f"spike_time is in {said}; give seconds: run.assign(spike_time=run.spike_time * "
            f"{SYMBOLS['time'][said]:g})"
        )
    time, unit, trial = (np.asarray(run[name]) for name in ("spike_time", "spike_unit", "spike_trial"))
    for name, values, finite in (
        ("spike_time", time, time.dtype.kind in "iuf" and bool((np.isfinite(time) & (time >= 0)).all())),
        ("spike_unit", unit, unit.dtype.kind in "iu" and bool((unit >= 0).all())),
        ("spike_trial", trial, trial.dtype.kind in "iu" and bool((trial >= 0).all())),
    ):
        if values.shape != time.shape or values.ndim != 1 or not (finite or not values.size):
            raise RecordingError(
                f"{name} is no list of spikes ({values.dtype} {list(values.shape)}); "
                "give times in s from 0 on, and units and trials counted from 0, [spike] each"
            )
    units = _size(run, "unit", unit)
    trials = _size(run, "trial", trial)
    last = float(time.max(initial=0.0))
    end = duration_of(run, last)
    step = run.attrs.get("dt", 0.0)
    if last > end + max(step if isinstance(step, float) else 0.0, float(slack(np.asarray(end)))):
        raise RecordingError(
            f"the last spike is at {last:g} s, after the recording ends at {end:g} s; it is damaged"
        )
    start, stop = window(start, stop, end)
    # A window includes its last moment, but not its first, except at the beginning of the recording.
    inside = (time - start > slack(time)) | (start == 0)
    inside &= time - stop <= slack(time)
    train = trial[inside].astype(np.int64) * units + unit[inside].astype(np.int64)
    return Trains(time[inside], train, trials, units, start, stop)


def _size(run: xr.Dataset, dimension: str, used: np.ndarray) -> int:
    """Number of units or trials; `used` are the indices of those with spikes."""
    most = int(used.max()) + 1 if used.size else 0
    size = run.sizes.get(dimension, most)
    if most > size:
        raise RecordingError(
            f"spike_{dimension} counts to {most - 1}, but the recording has {size} along {dimension!r}; it is damaged"
        )
    return size


def duration_of(run: xr.Dataset, last: float) -> float:
    """Length of a simulated or imported recording in s; for any other, the time of its last spike."""
    attrs = run.attrs
    try:
        if "duration" in attrs:
            length = float(attrs["duration"])
        else:
            length = float(attrs["steps"] * attrs["dt"]) if {"steps", "dt"} <= set(attrs) else last
    except (TypeError, ValueError):
        length = math.nan
    if not 0 <= length < math.inf:
        raise RecordingError("the recording says no length: its duration, or steps and dt, are no numbers")
    return length
