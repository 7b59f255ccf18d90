"""Trials one after the other on one time line, as other formats have them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from fwsim.recording.trains import Trains, duration_of

GAP = 1.0
"""Time between two trials in s."""


@dataclass(frozen=True)
class Timeline:
    """Trials one after the other: `starts [trial]` and the length of each, in s."""

    starts: np.ndarray
    length: float

    @classmethod
    def of(cls, run: xr.Dataset, trains: Trains | None) -> Timeline:
        """Trials of a recording."""
        trials = trains.trials if trains else run.sizes.get("trial", 1)
        axes = [name for name in run.indexes if str(name).endswith("time") and run[name].size]
        ends = [float(run[name].max()) for name in axes]
        length = max([duration_of(run, 0.0), *ends, 0.0 if trains is None else trains.stop])
        return cls(np.arange(trials) * (length + GAP), length)

    @property
    def stops(self) -> np.ndarray:
        """End of every trial."""
        return self.starts + self.length

    def times(self, within: np.ndarray) -> np.ndarray:
        """Times on the time line of samples within each trial."""
        return (self.starts[:, None] + within).ravel()

    def spikes(self, trains: Trains) -> tuple[np.ndarray, np.ndarray]:
        """Times of all spikes, unit by unit, and where each unit ends."""
        times = self.starts[trains.train // trains.units] + trains.time
        unit = trains.train % trains.units
        order = np.lexsort((times, unit))
        return times[order], np.searchsorted(unit[order], np.arange(1, trains.units + 1))
