"""Runs of a rate network by the native engine through which gradients flow, as one `torch.autograd.Function`.

The run is cut into segments, whose first states are saved. The backward pass runs each segment again first, and saves
what it needs of its steps: that of √T steps stays in the cache, that of all T would not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.native.library import library, thread_count
from fwsim.engine.rate.compiled import CompiledRun, prepare, stacked, unstacked, workspace
from fwsim.engine.rate.model import constants, decays, weights
from fwsim.engine.rate.step import Moment, Stepper
from fwsim.engine.transforms import once_differentiable


def run(stepper: Stepper, now: Moment, drive: Tensor, kicks: Tensor | None) -> tuple[Tensor, Moment]:
    """Run as many steps as `drive [batch, time, unit]` has, with gradients where something requires one.

    Parameters
    ----------
    kicks
        Noise of each step, `[time, batch, unit]`.

    Returns
    -------
    rate
        After each step, `[batch, time, unit]`.
    now
        After the last step.
    """
    state, every = stacked(now), range(drive.shape[1])
    known = [each for each in constants(stepper).values() if isinstance(each, Tensor)]
    decay = decays(stepper.matrix, drive)
    given = (drive, kicks, state, now.memory, decay, *weights(stepper))
    wanted = any(each is not None and each.requires_grad for each in (*given, *known))
    compiled = prepare(stepper, gradients=wanted and torch.is_grad_enabled())
    if not compiled.adjoints:
        after, (rate,) = compiled.advance(now, drive, kicks, [("rate", every)])
        return rate, after
    rate, state, memory = RateFunction.apply(compiled, *given, *compiled.trained.values())
    return rate, Moment(state[:, 0], unstacked(now, state), memory)


class RateFunction(torch.autograd.Function):
    """A run; its outputs are rates, and the state and the memory after the last step."""

    @staticmethod
    def forward(
        ctx: Any, run: CompiledRun, drive: Tensor, kicks: Tensor | None, state: Tensor, memory: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
        """Run all steps."""
        steps, length = drive.shape[1], math.isqrt(drive.shape[1] - 1) + 1
        count = -(-steps // length)
        now = (state.clone(), None if memory is None else memory.clone(memory_format=torch.contiguous_format))
        checkpoints = {"checkpoints": state.new_empty(count, *state.shape)}
        if memory is not None:
            checkpoints["memory_checkpoints"] = memory.new_empty(count, *memory.shape)
        (rate,) = run.run(*now, drive, kicks, [("rate", range(steps))], checkpoints, segment=length)
        ctx.run, ctx.length, ctx.memory = run, length, memory is not None
        ctx.save_for_backward(drive, kicks, *checkpoints.values(), *parameters)
        return rate, *now

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_rates: Tensor, d_state: Tensor, d_memory: Tensor | None) -> tuple:
        """Backward pass of all steps."""
        drive, kicks, checkpoints, *parameters = ctx.saved_tensors
        arrays = {"checkpoints": checkpoints}
        arrays |= {"memory_checkpoints": parameters.pop(0)} if ctx.memory else {}
        wanted = ctx.needs_input_grad[1:]
        found = _backward(ctx.run, drive, kicks, arrays, ctx.length, (d_rates, d_state, d_memory), wanted)
        found[4:] = [
            each if each is None else each.sum_to_size(like.shape)
            for each, like in zip(found[4:], parameters, strict=True)
        ]
        return None, *(each if want else None for each, want in zip(found, wanted, strict=True))


def _backward(
    run: CompiledRun, drive: Tensor, kicks: Tensor | None, checkpoints: dict[str, Tensor], segment: int,
    above: tuple[Tensor, Tensor, Tensor | None], wanted: Sequence[bool],
) -> list[Tensor | None]:  # fmt: skip
    """Gradients for what a run was given, in the order of `RateFunction`; those for parameters not yet summed up."""
    (batch, steps, units), sizes, model = drive.shape, run.sizes(drive), run.model
    padded, length = model.weights.shape[2], sizes["group"] * model.weights.shape[2]
    # so many groups share the sum of their gradients for weights that all sums take no more than the rates
    together = -(-padded // (sizes["group"] * steps))
    bundles = -(-batch // (sizes["group"] * together))
    counts = [batch if own else bundles for _, own in model.source_places]
    trains_weights = any(wanted[5 : 5 + len(counts)])
    transposed_weights = drive.new_zeros(model.weights.shape)
    transposed_weights[:, :, :units] = model.weights[:, :, :units].mT

    def new(*shape: int, when: bool = True) -> Tensor | None:
        return workspace(drive, *shape) if when else None

    d_rates, *ends = (None if each is None else each.contiguous() for each in above)
    d_state, d_memory = (None if each is None else each.clone() for each in ends)
    d_drive, d_kicks = new(batch, steps, units, when=wanted[0]), new(steps, batch, units, when=wanted[1])
    d_weights = drive.new_zeros(sum(counts), units, padded) if trains_weights else None
    d_decays = drive.new_zeros(batch, 3, sizes["timescales"])
    d_constants = drive.new_empty(batch, len(run.trained), units)
    threads, matrices = thread_count(bundles), length * units * sizes["timescales"]
    run.call(
        "rates_backward",
        drive,
        kicks,
        {
            "d_rates": d_rates,
            "d_state": d_state,
            "d_memory": d_memory,
            "d_drive": d_drive,
            "d_kicks": d_kicks,
            "d_constants": d_constants,
            "d_weights": d_weights,
            "d_decays": d_decays,
            "transposed_weights": transposed_weights,
            "gradient_places": np.array([(sum(counts[:place]), 1) for place in range(len(counts))], np.int64),
            "saved_space": workspace(drive, threads, segment * sizes["saved_rows"] * length),
            "matrix_steps": workspace(drive, threads, segment * matrices),
            "adjoint_space": workspace(drive, threads, matrices),
            "pair_space": workspace(
                drive, threads, (1 + len(counts)) * 2 * library().fwsim_pair_steps() * length
            ),
            **checkpoints,
        },
        segment=segment,
        together=together,
        threads=threads,
    )
    weights = [None] * len(counts)
    if d_weights is not None:
        weights = [each[:, :, :units].mT for each in d_weights.split(counts)]
    return [d_drive, d_kicks, d_state, d_memory, d_decays, *weights, *d_constants.unbind(1)]
