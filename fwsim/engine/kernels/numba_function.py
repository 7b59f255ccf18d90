"""The compiled kernels as one `torch.autograd.Function`, for all forms of the memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.kernels.codes import NORMALISATIONS
from fwsim.engine.kernels.gradients import of_table, room_for_table
from fwsim.engine.kernels.numba_backward import Gradients, backward
from fwsim.engine.kernels.numba_forward import forward
from fwsim.engine.kernels.numba_room import Kept, Sizes, Stored, new_adjoint_room, new_room
from fwsim.engine.kernels.numba_threads import share_out, thread_count
from fwsim.engine.kernels.numba_vectors import padded
from fwsim.engine.kernels.numba_weights import of_weights
from fwsim.engine.transforms import once_differentiable

# Numbers kept for the way back, in units of batch·time·unit; beyond, the inner loop is run again.
KEPT_STATES = 3


def run_forward(sizes: Sizes, inner: bool, *tensors: Tensor, differentiable: bool) -> tuple[Tensor, ...]:
    """Run a sequence; inputs as in `Sequence`.

    `drive` is used up: pages that are already there hold z for the way back, or the states if there is none.

    Returns
    -------
    tuple
        States, inner states and the matrix after the last step, the last two empty where there are none; then `Kept`
        for the way back.
    """
    drive, hidden, W, gain, bias, *memory = tensors
    drive = drive.detach().contiguous()
    batch, steps, units = drive.shape
    folds = (memory[0].shape[1] + sizes.writes) // sizes.chunk if sizes.matrices else 0
    states = like(drive) if differentiable else drive
    every = drive.new_empty((batch, steps, sizes.inner_steps + 1, units) if inner else (0, 0, 0, 0))
    final = drive.new_empty(batch if folds else 0, sizes.matrices, units, units)
    kept = _kept(sizes, drive, folds if differentiable else None)
    parameters = _parameters(sizes, gain, bias)
    share_out(
        forward,
        batch,
        sizes,
        parameters,
        _rows(W.T),
        *arrays((drive, hidden)),
        Stored(*arrays(memory)),
        new_room(sizes, parameters.dtype, thread_count(batch)),
        *arrays((states, every)),
        Kept(*arrays(kept)),
        *arrays((final,)),
    )
    return states, every, final, *kept


class Sequence(torch.autograd.Function):
    """`run_forward` with gradients.

    Inputs: sizes, whether inner states are wanted, drive, hidden, W, gain, bias, written, matrix and the tables of
    `Past`. Outputs: states, inner states, and the matrix after the last step.
    """

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the sequence."""
        states, every, final, *kept = run_forward(sizes, inner, *tensors, differentiable=True)
        ctx.sizes = sizes
        ctx.save_for_backward(*tensors[1:], states, *kept)
        return states, every, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor, d_final: Tensor) -> tuple:
        """Go back through the sequence."""
        sizes, wanted = ctx.sizes, ctx.needs_input_grad[2:]
        hidden, W, gain, bias, *rest = ctx.saved_tensors
        memory, states, kept = rest[:5], rest[5], rest[6:]
        written, matrix, *tables = memory
        batch, rates = states.shape[0], any(wanted[7:])
        parameters = _parameters(sizes, gain, bias)

        d_drive, d_hidden, d_written = like(states), like(hidden), like(written)
        d_parameters = np.zeros((batch, 2, parameters.shape[1]), parameters.dtype)
        d_matrix = like(matrix) if wanted[6] else matrix[:0]
        d_tables = [room_for_table(table, batch if rates else 0) for table in tables]
        d_inner = d_inner if d_inner.numel() else d_inner.new_empty(1, 1, 0, 1)
        parts = thread_count(batch)
        share_out(
            backward,
            batch,
            sizes,
            parameters,
            _rows(W),
            *arrays((states,)),
            Stored(*arrays(memory)),
            Kept(*arrays(kept)),
            new_room(sizes, parameters.dtype, parts),
            new_adjoint_room(sizes, parameters.dtype, parts),
            *arrays((d_states, d_inner, d_final)),
            Gradients(d_parameters, *arrays((d_drive, d_hidden, d_written, d_matrix, *d_tables))),
        )
        summed = torch.from_numpy(d_parameters.sum(0)[:, : sizes.units])
        d_gain, d_bias = summed if sizes.normalise else (None, None)
        d_weights = of_weights(d_drive, states, hidden) if wanted[2] else None
        d_rates = [of_table(gradient, table) if rates else None for gradient, table in zip(d_tables, tables)]
        d_matrix = d_matrix if wanted[6] else None
        return None, None, d_drive, d_hidden, d_weights, d_gain, d_bias, d_written, d_matrix, *d_rates


def _kept(sizes: Sizes, drive: Tensor, folds: int | None) -> tuple[Tensor, ...]:
    """Room for `Kept`: z in place of the drive, the inner loop's fields if they fit the budget, and checkpoints.

    All is empty if there is no way back (`folds` is None).
    """
    batch, steps, units = drive.shape
    groups = (folds or 0) // sizes.group
    fields = 0 if groups or 1 + sizes.inner_steps > KEPT_STATES else sizes.inner_steps
    batch = 0 if folds is None else batch
    return (
        drive[:batch],
        drive.new_empty(batch, steps, fields, units),
        drive.new_empty(batch, steps, fields),
        drive.new_empty(batch, groups, sizes.matrices * units, units),
    )


def arrays(tensors: Iterable[Tensor]) -> list[np.ndarray]:
    """Tensors as kernels take them."""
    return [(each.detach() if each.requires_grad else each).contiguous().numpy() for each in tensors]


def like(tensor: Tensor) -> Tensor:
    """Room for as many numbers in the order of kernels."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _rows(matrix: Tensor) -> np.ndarray:
    """Pad the rows of a matrix to whole vectors."""
    source = matrix.detach().numpy()
    rows = np.zeros((source.shape[0], padded(source.shape[1], source.itemsize)), source.dtype)
    rows[:, : source.shape[1]] = source
    return rows


def _parameters(sizes: Sizes, gain: Tensor, bias: Tensor) -> np.ndarray:
    """Gain and bias of an iteration, those of h_0, and the mask: `[5, unit]`, padded; see `Cell`."""
    given = np.stack(arrays((gain, bias)))
    rows = np.zeros((5, padded(sizes.units, given.itemsize)), given.dtype)
    rows[[0, 2, 4], : sizes.units] = 1
    if sizes.normalise != NORMALISATIONS["none"]:
        rows[0:2, : sizes.units] = given
    if sizes.normalise == NORMALISATIONS["all"]:
        rows[2:4, : sizes.units] = given
    return rows
