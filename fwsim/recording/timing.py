"""Times counted in whole steps, so that rounding never decides on which side of a boundary they are.

In floating point 0.1 + 0.2 is not 0.3, and time coordinates are rounded to 12 digits. So a number of bins that is whole
up to this rounding counts as whole. (`fwsim.units.steps_until` allows a millionth of a step; a bin may have millions.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, RecordingError, ShapeError
from fwsim.units import checked

ROUNDING = 2e-12
"""Rounding of time coordinates, and of differences of two of them, in s."""


def in_steps(times: ArrayLike, step: float, start: float = 0.0) -> np.ndarray:
    """Steps from a start to times; a whole number if it is whole except for rounding."""
    times = np.asarray(times)
    exact = (times.astype(float) - start) / step
    whole = np.round(exact)
    return np.where(np.abs(exact - whole) * step <= slack(times) + slack(np.asarray(start)), whole, exact)


def slack(times: np.ndarray) -> np.ndarray:
    """Largest difference in s of times that are equal except for rounding."""
    eps = np.finfo(times.dtype if np.issubdtype(times.dtype, np.floating) else np.float64).eps
    return ROUNDING + 8 * float(eps) * np.abs(times.astype(float))


def sampling_step(times: ArrayLike, name: str = "time") -> float:
    """Step of evenly spaced, ascending times `[time]` in s, at least two.

    Raises
    ------
    ShapeError
        The times are not evenly spaced and ascending.
    """
    values = np.asarray(times)
    given = f"{name} has {values.size} values" if values.size < 2 or values.ndim != 1 else ""
    if not given and values.dtype.kind not in "iuf":
        given = f"{name} holds {values.dtype}"
    if given or not np.isfinite(values).all():
        raise ShapeError(f"{given or f'{name} is not finite'}; give at least two ascending times in s")
    step = float(values[-1] - values[0]) / (values.size - 1)
    even = values[0] + step * np.arange(values.size)
    if not step > 0 or not (np.abs(values - even) <= 1e-6 * step + slack(values)).all():
        raise ShapeError(f"{name} is not evenly sampled and ascending; resample the recording first")
    return step


def window(start: Any, stop: Any, end: float) -> tuple[float, float]:
    """A checked window within a recording from 0 to `end`, all in s; `stop=None` means the end.

    Raises
    ------
    ConfigError
        Not two numbers, reversed, empty, or partly outside the recording.
    """
    start = checked("start", start, "time", least=0)
    stop = end if stop is None else checked("stop", stop, "time", least=0)
    late = stop - end > float(slack(np.asarray(end)))
    if late or not start < stop:
        raise ConfigError(
            f"start={start:g} s must be before stop={stop:g} s, and both within the recording of {end:g} s; "
            f"give 0 ≤ start < stop ≤ {end:g}"
        )
    return start, min(stop, end)


def bin_count(start: float, stop: float, width: Any, name: str = "bin") -> int:
    """Number of whole bins of `width` s in a window; an incomplete last bin is left out.

    Raises
    ------
    ConfigError
        The width is not positive and finite, or longer than the window.
    """
    width = checked(name, width, "time", above=0)
    count = int(in_steps(stop, width, start))
    if count < 1:
        raise ConfigError(f"{name}={width:g} s is longer than the window of {stop - start:g} s; shorten it")
    return count


def bin_of(times: np.ndarray, start: float, width: float) -> np.ndarray:
    """Index of the bin of each time, from 0. A bin includes its last moment, but not its first."""
    return np.ceil(in_steps(times, width, start)).astype(np.int64) - 1


def at_time(times: ArrayLike, wanted: Any, name: str) -> int:
    """Index of a time in ascending `times` [time], if they agree except for rounding.

    Raises
    ------
    RecordingError
        The time is not among them.
    """
    wanted = checked("time", wanted, "time")
    values = np.asarray(times, float)
    if not values.size:
        raise RecordingError(f"{name} was recorded at no time")
    nearest = int(np.abs(values - wanted).argmin())
    apart = np.diff(values).min() if values.size > 1 else np.inf
    allowed = min(1e-3 * apart, 1e-6 * max(1.0, abs(wanted)))  # for times that a person typed
    if abs(values[nearest] - wanted) > max(allowed, float(slack(np.asarray(wanted)))):
        raise RecordingError(
            f"{name} was not recorded at {wanted:g} s; the nearest sample is at {values[nearest]:g} s"
        )
    return nearest


def distinct(times: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Ascending times that differ by more than rounding (s), and the index of the one that equals each of `times`."""
    order = np.argsort(times, axis=None, kind="stable")
    ascending = times.ravel()[order]
    new = np.diff(ascending, prepend=-np.inf) > rounding
    place = np.empty(times.size, np.int64)
    place[order] = np.cumsum(new) - 1
    digits = min(12, 1 - math.ceil(math.log10(rounding)))
    return np.round(ascending[new], digits), place.reshape(times.shape)
