"""How fast does a trace decay?

A toy: an exponential with noise, recorded step by step.
"""

from __future__ import annotations

import time
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field

import fwsim as fw
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds

QUICK = {"steps": 4}


class Config(Base):
    """A trace."""

    steps: int = Field(default=20, gt=0)
    "Number of steps."
    tau: Seconds = 0.2
    "Time constant."
    taus: tuple[Seconds, ...] = (0.5, 10.0)
    "Time constants that are only recorded."
    order: Literal[1, 2] = 1
    "Power of the trace."
    offset: bool = False
    "Add one."
    pause: Seconds = 0.0
    "Wait after each step."


def run(config: Config, context: Context) -> xr.Dataset:
    """Record the trace, starting from the checkpoint when resumed."""
    kept = context.checkpoints / "done.txt"
    done = int(kept.read_text()) if context.resume and kept.exists() else 0
    with context.progress("stepping", config.steps) as advance:
        for step in range(done, config.steps):
            time.sleep(config.pause)
            kept.write_text(str(step + 1))
            advance()
    noise = torch.rand(config.steps, generator=context.generator("noise")).double().numpy()
    times = (np.arange(config.steps) + 1) * 0.1
    trace = np.exp(-config.order * times / config.tau) + config.offset
    return xr.Dataset(
        {
            "trace": ("time", trace, {"units": "1", "long_name": "trace"}),
            "noise": ("time", noise, {"units": "1", "long_name": "noise"}),
            "early": ("time", times < 0.5, {"units": "1", "long_name": "early"}),
        },
        {
            "time": ("time", times, {"units": "s", "long_name": "time"}),
            "label": ("time", [f"step {step}" for step in range(config.steps)]),
        },
        {"began_at": done, "unit_of_time": fw.units.ms},
    )
