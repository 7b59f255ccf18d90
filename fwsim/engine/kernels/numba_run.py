"""A sequence in compiled code, for all forms of a Hebbian memory and for none.

The forms differ only in when written states are folded into the matrix, as in the reference. Within a chunk a
step costs the inner loop's reads of the matrix (N² each, over active units) and of the states written since
(2 N each); K time scales add nothing to the latter, and (K − 1) N² once a step to the former.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.kernels import reference
from fwsim.engine.kernels.numba_function import Sequence, run_forward
from fwsim.engine.kernels.numba_room import Sizes
from fwsim.engine.kernels.numba_step import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.kernels.numba_threads import thread_count
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory
from fwsim.rules.hebbian import Hebbian

KEPT_STATES = (
    3  # numbers kept for the way back, in units of batch·time·unit; the inner loop is run again beyond
)


def run(
    cell: Cell, drive: Tensor, hidden: Tensor, trace: Trace | None, *, chunk: int | None, inner: bool = False
) -> Trajectory:
    """Run a sequence; see `reference.run`, whose numbers and gradients these are.

    The memory must be Hebbian or `None`, the tensors float32 or float64 on the CPU. Gradients can be taken
    once, not twice.
    """
    if drive.numel() == 0:
        return reference.run(cell, drive, hidden, trace, chunk=chunk, inner=inner)
    steps = writes = drive.shape[1]
    if trace is not None and cell.write == "before":
        trace, writes = trace.written(hidden), steps - 1
    if trace is not None and chunk is not None and trace.history.shape[1] >= chunk:
        trace = trace.folded()

    memory = _memory(trace, drive, chunk, writes)
    sizes = _sizes(cell, trace, memory, drive, writes)
    tensors = (drive, hidden, cell.W, cell.gain, cell.bias, *memory[:5])
    differentiable = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    if differentiable:
        states, every, matrix = Sequence.apply(sizes, inner, *tensors)
    else:
        states, every, matrix, *_ = run_forward(sizes, inner, False, *tensors)
    return Trajectory(states, every if inner else None, _final(trace, states, matrix, memory.chunk, writes))


class _Memory(NamedTuple):
    """A trace as the kernels read it: its states, its matrix, its tables (see `Past`), and the chunk."""

    written: Tensor
    matrix: Tensor
    age_weight: Tensor
    write_weight: Tensor
    decayed: Tensor
    chunk: int


def _memory(trace: Trace | None, drive: Tensor, chunk: int | None, writes: int) -> _Memory:
    none = drive.new_empty
    if trace is None:
        return _Memory(drive[:, :0], none(0, 0, 0, 0), none(1, 0), none(1, 0, 1), none(1, 0, 1), 1)
    assert isinstance(trace.rule, Hebbian)
    before, rule = trace.history.shape[1], trace.rule
    room = before + writes + 1 if chunk is None else chunk
    lag = torch.arange(room + 1, dtype=rule.tau.dtype)
    decayed = rule.decay(trace.dt)[..., None, :] ** lag[:, None]
    counted = rule.strength(trace.dt)[..., None, :] * decayed[..., :room, :]
    folds = before + writes >= room
    matrix = none(0, 0, 0, 0) if trace.matrix is None else trace.matrix
    return _Memory(
        trace.history,
        matrix,
        _table(counted.sum(-1).flip(-1), 1, drive),
        _table(counted, 2, drive) if folds else none(1, 0, decayed.shape[-1]),
        _table(decayed, 2, drive) if folds or matrix.numel() else none(1, 0, decayed.shape[-1]),
        room,
    )


def _table(values: Tensor, axes: int, like: Tensor) -> Tensor:
    """Give a table a batch axis and the type of the run."""
    return (values if values.ndim > axes else values[None]).to(like.dtype)


def _sizes(cell: Cell, trace: Trace | None, memory: _Memory, drive: Tensor, writes: int) -> Sizes:
    total = memory.written.shape[1] + writes
    folds = total // memory.chunk if trace is not None else 0
    # each entry keeps its checkpoints, each thread the matrices of one group: their sum is least for this group
    share = max(1, drive.shape[0] // thread_count(drive.shape[0]))
    matrices = memory.decayed.shape[2] if folds or memory.matrix.numel() else 0
    return Sizes(
        units=drive.shape[-1],
        inner_steps=cell.inner_steps,
        activation=ACTIVATIONS[cell.activation],
        normalise=NORMALISATIONS[cell.normalise],
        self_connections=trace is None or trace.self_connections,
        chunk=memory.chunk,
        writes=writes if trace is not None else 0,
        matrices=matrices,
        group=math.isqrt(folds * share) + 1,
        symmetric=_symmetric(memory.matrix),
    )


def _symmetric(matrix: Tensor) -> bool:
    """Whether the matrix equals its transpose, up to the rounding of whatever summed it."""
    if matrix.numel() == 0:
        return True
    matrix = matrix.detach()
    tolerance = 100 * torch.finfo(matrix.dtype).eps * matrix.abs().amax()
    return bool((matrix - matrix.mT).abs().amax() <= tolerance)


def _final(trace: Trace | None, states: Tensor, matrix: Tensor, chunk: int, writes: int) -> Trace | None:
    """Return the memory after the run."""
    if trace is None:
        return None
    before = trace.history.shape[1]
    folded = (before + writes) // chunk * chunk
    if folded == 0:
        return trace.extended(states[:, :writes])
    return replace(trace, matrix=matrix, history=states[:, folded - before : writes])
