"""How fast are many points of an untrained fast-weight network?

The paper's network (ReLU, layer normalisation, one inner iteration) with random weights and inputs; points differ in
the decay and the strength of the memory. Recorded is the last hidden state.
"""

from __future__ import annotations

import torch
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Seconds

BATCHABLE = ("tau", "eta")
INPUTS = 8


class Config(Base):
    """One network."""

    tau: Seconds = 20.0
    "Time constant of the memory at 1 s a step."
    eta: float = 0.5
    "Strength of one write."
    units: int = Field(default=100, ge=1)
    "Units N."
    steps: int = Field(default=200, ge=1)
    "Number of steps."


def parts(config: Config) -> tuple[fw.FastWeightNetwork, torch.Tensor]:
    """Weights and input `[time, input]`, the same at all points."""
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(INPUTS, config.units, fw.Hebbian(tau=config.tau, eta=config.eta))
    return net, torch.randn(config.steps, INPUTS)


def run(config, context):
    return run_batch([config], [context])[0]


@torch.no_grad()
def run_batch(configs, contexts):
    like, x = parts(configs[0])
    memory = fw.Hebbian(
        tau=torch.tensor([[each.tau] for each in configs]), eta=torch.tensor([[each.eta] for each in configs])
    )
    net = fw.FastWeightNetwork(INPUTS, configs[0].units, memory)
    net.load_state_dict(
        {name: value for name, value in like.state_dict().items() if "memory" not in name}, strict=False
    )
    hidden, _ = net(x.expand(len(configs), -1, -1))
    last = hidden[:, -1].numpy()
    return [
        xr.Dataset({"hidden": ("unit", each, {"units": "1", "long_name": "hidden state"})}) for each in last
    ]


def point_bytes(config):
    return 4.0 * (config.units**2 + 4 * config.steps * config.units)
