"""A driven oscillator and driven parts of the Lorenz system, whose exponents are in print:

- Sprott 2003, *Chaos and Time-Series Analysis*, appendix A.4.6: x'' + x'/4 − x + x³ = 0.4 sin t has the largest
  exponent 0.1572, as public code that was checked against the book quotes it;
- Pecora & Carroll 1990, Phys. Rev. Lett. 64:821, table I: parts of the Lorenz system with σ = 10, β = 8/3, ρ = 60. The
  rows of x and y are as a public text quotes them, from Carroll & Pecora 1991. The row of z was not seen in a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import fwsim as fw

STEP = 0.005  # of the Lorenz system
TURN = 100  # steps of a period of the oscillator


@dataclass(frozen=True)
class Printed:
    """Exponents of a driven system in print, and the sum that its divergence gives."""

    exponents: tuple[float, ...]
    total: float


PRINTED = {
    "Duffing's oscillator": Printed((0.1572,), -0.25),
    "Lorenz, driven by x": Printed((-1.81, -1.86), -1 - 8 / 3),
    "Lorenz, driven by y": Printed((-2.67, -9.99), -10 - 8 / 3),
    "Lorenz, driven by z": Printed((0.0108, -11.01), -10 - 1),
}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def runge_kutta(flow: Callable, dt: float) -> Callable:
    """One step of dx/dt = flow(x, time)."""

    def step(x, t=0.0):
        k1 = flow(x, t)
        k2 = flow(x + dt / 2 * k1, t + dt / 2)
        k3 = flow(x + dt / 2 * k2, t + dt / 2)
        k4 = flow(x + dt * k3, t + dt)
        return x + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return step


def duffing(x: Tensor, t: Tensor) -> Tensor:
    return torch.stack([x[:, 1], -0.25 * x[:, 1] + x[:, 0] - x[:, 0] ** 3 + 0.4 * torch.sin(t[:, 0])], 1)


def coupled_lorenz(driving: int, rho: float = 60.0) -> Callable:
    """A Lorenz system, and a copy in which the variable number `driving` is that of the first."""

    def lorenz(x, y, z):
        return [10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z]

    def flow(x, t):
        first, second = list(x[:, :3].unbind(1)), list(x[:, 3:].unbind(1))
        second.insert(driving, first[driving])
        changes = lorenz(*second)
        return torch.stack([*lorenz(*first), *(changes[k] for k in range(3) if k != driving)], 1)

    return flow


def exponents(name: str, trials: int, steps: int, transient: int) -> np.ndarray:
    """Exponents of the response alone, `[trial, mode]`."""
    if name.startswith("Duffing"):
        dt = 2 * math.pi / TURN
        time = torch.arange(transient + steps, dtype=torch.float64)[None, :, None] * dt
        found = fw.measure.lyapunov_exponents(
            runge_kutta(duffing, dt), normal(trials, 2), steps, dt, transient=transient, drive=time
        )
        return found.exponent.values
    driving = "xyz".index(name[-1])
    # Driven by y, a change of z alone stays one: tangent vectors in this order need no time to align.
    response = [4, 3] if driving == 1 else [3, 4]
    start = 10 * normal(trials, 5, seed=1) + 20
    step = runge_kutta(coupled_lorenz(driving), STEP)
    found = fw.measure.lyapunov_exponents(step, start, steps, STEP, transient=transient, response=response)
    return found.exponent.values
