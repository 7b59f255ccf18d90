"""Units as plain floats: SI inside, so `200*ms == 0.2`."""

from __future__ import annotations

import math
import re

from fwsim.errors import ConfigError, choice

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


def quantity(value: float | str, dimension: str) -> float:
    """Convert `0.2` or `"200 ms"` to SI.

    Parameters
    ----------
    value
        A number, taken as SI, or a text of a number and a unit.
    dimension
        `"time"` (s), `"rate"` (Hz) or `"voltage"` (V).

    Raises
    ------
    ConfigError
        The text is no number, or its unit does not belong to the dimension.
    """
    choice("dimension", dimension, tuple(SYMBOLS))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            raise ConfigError(
                f"a {dimension} of {len(str(abs(value)))} digits is too large for a number"
            ) from None
        if math.isnan(number):
            raise ConfigError(
                f"{value!r} is not a {dimension}; write a number or e.g. '200 {_example(dimension)}'"
            )
        return number
    symbols = SYMBOLS[dimension]
    match = _QUANTITY.match(value) if isinstance(value, str) else None
    if match is None:
        raise ConfigError(
            f"{value!r} is not a {dimension}; write a number or e.g. '200 {_example(dimension)}'"
        )
    number, symbol = float(match[1]), match[2]
    if symbol and symbol not in symbols:
        raise ConfigError(
            f"{value!r}: {symbol!r} is not a unit of {dimension}; use one of {', '.join(symbols)}"
        )
    if math.isinf(number) and "inf" not in match[1]:
        raise ConfigError(f"a {dimension} of {len(match[1])} digits is too large for a number")
    return number * symbols.get(symbol, 1.0)


def _example(dimension: str) -> str:
    return {"time": "ms", "rate": "Hz", "voltage": "mV"}[dimension]
