"""A sequence in compiled code, with gradients: one `torch.autograd.Function` for all forms of the memory.

The forms differ only in when written states are folded into the matrix, as in the reference. Within a chunk a
step costs the inner loop's reads of the matrix (N² each, over active units) and of the states written since
(2 N each); K time scales add nothing to the latter, and (K − 1) N² once a step to the former.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fwsim.engine.cell import Cell
from fwsim.engine.kernels import reference
from fwsim.engine.kernels.numba_backward import backward
from fwsim.engine.kernels.numba_forward import forward
from fwsim.engine.kernels.numba_room import Sizes, adjoint_workspace, workspace
from fwsim.engine.kernels.numba_step import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.kernels.numba_threads import share_out, thread_count
from fwsim.engine.kernels.numba_vectors import padded
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
    sizes = _sizes(cell, trace, memory, drive.shape[-1], writes)
    tensors = (drive, hidden, cell.W, cell.gain, cell.bias, *memory[:5])
    differentiable = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    states, every, matrix = _Run.apply(sizes, differentiable, inner, *tensors)
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
        _table(counted, 2, drive) if folds else none(1, 0, rule.timescales),
        _table(decayed, 2, drive) if folds or matrix.numel() else none(1, 0, rule.timescales),
        room,
    )


def _table(values: Tensor, axes: int, like: Tensor) -> Tensor:
    """Give a table a batch axis and the type of the run."""
    return (values if values.ndim > axes else values[None]).to(like.dtype)


def _sizes(cell: Cell, trace: Trace | None, memory: _Memory, units: int, writes: int) -> Sizes:
    total = memory.written.shape[1] + writes
    folds = total // memory.chunk if trace is not None else 0
    matrices = memory.decayed.shape[2] if folds or memory.matrix.numel() else 0
    return Sizes(
        units=units,
        inner_steps=cell.inner_steps,
        activation=ACTIVATIONS[cell.activation],
        normalise=NORMALISATIONS[cell.normalise],
        self_connections=trace is None or trace.self_connections,
        chunk=memory.chunk,
        writes=writes if trace is not None else 0,
        matrices=matrices,
        group=math.isqrt(folds) + 1,
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


class _Run(torch.autograd.Function):
    """The kernels as one differentiable function of tensors: states, inner states, final matrix."""

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, differentiable: bool, inner: bool, *tensors: Tensor) -> tuple:
        drive, hidden, W, gain, bias, written, matrix, *tables = (tensor.contiguous() for tensor in tensors)
        batch, steps, units = drive.shape
        folds = (written.shape[1] + sizes.writes) // sizes.chunk
        states = torch.empty_like(drive)
        every = drive.new_empty(batch, steps, sizes.inner_steps + 1, units) if inner else _empty(drive, 4)
        final = (
            drive.new_empty(batch, sizes.matrices, units, units) if folds and sizes.matrices else matrix[:0]
        )
        kept = _kept(sizes, drive, folds) if differentiable else (_empty(drive, n) for n in (3, 4, 3, 4))
        kept = tuple(kept)
        parts = thread_count(batch)
        numbers = np.array(sizes, dtype=np.int64)
        parameters = _parameters(sizes, gain, bias)
        arguments = (parameters, _rows(W.T), drive, hidden, written, matrix, *tables)
        room = workspace(sizes, drive, parts)
        results = (states, every, *kept, final)
        share_out(forward, batch, numbers, *_arrays(arguments), *room, *_arrays(results))
        ctx.sizes = sizes
        ctx.save_for_backward(hidden, W, gain, bias, written, matrix, *tables, states, *kept)
        return states, every, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor, d_final: Tensor) -> tuple:
        sizes: Sizes = ctx.sizes
        hidden, W, gain, bias, written, matrix, *rest = ctx.saved_tensors
        tables, states, sustained, kept = rest[:3], rest[3], rest[4], rest[5:]
        batch, _, units = states.shape
        wanted = ctx.needs_input_grad[3:]
        rates = any(wanted[7:])

        d_drive, d_hidden, d_written = sustained.clone(), torch.empty_like(hidden), torch.empty_like(written)
        d_parameters = hidden.new_zeros(batch, 2, padded(units, hidden.element_size()))
        d_matrix = torch.empty_like(matrix) if wanted[6] else matrix[:0]
        d_tables = [_table_gradient(table, batch if rates else 0) for table in tables]
        d_inner = d_inner if d_inner.numel() else d_inner.new_empty(1, 1, 0, 1)
        d_final = d_final if sizes.matrices and d_final.numel() else matrix[:0]

        parts = thread_count(batch)
        numbers = np.array(sizes, dtype=np.int64)
        arguments = (_parameters(sizes, gain, bias), _rows(W), states, written, matrix, *tables)
        room = workspace(sizes, states, parts)
        way_back = adjoint_workspace(sizes, states, parts)
        gradients = (
            d_states,
            d_inner,
            d_final,
            d_drive,
            d_hidden,
            d_parameters,
            d_written,
            d_matrix,
            *d_tables,
        )
        share_out(
            backward,
            batch,
            numbers,
            *_arrays(arguments),
            *room,
            *_arrays(kept),
            *way_back,
            *_arrays(gradients),
        )
        d_gain, d_bias = d_parameters.sum(0)[:, :units] if sizes.normalise else (None, None)
        d_w = _weight_gradient(d_drive, states, hidden) if wanted[2] else None
        summed = [_fit(gradient, table) if rates else None for gradient, table in zip(d_tables, tables)]
        return (
            None,
            None,
            None,
            d_drive,
            d_hidden,
            d_w,
            d_gain,
            d_bias,
            d_written,
            d_matrix if wanted[6] else None,
            *summed,
        )


def _kept(sizes: Sizes, drive: Tensor, folds: int) -> tuple[Tensor, ...]:
    """Room for what the way back needs: z, the inner loop's fields if they fit the budget, and checkpoints."""
    batch, steps, units = drive.shape
    sustained = torch.empty_like(drive)
    checkpoints = drive.new_empty(batch, folds // sizes.group, sizes.matrices * units, units)
    if 1 + sizes.inner_steps > KEPT_STATES or checkpoints.numel():
        return sustained, _empty(drive, 4), _empty(drive, 3), checkpoints
    normal = drive.new_empty(batch, steps, sizes.inner_steps, units)
    return sustained, normal, drive.new_empty(batch, steps, sizes.inner_steps), checkpoints


def _empty(like: Tensor, axes: int) -> Tensor:
    return like.new_empty((0,) * axes)


def _arrays(tensors: Any) -> list[np.ndarray]:
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def _rows(matrix: Tensor) -> Tensor:
    """Pad the rows of a matrix to whole vectors."""
    width = padded(matrix.shape[1], matrix.element_size())
    out = matrix.new_zeros(matrix.shape[0], width)
    out[:, : matrix.shape[1]] = matrix.detach()
    return out


def _parameters(sizes: Sizes, gain: Tensor, bias: Tensor) -> Tensor:
    """Gain and bias of an iteration, those of h_0, and the mask: `[5, unit]`, padded."""
    one, zero = torch.ones_like(gain), torch.zeros_like(gain)
    usual = (gain, bias) if sizes.normalise else (one, zero)
    first = (gain, bias) if sizes.normalise == NORMALISATIONS["all"] else (one, zero)
    return _rows(torch.stack([*usual, *first, one]))


def _weight_gradient(d_drive: Tensor, states: Tensor, hidden: Tensor) -> Tensor:
    """Σ dz hᵀ with the state before each step, as one product of what lies in memory already.

    Shifting the flat states by one step pairs each entry's first step with the entry before; that is put right.
    """
    steps, units = states.shape[1:]
    dz, h = d_drive.view(-1, units), states.view(-1, units)
    gradient = dz[1:].T @ h[:-1]
    gradient -= dz[steps::steps].T @ h[steps - 1 : -1 : steps]
    return gradient + d_drive[:, 0].T @ hidden


def _table_gradient(table: Tensor, batch: int) -> Tensor:
    """Zeros for the gradient of a table in each batch entry, empty if it is not wanted."""
    return table.new_zeros(batch, *table.shape[1:]) if batch else table.new_empty(1, 0, *table.shape[2:])


def _fit(gradient: Tensor, table: Tensor) -> Tensor:
    """Sum over the batch where one table serves all."""
    return gradient.sum(0, keepdim=True) if table.shape[0] == 1 else gradient
