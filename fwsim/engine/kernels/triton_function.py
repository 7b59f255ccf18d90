"""The GPU kernels as one `torch.autograd.Function`, for all forms of the memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fwsim.engine.kernels import triton_held_backward, triton_held_forward
from fwsim.engine.kernels.gradients import of_table, of_weights, room_for_table
from fwsim.engine.kernels.triton_room import (
    HELD,
    Sizes,
    fits,
    held_backward,
    held_forward,
    power_of_two,
    warps,
)


def run_forward(sizes: Sizes, inner: bool, differentiable: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Run a sequence; inputs as in `Sequence`.

    Returns
    -------
    tuple
        States, inner states and the matrix after the last step, the last two empty where there are none; then what
        is kept for the way back: written states, z, the inner loop's fields and their 1/σ, and checkpoints.
    """
    drive, hidden, W, gain, bias, written, matrix, *tables = (tensor.detach().contiguous() for tensor in tensors)
    batch, steps, units = drive.shape
    exact = gain.new_empty
    past = torch.cat([written, torch.empty_like(drive)], 1) if sizes.before else torch.empty_like(drive)
    every = drive.new_empty((batch, steps, sizes.inner_steps + 1, units) if inner else (0, 0, 0, 0))
    final = exact(batch if sizes.folded else 0, sizes.scales, units, units)
    kept = batch if differentiable else 0
    sustained = exact(kept, steps, units)
    normal, scale = exact(kept, steps, sizes.inner_steps, units), exact(kept, steps, sizes.inner_steps)
    checkpoints = exact(kept, sizes.checkpoints, sizes.scales, units, units)
    with torch.cuda.device_of(drive):
        triton_held_forward.forward[(batch,)](
            drive,
            hidden,
            W.T.contiguous(),
            gain,
            bias,
            matrix.mT.contiguous(),
            *tables,
            written.mT.contiguous(),
            past,
            every,
            sustained,
            normal,
            scale,
            checkpoints,
            final,
            steps,
            sizes.writes,
            sizes.before,
            sizes.chunk,
            sizes.span,
            **_conventions(sizes, tables, inner),
            ROWS=power_of_two(sizes.chunk),
            GIVEN=matrix.numel() > 0,
            KEPT=differentiable,
            num_warps=warps(held_forward(sizes)),
        )
    states = past[:, sizes.before :].contiguous()
    return states, every, final.mT, past, sustained, normal, scale, checkpoints


class Sequence(torch.autograd.Function):
    """`run_forward` with gradients.

    Inputs: sizes, whether inner states are wanted, drive, hidden, W, gain, bias, written, matrix and the tables of
    `Memory`; all in the type of the run but gain, bias, matrix and tables, which have the type of the arithmetic.
    Outputs: states, inner states, and the matrix after the last step.
    """

    @staticmethod
    def forward(ctx: Any, sizes: Sizes, inner: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the sequence."""
        states, every, final, *kept = run_forward(sizes, inner, True, *tensors)
        ctx.sizes = sizes
        ctx.save_for_backward(*tensors[1:5], *tensors[6:], states, *kept)
        return states, every, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor, d_inner: Tensor, d_final: Tensor) -> tuple:
        """Go back through the sequence."""
        sizes, wanted = ctx.sizes, ctx.needs_input_grad[2:]
        hidden, W, gain, bias, matrix, *rest = (tensor.contiguous() for tensor in ctx.saved_tensors)
        tables, (states, past, *kept) = rest[:3], rest[3:]
        batch, steps, units = states.shape
        rates = any(wanted[7:])
        d_drive, d_hidden = gain.new_empty(states.shape), gain.new_empty(hidden.shape)
        d_written = gain.new_empty(batch, sizes.before, units)
        d_matrix = torch.empty_like(matrix)
        d_parameters = gain.new_empty(batch, 2, units)
        d_tables = [room_for_table(table, batch if rates else 0) for table in tables]
        weights_held = held_backward(sizes, weights=True) <= HELD
        with torch.cuda.device_of(states):
            triton_held_backward.backward[(batch,)](
                W,
                gain,
                bias,
                matrix,
                *tables,
                past,
                past.mT.contiguous(),
                *kept,
                d_states.contiguous(),
                d_inner.contiguous(),
                d_final.contiguous(),
                d_drive,
                d_hidden,
                d_written,
                d_matrix,
                d_parameters,
                *d_tables,
                steps,
                sizes.writes,
                sizes.before,
                sizes.folded,
                sizes.span,
                **_conventions(sizes, tables, d_inner.numel() > 0),
                ROWS=power_of_two(sizes.span),
                GIVEN=matrix.numel() > 0,
                RATES=rates,
                W_HELD=weights_held,
                num_warps=warps(held_backward(sizes, weights_held)),
            )
        d_gain, d_bias = d_parameters.sum(0) if sizes.normalise else (None, None)
        d_weights = of_weights(d_drive, states.to(d_drive.dtype), hidden.to(d_drive.dtype)) if wanted[2] else None
        d_rates = [of_table(gradient, table) if rates else None for gradient, table in zip(d_tables, tables)]
        gradients = (d_drive, d_hidden, d_weights, d_gain, d_bias, d_written, d_matrix, *d_rates)
        return None, None, *gradients


def _conventions(sizes: Sizes, tables: list[Tensor], inner: bool) -> dict[str, Any]:
    """What both kernels are compiled for."""
    return {
        "UNITS": sizes.units,
        "WIDTH": sizes.width,
        "INNER_STEPS": sizes.inner_steps,
        "ACTIVATION": sizes.activation,
        "NORMALISATION": sizes.normalise,
        "SELF": sizes.self_connections,
        "SCALES": sizes.scales,
        "SCALES_WIDTH": power_of_two(sizes.scales),
        "TABLES": tables[0].shape[0] > 1,
        "FOLDS": sizes.folded > 0,
        "INNER": inner,
    }
