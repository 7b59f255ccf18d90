"""Options that several functions of this package take."""

from __future__ import annotations

from numbers import Integral

from fwsim.errors import ConfigError


def check_level(level: float) -> None:
    """Raise unless `level` is a probability strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ConfigError(f"level={level!r} is not allowed; give a probability between 0 and 1, such as 0.95")


def check_count(name: str, value: int, least: int) -> None:
    """Raise unless `value` is a whole number from `least` on."""
    if not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name}={value!r} is not allowed; give a whole number from {least}")
