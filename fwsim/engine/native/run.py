"""A sequence in the compiled engine, in all forms of a memory and without one; for the dense form see `dense.py`.

The others differ only in when written states are added to the matrix, as in the reference. Within a chunk a step costs
the inner loop's reads of the matrix (N² each, over active units) and of the states written since (2 N each); K time
scales add nothing to the latter, and (K − 1) N² once a step to the former.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.kernels import reference
from fwsim.engine.kernels.codes import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.kernels.memory import Memory, after_run, as_read, before_run
from fwsim.engine.native import dense
from fwsim.engine.native.cost import in_batch_layout
from fwsim.engine.native.sequence import Conventions, Schedule, SequenceFunction, run_forward
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory


def run(
    cell: Cell, drive: Drive, hidden: Tensor, trace: Trace | None, *, chunk: int | None, inner: bool = False
) -> Trajectory:
    """Run a sequence; see `reference.run`, whose numbers and gradients these are (subnormal numbers count as 0).

    The memory must be of one of `dense.RULES` or `None`, the tensors float32 or float64 on the CPU. Gradients can be
    taken once, not twice.
    """
    if drive.x.numel() == 0:
        return reference.run(cell, drive, hidden, trace, chunk=chunk, inner=inner)
    if trace is not None and (chunk == 1 or dense.needed(trace, cell)):
        return dense.run(cell, drive, hidden, trace, inner=inner)
    batch, time, _ = drive.x.shape
    trace, writes = before_run(cell, hidden, trace, time, chunk)
    memory = as_read(trace, hidden, chunk, writes)
    given = _conventions(cell, trace, memory, batch, time, writes)
    slow = (drive.C, drive.b, hidden, cell.W, cell.gain, cell.bias)
    states, every, matrix = _advance(given, None, inner, drive.x, *slow, *memory[:5])
    matrix = memory.matrix if matrix is None else matrix
    return Trajectory(states, every, after_run(trace, states, matrix, memory.chunk, writes))


def run_schedule(
    cells: Sequence[Cell], drives: Sequence[Drive], age_weight: Tensor, schedule: Schedule
) -> Tensor:
    """Run a sequence from rest whose steps differ in what they read, store and clear; see `Schedule`.

    Parameters
    ----------
    cells, drives
        For each set of slow weights; the conventions, and x `[batch, time, input]`, are the same in all.
    age_weight
        κ from the oldest age to age 0, `[time]`.
    schedule
        What happens in each step.

    Returns
    -------
    Tensor
        Hidden states `[batch, time, unit]`.
    """
    cell, x = cells[0], drives[0].x
    batch, time, _ = x.shape
    hidden, none = x.new_zeros(batch, len(cell.W)), x.new_empty(1, 0, 1)
    given = Conventions(
        inner_steps=cell.inner_steps,
        activation=ACTIVATIONS[cell.activation],
        normalise=NORMALISATIONS[cell.normalise],
        self_connections=True,
        writes=int(schedule.slot.max()) + 1,
        chunk=time + 1,
        matrices=0,
        symmetric=True,
        group=1,
        checkpoints=0,
        batch_layout=in_batch_layout(batch, time, len(cell.W), cell.inner_steps, 0, x.itemsize),
    )
    C, b = (torch.stack([getattr(drive, name) for drive in drives]) for name in ("C", "b"))
    W, gain, bias = (torch.stack([getattr(each, name) for each in cells]) for name in ("W", "gain", "bias"))
    memory = (hidden[:, None][:, :0], none[..., None], age_weight[None], none, none)
    states, *_ = _advance(given, schedule, False, x, C, b, hidden, W, gain, bias, *memory)
    return states


def _advance(given: Conventions, schedule: Schedule | None, inner: bool, *tensors: Tensor) -> tuple[Any, ...]:
    """Return states, inner states and the matrix after the last step, differentiable where that is wanted."""
    if torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
        return SequenceFunction.apply(given, schedule, inner, *tensors)
    return run_forward(given, schedule, inner, *tensors, differentiable=False)


def _conventions(
    cell: Cell, trace: Trace | None, memory: Memory, batch: int, time: int, writes: int
) -> Conventions:
    before, units = memory.written.shape[1], len(cell.W)
    merges = (before + writes) // memory.chunk if trace is not None else 0
    # each batch element saves its checkpoints, each thread the matrices of one group: their sum is least for this group
    share = max(1, batch // max(1, min(torch.get_num_threads(), batch)))
    group = math.isqrt(merges * share) + 1
    matrices = memory.decayed.shape[2] if merges or memory.matrix.numel() else 0
    return Conventions(
        inner_steps=cell.inner_steps,
        activation=ACTIVATIONS[cell.activation],
        normalise=NORMALISATIONS[cell.normalise],
        self_connections=trace is None or trace.self_connections,
        writes=writes if trace is not None else 0,
        chunk=memory.chunk,
        matrices=matrices,
        symmetric=_symmetric(memory.matrix),
        group=group,
        checkpoints=merges // group,
        batch_layout=not matrices
        and in_batch_layout(batch, time, units, cell.inner_steps, before, memory.written.itemsize),
    )


def _symmetric(matrix: Tensor) -> bool:
    """Whether the matrix equals its transpose, up to the rounding of whatever summed it."""
    if matrix.numel() == 0:
        return True
    matrix = matrix.detach()
    tolerance = 100 * torch.finfo(matrix.dtype).eps * matrix.abs().amax()
    return bool((matrix - matrix.mT).abs().amax() <= tolerance)
