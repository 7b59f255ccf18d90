"""Choice of what is recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fwsim.errors import ConfigError, choice, whole
from fwsim.names import KnownArguments, known_arguments
from fwsim.recording.schema import COORDINATES, VARIABLES
from fwsim.units import checked

DTYPES = ("float16", "float32", "float64")
REDUCTIONS = ("last", "mean", "max", "min")


@dataclass(frozen=True)
class Record(KnownArguments):
    """One variable to record, and how finely.

    If samples, units or trials differ from those of the run, the variable gets
    its own dimension, named `<variable>_time`, `<variable>_unit`, `<variable>_trial` ….

    Parameters
    ----------
    variable
        Name in the recording schema, e.g. `"hidden"` or `"memory"`.
    every
        Record steps k−1, 2k−1, …, so that sample i has the time (i+1)·k·dt. `None`: as in the run.
    dtype
        `"float16"`, `"float32"` or `"float64"`. `None`: as in the network.
    units
        Indices of the recorded units, no mask; for a memory they select both `post` and `pre`. `None`: all.
    trials
        Indices of the recorded batch elements. `None`: all.
    start, stop
        Record samples with start < time ≤ stop, in s or as text (`"200 ms"`). `None`: no bound.
    statistic
        Function of numpy arrays `[trial, sample, …] → [trial, sample, …]`, whose result is recorded instead of the
        states, e.g. `lambda h: h @ patterns.T`. It receives the selected units and trials. Its unit is assumed to be
        the variable's.
    reduce
        How a sample summarises the steps since the previous one: the `"last"`, or their `"mean"`, `"max"` or
        `"min"`, of the statistic if there is one. With `every=steps` it summarises the whole run.
    name
        Name in the recording, so that several statistics of a variable can be recorded. `None`: the variable.

    Raises
    ------
    ConfigError
        A value cannot select anything.

    Examples
    --------
    >>> Record("memory", every=10, dtype="float16", trials=[0]).trials
    (0,)
    >>> Record("rate", every=1000, statistic=lambda r: r.mean(-1), reduce="max", name="peak").name
    'peak'
    """

    variable: str
    every: int | None = None
    dtype: str | None = None
    units: Sequence[int] | None = None
    trials: Sequence[int] | None = None
    start: float | str | None = None
    stop: float | str | None = None
    statistic: Callable[[Any], Any] | None = None
    reduce: str = "last"
    name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.variable, str):
            raise ConfigError(f"a Record needs the name of a variable, not {self.variable!r}")
        if self.every is not None:
            whole("every", self.every, least=1)
        if self.dtype is not None:
            choice("dtype", self.dtype, DTYPES)
        for name in ("units", "trials"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _indices(name, given))
        start, stop = self.interval
        if not start < stop:
            raise ConfigError(f"start={start:g} s must be before stop={stop:g} s")
        if self.statistic is not None and not callable(self.statistic):
            raise ConfigError(
                f"statistic={self.statistic!r} is not allowed; give a function [trial, sample, …] → [trial, sample, …]"
            )
        choice("reduce", self.reduce, REDUCTIONS)
        if self.name is not None:
            _check_name(self.name, self.variable)

    @property
    def called(self) -> str:
        """Name in the recording."""
        return self.variable if self.name is None else self.name

    @property
    def interval(self) -> tuple[float, float]:
        """`start` and `stop` in s, infinite if there is no bound."""
        return (
            -math.inf if self.start is None else checked("start", self.start, "time", infinite=True),
            math.inf if self.stop is None else checked("stop", self.stop, "time", infinite=True),
        )


@known_arguments
def as_records(record: str | Record | Iterable[str | Record], available: Iterable[str]) -> tuple[Record, ...]:
    """Convert any allowed value of `record=` to a tuple of records.

    Parameters
    ----------
    record
        A name, a `Record`, or several of either.
    available
        Variables that the network can record.

    Raises
    ------
    ConfigError
        A variable is not available, or two records have the same name.
    """
    given = record if isinstance(record, Iterable) and not isinstance(record, str) else [record]
    records = tuple(item if isinstance(item, Record) else Record(item) for item in given)
    names = [item.called for item in records]
    allowed = tuple(available)
    for item in records:
        if item.variable in VARIABLES and item.variable not in allowed:
            raise ConfigError(
                f"record={item.variable!r} is nothing that this network has; use one of {', '.join(map(repr, allowed))}"
            )
        choice("record", item.variable, allowed)
        if names.count(item.called) > 1:
            raise ConfigError(
                f"record={item.called!r} was given {names.count(item.called)} times; "
                "give each variable once, or each Record a name of its own"
            )
    return records


def _check_name(name: object, variable: str) -> None:
    """Check a name: it becomes a folder and a variable beside those of the schema."""
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("final_"):
        raise ConfigError(f"name={name!r} cannot name a record; use letters, digits and underscores")
    if name != variable and (name in VARIABLES or name in COORDINATES):
        raise ConfigError(f"name={name!r} has a meaning of its own in recordings; choose another")


def _indices(name: str, given: Sequence[int]) -> tuple[int, ...]:
    try:
        items = list(given)
        indices = tuple(int(item) for item in items)
    except (TypeError, ValueError, OverflowError):
        items, indices = [], ()
    if any(np.asarray(item).dtype == bool for item in items):
        raise ConfigError(f"{name}={given!r} must be indices and no mask; give numpy.flatnonzero of it")
    if not indices or any(index != item for index, item in zip(indices, items)):
        raise ConfigError(f"{name}={given!r} must be a list of one or more indices, e.g. [0, 3]")
    if min(indices) < 0 or len(set(indices)) < len(indices):
        raise ConfigError(f"{name}={given!r} must be different indices from 0 on")
    return indices
