"""A memory as compiled kernels read it: written states, a matrix, and tables of what decay does to both."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.trace import Trace
from fwsim.rules.hebbian import Hebbian


class Memory(NamedTuple):
    """A trace as the kernels read it.

    Parameters
    ----------
    written, matrix
        `[batch, past, unit]` and `[batch, timescale, post, pre]`; the matrix is empty for zero.
    age_weight
        κ from the oldest age to age 0, `[batch, age]`; the batch axis of all tables may be 1.
    write_weight
        What a state of some age counts in a matrix, `[batch, age, timescale]`.
    decayed
        What some number of writes leaves of a matrix, `[batch, write, timescale]`.
    chunk
        Writes between two merges; more than there are if none is wanted.
    """

    written: Tensor
    matrix: Tensor
    age_weight: Tensor
    write_weight: Tensor
    decayed: Tensor
    chunk: int


def before_run(
    cell: Cell, hidden: Tensor, trace: Trace | None, steps: int, chunk: int | None
) -> tuple[Trace | None, int]:
    """Return the memory that a run starts from, and the number of its states that are written in it."""
    writes = steps
    if trace is not None and cell.write == "before":
        trace, writes = trace.written(hidden), steps - 1
    if trace is not None and chunk is not None and trace.history.shape[1] >= chunk:
        trace = trace.merged()
    return trace, writes


def as_read(
    trace: Trace | None, hidden: Tensor, chunk: int | None, writes: int, reach: int | None = None
) -> Memory:
    """Bring a trace into the form that kernels read.

    Parameters
    ----------
    trace, hidden, chunk
        As in `reference.run`.
    writes
        See `before_run`.
    reach
        Ages that the tables hold; at least those of a chunk if it is not given.
    """
    none = hidden.new_empty
    if trace is None:
        return Memory(
            none(len(hidden), 0, hidden.shape[1]),
            none(0, 0, 0, 0),
            none(1, 0),
            none(1, 0, 1),
            none(1, 0, 1),
            1,
        )
    assert isinstance(trace.rule, Hebbian)
    before = trace.history.shape[1]
    capacity = before + writes + 1 if chunk is None else chunk
    merges = before + writes >= capacity
    if reach is None:
        # a power of two, so that runs of many lengths share tables
        reach = capacity if merges else 1 << capacity.bit_length()
    matrix = none(0, 0, 0, 0) if trace.matrix is None else trace.matrix
    wanted = (trace.dt, reach, merges, merges or matrix.numel() > 0, hidden.dtype)
    values = _constants(trace.rule)
    tables = _tables(trace.rule, *wanted) if values is None else _known_tables(values, *wanted)
    return Memory(trace.history, matrix, *tables, capacity)


def _tables(
    rule: Hebbian, dt: float, reach: int, merges: bool, carried: bool, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `age_weight`, `write_weight` if states are merged, and `decayed` if there is a matrix."""
    rule = _at_least_single(rule)
    lag = torch.arange(reach, -1, -1, dtype=rule.tau.dtype, device=rule.tau.device)
    age_weight = _table(rule.kernel(lag[1:], dt), 1, dtype)
    write_weight = decayed = age_weight.new_empty(1, 0, rule.timescales)
    if carried:
        left = rule.decay(dt)[..., None, :] ** lag.flip(0)[:, None]
        decayed = _table(left, 2, dtype)
    if merges:
        write_weight = _table(rule.strength(dt)[..., None, :] * left[..., :reach, :], 2, dtype)
    return age_weight, write_weight, decayed


def _constants(rule: Hebbian) -> tuple | None:
    """Parameters as plain numbers, if they are few, not trained, and need not be fetched from a device."""
    constants = []
    for name, value in rule.values().items():
        if value.ndim != 1 or value.requires_grad or value.is_cuda:
            return None
        constants.append((name, value.dtype, *value.tolist()))
    return tuple(constants)


@lru_cache(maxsize=256)
def _known_tables(values: tuple, *wanted: Any) -> tuple[Tensor, Tensor, Tensor]:
    """`_tables` of constant parameters, which take a short run as long as the rest of it. Not to be written to."""
    with torch.inference_mode(False), torch.no_grad():
        given: dict[str, Any] = {
            name: torch.tensor(numbers, dtype=dtype, device="cpu") for name, dtype, *numbers in values
        }
        return _tables(Hebbian(**given), *wanted)


def after_run(trace: Trace | None, states: Tensor, matrix: Tensor, chunk: int, writes: int) -> Trace | None:
    """Return the memory after a run, from its states and the matrix after the last merge."""
    if trace is None:
        return None
    before = trace.history.shape[1]
    merged = (before + writes) // chunk * chunk
    if merged == 0:
        return trace.extended(states if writes == states.shape[1] else states[:, :writes])
    return replace(trace, matrix=matrix, history=states[:, merged - before : writes])


def _at_least_single(rule: Hebbian) -> Hebbian:
    """A rule whose powers of λ are worth something: a network in bfloat16 has its rates in it too."""
    wide = {name: torch.promote_types(value.dtype, torch.float32) for name, value in rule.values().items()}
    return rule.with_values(**{name: value.to(wide[name]) for name, value in rule.values().items()})


def _table(values: Tensor, axes: int, dtype: torch.dtype) -> Tensor:
    """Give a table a batch axis and the type of the run."""
    return (values if values.ndim > axes else values[None]).to(dtype)
