"""Which state does a ring with depressing synapses take: uniform, a stationary bump, or a rotating one?

Units on a ring prefer directions and excite each other by similarity, through depressing synapses, under a uniform
background input (York & van Rossum 2009, J. Comput. Neurosci. 27:607). An input at one place breaks the symmetry; then
the state is recorded, for every cosine part of the coupling and every background. Expect the uniform state for weak
coupling. For stronger coupling expect, with growing background, a stationary bump, then a rotating one, then the
uniform state. The background determines the speed of rotation.

    fwsim run ring_states --tau-rec 400ms
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
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Hertz, Seconds

QUICK = {
    "couplings": (1.5, 3.0, 6.0),
    "backgrounds": (0.2, 1.0, 5.0, 25.0),
    "units": 32,
    "watching": 2.0,
}
BEFORE = 2.0  # s until the state is watched


class Config(Base):
    """A ring with depressing synapses, its couplings and backgrounds."""

    units: int = Field(default=64, ge=8)
    "Units on the ring."
    U: float = Field(default=0.5, gt=0, le=1)
    "Utilisation of the synapses."
    tau_rec: Seconds = Field(default=0.2, ge=0)
    "Recovery from depression."
    tau: Seconds = Field(default=0.01, gt=0)
    "Membrane time constant."
    inhibition: float = -4.0
    "Mean of the coupling over the ring, of synapses at rest."
    couplings: tuple[float, ...] = Field(
        default=tuple(float(c) for c in np.arange(1.0, 8.01, 0.5)), min_length=1
    )
    "Cosine part of the coupling, of synapses at rest."
    backgrounds: tuple[Annotated[Hertz, Field(gt=0)], ...] = Field(
        default=tuple(float(f"{b:.3g}") for b in np.geomspace(0.1, 200.0, 24)), min_length=1
    )
    "Uniform inputs."
    watching: Seconds = Field(default=4.0, ge=0.1)
    "Length of the last part of a run, from which its state is classified."
    step: Seconds = Field(default=0.001, gt=0)
    "Time step."


def run(config: Config, context: Context) -> xr.Dataset:
    """Rates for every coupling and background, after a kick that breaks the symmetry."""
    grid = [(coupling, background) for coupling in config.couplings for background in config.backgrounds]
    weights = torch.stack([ring(config.units, config.inhibition, coupling) for coupling, _ in grid])
    # Weights of synapses at rest: the first release is U.
    rule = fw.TsodyksMarkram(U=config.U, tau_rec=config.tau_rec, tau_facil=0.0)
    net = fw.RateNetwork(fw.Projection(weights / config.U, synapse=rule), tau=config.tau, dt=config.step)
    background = torch.tensor([background for _, background in grid], dtype=torch.float64)[:, None, None]
    found = fw.simulate(
        net,
        lambda start, stop: background * (1 + kick(config.units, start, stop, config.step)),
        steps=round((BEFORE + config.watching) / config.step),
        record=fw.Record("rate", dtype="float32", start=BEFORE),
        every=max(1, round(0.005 / config.step)),
        device=context.device,
        progress=context.show,
    )
    rate = found["rate"].values.reshape(len(config.couplings), len(config.backgrounds), -1, config.units)
    coords = {
        "coupling": (list(config.couplings), "1", "cosine coupling"),
        "background": (list(config.backgrounds), "Hz", "background input"),
        "time": (found["rate_time"].values, "s", "time"),
    }
    return labelled_dataset(
        {"rate": (("coupling", "background", "time", "unit"), rate, "Hz", "rate")},
        {
            name: (name, values, {"units": units, "long_name": label})
            for name, (values, units, label) in coords.items()
        },
    )


def ring(units: int, mean: float, tuned: float) -> Tensor:
    """Weights (mean + tuned·cos(θ_i − θ_j))/units, `[post, pre]`."""
    theta = directions(units)
    return (mean + tuned * torch.cos(theta[:, None] - theta)) / units


def directions(units: int) -> Tensor:
    """Preferred directions in rad, `[unit]`."""
    return 2 * math.pi * torch.arange(units, dtype=torch.float64) / units


def kick(units: int, start: int, stop: int, dt: float) -> Tensor:
    """Relative input at one place and then a little further, which lets a bump that can move begin to."""
    time, theta = (torch.arange(start, stop) * dt)[:, None], directions(units)
    first = (time < 0.1) * torch.relu(torch.cos(theta - math.pi))
    second = ((time >= 0.1) & (time < 0.15)) * torch.relu(torch.cos(theta - math.pi - 0.5))
    return 0.5 * (first + second)
