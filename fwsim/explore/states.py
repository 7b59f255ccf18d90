"""Activity recorded as states of units, read window by window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr

SPREAD = 200  # samples over the whole recording, so that an overview reads at most this many chunks


@dataclass(frozen=True, eq=False)
class States:
    """A variable over time and units.

    Parameters
    ----------
    values
        `[time, unit]`, may be lazy.
    times
        Times of the samples in s, ascending.
    label, unit
        Meaning, and physical unit.
    """

    values: xr.DataArray
    times: np.ndarray
    label: str
    unit: str

    @property
    def units(self) -> int:
        """Number of units."""
        return self.values.shape[1]

    def window(self, start: int, stop: int) -> np.ndarray:
        """Samples `start` to `stop`, `[time, unit]`; only their chunks are read."""
        return np.asarray(self.values[start:stop], dtype=float)

    def smooth(self, start: int, stop: int) -> np.ndarray:
        """The same as `window`, since states need no smoothing."""
        return self.window(start, stop)

    @cached_property
    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """At most `SPREAD` samples over the whole recording: their indices, and states `[sample, unit]`."""
        at = np.unique(np.linspace(0, len(self.times) - 1, SPREAD).astype(int))
        return at, np.asarray(self.values[at], dtype=float)

    def overview(self) -> tuple[np.ndarray, np.ndarray]:
        """Times in s, and the mean over units."""
        at, states = self.spread
        return self.times[at], states.mean(1)
