"""Trials that are cut out of one time line: spikes and time series as a recording has them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError
from fwsim.recording.in_memory import machine_memory
from fwsim.recording.schema import VARIABLES
from fwsim.units import outside

DIGITS = 12
"""Decimal places of times in recordings, in s."""


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
    closed
        Whether a spike at the very end belongs to the trial too.
    """

    start: np.ndarray
    length: float
    labels: dict[str, Any] = field(default_factory=dict)
    closed: bool = False

    def spikes(self, units: Sequence[np.ndarray]) -> dict[str, xr.Variable]:
        """Spikes of every unit (times on the time line) in every window, ascending in time."""
        parts = [(np.empty(0), np.empty(0, int), np.empty(0, int))]
        for unit, times in enumerate(units):
            own = np.sort(times)
            first = np.searchsorted(own, self.start)
            last = np.searchsorted(own, self.start + self.length, side="right" if self.closed else "left")
            for trial, (begin, end) in enumerate(zip(first, last)):
                within = np.round(own[begin:end] - self.start[trial], DIGITS).clip(0, self.length)
                parts.append((within, np.full(len(within), unit), np.full(len(within), trial)))
        values = dict(zip(("spike_time", "spike_unit", "spike_trial"), map(np.concatenate, zip(*parts))))
        order = np.lexsort((values["spike_unit"], values["spike_trial"], values["spike_time"]))
        return {
            name: xr.Variable("spike", each[order].astype(VARIABLES[name].dtype), VARIABLES[name].attributes)
            for name, each in values.items()
        }

    def cut(self, name: str, clock: np.ndarray, data: Any, attributes: dict[str, str]) -> dict[str, Any]:
        """A variable `[trial, <name>_time, …]`; NaN where the series has not begun or has ended.

        Parameters
        ----------
        name
            Of the variable.
        clock
            Time of every sample on the time line.
        data
            `[time, …]`, of which only what is needed is read.
        attributes
            Of the variable.

        Warns
        -----
        UserWarning
            The series has no samples at the same times in every trial; nothing is returned.
        """
        if len(clock) != len(data):
            raise ValueError(f"{name} has {len(data)} samples and {len(clock)} times")
        grid = _grid(clock, self)
        if grid is None:
            warnings.warn(
                f"{name} is left out: it has no samples at the same times in every trial; resample it first",
                UserWarning,
                stacklevel=outside(),
            )
            return {}
        first, count, times = grid
        shape = np.shape(data)
        check_memory(8 * len(first) * count * int(np.prod(shape[1:])))
        values = np.full((len(first), count, *shape[1:]), np.nan)
        for trial, begin in enumerate(first):
            low, high = max(begin, 0), min(begin + count, len(clock))
            if low < high:
                values[trial, low - begin : high - begin] = data[low:high]
        dims = ("trial", f"{name}_time", f"{name}_channel", f"{name}_axis", f"{name}_second_axis")
        at = xr.Variable(f"{name}_time", times, {"units": "s", "long_name": "time"})
        return {name: xr.Variable(dims[: values.ndim], values, attributes), f"{name}_time": at}


def checked_windows(
    start: np.ndarray, length: float, labels: dict[str, Any], *, closed: bool = False
) -> Windows:
    """Windows with some trials and some length."""
    if not len(start):
        raise RecordingError("no trial has this time; choose another column with align")
    if not 0 < length < np.inf:
        raise ConfigError(f"the window lasts {length:g} s; give before and after that leave some time")
    return Windows(start, float(length), labels, closed)


def shortest(lengths: np.ndarray, where: str) -> float:
    """The shortest of the trials' lengths in s, with a warning if they differ."""
    if len(lengths) and np.ptp(lengths) > 1e-6 * max(1.0, abs(lengths.max())):
        warnings.warn(
            f"trials last from {lengths.min():g} to {lengths.max():g} s; all are cut to the shortest, {where}",
            UserWarning,
            stacklevel=outside(),
        )
    return float(lengths.min(initial=np.inf))


def check_memory(size: int) -> None:
    """Refuse what needs more bytes than the machine has; a small file can declare any size."""
    if size > machine_memory():
        raise RecordingError(
            f"the file holds {size / 2**30:.0f} GiB, more than this machine's memory; take a smaller part of it"
        )


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
        return first, count, np.round(offset + step * np.arange(count), DIGITS)
    within = np.stack([clock[low : low + count] - start for low, start in zip(first, windows.start)])
    if np.abs(within - within[0]).max() > 0.5 * np.diff(within[0]).min(initial=step):
        return None
    return first, count, np.round(within[0], DIGITS)
