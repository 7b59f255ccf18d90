"""Activity recorded as spikes, read window by window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

MARKS = 256  # number of spikes whose times are read to find a window, and for the overview
SAMPLES = 64  # number of windows that are read for the variation of the population
SHOWN = 20_000  # largest number of drawn spikes
SMOOTHING = 5.0  # bins, standard deviation
REACH = 15  # bins on either side that the smoothing uses


@dataclass(frozen=True, eq=False)
class Spikes:
    """Spikes of one trial, counted in bins if states are needed.

    Parameters
    ----------
    run
        With `spike_time` (ascending), `spike_unit`, and `spike_trial` if there are several trials; may be lazy.
    trial
        The trial.
    trials, units
        Number of trials and of units.
    times
        Ends of the bins in s.
    """

    run: xr.Dataset
    trial: int
    trials: int
    units: int
    times: np.ndarray
    label: str = "firing rate"
    unit: str = "Hz"

    @property
    def bin(self) -> float:
        """Length of a bin in s."""
        return float(self.times[0])

    def window(self, start: int, stop: int) -> np.ndarray:
        """Rates in bins `start` to `stop` in Hz, `[time, unit]`."""
        time, unit = self.events(start, stop)
        at = np.clip(np.ceil(time / self.bin - 1e-6).astype(int) - 1 - start, 0, stop - start - 1)
        counts = np.bincount(at * self.units + unit, minlength=(stop - start) * self.units)
        return counts.reshape(stop - start, self.units) / self.bin

    def smooth(self, start: int, stop: int) -> np.ndarray:
        """Rates as in `window`, smoothed over neighbouring bins: single bins contain very few spikes."""
        begin, end = max(0, start - REACH), min(stop + REACH, len(self.times))
        rates = gaussian_filter1d(self.window(begin, end), SMOOTHING, axis=0, mode="reflect")
        return rates[start - begin : stop - begin]

    def events(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Times in s and units of the spikes in bins `start` to `stop`; only their chunks are read."""
        low, high = start * self.bin, stop * self.bin
        index, marked = self._marks
        if not len(index):
            return np.empty(0), np.empty(0, int)
        begin = index[max(0, int(np.searchsorted(marked, low)) - 1)]
        end = index[min(len(index) - 1, int(np.searchsorted(marked, high, side="right")))] + 1
        part = self.run.isel(spike=slice(begin, end))
        time = np.asarray(part["spike_time"])
        inside = (time > low) & (time <= high)
        if "spike_trial" in part:
            inside &= np.asarray(part["spike_trial"]) == self.trial
        return time[inside], np.asarray(part["spike_unit"])[inside].astype(int)

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of at most `SAMPLES` bins over the whole recording, and smoothed rates there, `[sample, unit]`."""
        edge = min(REACH, (len(self.times) - 1) // 2)
        at = np.unique(np.linspace(edge, len(self.times) - 1 - edge, SAMPLES).astype(int))
        return at, np.concatenate([self.smooth(k, k + 1) for k in at])

    def overview(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in s, and the mean rate of all units and trials since the previous time in Hz."""
        index, marked = self._marks
        last = np.append(np.diff(marked) > 0, True)[: len(marked)]  # the last of spikes at the same time
        index, marked = index[last], marked[last]
        return marked[1:], np.diff(index) / np.diff(marked) / (self.units * self.trials)

    @cached_property
    def _marks(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices and times in s of spikes over the whole recording."""
        size = self.run.sizes["spike"]
        index = np.unique(np.linspace(0, size - 1, MARKS).astype(int)) if size else np.empty(0, int)
        return index, np.asarray(self.run["spike_time"][index])
