"""A sequence with a schedule of storing and clearing on the CPU, and its gradient in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.kernels.numba_matrices import outer_products, product
from fwsim.engine.kernels.numba_schedule import Kept, settle, unsettle
from fwsim.engine.transforms import once_differentiable


@dataclass(frozen=True, eq=False)
class Step:
    """What happens in one step.

    Parameters
    ----------
    weights
        Number of its set of slow weights.
    continues
        The state before was not cleared.
    stored
        Steps whose states are read, `[past]`.
    kappa
        Their weights, one a step at least.
    """

    weights: int
    continues: bool
    stored: np.ndarray
    kappa: np.ndarray


class ScheduledRun(torch.autograd.Function):
    """`(steps, inner_steps, drive, W, gain, bias)` → hidden states `[time, batch, unit]`.

    `drive [time, batch, unit]` is C x + b; `W [set, unit, unit]`, `gain` and `bias [set, unit]` are those of each set
    of slow weights. With a_τ = κ_τ h(τ)·h_s, what is read is A h_s = Σ_τ a_τ h(τ), so that for a gradient d of A h_s

        da_τ = κ_τ h(τ)·d,   dh_s = Σ_τ da_τ h(τ),   dh(τ) += a_τ d + da_τ h_s

    The kernel does all of a step but its product with W.
    """

    @staticmethod
    def forward(
        ctx: Any,
        steps: Sequence[Step],
        inner_steps: int,
        drive: Tensor,
        W: Tensor,
        gain: Tensor,
        bias: Tensor,
    ) -> Tensor:
        """Run all steps."""
        sizes, most = drive.shape, max(len(step.stored) for step in steps)
        states = drive.new_empty(inner_steps + 1, *sizes)
        normal = drive.new_empty(inner_steps, *sizes)
        scale = drive.new_empty(inner_steps, *sizes[:2])
        attention = drive.new_empty(inner_steps, *sizes[:2], most)
        kept = Kept(*(each.numpy() for each in (states, normal, scale, attention)))
        gains, biases, transposed = gain.numpy(), bias.numpy(), W.mT.contiguous().unbind()
        zeros = W.new_zeros(W.shape[1])
        hidden = states[inner_steps]
        drives, each = drive.unbind(), hidden.unbind()
        for time, step in enumerate(steps):
            z = drives[time]
            if step.continues:
                z = z + product(each[time - 1], transposed[step.weights], zeros)
            norm = gains[step.weights], biases[step.weights]
            settle(z.numpy(), kept, time, step.stored, step.kappa, *norm)
        ctx.steps = steps
        ctx.save_for_backward(states, normal, scale, attention, W, gain)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Go back through all steps; the gradient of W is one product for each set of weights."""
        states, normal, scale, attention, W, gain = ctx.saved_tensors
        d_hidden = gradient[0].clone(memory_format=torch.contiguous_format)
        d_drive = torch.empty_like(d_hidden)
        d_gain, d_bias = torch.zeros_like(gain), torch.zeros_like(gain)
        room = [d_hidden.new_empty(d_hidden.shape[2]).numpy() for _ in range(2)]
        kept = Kept(*(each.numpy() for each in (states, normal, scale, attention)))
        dh, dz, dg, db, gains = (each.numpy() for each in (d_hidden, d_drive, d_gain, d_bias, gain))
        weights, zeros = W.contiguous().unbind(), W.new_zeros(W.shape[1])
        for time in reversed(range(len(ctx.steps))):
            step = ctx.steps[time]
            k = step.weights
            unsettle(dz[time], dh, dg[k], db[k], *room, kept, time, step.stored, step.kappa, gains[k])
            if step.continues:
                d_hidden[time - 1] += product(d_drive[time], weights[k], zeros)
        return None, None, d_drive, _of_weights(ctx.steps, d_drive, states[-1], W), d_gain, d_bias


def _of_weights(steps: Sequence[Step], d_drive: Tensor, hidden: Tensor, W: Tensor) -> Tensor:
    """Gradient of W: what each step's drive gets, times the state before it."""
    gradient = torch.zeros_like(W)
    for number in range(len(W)):
        times = [time for time, step in enumerate(steps) if step.continues and step.weights == number]
        if times:
            after, before = d_drive[times].flatten(0, 1), hidden[[time - 1 for time in times]].flatten(0, 1)
            gradient[number] = outer_products(after, before, after[:0], before[:0])
    return gradient
