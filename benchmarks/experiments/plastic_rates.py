"""How fast are many points of a rate network with plastic synapses?

Random excitatory and inhibitory weights, Tsodyks–Markram synapses everywhere, a constant input; points differ in the
three constants of the synapses. Recorded is the rate of every unit at ten times.
"""

from __future__ import annotations

import torch
from pydantic import Field

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Seconds

BATCHABLE = ("U", "tau_rec", "tau_facil")
INPUT = 5.0


class Config(Base):
    """One network."""

    units: int = Field(default=50, ge=1)
    "Units N."
    U: float = 0.2
    "Utilisation that one spike adds."
    tau_rec: Seconds = 0.2
    "Recovery from depression."
    tau_facil: Seconds = 1.0
    "Decay of facilitation."
    tau: Seconds = 0.01
    "Membrane time constant."
    steps: int = 1000
    "Number of steps of 1 ms."


def weights(units: int) -> torch.Tensor:
    """Same weights at all points, `[post, pre]`."""
    generator = torch.Generator().manual_seed(0)
    return 3.0 * torch.randn(units, units, generator=generator, dtype=torch.float64) / units**0.5


def run(config, context):
    return run_batch([config], [context])[0]


def run_batch(configs, contexts):
    config, device = configs[0], contexts[0].device
    record = fw.Record("rate", every=config.steps // 10)
    recording = fw.simulate(
        network(configs).to(device), drive(configs), steps=config.steps, record=record, progress=False
    )
    recording = recording[["rate"]].drop_vars("trial")
    return [recording.isel(trial=place) for place in range(len(configs))]


def network(configs):
    """All points as one network, a batch element each."""
    config = configs[0]
    constants = {
        name: torch.tensor([[getattr(each, name)] for each in configs], dtype=torch.float64)
        for name in BATCHABLE
    }
    projection = fw.Projection(weights(config.units), synapse=fw.TsodyksMarkram(**constants))
    return fw.RateNetwork([projection], tau=config.tau, gain=fw.softplus(1.5), dt=1e-3)


def drive(configs):
    """The same constant input to all."""
    return lambda start, stop: torch.full((1, 1, 1), INPUT).expand(
        len(configs), stop - start, configs[0].units
    )


def point_bytes(config):
    return 8.0 * 100 * config.units
