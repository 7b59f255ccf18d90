"""Checks of arguments, which may have any shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError
from fwsim.units import si


def elementwise(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """Apply a function of one number to every value."""
    return np.array([function(float(value)) for value in values.ravel()]).reshape(values.shape)[()]


def numbers(name: str, value: ArrayLike | Sequence[float], dimension: str = "number") -> np.ndarray:
    """A copy, so that what the caller does to an array later changes nothing."""
    as_they_are(name, value)
    plain = si(name, value, dimension)
    try:
        given = np.asarray(plain)
        if given.dtype.kind not in "iuf":
            raise TypeError
        return given.astype(float)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name}={value!r} is not a real number or an array of them; give one") from error


def positive(name: str, value: ArrayLike | Sequence[float], dimension: str = "number") -> np.ndarray:
    """Values above 0, as a copy."""
    array = numbers(name, value, dimension)
    if not np.all(array > 0):
        raise ConfigError(f"{name}={array.tolist()} must be positive")
    return array


def not_negative(name: str, value: ArrayLike) -> np.ndarray:
    """Values of 0 and above, as a copy."""
    array = numbers(name, value)
    if not np.all(array >= 0):
        raise ConfigError(f"{name}={array.tolist()} must not be negative")
    return array
