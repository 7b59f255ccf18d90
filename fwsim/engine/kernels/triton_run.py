"""A sequence in one GPU kernel, for all forms of a Hebbian memory and for none.

A program runs one batch element through all its steps and inner iterations; nothing is launched in between. C x is
one matrix product before, the gradients of W and C are one each after.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.kernels import reference
from fwsim.engine.kernels.codes import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.kernels.memory import Memory, after_run, as_read, before_run
from fwsim.engine.kernels.triton_function import Sequence, run_forward
from fwsim.engine.kernels.triton_sizes import Sizes, span_of
from fwsim.engine.trace import Trace
from fwsim.engine.trajectory import Trajectory


def run(
    cell: Cell, drive: Drive, hidden: Tensor, trace: Trace | None, *, chunk: int | None, inner: bool = False
) -> Trajectory:
    """Run a sequence; see `reference.run`, whose numbers and gradients these are.

    The memory must be Hebbian or `None`. Tensors are float32, float64, or bfloat16 with all arithmetic and the memory
    in float32; on a GPU, or anywhere under Triton's interpreter. Gradients can be taken once, not twice.
    """
    if drive.x.numel() == 0:
        return reference.run(cell, drive, hidden, trace, chunk=chunk, inner=inner)
    exact = torch.promote_types(hidden.dtype, torch.float32)
    trace, writes = before_run(cell, hidden, trace, drive.x.shape[1], chunk)
    past = 0 if trace is None else trace.history.shape[1]
    memory = as_read(
        trace, hidden.to(exact), chunk, writes, past + writes + 1 if chunk is None else span_of(chunk)
    )
    sizes = _sizes(cell, trace, memory, writes)._replace(words=exact.itemsize // 4)
    written, *tables = memory[:5]
    narrow = (drive.values().to(hidden.dtype), hidden, cell.W)  # autocast would have it narrower
    wide = [tensor.to(exact) for tensor in (cell.gain, cell.bias, *tables)]
    tensors = (*narrow, *wide[:2], written.to(hidden.dtype), *wide[2:])
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        states, every, matrix = Sequence.apply(sizes, inner, *tensors)
    else:
        states, every, matrix, *_ = run_forward(sizes, inner, False, *tensors)
    trace = after_run(trace, states, matrix.to(hidden.dtype), memory.chunk, writes)
    return Trajectory(states, every if inner else None, trace)


def _sizes(cell: Cell, trace: Trace | None, memory: Memory, writes: int) -> Sizes:
    before = memory.written.shape[1]
    merged = (before + writes) // memory.chunk * memory.chunk if trace is not None else 0
    return Sizes(
        units=len(cell.W),
        inner_steps=cell.inner_steps,
        activation=ACTIVATIONS[cell.activation],
        normalise=NORMALISATIONS[cell.normalise],
        self_connections=trace is None or trace.self_connections,
        chunk=memory.chunk,
        span=1 if trace is None else span_of(memory.chunk),
        scales=memory.decayed.shape[2] if merged or memory.matrix.numel() else 0,
        writes=writes if trace is not None else 0,
        before=before,
        merged=merged,
    )
