"""Does fast Hebbian plasticity recall patterns beyond the critical load, and does mean field predict it?

A Hopfield network of graded units has more patterns than it can hold. A cue near a pattern is first attracted by it and
then leaves it. Synapses with a fast Hebbian part A, τ_A dA/dt = −A + (k/N) φ φᵀ, may keep activity there (Del Gaudio,
Ghimenti & Ganguli 2025, arXiv 2511.22848). A is 0 when the cue is given. Two questions:

- *loads*: the overlap with the pattern over time, for loads below and above the critical one and for plasticity of both
  signs;
- *time constants*: the same at one load, with one plasticity, for τ_A from short to long.

Expect recall beyond the critical load with Hebbian plasticity, and less recall with anti-Hebbian plasticity. The
membrane time constant is 1 s, so that all times are in units of it.

    fwsim run plastic_recall --load 0.15 --load 0.3 --plasticity 0 --plasticity 1
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.theory.recall import LONGEST

QUICK = {"units": 300, "networks": 2, "load": (0.05, 0.2), "plasticity": (0.0, 1.0), "slow": (2.0,)}
CPU_ONLY = True


class Config(Base):
    """A Hopfield network, its fast plasticity, and a cue."""

    units: int = Field(default=2000, ge=20)
    "Units N."
    networks: int = Field(default=3, ge=2)
    "Independent networks, each with its own patterns and cue."
    gain: float = Field(default=4.0, gt=1, le=20)
    "Gain β of the units, φ = tanh(β h)."
    load: tuple[float, ...] = Field(default=(0.1, 0.15, 0.2, 0.3), min_length=1)
    "Loads α = patterns / units."
    plasticity: tuple[float, ...] = Field(default=(-0.5, 0.0, 0.5), min_length=1)
    "Plasticity k; below 0 it is anti-Hebbian."
    tau_memory: Seconds = Field(default=2.0, gt=0)
    "Time constant of A."
    slow: tuple[Annotated[Seconds, Field(gt=0)], ...] = Field(default=(0.1, 32.0), min_length=1)
    "Time constants of A that are compared."
    slow_load: float = Field(default=0.2, gt=0, le=1)
    "Load at which time constants of A are compared."
    slow_plasticity: float = 0.5
    "Plasticity with which time constants of A are compared."
    cue: float = Field(default=0.6, ge=0, le=1)
    "Overlap of the signs of the first state with the pattern."
    duration: Seconds = Field(default=10.0, gt=0)
    "Time after the cue; at most 400 time steps, as far as mean field goes."
    step: Seconds = Field(default=0.1, gt=0, le=0.5)
    "Time step."
    sample: Seconds = Field(default=0.5, gt=0)
    "Time between recorded overlaps."


def run(config: Config, context: Context) -> xr.Dataset:
    """Give every network its cue at every load, with every plasticity and time constant."""
    check(config)
    total = config.networks * (len(config.load) * len(config.plasticity) + len(config.slow))
    with context.progress("runs", total) as advance:
        loads, slow = [], []
        for index in range(config.networks):
            generator = context.generator(f"network {index}")
            most = round(max(*config.load, config.slow_load) * config.units)
            patterns = torch.randint(0, 2, (most, config.units), generator=generator) * 2.0 - 1
            kept = torch.randperm(config.units, generator=generator) < config.units * (1 + config.cue) / 2
            cue = patterns[:1] * torch.where(kept, 1.0, -1.0)
            rows = []
            for load in config.load:
                rows.append([])
                for k in config.plasticity:
                    rows[-1].append(recalled(config, patterns, cue, load, k, config.tau_memory))
                    advance()
            loads.append(rows)
            slow.append([])
            for tau in config.slow:
                slow[-1].append(
                    recalled(config, patterns, cue, config.slow_load, config.slow_plasticity, tau)
                )
                advance()
    time = every(config) * config.step * np.arange(1, np.shape(slow)[-1] + 1)
    first = xr.DataArray(np.array(loads), dims=("network", "load", "plasticity", "time"))
    second = xr.DataArray(np.array(slow), dims=("network", "tau_memory", "time"))
    recording = xr.Dataset(
        {
            "overlap": labelled(first, "overlap with the pattern"),
            "slow_overlap": labelled(second, "overlap with the pattern"),
        },
        coords={"load": list(config.load), "plasticity": list(config.plasticity), "time": time}
        | {"tau_memory": list(config.slow)},
    )
    for name in ("time", "tau_memory"):
        recording[name].attrs = {"units": "s"}
    return recording


def check(config: Config) -> None:
    """Refuse loads without a second pattern, and a run without two samples or beyond what mean field follows."""
    least = min(*config.load, config.slow_load)
    if round(least * config.units) < 2:
        raise fw.ConfigError(
            f"a load of {least:g} is less than two patterns of {config.units} units; give at least {2 / config.units:g}"
        )
    if round(config.duration / config.step) < 2 * every(config):
        raise fw.ConfigError(
            f"duration={config.duration:g} s is too short for overlaps every {every(config) * config.step:g} s; "
            f"give at least {2 * every(config) * config.step:g}"
        )
    if round(config.duration / config.step) > LONGEST:
        raise fw.ConfigError(
            f"duration={config.duration:g} s has more than {LONGEST} steps of {config.step:g} s; "
            f"give at most {LONGEST * config.step:g}, or longer steps"
        )


def every(config: Config) -> int:
    """Steps between recorded overlaps."""
    return max(round(config.sample / config.step), 1)


def recalled(
    config: Config, patterns: torch.Tensor, cue: torch.Tensor, load: float, k: float, tau: float
) -> np.ndarray:
    """Overlap with the first pattern `[time]`; potentials are multiplied by the gain, so that φ = tanh."""
    units, held = config.units, patterns[: round(load * config.units)]
    weights = (config.gain / units * held.T @ held).fill_diagonal_(0.0)
    memory = fw.Hebbian(tau=tau, eta_rate=config.gain * k / (units * tau)) if k else None
    net = fw.RateNetwork(fw.Projection(weights), tau=1.0, gain=fw.tanh, memory=memory, dt=config.step)
    empty = torch.zeros(1, 1, units, units) if k else None
    steps, record = round(config.duration / config.step), fw.Record("rate", every=every(config))
    state = fw.State(config.gain * cue, memory=empty)
    found = fw.simulate(net, None, steps=steps, state=state, record=record)
    return (found["rate"].values[0] @ patterns[0].numpy()) / units
