"""A memory as compiled kernels read it: written states, a matrix, and tables of what decay does to both."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

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
        Writes between two foldings; more than there are if none is wanted.
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
        trace = trace.folded()
    return trace, writes


def as_read(
    trace: Trace | None, drive: Tensor, chunk: int | None, writes: int, reach: int | None = None
) -> Memory:
    """Bring a trace into the form that kernels read.

    Parameters
    ----------
    trace, drive, chunk
        As in `reference.run`.
    writes
        See `before_run`.
    reach
        Ages that the tables hold, if not those of a chunk.
    """
    none = drive.new_empty
    if trace is None:
        return Memory(drive[:, :0], none(0, 0, 0, 0), none(1, 0), none(1, 0, 1), none(1, 0, 1), 1)
    assert isinstance(trace.rule, Hebbian)
    before, rule = trace.history.shape[1], _at_least_single(trace.rule)
    room = before + writes + 1 if chunk is None else chunk
    reach = room if reach is None else reach
    folds = before + writes >= room
    matrix = none(0, 0, 0, 0) if trace.matrix is None else trace.matrix
    lag = torch.arange(reach, -1, -1, dtype=rule.tau.dtype, device=drive.device)
    age_weight = _table(rule.kernel(lag[1:], trace.dt), 1, drive)
    write_weight = decayed = none(1, 0, rule.timescales)
    if folds or matrix.numel():
        left = rule.decay(trace.dt)[..., None, :] ** lag.flip(0)[:, None]
        decayed = _table(left, 2, drive)
    if folds:
        write_weight = _table(rule.strength(trace.dt)[..., None, :] * left[..., :reach, :], 2, drive)
    return Memory(trace.history, matrix, age_weight, write_weight, decayed, room)


def after_run(trace: Trace | None, states: Tensor, matrix: Tensor, chunk: int, writes: int) -> Trace | None:
    """Return the memory after a run, from its states and the matrix after the last folding."""
    if trace is None:
        return None
    before = trace.history.shape[1]
    folded = (before + writes) // chunk * chunk
    if folded == 0:
        return trace.extended(states[:, :writes])
    return replace(trace, matrix=matrix, history=states[:, folded - before : writes])


def _at_least_single(rule: Hebbian) -> Hebbian:
    """A rule whose powers of λ are worth something: a network in bfloat16 has its rates in it too."""
    wide = {name: torch.promote_types(value.dtype, torch.float32) for name, value in rule.values().items()}
    return rule.with_values(**{name: value.to(wide[name]) for name, value in rule.values().items()})


def _table(values: Tensor, axes: int, like: Tensor) -> Tensor:
    """Give a table a batch axis and the type of the run."""
    return (values if values.ndim > axes else values[None]).to(like.dtype)
