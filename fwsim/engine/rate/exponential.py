"""Exponential time differencing: what carries a linear equation with a forcing over one step.

For ds/dt = J(s − rest) + G(s) and a step dt, with φ₁, φ₂ of the matrix J dt,

    s₁ = rest + e^{J dt}(s − rest) + dt φ₁ G(s)            first order
    s' = s₁ + dt φ₂ (G(s₁) − G(s))                         second order

It is exact where G is constant, and keeps every fixed point.

Source: Cox & Matthews 2002, J. Comput. Phys. 176:430, eqs. 17 and 22.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fwsim.rules.base import SpikeRule, Values
from fwsim.rules.parameters import batch_shape
from fwsim.rules.propagate import transition

NODES = 24  # of the quadrature over one step; exact to rounding for steps below some 20 time constants
SERIES = 18  # terms for steps below half a time constant


class Weights(NamedTuple):
    """e^{−z}, dt φ₁(−z) and dt φ₂(−z) of scalar decays, z = dt/τ."""

    keep: Tensor
    first: Tensor
    second: Tensor


def decay_weights(tau: Tensor, dt: float) -> Weights:
    """Weights of ds/dt = −s/τ + G for time constants in s (0 and infinity included), shaped as `tau`."""
    z = dt / tau.double()
    small = z < 0.5
    near = torch.where(small, z, 0.5)
    first, second, power = torch.zeros_like(z), torch.zeros_like(z), torch.ones_like(z)
    factorial = 1.0
    for n in range(SERIES):
        factorial *= n + 1
        first, second = first + power / factorial, second + power / (factorial * (n + 2))
        power = -power * near
    far = torch.where(small | z.isinf(), 1.0, z)
    fell = -torch.expm1(-far)
    first = torch.where(small, first, fell / far)
    second = torch.where(small, second, (far - fell) / far**2)
    still = z.isinf()
    first, second = torch.where(still, 0.0, first), torch.where(still, 0.0, second)
    return Weights(*(value.to(tau.dtype) for value in (torch.exp(-z), dt * first, dt * second)))


class Relaxation(NamedTuple):
    """The same for the state of a rule, whose drift is affine.

    `constant` by variable; `keep`, `first`, `second` by (to, from), nonzero entries only.
    """

    constant: Values
    keep: dict[tuple[str, str], Tensor]
    first: dict[tuple[str, str], Tensor]
    second: dict[tuple[str, str], Tensor]

    def predict(self, state: Values, forcing: Values) -> Values:
        """First order, from the state and its forcing G."""
        moved = dict(self.constant)
        for (i, j), weight in self.keep.items():
            moved[i] = torch.addcmul(moved[i], weight, state[j])
        return self._added(moved, self.first, forcing)

    def correct(self, predicted: Values, before: Values, after: Values) -> Values:
        """Second order, from s₁ and the forcing at both ends."""
        change = {name: after[name] - value for name, value in before.items()}
        return self._added(predicted, self.second, change)

    @staticmethod
    def _added(state: Values, weights: dict[tuple[str, str], Tensor], forcing: Values) -> Values:
        state = dict(state)
        for (i, j), weight in weights.items():
            if j in forcing:
                state[i] = torch.addcmul(state[i], weight, forcing[j])
        return state


def relaxation(rule: SpikeRule, dt: float, like: Tensor) -> Relaxation:
    """Weights of a rule for steps of `dt` seconds, of the dtype and on the device of `like`.

    Coupled drifts and instant variables come out of the rule's exact transition, integrated over the step.
    """
    points, widths = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = torch.as_tensor((points + 1) / 2), torch.as_tensor(widths / 2)
    axes = (1,) * len(batch_shape(rule))
    rule = rule.to(device="cpu")
    rest = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in rule.rest().items()}
    keep = _entries(rule, torch.tensor(dt, dtype=torch.float64))
    inside = _entries(rule, (dt * nodes).reshape(-1, *axes))
    first = {key: dt * torch.tensordot(weights, value, 1) for key, value in inside.items()}
    second = {key: dt * torch.tensordot(weights * (1 - nodes), value, 1) for key, value in inside.items()}
    constant = dict(rest)
    for (i, j), weight in keep.items():
        constant[i] = constant[i] - weight * rest[j]
    return Relaxation(
        {name: value.to(like) for name, value in constant.items()},
        *({key: value.to(like) for key, value in part.items()} for part in (keep, first, second)),
    )


def _entries(rule: SpikeRule, interval: Tensor) -> dict[tuple[str, str], Tensor]:
    """Nonzero entries of e^{J t} by (to, from)."""
    exact = transition(rule, interval)
    entries = dict(exact.entries)
    for names, block in exact.blocks:
        entries |= {(i, j): block[..., a, b] for a, i in enumerate(names) for b, j in enumerate(names)}
    return entries
