"""Which phases does a random network with Hebbian plasticity have, and are they where mean field says?

The network is that of `plastic_chaos` (Clark & Abbott 2024, Phys. Rev. X; arXiv 2302.08985): tanh units with random
weights J of variance g²/N, and a plastic part with τ_A dA/dt = −A + (k/N) φ φᵀ. Three questions:

- *plane*: activity that was chaotic at a large g is continued at another g and k. Does it die, stop at a fixed point,
  or go on? If plasticity is then halted, that is A is held, does it stop?
- *time constants*: the same for every τ_A and k, at one g;
- *fixed points*: k is lowered from a large value, at which activity is at a fixed point. Down to which k does it stay?

Expect silence without plasticity below g = 1 and chaos above, chaos that can be frozen with strong plasticity, and many
fixed points with still stronger plasticity. The membrane time constant is 1 s, so that all times are in units of it.

    fwsim run plastic_phases --units 500 --coupling 0.8 --coupling 1.2 --coupling 2
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds

QUICK = {
    "units": 200, "networks": 2, "coupling": (0.7, 2.0), "plasticity": (0.0, 1.0, 1.6), "tau_memory": (0.5, 2.5),
    "watched": 40.0, "lowered": (3.0, 2.0, 1.0),
}  # fmt: skip
CPU_ONLY = True

HISTORY = 5.0  # time constants of the memory after which it is forgotten, e^−5 = 0.007


class Config(Base):
    """Random networks, the strength and the time constant of their plasticity."""

    units: int = Field(default=2000, ge=2)
    "Units N."
    networks: int = Field(default=3, ge=2)
    "Independent networks, each with its own weights and start."
    coupling: tuple[Annotated[float, Field(ge=0.01, le=5)], ...] = Field(
        default=(0.6, 0.75, 0.9, 1.1, 1.4, 1.7, 2.0, 2.5), min_length=1
    )
    "Couplings g: J has variance g²/N."
    plasticity: tuple[float, ...] = Field(default=(0.0, 0.4, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0), min_length=1)
    "Plasticity k."
    plane_tau: Seconds = Field(default=2.5, gt=0)
    "Time constant of A in the plane of g and k."
    tau_memory: tuple[Annotated[Seconds, Field(gt=0)], ...] = Field(
        default=(0.5, 1.0, 2.5, 4.0, 8.0), min_length=1
    )
    "Time constants of A that are compared at one coupling."
    tau_coupling: float = Field(default=2.0, gt=0, le=5)
    "Coupling g at which time constants of A are compared."
    lowered: tuple[float, ...] = Field(
        default=(8.0, 4.0, 3.0, 2.6, 2.3, 2.1, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4), min_length=2
    )
    "Plasticity, as it is lowered at a fixed point."
    lowered_tau: Seconds = Field(default=1.0, gt=0)
    "Time constant of A while plasticity is lowered; fixed points do not depend on it."
    prepared: float = Field(default=2.0, gt=0, le=5)
    "Coupling at which activity begins, so that it does not die at once where g is below 1."
    preparing: Seconds = Field(default=20.0, gt=0)
    "Time for which activity has the coupling with which it begins."
    transient: Seconds = Field(default=40.0, gt=0)
    "Time before activity is recorded."
    watched: Seconds = Field(default=60.0, gt=0)
    "Time for which activity is recorded."
    halted: Seconds = Field(default=40.0, gt=0)
    "Time that activity has to settle once plasticity is halted, and at each plasticity as it is lowered."
    every: Seconds = Field(default=1.0, gt=0)
    "Time between recorded rates."
    step: Seconds = Field(default=0.25, gt=0, le=0.5)
    "Time step."


def run(config: Config, context: Context) -> xr.Dataset:
    """Watch every network at every point of both planes, and at a fixed point as plasticity is lowered."""
    for name in ("watched", "halted"):
        if getattr(config, name) < 2 * config.every:
            raise fw.ConfigError(
                f"{name}={getattr(config, name):g} s is too short for rates that are recorded every"
                f" {config.every:g} s; give at least {2 * config.every:g}"
            )
    planes = {
        "": [("coupling", config.coupling), ("plasticity", config.plasticity)],
        "tau_": [("tau_memory", config.tau_memory), ("plasticity", config.plasticity)],
    }
    found: dict[str, list[xr.Dataset]] = {prefix: [] for prefix in (*planes, "lowered_")}
    with context.progress("parts of networks", config.networks * 3) as advance:
        for index in range(config.networks):
            generator = context.generator(f"network {index}")
            weights = torch.randn(config.units, config.units, generator=generator) / config.units**0.5
            start = torch.randn(config.units, generator=generator)
            for prefix, axes in planes.items():
                found[prefix].append(watched(config, weights, start, axes))
                advance()
            found["lowered_"].append(lowered(config, weights, start))
            advance()
    parts = []
    for prefix, each in found.items():
        joined = xr.concat(each, "network")
        parts.append(joined.rename({name: prefix + name for name in joined.data_vars}))
    return xr.merge(parts)


class Memory:
    """Plastic parts A of some rows, kept as the rates that wrote them: A = k/N Σ_age weight · φ φᵀ.

    One step of length dt is A ← e^{−dt/τ_A} A + k/N (first φφᵀ + second φ⁺φ⁺ᵀ) with the rates φ before and φ⁺ after it,
    exact for rates whose products change linearly in between. Rates older than `HISTORY` time constants are forgotten.
    """

    def __init__(self, rows: int, units: int, tau: float, dt: float) -> None:
        keep = math.exp(-dt / tau)
        self.second = 1 - (1 - keep) * tau / dt
        first = 1 - keep - self.second
        length = math.ceil(HISTORY * tau / dt)
        self.weights = (first + keep * self.second) * keep ** torch.arange(length, dtype=torch.float64)
        self.past = torch.zeros(rows, length, units)
        self.newest = 0  # where in `past` the youngest rates are; the others follow

    def push(self, rate: Tensor) -> None:
        """Make the rates `[row, unit]` the youngest of the past."""
        self.newest = (self.newest - 1) % self.past.shape[1]
        self.past[:, self.newest] = rate

    def answer(self, rate: Tensor, latest: Tensor) -> Tensor:
        """A φ for k = 1 `[row, unit]`, where `latest` are the last rates that A has seen."""
        weights = self.weights.roll(self.newest).to(rate)
        overlap = weights * (self.past @ rate[:, :, None])[:, :, 0]
        own = self.second * (latest * rate).sum(1, keepdim=True) * latest
        return ((overlap[:, None] @ self.past)[:, 0] + own) / rate.shape[1]


class Network:
    """One network under several settings at once, each a row with its own g, k and τ_A.

    A step is exact for the leak and of second order for the field, from its present and its last value.
    """

    def __init__(self, weights: Tensor, hidden: Tensor, settings: Tensor, dt: float) -> None:
        """Take weights for g = 1, h `[row, unit]` and settings `[row, (g, k, τ_A)]`, with equal τ_A side by side."""
        self.weights, self.hidden = weights, hidden
        self.coupling, self.plasticity = settings[:, :1].float(), settings[:, 1:2].float()
        taus, counts = settings[:, 2].unique_consecutive(return_counts=True)
        self.counts = counts.tolist()
        units = hidden.shape[1]
        self.memories = [Memory(rows, units, float(tau), dt) for rows, tau in zip(self.counts, taus)]
        self.keep = math.exp(-dt)
        self.second = 1 - (1 - self.keep) / dt
        self.held: Tensor | None = None
        self.earlier: Tensor | None = None  # field of the step before

    def field(self, rate: Tensor, latest: Tensor) -> Tensor:
        """What units receive, `[row, unit]`."""
        latest = latest if self.held is None else self.held
        parts = zip(self.memories, rate.split(self.counts), latest.split(self.counts))
        answers = torch.cat([memory.answer(*rates) for memory, *rates in parts])
        return self.coupling * (rate @ self.weights.T) + self.plasticity * answers

    def halt(self) -> None:
        """Hold A as it is from now on."""
        self.held = torch.tanh(self.hidden)

    def advance(self, steps: int) -> Tensor:
        """Make some steps and return the rates after them, `[row, unit]`."""
        for _ in range(steps):
            rate = torch.tanh(self.hidden)
            field = self.field(rate, rate)
            change = field - (field if self.earlier is None else self.earlier)
            self.hidden = self.keep * self.hidden + (1 - self.keep) * field + self.second * change
            self.earlier = field
            if self.held is None:
                for memory, each in zip(self.memories, rate.split(self.counts)):
                    memory.push(each)
        return torch.tanh(self.hidden)

    def speed(self) -> Tensor:
        """Root mean square of dh/dt, `[row]`."""
        rate = torch.tanh(self.hidden)
        return (self.field(rate, rate) - self.hidden).square().mean(1).sqrt()


def watched(config: Config, weights: Tensor, start: Tensor, axes: list) -> xr.Dataset:
    """Activity of a network at every point of a plane, and what is left of it once plasticity is halted."""
    (name, first), (other, second) = axes
    rows = [
        (value, k, config.plane_tau) if name == "coupling" else (config.tau_coupling, k, value)
        for value in first
        for k in second
    ]
    net = Network(weights, start.expand(len(rows), -1), torch.tensor(rows, dtype=torch.float64), config.step)
    each = max(round(config.every / config.step), 1)
    final, net.coupling = net.coupling, torch.full_like(net.coupling, config.prepared)
    net.advance(round(config.preparing / config.step))
    net.coupling = final
    net.advance(round(config.transient / config.step))
    rates = torch.stack(
        [net.advance(each) for _ in range(round(config.watched / config.every))]
    )  # [time, row, unit]
    speed, before = net.speed(), rates[-1]
    net.halt()
    after = net.advance(round(config.halted / config.step))
    cosine = torch.nn.functional.cosine_similarity(before, after)
    lags = range(len(rates) // 2)
    correlation = torch.stack([(rates[: len(rates) - lag] * rates[lag:]).mean((0, 2)) for lag in lags], -1)
    values = {
        "autocorrelation": (("lag",), correlation, "autocorrelation of rates", "1"),
        "square": ((), before.square().mean(1), "mean square rate at the halt", "1"),
        "speed": ((), speed, "root mean square of dh/dt at the halt", "1/s"),
        "halted_square": ((), after.square().mean(1), "mean square rate once plasticity is halted", "1"),
        "halted_speed": ((), net.speed(), "root mean square of dh/dt then", "1/s"),
        "overlap": ((), cosine, "cosine of rates at and after the halt", "1"),
    }
    shape = (len(first), len(second))
    return xr.Dataset(
        {
            key: labelled(
                xr.DataArray(value.numpy().reshape(*shape, *value.shape[1:]), dims=(name, other, *dims)),
                said,
                unit,
            )
            for key, (dims, value, said, unit) in values.items()
        },
        coords={name: list(first), other: list(second), "lag": np.arange(len(lags)) * each * config.step},
    )


def lowered(config: Config, weights: Tensor, start: Tensor) -> xr.Dataset:
    """Rates and their speed as plasticity is lowered, for every coupling at once."""
    rows = torch.tensor(
        [(g, config.lowered[0], config.lowered_tau) for g in config.coupling], dtype=torch.float64
    )
    net = Network(weights, 3 * start.sign().expand(len(rows), -1), rows, config.step)
    squares, speeds = [], []
    for k in config.lowered:
        net.plasticity = torch.full_like(net.plasticity, k)
        rate = net.advance(round(config.halted / config.step))
        squares.append(rate.square().mean(1).numpy())
        speeds.append(net.speed().numpy())
    dims, coords = (
        ("lowered", "coupling"),
        {"lowered": list(config.lowered), "coupling": list(config.coupling)},
    )
    return xr.Dataset(
        {
            "square": labelled(xr.DataArray(np.array(squares), coords, dims), "mean square rate"),
            "speed": labelled(
                xr.DataArray(np.array(speeds), coords, dims), "root mean square of dh/dt", "1/s"
            ),
        }
    )
