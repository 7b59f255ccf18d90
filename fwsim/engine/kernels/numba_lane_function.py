"""The lane kernels as one `torch.autograd.Function`, for the attention form and for no memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fwsim.engine.kernels.gradients import of_table, room_for_table
from fwsim.engine.kernels.numba_function import KEPT_STATES, arrays, like
from fwsim.engine.kernels.numba_lane_backward import LaneGradients, backward_lanes, rows_of_adjoint
from fwsim.engine.kernels.numba_lane_forward import (
    LaneKept,
    LaneStored,
    forward_lanes,
    new_lane_room,
    rows_of_run,
)
from fwsim.engine.kernels.numba_lanes import lane_count
from fwsim.engine.kernels.numba_room import Sizes
from fwsim.engine.kernels.numba_threads import share_out, thread_count
from fwsim.engine.kernels.numba_weights import of_weights


def run_lanes(sizes: Sizes, inner: bool, *tensors: Tensor, differentiable: bool) -> tuple[Tensor, ...]:
    """Run a sequence; inputs as in `LaneSequence`.

    `drive` is used up: pages that are already there hold z for the way back, or the states if there is none.

    Returns
    -------
    tuple
        States, and inner states, empty if they are not wanted; then z and `LaneKept` for the way back.
    """
    drive, hidden, W, gain, bias, written, age_weight = tensors
    drive = drive.detach().contiguous()
    batch, steps, units = drive.shape
    lanes = lane_count(drive.element_size())
    groups, ages = -(-batch // lanes), age_weight.shape[1]
    states = like(drive) if differentiable else drive
    every = drive.new_empty((batch, steps, sizes.inner_steps + 1, units) if inner else (0, 0, 0, 0))
    fields = sizes.inner_steps if differentiable and 1 + sizes.inner_steps <= KEPT_STATES else 0
    kept = [drive.new_empty(groups, steps * fields * size, lanes) for size in (units, 1)]
    share_out(
        forward_lanes,
        groups,
        sizes,
        *arrays((W, gain, bias, _neutral(units, drive.dtype), drive, hidden)),
        LaneStored(*arrays((written, age_weight))),
        new_lane_room(rows_of_run(sizes, written.shape[1], ages), drive.dtype, lanes, thread_count(groups)),
        *arrays((states, every)),
        differentiable,
        LaneKept(*arrays(kept)),
    )
    return states, every, drive, *kept


class LaneSequence(torch.autograd.Function):
    """`run_lanes` with gradients.

    Inputs: sizes, whether inner states are wanted, drive, hidden, W, gain, bias, the states written before, and their
    weights κ. Outputs: states and inner states.
    """

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the sequence."""
        states, every, *kept = run_lanes(sizes, inner, *tensors, differentiable=True)
        ctx.sizes = sizes
        ctx.save_for_backward(*tensors[1:], states, *kept)
        return states, every

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor) -> tuple:
        """Go back through the sequence."""
        sizes, wanted = ctx.sizes, ctx.needs_input_grad[2:]
        hidden, W, gain, bias, written, age_weight, states, sustained, *kept = ctx.saved_tensors
        batch, _, units = states.shape
        lanes = lane_count(states.element_size())
        groups = -(-batch // lanes)
        dtype, parts, ages = states.dtype, thread_count(groups), age_weight.shape[1]

        d_drive, d_hidden, d_written = like(states), like(hidden), like(written)
        d_parameters = states.new_empty(groups, 2, units)
        d_weight = room_for_table(age_weight, batch if wanted[6] else 0)
        share_out(
            backward_lanes,
            groups,
            sizes,
            *arrays((W, gain, bias, _neutral(units, dtype), states, sustained)),
            LaneStored(*arrays((written, age_weight))),
            LaneKept(*arrays(kept)),
            new_lane_room(rows_of_run(sizes, written.shape[1], ages), dtype, lanes, parts),
            new_lane_room(rows_of_adjoint(sizes, written.shape[1], ages), dtype, lanes, parts),
            *arrays((d_states, d_inner)),
            LaneGradients(*arrays((d_parameters, d_drive, d_hidden, d_written, d_weight))),
        )
        d_gain, d_bias = d_parameters.sum(0) if sizes.normalise else (None, None)
        d_W = of_weights(d_drive, states, hidden) if wanted[2] else None
        d_age_weight = of_table(d_weight, age_weight) if wanted[6] else None
        return None, None, d_drive, d_hidden, d_W, d_gain, d_bias, d_written, d_age_weight


@lru_cache(maxsize=16)
def _neutral(units: int, dtype: torch.dtype) -> Tensor:
    """Rows of ones and of zeros: gain and bias where nothing is normalised. Not to be written to."""
    with torch.inference_mode(False):
        return torch.stack([torch.ones(units, dtype=dtype), torch.zeros(units, dtype=dtype)])
