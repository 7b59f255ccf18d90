"""How does a leaky sum of noise forget?

A toy to sweep: points that differ in `tau` and `eta` run as one batch.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from fwsim.errors import DivergedError
from fwsim.study import Config as Base
from fwsim.study import Seconds

QUICK = {"steps": 5}
BATCHABLE = ("tau", "eta")


class Config(Base):
    """A leaky sum."""

    tau: Seconds = 1.0
    "Time constant."
    eta: float = 1.0
    "Strength."
    steps: int = 20
    "Number of steps."
    fails_above: float = float("inf")
    "Strengths that fail."
    kills: float = 0.0
    "Strength whose worker dies."
    only_once: Path | None = None
    "File that keeps a worker from dying again."


def run(config, context):
    return run_batch([config], [context])[0]


def wait_for_turn(batches):
    """Wait until fewer batches are kept than the file LEAK_GATE says, if a test says so."""
    gate = os.environ.get("LEAK_GATE")
    while gate and len(list(batches.glob("[!.]*"))) >= int(Path(gate).read_text() or 0):
        time.sleep(0.02)


def run_batch(configs, contexts):
    steps = configs[0].steps
    wait_for_turn(contexts[0].folder.parents[1] / "batches")
    time.sleep(len(configs) * float(os.environ.get("LEAK_PAUSE", "0")))
    for place, config in enumerate(configs):
        if config.eta > config.fails_above:
            raise DivergedError(3, "hidden", place)
        if config.eta == config.kills and not (config.only_once and config.only_once.exists()):
            if config.only_once:
                config.only_once.touch()
            os._exit(9)
    decay = torch.tensor([np.exp(-0.1 / config.tau) for config in configs])
    eta = torch.tensor([config.eta for config in configs], dtype=torch.float64)
    noise = torch.stack(
        [
            torch.randn(steps, generator=context.generator("noise"), dtype=torch.float64)
            for context in contexts
        ]
    )
    total, path = torch.zeros(len(configs), dtype=torch.float64), []
    for step in range(steps):
        total = decay * total + eta * noise[:, step]
        path.append(total)
    values = torch.stack(path, dim=1).numpy()
    times = (np.arange(steps) + 1) * 0.1
    return [
        xr.Dataset(
            {
                "sum": ("time", each, {"units": "1", "long_name": "leaky sum"}),
                "steps_done": ((), steps, {"units": "1", "long_name": "steps"}),
            },
            {"time": ("time", times, {"units": "s", "long_name": "time"})},
            {"fwsim_schema": 2, "place": place},
        )
        for place, each in enumerate(values)
    ]


def point_bytes(config):
    return 16.0 * config.steps
