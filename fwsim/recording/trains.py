"""The spike trains that a recording holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError
from fwsim.units import checked, steps_from, steps_until


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

    def counts(self, bin: float) -> np.ndarray:
        """Spikes in bins of equal length, `[trial, time, unit]`; a last incomplete bin is left out."""
        bin = checked("bin", bin, "time", above=0)
        bins = steps_until(self.stop - self.start, bin)
        if bins < 1:
            raise ConfigError(
                f"bin={bin:g} s is longer than the window of {self.stop - self.start:g} s; shorten it"
            )
        # A spike in step t has time (t+1)·dt and belongs to the bin that ends there or later.
        at = steps_from(self.time - self.start, bin) - 1
        at, inside = at.clip(min=0), at < bins
        flat = at[inside] * self.trials * self.units + self.train[inside]
        counted = np.bincount(flat, minlength=bins * self.trials * self.units)
        return counted.reshape(bins, self.trials, self.units).swapaxes(0, 1)

    def times(self, bin: float) -> np.ndarray:
        """Ends of the bins in s."""
        return self.start + bin * np.arange(1, steps_until(self.stop - self.start, bin) + 1)


def trains_of(run: xr.Dataset, start: float = 0.0, stop: float | None = None) -> Trains:
    """Spikes of a recording within a window in s, by default all of it."""
    if not isinstance(run, xr.Dataset):
        raise ConfigError(f"run is a {type(run).__name__}; give a recording (xarray.Dataset) with spikes")
    missing = [name for name in ("spike_time", "spike_unit", "spike_trial") if name not in run]
    if missing:
        raise RecordingError(
            f"the recording holds no {', '.join(missing)}; record spike_time, spike_unit and spike_trial"
        )
    time, unit, trial = (np.asarray(run[name]) for name in ("spike_time", "spike_unit", "spike_trial"))
    units = run.sizes.get("unit", int(unit.max(initial=-1)) + 1)
    trials = run.sizes.get("trial", int(trial.max(initial=-1)) + 1)
    if stop is None:
        stop = _duration(run, float(time.max(initial=0.0)))
    if not start < stop:
        raise ConfigError(f"start={start:g} s must be before stop={stop:g} s")
    # A window ends with its last moment and begins after its first, except at the beginning of the recording.
    inside = ((time > start) | (start <= 0)) & (time <= stop + 1e-9)
    train = trial[inside].astype(np.int64) * units + unit[inside]
    return Trains(time[inside], train, trials, units, start, stop)


def _duration(run: xr.Dataset, last: float) -> float:
    """Length of a simulated or an imported recording in s; of any other, the time of its last spike."""
    if "duration" in run.attrs:
        return float(run.attrs["duration"])
    if "steps" in run.attrs and "dt" in run.attrs:
        return float(run.attrs["steps"] * run.attrs["dt"])
    return last
