"""A sequence in compiled code, for all forms of a Hebbian memory and for none.

The forms differ only in when written states are folded into the matrix, as in the reference. Within a chunk a
step costs the inner loop's reads of the matrix (N² each, over active units) and of the states written since
(2 N each); K time scales add nothing to the latter, and (K − 1) N² once a step to the former.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.kernels import reference
from fwsim.engine.kernels.codes import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.kernels.memory import Memory, after_run, as_read, before_run
from fwsim.engine.kernels.numba_cost import in_lanes
from fwsim.engine.kernels.numba_function import Sequence, run_forward
from fwsim.engine.kernels.numba_lane_function import LaneSequence, run_lanes
from fwsim.engine.kernels.numba_room import Sizes
from fwsim.engine.kernels.numba_threads import thread_count
from fwsim.engine.kernels.numba_weights import project
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory


def run(
    cell: Cell, drive: Drive, hidden: Tensor, trace: Trace | None, *, chunk: int | None, inner: bool = False
) -> Trajectory:
    """Run a sequence; see `reference.run`, whose numbers and gradients these are (subnormal numbers count as 0).

    The memory must be Hebbian or `None`, the tensors float32 or float64 on the CPU. Gradients can be taken once, not
    twice.
    """
    if drive.x.numel() == 0:
        return reference.run(cell, drive, hidden, trace, chunk=chunk, inner=inner)
    batch, time, _ = drive.x.shape
    trace, writes = before_run(cell, hidden, trace, time, chunk)
    memory = as_read(trace, hidden, chunk, writes)
    sizes = _sizes(cell, trace, memory, batch, writes)
    shared = (hidden, cell.W, cell.gain, cell.bias)
    leaves = (*drive, *shared, *memory[:5])
    differentiable = torch.is_grad_enabled() and any(each.requires_grad for each in leaves)
    before, itemsize = memory.written.shape[1], hidden.itemsize
    if sizes.matrices == 0 and in_lanes(batch, time, sizes.units, cell.inner_steps, before, itemsize):
        attend = LaneSequence.apply if differentiable else partial(run_lanes, differentiable=False)
        states, every, *_ = attend(sizes, inner, *drive, *shared, memory.written, memory.age_weight)
        matrix = memory.matrix
    else:
        given = project(*drive).to(hidden.dtype)  # autocast would have it narrower
        advance = Sequence.apply if differentiable else partial(run_forward, differentiable=False)
        states, every, matrix, *_ = advance(sizes, inner, given, *shared, *memory[:5])
    return Trajectory(
        states, every if inner else None, after_run(trace, states, matrix, memory.chunk, writes)
    )


def _sizes(cell: Cell, trace: Trace | None, memory: Memory, batch: int, writes: int) -> Sizes:
    total = memory.written.shape[1] + writes
    folds = total // memory.chunk if trace is not None else 0
    # each entry keeps its checkpoints, each thread the matrices of one group: their sum is least for this group
    share = max(1, batch // thread_count(batch))
    matrices = memory.decayed.shape[2] if folds or memory.matrix.numel() else 0
    return Sizes(
        units=len(cell.W),
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
