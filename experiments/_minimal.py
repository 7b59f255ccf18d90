"""How strong is an item in the memory, a time after it was stored? (Change this question, and everything below.)"""

import numpy as np
import torch
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds


class Config(Base):
    """Each field is an option of the command; the text below it is its help."""

    tau: Seconds = Field(default=10.0, gt=0)
    "Time constant of the memory."
    units: int = Field(default=200, ge=2)
    "Units of the network."
    items: int = Field(default=100, ge=30)
    "Items that are stored."


def run(config: Config, context: Context) -> xr.Dataset:
    """Store random items, one each second, and read all of them from the memory."""
    items = torch.randn(config.items, config.units, generator=context.generator("items")).sign()
    items = items.to(context.device)
    net = fw.FastWeightNetwork(1, config.units, fw.Hebbian(tau=config.tau, eta=1.0), self_connections=False)
    net = net.to(context.device)
    state = net.initial_state(1)
    for item in items:
        state = net.write(state, item[None])
    strength = (items @ state.memory[0, 0] * items).sum(-1) / (config.units * (config.units - 1))
    lag = xr.Variable("lag", np.arange(float(config.items)), {"units": "s", "long_name": "time since stored"})
    values = strength.flip(0).detach().cpu().numpy()
    return xr.Dataset({"strength": ("lag", values, {"units": "1", "long_name": "strength"})}, {"lag": lag})
