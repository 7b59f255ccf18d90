"""Times counted in whole steps, so that no rounding decides on which side of an edge they lie.

0.1 + 0.2 is not 0.3 in floating point, and coordinates of time are rounded to 12 digits. What is a whole number of
bins up to that much counts as one. (`fwsim.units.steps_until` allows a millionth of a step; a bin may have millions.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, RecordingError, ShapeError
from fwsim.units import checked

DIGITS = 2e-12
"""Rounding of coordinates of time, and of differences of two, in s."""


def in_steps(times: ArrayLike, step: float, start: float = 0.0) -> np.ndarray:
    """Steps from a start to times, where a whole number but for rounding is a whole number."""
    times = np.asarray(times)
    exact = (times.astype(float) - start) / step
    whole = np.round(exact)
    return np.where(np.abs(exact - whole) * step <= slack(times) + slack(np.asarray(start)), whole, exact)


def slack(times: np.ndarray) -> np.ndarray:
    """By how much times may differ that are the same but for rounding, in s."""
    eps = np.finfo(times.dtype if np.issubdtype(times.dtype, np.floating) else np.float64).eps
    return DIGITS + 8 * float(eps) * np.abs(times.astype(float))


def sampling_step(times: ArrayLike, name: str = "time") -> float:
    """Step of evenly spaced, ascending times `[time]` in s, at least two.

    Raises
    ------
    ShapeError
        They are not like this.
    """
    values = np.asarray(times)
    given = f"{name} has {values.size} values" if values.size < 2 or values.ndim != 1 else ""
    if given or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ShapeError(f"{given or f'{name} is not finite'}; give at least two ascending times in s")
    step = float(values[-1] - values[0]) / (values.size - 1)
    even = values[0] + step * np.arange(values.size)
    if not step > 0 or not (np.abs(values - even) <= 1e-6 * step + slack(values)).all():
        raise ShapeError(f"{name} is not evenly sampled and ascending; resample the recording first")
    return step


def window(start: Any, stop: Any, end: float) -> tuple[float, float]:
    """A checked window within a recording from 0 to `end`, all in s; `stop=None` is the end.

    Raises
    ------
    ConfigError
        It is none: not two numbers, reversed, empty, or partly outside, where nothing was recorded.
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
    """Number of whole bins of `width` s in a window; a last incomplete one is left out.

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
    """Bin that each time lies in, from 0: bins end with their last moment and begin after their first."""
    return np.ceil(in_steps(times, width, start)).astype(np.int64) - 1


def at_time(times: ArrayLike, wanted: Any, name: str) -> int:
    """Place of a time in ascending `times` [time], where they agree but for rounding.

    Raises
    ------
    RecordingError
        It is not among them.
    """
    wanted = checked("time", wanted, "time")
    values = np.asarray(times, float)
    if not values.size:
        raise RecordingError(f"{name} was recorded at no time")
    nearest = int(np.abs(values - wanted).argmin())
    apart = np.diff(values).min() if values.size > 1 else np.inf
    allowed = min(1e-3 * apart, 1e-6 * max(1.0, abs(wanted)))  # of times that a person typed
    if abs(values[nearest] - wanted) > max(allowed, float(slack(np.asarray(wanted)))):
        raise RecordingError(
            f"{name} was not recorded at {wanted:g} s; the nearest sample is at {values[nearest]:g} s"
        )
    return nearest


def distinct(times: np.ndarray, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Ascending times that differ by more than rounding (s), and which of them each of `times` [...] is."""
    order = np.argsort(times, axis=None, kind="stable")
    ascending = times.ravel()[order]
    new = np.diff(ascending, prepend=-np.inf) > rounding
    place = np.empty(times.size, np.int64)
    place[order] = np.cumsum(new) - 1
    digits = min(12, 1 - math.ceil(math.log10(rounding)))
    return np.round(ascending[new], digits), place.reshape(times.shape)
