"""Axes of a sweep: ranges, lists and groups of an experiment's parameters."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import islice
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from fwsim.errors import ConfigError
from fwsim.names import unknown
from fwsim.study.config import explain, readable, takes_several, unit_of
from fwsim.study.experiment import Experiment
from fwsim.units import quantity

RANGE = re.compile(r"([^:]+):([^:]+):\s*(log|lin)(\d+)\Z")
ASSIGNMENT = re.compile(r"(?:\A|\s+)(\w+)\s*=")
DIGITS = 12  # significant digits of an axis: 20.000000000000004 becomes 20, so that .sel(tau=20) finds it
NOISE = 4 * np.finfo(float).eps  # relative; values closer than this to one of fewer digits are replaced by it
MOST = 100_000  # values of an axis, seeds, and points of a sweep
LONGEST_SEED = 1000  # digits
NONE = ("none", "null")  # texts for None
DIMENSIONS = {"s": "time", "Hz": "rate", "V": "voltage"}
FORMS = "write start:stop:log9, start:stop:lin9, or values separated by commas"

Values = str | float | Iterable[Any]
"""A range such as `"0.1:100:log9"`, a list such as `"100 ms,1 s"` or `"none,2"`, or the values themselves."""
Over = Mapping[str | tuple[str, ...], Values | Sequence[Values]]
"""Values by parameter; by a tuple of parameters that change together: one `Values` for each."""


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep.

    Parameters
    ----------
    names
        The parameters that change along it; the first names the dimension.
    rows
        Their values, `[value][name]`.
    """

    names: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def kept(cls, entry: Mapping[str, Any]) -> Axis:
        """Axis as it is stored, in JSON."""
        return cls(tuple(entry["names"]), frozen(entry["rows"]))


def parse_axes(experiment: Experiment, over: Over) -> tuple[Axis, ...]:
    """Axes of a sweep, every value checked and in SI.

    The values of a range have 12 significant digits. Other values are unchanged, except for the last
    bits that arithmetic leaves: 0.1 + 0.2 becomes 0.3. So `.sel(tau=0.3)` finds the value over which `tau` was swept.

    Raises
    ------
    ConfigError
        A parameter is unknown or swept twice, a range is empty, not understood or has more than 100,000 values, a
        value or its unit is not allowed, two values are the same to 12 digits, or zipped lists differ in length.
    """
    axes = [_axis(experiment, names, values) for names, values in over.items()]
    swept = [name for axis in axes for name in axis.names]
    for name in swept:
        if swept.count(name) > 1:
            raise ConfigError(f"{name} is swept twice; name it once")
    return tuple(axes)


def parse_assignments(texts: Iterable[str]) -> dict[str | tuple[str, ...], Any]:
    """Convert `"tau=0.1:100:log9"` to an item of `Over`; `"tau=1,2 eta=0.1,0.3"` is a group that changes together."""
    over: dict[str | tuple[str, ...], Any] = {}
    for text in texts:
        before, *parts = ASSIGNMENT.split(text)
        if not parts or before.strip():
            raise ConfigError(f"--over {text!r} names no parameter; write --over tau=0.1:100:log9")
        names, values = tuple(parts[::2]), tuple(parts[1::2])
        if names in over or names[0] in over:
            raise ConfigError(f"{names[0]} is swept twice; name it once")
        over[names if len(names) > 1 else names[0]] = values if len(names) > 1 else values[0]
    return over


def parse_seeds(seeds: int | str | Iterable[int]) -> tuple[int, ...]:
    """Seeds from their number n (0 … n−1), from a list, or from a text of either (`"5"`, `"3,7"`).

    Raises
    ------
    ConfigError
        There are none or more than 100,000, one occurs twice, or one is not a whole number from 0 of up to 1000 digits.
    """
    given = _seeds_of_text(seeds) if isinstance(seeds, str) else seeds
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
        _few_enough("seeds", int(given))
        given = range(int(given))
    if not isinstance(given, Iterable):
        raise ConfigError(f"seeds={seeds!r} is not allowed; give how many, or a list of whole numbers")
    listed = tuple(int(seed) if isinstance(seed, np.integer) else seed for seed in _taken("seeds", given))
    for seed in listed:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ConfigError(f"seed={seed!r} is not allowed; use whole numbers from 0")
        if seed >= 10**LONGEST_SEED:
            raise ConfigError(f"a seed has more than {LONGEST_SEED} digits; use a shorter one")
    if not listed:
        raise ConfigError(f"seeds={seeds!r} is not allowed; give at least one")
    if len(set(listed)) < len(listed):
        twice = next(seed for seed, count in Counter(listed).items() if count > 1)
        raise ConfigError(f"seed {twice} is given twice; give each seed once")
    return listed


def _seeds_of_text(text: str) -> int | list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"seeds={text!r} is not allowed; write how many, or a list such as 3,7,11")
    if any(len(part) > LONGEST_SEED for part in parts):
        raise ConfigError(f"a seed has more than {LONGEST_SEED} digits; use a shorter one")
    return [int(part) for part in parts] if "," in text else int(parts[0]) if parts else 0


def few_enough(axes: Sequence[Axis], seeds: Sequence[int]) -> None:
    """Refuse a sweep of more than 100,000 points, before any of them is made.

    Raises
    ------
    ConfigError
        It has more.
    """
    sizes = {axis.names[0]: len(axis) for axis in axes} | {"seeds": len(seeds)}
    shown = " × ".join(f"{size} {name}" for name, size in sizes.items())
    _few_enough("the sweep", math.prod(sizes.values()), f" points ({shown})")


def _few_enough(name: str, count: int, what: str = " values") -> None:
    if count > MOST:
        number = f"{count:,}" if count < 10**DIGITS else "very many"
        raise ConfigError(
            f"{name}: {number}{what} are more than the {MOST:,} of one sweep; sweep over parts, one after the other"
        )


def _taken(name: str, given: Iterable[Any]) -> list[Any]:
    """All values; of an iterator without an end, only one more than allowed is used."""
    if isinstance(given, Sized):
        _few_enough(name, len(given))
    values = list(islice(given, MOST + 1))
    if len(values) > MOST:
        raise ConfigError(
            f"{name}: more than the {MOST:,} values of one sweep; sweep over parts, one after the other"
        )
    return values


def frozen(value: Any) -> Any:
    """The same data with tuples instead of lists, so that values can be compared and looked up."""
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def _axis(experiment: Experiment, given: str | tuple[str, ...], values: Any) -> Axis:
    if not isinstance(given, str | tuple):
        raise ConfigError(
            f"{given!r} names no parameter; give a name, or a tuple of those that change together"
        )
    names = (given,) if isinstance(given, str) else given
    fields = experiment.config.model_fields
    for name in names:
        if name == "seed":
            raise ConfigError("seed is not a parameter; give seeds, e.g. seeds=range(5) or --seeds 5")
        if name not in fields:
            raise ConfigError(unknown("parameter", name, tuple(fields)))
    columns = [values] if isinstance(given, str) else list(values)
    if len(columns) != len(names):
        raise ConfigError(f"{' and '.join(names)} change together; give one list of values for each")
    lists = [
        _values(experiment, name, fields[name], column) for name, column in zip(names, columns, strict=True)
    ]
    if len({len(each) for each in lists}) > 1:
        lengths = ", ".join(f"{name} has {len(each)}" for name, each in zip(names, lists, strict=True))
        raise ConfigError(f"parameters that change together need equally many values: {lengths}")
    rows = tuple(zip(*lists, strict=True))
    seen = set()
    for row in rows:
        if _alike(row) in seen:
            shown = ", ".join(f"{name}={value}" for name, value in zip(names, row, strict=True))
            raise ConfigError(f"{shown} occurs twice in its axis, to {DIGITS} digits; give each value once")
        seen.add(_alike(row))
    return Axis(names, rows)


def _alike(value: Any) -> Hashable:
    """A key that is equal for values that cannot be distinguished on an axis: 2 and 2.0, or 0.3 and 0.1 + 0.2."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_alike, value))
    if value is None:
        return NONE[0]  # its label among texts; among numbers it is NaN, which nothing else is
    if isinstance(value, (int, float)):
        return f"{value + 0.0:.{DIGITS}g}" if abs(value) < 10**DIGITS or isinstance(value, float) else value
    return value if isinstance(value, Hashable) else repr(value)


def _values(experiment: Experiment, name: str, field: FieldInfo, given: Any) -> list[Any]:
    raw = _expand(name, field, given) if isinstance(given, str) else _listed(name, given)
    if not raw:
        raise ConfigError(f"{name} has no values; {FORMS}")
    kind: Any = Annotated[readable(field.annotation), name, *field.metadata]
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    return [_checked(experiment, name, field, adapter, value) for value in raw]


def _listed(name: str, given: Any) -> list[Any]:
    given = given.tolist() if hasattr(given, "tolist") else given
    values = _taken(name, given) if isinstance(given, Iterable) else [given]
    return [value.tolist() if hasattr(value, "tolist") else value for value in values]


def _checked(
    experiment: Experiment, name: str, field: FieldInfo, adapter: TypeAdapter[Any], value: Any
) -> Any:
    """Value as in the configuration; one number means a sequence of one, and `none` means None."""
    several = takes_several(field.annotation, value)
    try:
        checked = adapter.validate_python((value,) if several else value)
    except ValidationError as error:
        nothing = isinstance(value, str) and value.lower() in NONE and NoneType in get_args(field.annotation)
        if not nothing:
            raise ConfigError(explain(error, experiment.config, name)) from None
        return None
    return without_noise(frozen(adapter.dump_python(checked, mode="json")))


def without_noise(value: Any) -> Any:
    """Number with 12 significant digits, if it differs only by rounding: 20.000000000000004 becomes 20."""
    if isinstance(value, tuple):
        return tuple(map(without_noise, value))
    if not isinstance(value, float):
        return value
    short = float(f"{value:.{DIGITS}g}")
    return short if abs(value - short) <= NOISE * abs(value) else value


def _expand(name: str, field: FieldInfo, text: str) -> list[Any]:
    """Values given by a text: a range, or a list in which brackets enclose sequences."""
    match = RANGE.match(text.strip())
    if match is None:
        if ":" in text:
            raise ConfigError(f"{name}={text!r} is no range; {FORMS}")
        parts = [part.strip() for part in re.split(r",(?![^\[]*\])", text)]
        return [
            part[1:-1].split(",") if part.startswith("[") and part.endswith("]") else part
            for part in _taken(name, filter(None, parts))
        ]
    start, stop = (_number(name, field, text) for text in match.group(1, 2))
    count = int(match[4][: DIGITS + 1])  # the first digits are enough
    if count < 1:
        raise ConfigError(f"{name}={text!r} is an empty range; ask for at least one value, e.g. {match[3]}9")
    _few_enough(name, count)
    if match[3] == "log" and not (start > 0 and stop > 0):
        raise ConfigError(f"{name}={text!r}: a log range needs positive ends; use lin{count}")
    values = np.geomspace(start, stop, count) if match[3] == "log" else np.linspace(start, stop, count)
    if only_whole(field.annotation):
        return [round(value) for value in values.tolist()]
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def only_whole(annotation: Any) -> bool:
    """Whether a field takes only whole numbers, one or several, or None."""
    inner = [each for each in get_args(annotation) if each not in (NoneType, Ellipsis)]
    inner = inner[:1] if get_origin(annotation) is Annotated else inner
    return annotation is int or (bool(inner) and all(map(only_whole, inner)))


def _number(name: str, field: FieldInfo, text: str) -> float:
    unit = unit_of(field)
    try:
        value = quantity(text, DIMENSIONS[unit]) if unit else float(text)
    except ValueError as error:  # ConfigError is a ValueError
        said = str(error) if isinstance(error, ConfigError) else f"{text!r} is not a number; {FORMS}"
        raise ConfigError(f"{name}: {said}") from None
    if not np.isfinite(value):
        raise ConfigError(f"{name}: {text!r} cannot end a range; use a finite number")
    return value
