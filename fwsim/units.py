"""Units as plain floats: SI inside, so `200*ms == 0.2`; and what else people write for a time, a rate or a voltage."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Callable
from numbers import Real
from types import FrameType
from typing import Any

from fwsim.errors import ConfigError, choice, number

second = 1.0
ms = 1e-3
us = 1e-6
minute = 60.0
Hz = 1.0
kHz = 1e3
volt = 1.0
mV = 1e-3

# Dimension -> {symbol: factor to SI}. The first symbol is the SI unit itself.
SYMBOLS: dict[str, dict[str, float]] = {
    "time": {"s": 1.0, "second": 1.0, "ms": ms, "us": us, "min": minute, "minute": minute, "h": 3600.0},
    "rate": {"Hz": 1.0, "1/s": 1.0, "kHz": kHz},
    "voltage": {"V": 1.0, "mV": mV},
}

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf)\s*(\S*)\s*\Z")


# Dimension -> powers of the SI base units, as Brian2 names them.
POWERS: dict[str, dict[str, int]] = {
    "time": {"s": 1},
    "rate": {"s": -1},
    "voltage": {"m": 2, "kg": 1, "s": -3, "A": -1},
    "number": {},
}
BASE = ("m", "kg", "s", "A", "K", "mol", "cd")
NEAREST = 1e-6  # of a step; what rounding of times amounts to, and far less than anyone means


def si(name: str, value: Any, dimension: str) -> Any:
    """Bring what a user gave as a physical quantity to plain SI numbers.

    This is the one rule for everything that has a unit. Numbers, arrays and tensors are SI already and are returned as
    they are. Quantities of Brian2, pint, quantities and astropy are converted, and so are texts such as `"200 ms"`;
    both may also stand in lists, tuples and arrays. None of these packages is imported.

    Parameters
    ----------
    name
        What it is called in messages.
    value
        What was given. What is no quantity at all is returned as it is, for the caller to check.
    dimension
        `"time"` (s), `"rate"` (Hz), `"voltage"` (V) or `"number"`, of which texts have none.

    Raises
    ------
    ConfigError
        A quantity has another dimension, or a text has no number, or a unit of another dimension.
    """
    choice("dimension", dimension, tuple(POWERS))
    if isinstance(value, (int, float)) and not hasattr(value, "dim"):
        return value
    if isinstance(value, str):
        return value if dimension == "number" else _text(name, value, dimension)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        parts = [si(name, part, dimension) for part in value]
        same = all(new is old for new, old in zip(parts, value))
        return value if same else type(value)(parts)
    if getattr(getattr(value, "dtype", None), "kind", "") in ("O", "U") and hasattr(value, "tolist"):
        return si(name, value.tolist(), dimension)
    read = next((read for known, read in _READERS if known(value)), None)
    if read is None:
        return value
    plain = read(value, dimension)
    if plain is None:
        raise ConfigError(
            f"{name}={value!s} is not a {dimension}; give a {dimension}{_such_as(dimension)}, or a plain number"
            f" in SI units"
        )
    return float(plain) if getattr(plain, "ndim", 0) == 0 else plain


def _brian2(value: Any, dimension: str) -> Any:
    """SI numbers of a Brian2 quantity, `None` if it has another dimension; it may also have none."""
    import numpy as np

    powers = {base: value.dim.get_dimension(base) for base in BASE}
    if any(powers.values()) and powers != {base: POWERS[dimension].get(base, 0) for base in BASE}:
        return None
    return np.array(value, dtype=float)


def _converted(value: Any, dimension: str) -> Any:
    """SI numbers of a quantity of pint, quantities or astropy, `None` if it has another dimension."""
    import numpy as np

    unit = next(iter(SYMBOLS[dimension])) if dimension in SYMBOLS else "dimensionless"
    try:
        if hasattr(value, "rescale"):
            return np.array(value.rescale(unit).magnitude, dtype=float)
        if hasattr(value, "to_value"):
            return np.array(value.to_value("" if unit == "dimensionless" else unit), dtype=float)
        return np.array(value.to(unit).magnitude, dtype=float)
    except (ValueError, TypeError):  # what these packages raise is derived from one of the two
        return None


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, str], Any]], ...] = (
    (lambda value: hasattr(getattr(value, "dim", None), "get_dimension"), _brian2),
    (lambda value: hasattr(value, "magnitude") and hasattr(value, "dimensionality"), _converted),
    (lambda value: hasattr(value, "to_value") and hasattr(value, "unit"), _converted),
)


def _text(name: str, value: str, dimension: str) -> float:
    where, symbols = f"{name}: " if name else "", SYMBOLS[dimension]
    match = _QUANTITY.match(value)
    if match is None:
        raise ConfigError(
            f"{where}{value!r} is not a {dimension}; write a number or e.g. '200 {_example(dimension)}'"
        )
    number, symbol = float(match[1]), match[2]
    if symbol and symbol not in symbols:
        raise ConfigError(
            f"{where}{value!r}: {symbol!r} is not a unit of {dimension}; use one of {', '.join(symbols)}"
        )
    if math.isinf(number) and "inf" not in match[1]:
        raise _too_large(dimension, match[1])
    return number * symbols.get(symbol, 1.0)


def _too_large(dimension: str, digits: str) -> ConfigError:
    return ConfigError(f"a {dimension} of {len(digits)} digits is too large for a number")


def quantity(value: Any, dimension: str) -> float:
    """Convert one quantity, `0.2`, `"200 ms"` or one of Brian2, to SI; see `si`.

    Parameters
    ----------
    value
        A number, taken as SI, a text of a number and a unit, or a quantity with its unit.
    dimension
        `"time"` (s), `"rate"` (Hz) or `"voltage"` (V).

    Raises
    ------
    ConfigError
        It is no number, or its unit does not belong to the dimension.
    """
    choice("dimension", dimension, tuple(SYMBOLS))
    plain = si("", value, dimension)
    if isinstance(plain, Real) and not isinstance(plain, bool) and plain == plain:
        try:
            return float(plain)
        except OverflowError:
            raise _too_large(dimension, str(abs(plain))) from None
    raise ConfigError(f"{value!r} is not a {dimension}; write a number or e.g. '200 {_example(dimension)}'")


def checked(name: str, value: Any, dimension: str, *, usual: float = math.inf, **bounds: Any) -> float:
    """Convert one quantity to SI and check its bounds, which are those of `fwsim.errors.number`; see `unusual` too."""
    plain = si(name, value, dimension)
    number(name, plain, unit=WORDS.get(dimension, ""), **bounds)
    unusual(name, value, dimension, usual)
    return float(plain)


def unusual(name: str, given: Any, dimension: str, most: float) -> None:
    """Warn of a plain number that was probably meant in a smaller unit: 200 for 200 ms, 16 for 16 mV.

    What was given with its unit, `"200 s"` or a quantity, is meant; infinity too. Tensors are results, not typed.

    Parameters
    ----------
    name
        What it is called in the warning.
    given
        What was given, before it is converted to SI.
    dimension
        `"time"` or `"voltage"`.
    most
        The largest usual absolute value, in SI.
    """
    several = given if isinstance(given, (list, tuple)) else (given,)
    large = [each for each in map(_plain, several) if most < abs(each) < math.inf]
    if not large:
        return
    value, unit, small = f"{large[0]:g}", next(iter(SYMBOLS[dimension])), _example(dimension)
    warnings.warn(
        f"{name}={value} is {value} {unit}, and more than {most:g} {unit} is unusual; write {value}*{small} or "
        f"'{value} {small}' if you mean {small}, or '{value} {unit}' if you mean it",
        UserWarning,
        stacklevel=outside(),
    )


def _plain(given: Any) -> float:
    """The number of what has no unit, 0 for anything else; options are texts."""
    if isinstance(given, bool) or not isinstance(given, (Real, str)) or hasattr(given, "dim"):
        return 0.0
    try:
        return float(given)
    except (ValueError, OverflowError):
        return 0.0


def outside() -> int:
    """Level of the stack at which a user calls fwsim, for a warning by the function that asks."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and (_top(frame) in ("fwsim", "pydantic") or frame.f_code.co_filename == "<string>"):
        frame, level = frame.f_back, level + 1
    return level


def _top(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def nearest_step(time: float, dt: float) -> int:
    """Whole number of steps of `dt` next to a time, both in s: 1000 for 0.1 s and 0.1 ms, whatever their rounding."""
    return round(time / dt)


def steps_until(time: Any, dt: float) -> Any:
    """Number of steps of `dt` that have ended at a time; a time on a border counts as on it. Arrays too."""
    import numpy as np

    times = np.asarray(time)
    precision = 2 * np.finfo(times.dtype).eps if times.dtype.kind == "f" else 0.0
    count = times.astype(float) / dt
    found = np.floor(count + NEAREST + precision * np.abs(count))
    return found.astype(int) if found.ndim else int(found)


WORDS = {"time": "seconds", "rate": "hertz", "voltage": "volts"}


def _such_as(dimension: str) -> str:
    return f" such as '200 {_example(dimension)}'" if dimension in SYMBOLS else ""


def _example(dimension: str) -> str:
    return {"time": "ms", "rate": "Hz", "voltage": "mV"}[dimension]
