"""The errors that fwsim raises (what was given, what is allowed, what to do), and checks of single values."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)  # numbers of errors of the system
LONGEST = 600  # characters of a message
QUOTED = 100  # characters of a value in it


class FwsimError(Exception):
    """Base of all errors that fwsim raises on purpose; its message is one line."""

    def __str__(self) -> str:
        """Shorten the message to one line of limited length."""
        return one_line(super().__str__())


def one_line(text: str) -> str:
    """Text as one line of at most `LONGEST` characters; its end, which says what to do, is kept."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST * 2 // 3]} … {line[-LONGEST // 3 + 3 :]}"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause, the cause of that one, and so on."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def short(value: object) -> str:
    """A value for a message: texts in quotation marks, and at most `QUOTED` characters of what may be a whole file."""
    try:
        said = repr(value) if isinstance(value, str) else str(value)
    except (RecursionError, ValueError):  # nested too deep, too many digits
        return f"({type(value).__name__})"
    return said if len(said) <= QUOTED else f"{said[: QUOTED - 1]}…"


def type_of(value: object) -> str:
    """The type of a value for a message: "a list", "an int", "the class Hebbian", "None"."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


class ConfigError(FwsimError, ValueError):
    """A value, name or combination of options that is not allowed."""


class ShapeError(FwsimError, ValueError):
    """An array whose shape does not fit; the message repeats the expected pattern."""


class RecordingError(FwsimError):
    """A recording that cannot be written, read or trusted."""


class DivergedError(FwsimError, ArithmeticError):
    """A simulated variable became NaN or infinite.

    Parameters
    ----------
    step
        First step (counted from 0 at the start of the run) with a bad value.
    variable
        Name of the variable in the recording schema.
    trial
        Batch element in which it happened.
    remedy
        What the user can try.
    """

    def __init__(self, step: int, variable: str, trial: int, remedy: str = "") -> None:
        self.step, self.variable, self.trial = step, variable, trial
        self.remedy = remedy
        message = f"{variable} became NaN or infinite at step {step} in trial {trial}"
        super().__init__(f"{message}; {remedy}" if remedy else message)

    def __reduce__(self) -> tuple:
        """Support pickling with all fields (by default exceptions are pickled by message only)."""
        return type(self), (self.step, self.variable, self.trial, self.remedy)


def choice(name: str, given: object, allowed: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless `given` is one of the `allowed` names of option `name`."""
    if not isinstance(given, str) or given not in allowed:
        raise ConfigError(f"{name}={given!r} is unknown; use one of {', '.join(map(repr, allowed))}")


def instance(name: str, given: object, kind: type | tuple[type, ...], remedy: str) -> None:
    """Raise `ConfigError` unless `given` is an instance of a class; `remedy` says what to give instead."""
    if not isinstance(given, kind):
        raise ConfigError(f"{name} is {type_of(given)}; give {remedy}")


def truth(**given: object) -> None:
    """Raise `ConfigError` unless each `name=value` is True or False."""
    for name, value in given.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{name}={value!r} is not allowed; it must be True or False")


def whole(name: str, given: object, *, least: int = 0, most: float = 2**63 - 1) -> None:
    """Raise `ConfigError` unless `given` is a whole number of at least `least` and, as torch needs, in 64 bits."""
    if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
        raise ConfigError(f"{name}={given!r} is not allowed; it must be an integer of at least {least}")
    if int(given) > most:
        raise ConfigError(f"{name}={given!r} is not allowed; it must be an integer of at most {most}")


def number(
    name: str,
    given: object,
    *,
    unit: str = "",
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    infinite: bool = False,
) -> None:
    """Raise `ConfigError` unless `given` is a number within bounds, finite unless infinity is allowed, never NaN."""
    value = _as_float(given) if isinstance(given, Real) and not isinstance(given, bool) else math.nan
    inside = above < value and least <= value <= most and (value < below or below == math.inf)
    if inside and (infinite or math.isfinite(value)):
        return
    bounds = [
        f"{word} {bound:g}"
        for word, bound in (("above", above), ("at least", least), ("at most", most), ("below", below))
        if math.isfinite(bound)
    ]
    kind = " ".join(filter(None, ["a number" if infinite else "a finite number", unit and f"of {unit}"]))
    raise ConfigError(f"{name}={given!r} is not allowed; it must be {kind} {' and '.join(bounds)}".rstrip())


def _as_float(given: Any) -> float:
    try:
        return float(given)
    except OverflowError:  # an integer of more than 308 digits
        return math.inf if given > 0 else -math.inf
