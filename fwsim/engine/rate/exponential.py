"""Exponential time differencing: what carries a linear equation with a forcing over one step.

For ds/dt = J(s − rest) + G(s) and a step dt, with φ₁, φ₂ of the matrix J dt,

    s₁ = rest + e^{J dt}(s − rest) + dt φ₁ G(s)            first order
    s' = s₁ + dt φ₂ (G(s₁) − G(s))                         second order

It is exact where G is constant, and keeps every fixed point.

Source: Cox & Matthews 2002, J. Comput. Phys. 176:430, eqs. 17 and 22.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.transforms import stands_for_others
from fwsim.rules.decays import chained
from fwsim.rules.derive.propagate import chains, drift_parts
from fwsim.rules.parameters import NEGLIGIBLE, batch_shape, leaves
from fwsim.rules.rule import SpikeRule, Values

NODES, PANELS = 12, 25  # of the quadrature for variables that drive each other, whatever their time constants


class Weights(NamedTuple):
    """e^{−z}, dt φ₁(−z) and dt φ₂(−z) of scalar decays, z = dt/τ."""

    keep: Tensor
    first: Tensor
    second: Tensor


def decay_weights(tau: Tensor, dt: float) -> Weights:
    """Weights of ds/dt = −s/τ + G for time constants in s (0 and infinity included), shaped as `tau`."""
    plain = tau.numel() == 1 and not tau.requires_grad and tau.device.type == "cpu"
    if plain and not stands_for_others(tau):
        parts = _number_weights(float(tau), dt)
    else:
        parts = _decay_weights(tau.double(), dt)
    return Weights(*(part.to(tau.dtype).expand(tau.shape) for part in parts))


def _decay_weights(tau: Tensor, dt: float) -> Weights:
    rate, still = 1 / tau.clamp(min=NEGLIGIBLE), tau == 0
    step, zero = rate.new_tensor(dt), torch.zeros_like(rate)
    keep, first = chained([rate], step), chained([rate, zero], step)
    second = chained([rate, zero, zero], step) / dt
    return Weights(*(torch.where(still, 0.0, part) for part in (keep, first, second)))


@lru_cache(maxsize=64)
def _number_weights(tau: float, dt: float) -> Weights:
    """Weights of one number, which take as long as a short run. Not to be written to."""
    with torch.inference_mode(False), torch.no_grad():
        return _decay_weights(torch.tensor(tau, dtype=torch.float64), dt)


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
    """Weights of a rule for steps of `dt` seconds, of the dtype and on the device of `like`."""
    tensors = any(isinstance(value, Tensor) for _, value, _ in leaves(rule))
    found = _relaxation(rule.to(device="cpu"), dt) if tensors else _number_relaxation(rule, dt)
    return Relaxation(*({key: value.to(like) for key, value in part.items()} for part in found))  # type: ignore


def _relaxation(rule: SpikeRule, dt: float) -> Relaxation:
    rest = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in rule.rest().items()}
    step = torch.tensor(dt, dtype=torch.float64)
    routes, slopes, loops = drift_parts(rule)
    keep, first, second = (chains(routes, slopes, step, held=held) for held in range(3))
    second = {key: weight / dt for key, weight in second.items()}
    for names, exact in loops:
        for weights, part in zip((keep, first, second), _quadrature(exact, dt, len(batch_shape(rule)))):
            weights |= {(i, j): part[..., a, b] for a, i in enumerate(names) for b, j in enumerate(names)}
    constant = dict(rest)
    for (i, j), weight in keep.items():
        constant[i] = constant[i] - weight * rest[j]
    return Relaxation(constant, keep, first, second)


@lru_cache(maxsize=64)
def _number_relaxation(rule: SpikeRule, dt: float) -> Relaxation:
    """Weights of a rule whose parameters are numbers, which take as long as a short run. Not to be written to."""
    with torch.inference_mode(False), torch.no_grad():
        return _relaxation(rule, dt)


def _quadrature(exact: Callable[[Tensor], Tensor], dt: float, axes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of coupled variables, `[..., to, from]`, from e^{J t} at panels that narrow towards the start."""
    points, widths = np.polynomial.legendre.leggauss(NODES)
    edges = np.concatenate([[0.0], 0.5 ** np.arange(PANELS - 1, -1, -1)])
    spans = np.diff(edges)[:, None]
    nodes = torch.as_tensor((edges[:-1, None] + spans * (points + 1) / 2).ravel())
    weights = torch.as_tensor((spans * widths / 2).ravel())
    inside = exact((dt * nodes).reshape(-1, *(1,) * axes))
    first, second = (dt * torch.tensordot(each, inside, 1) for each in (weights, weights * (1 - nodes)))
    return exact(torch.tensor(dt, dtype=torch.float64)), first, second
