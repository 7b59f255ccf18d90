"""The GPU kernels as one `torch.autograd.Function`, for all forms of the memory.

All of them are told the same things by name, and each takes what it needs:

drive, hidden
    C x + b, `[batch, time, unit]`; the state before the first step, `[batch, unit]`.
weights
    Wᵀ `[pre, post]` on the way forward, W `[post, pre]` back.
written, matrix
    The memory before the first step, `[batch, past, unit]` and `[batch, timescale, post, pre]`.
age_weight, write_weight, decayed
    The tables of `Memory`.
past, past_columns
    Written states and those of the run, `[batch, past, unit]`; those of them that there are before a kernel starts,
    `[batch, unit, past]`.
inner, sustained, normal, scale
    Inner states; z, (field − mean)/σ and 1/σ of all steps and iterations, saved for the backward pass.
checkpoints
    Matrices at the start of every span but the first, `[batch, span, timescale, post, pre]`.
final
    Matrices before the first step, and after the last one, `[batch, timescale, pre, post]`.
board
    Where a program shows a vector to all its threads, `[batch, unit]`.
d_…
    Gradients for each batch element; `d_matrix` of the matrices after the last step and then of those before the first,
    `d_parameters` of gain and bias, `[batch, 2, unit]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fwsim.engine.kernels import (
    triton_held_backward,
    triton_held_forward,
    triton_streamed_backward,
    triton_streamed_forward,
)
from fwsim.engine.kernels.gradients import of_table, of_weights, zeros_for_table
from fwsim.engine.kernels.triton_sizes import (
    HELD,
    Sizes,
    fits,
    held_backward,
    held_forward,
    power_of_two,
    tile,
    warps,
)
from fwsim.engine.transforms import once_differentiable


def run_forward(sizes: Sizes, inner: bool, differentiable: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Run a sequence; inputs as in `Sequence`.

    Returns
    -------
    tuple
        States, inner states and the matrix after the last step, the last two empty where there are none; then what
        is saved for the backward pass: past, sustained, normal, scale and checkpoints.
    """
    drive, hidden, W, gain, bias, written, matrix, *tables = (
        tensor.detach().contiguous() for tensor in tensors
    )
    batch, steps, units = drive.shape
    kept, held = batch if differentiable else 0, fits(sizes)
    past = torch.cat([written, torch.empty_like(drive)], 1) if sizes.before else torch.empty_like(drive)
    every = drive.new_empty((batch, steps, sizes.inner_steps + 1, units) if inner else (0, 0, 0, 0))
    backwards = {
        "past": past,
        "sustained": gain.new_empty(kept, steps, units),
        "normal": gain.new_empty(kept, steps, sizes.inner_steps, units),
        "scale": gain.new_empty(kept, steps, sizes.inner_steps),
        "checkpoints": gain.new_empty(kept, sizes.checkpoints, sizes.scales, units, units),
    }
    final = _matrices(sizes, batch, matrix.mT, gain)
    _launch(
        triton_held_forward.forward if held else triton_streamed_forward.forward,
        sizes,
        held_forward(sizes) if held else HELD,
        drive=drive,
        hidden=hidden,
        weights=W.T.contiguous(),
        gain=gain,
        bias=bias,
        matrix=matrix,
        **_named_tables(tables),
        past_columns=written.mT.contiguous(),
        inner=every,
        **backwards,
        final=final,
        board=gain.new_empty(batch, units),
        INNER=inner,
        KEPT=differentiable,
        ROWS=power_of_two(sizes.chunk),
    )
    states = past[:, sizes.before :].contiguous()
    return states, every, final.mT if sizes.merged else final[:0], *backwards.values()


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
        """Backward pass of the sequence."""
        sizes, wanted = ctx.sizes, ctx.needs_input_grad[2:]
        hidden, W, gain, bias, matrix, *rest = (tensor.contiguous() for tensor in ctx.saved_tensors)
        tables, (states, past, sustained, normal, scale, checkpoints) = rest[:3], rest[3:]
        batch, rates, held = states.shape[0], any(wanted[7:]), fits(sizes)
        weights_held = held_backward(sizes, weights=True) <= HELD
        d_drive, d_hidden = gain.new_empty(states.shape), gain.new_empty(hidden.shape)
        d_past = gain.new_zeros(past.shape)
        d_matrix = _matrices(sizes, batch, d_final, gain)
        d_parameters = gain.new_empty(batch, 2, sizes.units)
        d_tables = [zeros_for_table(table, batch if rates else 0) for table in tables]
        _launch(
            triton_held_backward.backward if held else triton_streamed_backward.backward,
            sizes,
            held_backward(sizes, weights_held) if held else HELD,
            weights=W,
            gain=gain,
            bias=bias,
            matrix=matrix,
            **_named_tables(tables),
            past=past,
            past_columns=past.mT.contiguous() if held else past,
            sustained=sustained,
            normal=normal,
            scale=scale,
            checkpoints=checkpoints,
            board=gain.new_empty(batch, sizes.units),
            d_states=d_states.contiguous(),
            d_inner=d_inner.contiguous(),
            d_drive=d_drive,
            d_hidden=d_hidden,
            d_past=d_past,
            d_matrix=d_matrix,
            d_parameters=d_parameters,
            **{f"d_{name}": table for name, table in _named_tables(d_tables).items()},
            INNER=d_inner.numel() > 0,
            RATES=rates,
            W_HELD=weights_held,
            ROWS=power_of_two(sizes.span),
        )
        d_gain, d_bias = d_parameters.sum(0) if sizes.normalise else (None, None)
        d_weights = of_weights(d_drive, states.to(gain.dtype), hidden.to(gain.dtype)) if wanted[2] else None
        d_rates = [of_table(gradient, table) if rates else None for gradient, table in zip(d_tables, tables)]
        d_before = (d_past[:, : sizes.before], d_matrix if matrix.numel() else None)
        return None, None, d_drive, d_hidden, d_weights, d_gain, d_bias, *d_before, *d_rates


def _launch(kernel: Any, sizes: Sizes, numbers: int, **given: Any) -> None:
    """Run a kernel, one program a batch element, for programs that hold so many numbers."""
    arguments: Mapping[str, Any] = given | {
        "steps": given["sustained"].shape[1],
        "writes": sizes.writes,
        "before": sizes.before,
        "merged": sizes.merged,
        "chunk": sizes.chunk,
        "span": sizes.span,
        "UNITS": sizes.units,
        "WIDTH": sizes.width,
        "TILE": tile(sizes),
        "INNER_STEPS": sizes.inner_steps,
        "ACTIVATION": sizes.activation,
        "NORMALISATION": sizes.normalise,
        "SELF": sizes.self_connections,
        "SCALES": sizes.scales,
        "SCALES_WIDTH": power_of_two(sizes.scales),
        "TABLES": given["age_weight"].shape[0] > 1,
        "GIVEN": given["matrix"].numel() > 0,
        "MERGES": sizes.merged > 0,
    }
    taken = {name: arguments[name] for name in kernel.arg_names}
    batch = given["board"].shape[0]
    with torch.cuda.device_of(given["board"]):
        kernel[(batch,)](**taken, num_warps=warps(numbers), num_stages=1)  # no load may overtake a store


def _matrices(sizes: Sizes, batch: int, start: Tensor, like: Tensor) -> Tensor:
    """Matrices that a kernel goes on with, from `start` or from zero."""
    if start.numel():
        return start.contiguous().clone()
    return like.new_zeros(batch if sizes.scales else 0, sizes.scales, sizes.units, sizes.units)


def _named_tables(tables: list[Tensor]) -> dict[str, Tensor]:
    return dict(zip(("age_weight", "write_weight", "decayed"), tables))
