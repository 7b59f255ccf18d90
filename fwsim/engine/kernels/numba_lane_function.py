"""The lane kernels as one `torch.autograd.Function`, for the attention form and for no memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fwsim.engine.kernels.gradients import of_table, room_for_table
from fwsim.engine.kernels.numba_function import KEPT_STATES, arrays, like
from fwsim.engine.kernels.numba_lane_backward import LaneGradients, LaneRun, backward_lanes, rows_of_adjoint
from fwsim.engine.kernels.numba_lane_forward import (
    LaneKept,
    LaneStored,
    forward_lanes,
    new_lane_room,
    rows_of_run,
)
from fwsim.engine.kernels.numba_lane_pairs import new_lane_pairs
from fwsim.engine.kernels.numba_lanes import lane_count
from fwsim.engine.kernels.numba_room import Sizes
from fwsim.engine.kernels.numba_threads import share_out, thread_count
from fwsim.engine.transforms import once_differentiable


def run_lanes(sizes: Sizes, inner: bool, *tensors: Tensor, differentiable: bool) -> tuple[Tensor, ...]:
    """Run a sequence; inputs as in `LaneSequence`.

    Returns
    -------
    tuple
        States, and inner states, empty if they are not wanted; then z and `LaneKept` for the way back, empty if there
        is none.
    """
    x, C, b, hidden, W, gain, bias, written, age_weight = tensors
    batch, steps, inputs = x.shape
    units, dtype, lanes = sizes.units, x.dtype, lane_count(x.element_size())
    groups, ages = -(-batch // lanes), age_weight.shape[1]
    states = x.new_empty(batch, steps, units)
    sustained = torch.empty_like(states) if differentiable else x.new_empty(0, 0, 0)
    every = x.new_empty((batch, steps, sizes.inner_steps + 1, units) if inner else (0, 0, 0, 0))
    fits = batch + sizes.inner_steps * groups * lanes <= KEPT_STATES * batch
    fields = sizes.inner_steps if differentiable and fits else 0
    kept = [x.new_empty(groups, steps * fields * size, lanes) for size in (units, 1)]
    rows = rows_of_run(sizes, inputs, written.shape[1], ages)
    share_out(
        forward_lanes,
        groups,
        sizes,
        *arrays((_slow(W, C), gain, bias, _neutral(units, dtype), x, b, hidden)),
        LaneStored(*arrays((written, age_weight))),
        new_lane_room(rows, dtype, lanes, thread_count(groups)),
        *arrays((states, every, sustained)),
        LaneKept(*arrays(kept)),
    )
    return states, every, sustained, *kept


class LaneSequence(torch.autograd.Function):
    """`run_lanes` with gradients.

    Inputs: sizes, whether inner states are wanted, x, C, b, hidden, W, gain, bias, the states written before, and
    their weights κ. Outputs: states and inner states.
    """

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the sequence."""
        states, every, *kept = run_lanes(sizes, inner, *tensors, differentiable=True)
        ctx.sizes = sizes
        x, C, _, *rest = tensors
        needed = ctx.needs_input_grad[3] or ctx.needs_input_grad[6]  # of C and W, which are added up together
        ctx.save_for_backward(x if needed else x.new_empty(*x.shape[:2], 0), C, *rest, states, *kept)
        return states, every

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor) -> tuple:
        """Go back through the sequence."""
        sizes, wanted = ctx.sizes, ctx.needs_input_grad[2:]
        x, C, hidden, W, gain, bias, written, age_weight, states, sustained, *kept = ctx.saved_tensors
        (batch, steps, units), inputs, before = states.shape, C.shape[1], written.shape[1]
        dtype, ages, lanes = states.dtype, age_weight.shape[1], lane_count(states.element_size())
        width = -(-(units + inputs) // lanes) * lanes
        together = -(-width // (lanes * steps))  # groups with one sum, so that sums take no more than states
        bundles = -(-batch // (lanes * together))
        parts = thread_count(bundles)

        d_vectors = states.new_zeros(bundles, 3, units)
        d_weights = states.new_zeros(bundles if wanted[1] or wanted[4] else 0, units, width)
        d_x = states.new_empty((batch, steps, inputs) if wanted[0] else (0, 0, 0))
        d_hidden, d_written = like(hidden), like(written)
        d_age_weight = room_for_table(age_weight, batch if wanted[8] else 0)
        share_out(
            backward_lanes,
            bundles,
            sizes,
            *arrays((_slow(W, C), gain, bias, _neutral(units, dtype))),
            LaneRun(*arrays((x, hidden, states, sustained))),
            LaneStored(*arrays((written, age_weight))),
            LaneKept(*arrays(kept)),
            new_lane_room(rows_of_run(sizes, inputs, before, ages), dtype, lanes, parts),
            new_lane_room(rows_of_adjoint(sizes, inputs, before, ages), dtype, lanes, parts),
            new_lane_pairs(units, width, dtype, lanes, parts),
            *arrays((d_states, d_inner)),
            LaneGradients(*arrays((d_vectors, d_weights, d_x, d_hidden, d_written, d_age_weight))),
            together,
        )
        d_gain, d_bias, d_b = d_vectors.sum(0)
        slow = d_weights.sum(0)
        return (
            None,
            None,
            d_x if wanted[0] else None,
            slow[:, units : units + inputs] if wanted[1] else None,
            d_b,
            d_hidden,
            slow[:, :units] if wanted[4] else None,
            d_gain if sizes.normalise else None,
            d_bias if sizes.normalise else None,
            d_written,
            of_table(d_age_weight, age_weight) if wanted[8] else None,
        )


def _slow(W: Tensor, C: Tensor) -> Tensor:
    """The weights that do not change in a run, side by side."""
    return torch.cat([W.detach(), C.detach()], dim=1)


@lru_cache(maxsize=16)
def _neutral(units: int, dtype: torch.dtype) -> Tensor:
    """Rows of ones and of zeros: gain and bias where nothing is normalised. Not to be written to."""
    with torch.inference_mode(False):
        return torch.tensor([[1.0], [0.0]], dtype=dtype, device="cpu").repeat(1, units)
