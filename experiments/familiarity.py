"""Is it a Hebbian or an anti-Hebbian memory that training finds for recognising what was seen before?

Random patterns come one after the other, and about a quarter of them are repeats of a pattern some steps back. At every
step the network says whether it has seen the pattern. It is the HebbFF of Tyulmankov, Yang & Abbott 2022 (Neuron
110:544): a feedforward layer h = f((C + A) x + b) whose weights also change, A ← λ A + η h xᵀ, and a readout. λ, η
and its sign are trained with everything else. Training starts with η of either sign, as large as the other.

Expect a negative η, whatever it started from: a familiar pattern then drives fewer neurons than a new one. Expect
longer intervals to be recognised with more hidden units, since A has more numbers to store in. Different from the
paper: f is a rectifier, where it has a sigmoid; training has a fixed range of intervals, not a curriculum.

    fwsim sweep familiarity --over start=anti-Hebbian,Hebbian --over units=4,8,16 --seeds 5
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context
from fwsim.training import Training, train

QUICK = {"units": 8, "steps": 60, "test_trials": 4, "longest": 16}
EPOCHS = 10  # validations in a training; every trial is drawn anew
SIGNS = {"anti-Hebbian": -1.0, "Hebbian": 1.0}


class Config(Base):
    """One network on continual familiarity."""

    start: Literal["anti-Hebbian", "Hebbian"] = "Hebbian"
    "Sign of η before training."
    strength: float = Field(default=0.5, gt=0)
    "Size of η before training, times the number of inputs: what one write adds to the answer to its own pattern."
    inputs: int = Field(default=25, ge=1)
    "Numbers in a pattern, each −1 or 1."
    units: int = Field(default=16, ge=1)
    "Hidden units N."
    interval: int = Field(default=10, ge=1)
    "Longest interval of repeats in training; each has one between 1 and this."
    length: int = Field(default=60, ge=2)
    "Patterns in a trial of training."
    steps: int = Field(default=1_000, ge=EPOCHS, multiple_of=EPOCHS)
    "Training steps; a multiple of 10."
    batch: int = Field(default=16, ge=1)
    "Trials a training step."
    learning_rate: float = Field(default=0.02, gt=0)
    "Peak of the one-cycle rate of Adam."
    test_trials: int = Field(default=40, ge=1)
    "Trials of the test at each interval."
    longest: int = Field(default=128, ge=1)
    "Longest interval of the test, which takes 1, 2, 4 … up to this."


class Detector(nn.Module):
    """A layer with plastic input weights, and a readout of whether a pattern is familiar."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        eta = SIGNS[config.start] * config.strength / config.inputs
        self.core = fw.FastWeightNetwork(
            config.inputs,
            config.units,
            fw.Hebbian.from_decay(0.95, eta=eta),
            pre="inputs",
            normalise="none",
            identity_scale=0.0,
            learn={"tau": "log", "eta": "signed"},
        )
        for unused in (self.core.W, self.core.gain, self.core.bias):
            unused.requires_grad_(False)
        self.readout = nn.Linear(config.units, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Evidence that each pattern of `x [batch, time, input]` is familiar, `[batch, time]`: positive if it is."""
        return self.readout(self.core(x)[0])[..., 0]


def stream(
    batch: int, length: int, inputs: int, intervals: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw trials in which a pattern repeats an earlier one with probability 1/2 where that is possible.

    Parameters
    ----------
    batch, length, inputs
        Numbers of trials, of patterns in a trial, and in a pattern.
    intervals
        Shortest and longest interval of a repeat, all equally probable.
    generator
        Of random numbers.

    Returns
    -------
    x
        `[batch, time, input]`, −1 or 1.
    familiar
        `[batch, time]`. A pattern is repeated once at most, and repeats are not repeated.
    """
    x = 2.0 * torch.randint(2, (batch, length, inputs), generator=generator) - 1
    back = torch.randint(intervals[0], intervals[1] + 1, (batch, length), generator=generator)
    wanted = torch.rand(batch, length, generator=generator) < 0.5
    spent = torch.zeros(batch, length, dtype=torch.bool)  # repeated, or a repeat
    familiar, trial = torch.zeros(batch, length, dtype=torch.bool), torch.arange(batch)
    for step in range(1, length):
        source = step - back[:, step]
        chosen = wanted[:, step] & (source >= 0)
        chosen &= ~spent[trial, source.clamp(min=0)]
        which, at = trial[chosen], source[chosen]
        x[which, step] = x[which, at]
        familiar[which, step] = spent[which, at] = spent[which, step] = True
    return x, familiar


def run(config: Config, context: Context) -> xr.Dataset:
    """Train and test."""
    with context.random_state("weights"):
        model = Detector(config)
    per_epoch = config.steps // EPOCHS

    def draw(trials: int, name: str) -> tuple[Tensor, Tensor]:
        drawn = stream(trials, config.length, config.inputs, (1, config.interval), context.generator(name))
        return drawn[0].to(context.device), drawn[1].to(context.device)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = draw(per_epoch * config.batch, f"training {epoch}")
        yield from zip(*(each.split(config.batch) for each in drawn), strict=True)

    validation = draw(256, "validation")
    history = train(
        model,
        loss,
        batches,
        per_epoch,
        lambda model: float(loss(model, validation)),
        Training(EPOCHS, config.learning_rate, clip=1.0),
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    return tested(model, config, context).merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross entropy of familiar and new."""
    x, familiar = batch
    return nn.functional.binary_cross_entropy_with_logits(model(x), familiar.float())


@torch.no_grad()
def tested(model: Detector, config: Config, context: Context) -> xr.Dataset:
    """Hits and false alarms at each interval, activity for new and familiar patterns, and the trained memory."""
    intervals = [2**n for n in range(config.longest.bit_length())]
    rows = []
    for interval in intervals:
        x, familiar = stream(
            config.test_trials,
            3 * config.longest,
            config.inputs,
            (interval, interval),
            context.generator(f"test {interval}"),
        )
        hidden, _ = model.core(x.to(context.device))
        said, active = model.readout(hidden)[..., 0].cpu() > 0, hidden.mean(-1).cpu()
        rows.append([each[kind] for each in (said.float(), active) for kind in (familiar, ~familiar)])
    hits, alarms, repeated, new = ([float(row[column].mean()) for row in rows] for column in range(4))
    rule = model.core.memory
    values = {
        "hits": ("interval", 100 * np.array(hits), "%", "familiar patterns recognised"),
        "false_alarms": ("interval", 100 * np.array(alarms), "%", "new patterns called familiar"),
        "familiar_activity": ("interval", np.array(repeated), "1", "mean activity, familiar patterns"),
        "new_activity": ("interval", np.array(new), "1", "mean activity, new patterns"),
        "trained_tau": ((), float(rule.tau), "s", "time constant after training"),
        "trained_eta": ((), float(rule.eta), "1", "strength of one write after training"),
    }
    steps = ("interval", np.array(intervals), {"units": "1", "long_name": "patterns since the first showing"})
    return labelled_dataset(values, coords={"interval": steps})
