"""Size of a run in steps and along every dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fwsim.errors import whole
from fwsim.names import KnownArguments
from fwsim.units import checked, steps_until


@dataclass(frozen=True)
class Extent(KnownArguments):
    """The size of a run in steps and along every dimension.

    Parameters
    ----------
    steps
        Number of steps.
    dt
        Length of a step, s.
    sizes
        Dimension → size, e.g. `{"trial": 8, "unit": 50, "post": 50, "pre": 50}`.
    every
        Default of `every` for records that do not set it.
    dtype
        Default of the stored type for records that do not set it.
    first_step
        Steps that were computed before this run: times and the pattern of `every` continue from there.
    """

    steps: int
    dt: float
    sizes: Mapping[str, int] = field(default_factory=dict)
    every: int = 1
    dtype: str = "float32"
    first_step: int = 0

    def __post_init__(self) -> None:
        whole("every", self.every, least=1)
        whole("steps", self.steps)
        object.__setattr__(self, "dt", checked("dt", self.dt, "time", above=0))

    def kept(self, every: int | None = None, start: float = -math.inf, stop: float = math.inf) -> range:
        """Steps of this run, counted from 0, that are recorded; arguments in s as in `Record`."""
        every = self.every if every is None else every
        low, high = self._step(start), self._step(stop)
        return range(low + -(self.first_step + low + 1) % every, high, every)

    def times(self, steps: range) -> np.ndarray:
        """Time of each step in s: step t has the time (t+1)·dt."""
        first = self.first_step + 1
        times = np.arange(first + steps.start, first + steps.stop, steps.step, dtype=np.float64)
        times *= self.dt  # in place, since this is the largest array of a long run
        return times

    def _step(self, time: float) -> int:
        """First step of this run that ends after `time`; a millionth of a step absorbs rounding."""
        if math.isinf(time):
            return self.steps if time > 0 else 0
        return min(max(0, steps_until(time, self.dt) - self.first_step), self.steps)
