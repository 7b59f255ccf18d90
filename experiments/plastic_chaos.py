"""What does Hebbian plasticity do to the chaos of a random network, and does mean field predict it?

Tanh units with random weights J are chaotic. Each synapse adds to J a part A that follows the product of its two rates
and decays: τ_A dA/dt = −A + (k/N) φ φᵀ (Clark & Abbott 2024, Phys. Rev. X; arXiv 2302.08985). Three questions:

- *activity*: the autocorrelation of the rates with plasticity k, after the transient;
- *freezing*: plasticity is halted, that is A is held. Does activity stop, and near the state that it had?
- *patterns*: with weak J, activity starts at a random pattern of signs with A stored for it. From which k on does the
  pattern persist?

Expect slower chaos with Hebbian and faster chaos with anti-Hebbian plasticity, and freezing only with strong Hebbian
plasticity. The membrane time constant is 1 s, so that all times are in units of it.

    fwsim run plastic_chaos --plasticity 0 --plasticity 1 --plasticity 1.5 --units 1000
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds

QUICK = {"units": 200, "networks": 2, "watched": 40.0, "plasticity": (0.0, 1.0), "stored": (1.5, 2.4)}
CPU_ONLY = True


class Config(Base):
    """A random network, its plasticity, and how long it is watched."""

    units: int = Field(default=2000, ge=2)
    "Units N."
    networks: int = Field(default=4, ge=2)
    "Independent networks, each with its own weights and start."
    coupling: float = Field(default=2.0, gt=0, le=5)
    "Coupling g of the chaotic networks: J has variance g²/N."
    plasticity: tuple[float, ...] = Field(default=(-1.0, 0.0, 0.5, 1.0, 1.25, 1.5), min_length=1)
    "Plasticity k of the chaotic networks."
    tau_memory: Seconds = Field(default=2.5, gt=0)
    "Time constant of A."
    transient: Seconds = Field(default=50.0, gt=0)
    "Time before activity is recorded."
    watched: Seconds = Field(default=80.0, gt=0)
    "Time for which activity is recorded."
    halted: Seconds = Field(default=50.0, gt=0)
    "Time that activity has to settle once plasticity is halted."
    weak: float = Field(default=0.15, ge=0, le=5)
    "Coupling g of the networks that keep patterns."
    stored: tuple[float, ...] = Field(default=(1.8, 1.9, 2.0, 2.1, 2.4), min_length=1)
    "Plasticity k of the networks that keep patterns."
    kept: Seconds = Field(default=40.0, gt=0)
    "Time after which a pattern is compared with activity."
    step: Seconds = Field(default=0.2, gt=0, le=0.5)
    "Time step."


def run(config: Config, context: Context) -> xr.Dataset:
    """Watch every network with every plasticity, halt it, and store patterns."""
    recorded = interval(config) * config.step
    for name, samples in {"transient": 1, "watched": 2, "halted": 1, "kept": 1}.items():
        if round(getattr(config, name) / config.step) < samples * interval(config):
            raise fw.ConfigError(
                f"{name}={getattr(config, name):g} s is too short for rates that are recorded every {recorded:g} s;"
                f" give at least {samples * recorded:g}"
            )
    total = config.networks * (len(config.plasticity) + len(config.stored))
    with context.progress("networks", total) as advance:
        rows, patterns = [], []
        for index in range(config.networks):
            generator = context.generator(f"network {index}")
            random = torch.randn(config.units, config.units, generator=generator) / config.units**0.5
            start = torch.randn(1, config.units, generator=generator)
            row = []
            for k in config.plasticity:
                row.append(chaotic(config, config.coupling * random, start, k))
                advance()
            rows.append(xr.concat(row, "plasticity"))
            patterns.append([])
            for k in config.stored:
                patterns[-1].append(persistent(config, config.weak * random, start, k))
                advance()
    recording = xr.concat(rows, "network").assign_coords(plasticity=list(config.plasticity))
    kept = xr.DataArray(np.array(patterns), {"stored": list(config.stored)}, ("network", "stored", "moment"))
    recording["pattern_overlap"] = labelled(kept.isel(moment=0), "cosine of rates and stored pattern")
    recording["pattern_square"] = labelled(kept.isel(moment=1), "mean square rate at the end")
    return recording


def network(config: Config, weights: torch.Tensor, k: float) -> fw.RateNetwork:
    """Random weights and plasticity `k`; 0 is none."""
    eta_rate = k / (config.units * config.tau_memory)
    memory = fw.Hebbian(tau=config.tau_memory, eta_rate=eta_rate) if k else None
    return fw.RateNetwork(fw.Projection(weights), tau=1.0, gain=fw.tanh, memory=memory, dt=config.step)


def interval(config: Config) -> int:
    """Steps between recorded rates, twice a second or nearly."""
    return max(round(0.5 / config.step), 1)


def watch(
    config: Config, net: fw.RateNetwork, state: fw.State, duration: float
) -> tuple[np.ndarray, fw.State]:
    """Rates `[time, unit]` at intervals, and the state at the end."""
    steps, record = round(duration / config.step), fw.Record("rate", every=interval(config))
    found = fw.simulate(net, None, steps=steps, state=state, record=record)
    return found["rate"].values[0], fw.load_state(found)


def chaotic(config: Config, weights: torch.Tensor, start: torch.Tensor, k: float) -> xr.Dataset:
    """Rates after the transient, and what is left of them when plasticity is halted."""
    net = network(config, weights, k)
    empty = torch.zeros(1, 1, config.units, config.units) if k else None
    _, state = watch(config, net, fw.State(start, memory=empty), config.transient)
    rate, state = watch(config, net, state, config.watched)
    held = weights + (state.memory[0, 0] if k else 0.0)
    after, state = watch(config, network(config, held, 0.0), fw.State(state.hidden), config.halted)
    h = state.hidden[0]
    speed = (-h + held @ torch.tanh(h)).square().mean().sqrt()
    return xr.Dataset(
        {
            "rate": labelled(xr.DataArray(rate, dims=("time", "unit")), "rate", "1"),
            "halted_rate": labelled(
                xr.DataArray(after[-1], dims="unit"), "rate once plasticity is halted", "1"
            ),
            "halted_speed": labelled(
                xr.DataArray(float(speed)), "root mean square of dh/dt at the end", "1/s"
            ),
        },
        coords={"time": interval(config) * config.step * (1 + np.arange(len(rate)))},
    )


def persistent(config: Config, weights: torch.Tensor, start: torch.Tensor, k: float) -> tuple[float, float]:
    """Cosine between a stored pattern and the rates that are left of it, and their mean square."""
    pattern = start.sign()
    memory = (k / config.units * pattern.T @ pattern)[None, None]
    rate, _ = watch(config, network(config, weights, k), fw.State(2 * pattern, memory=memory), config.kept)
    cosine = torch.nn.functional.cosine_similarity(torch.as_tensor(rate[-1:]), pattern)
    return float(cosine), float((rate[-1] ** 2).mean())
