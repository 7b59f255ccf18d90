"""From how deep can a network with fast weights return to an outer bracket?

`a b c ) ) d ) )` → c, b, d, a: an opening bracket has a symbol, a closing one has none, and at every closing bracket
the network names the symbol of the bracket that it closes. It has to remember the outer symbols while it works on the
inner ones, and to recall them in reverse order. Expect fast weights to return from any depth that their time constant
outlasts, and the same network without memory only from the few levels that its hidden state holds.

    fwsim sweep nested_brackets --over tau=1,2,5,20,100 --seeds 2
    fwsim sweep nested_brackets --over model=no_memory,lstm --seeds 2
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.models import SequenceClassifier, core, parameter_count
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.tasks import BracketSequences, NestedBrackets
from fwsim.training import Training, train

QUICK = {
    "pairs": 3,
    "depth": 3,
    "symbols": 4,
    "units": 32,
    "steps": 600,
    "learning_rate": 1e-2,
    "test_sequences": 500,
}
EPOCHS = 10  # validations in a training; every sequence is drawn anew


class Config(Base):
    """One network on nested brackets."""

    model: Literal["fast_weights", "no_memory", "lstm"] = "fast_weights"
    "Fast weights, or a control of the same size."
    units: int = Field(default=50, ge=1)
    "Recurrent units."
    tau: Seconds = Field(default=-1 / math.log(0.95), gt=0)
    "Time constant of the memory at 1 s a step."
    eta: float = Field(default=0.5, gt=0)
    "Strength of one write."
    inner_steps: int = Field(default=1, ge=1)
    "Iterations of the inner loop S."
    pairs: int = Field(default=12, ge=1)
    "Brackets in a sequence."
    depth: int = Field(default=12, ge=1)
    "Most brackets open at the same time."
    symbols: int = Field(default=8, ge=2)
    "Symbols."
    opening: float = Field(default=0.8, ge=0, le=1)
    "Probability to open a bracket where closing one is possible too."
    embedding: int = Field(default=50, ge=1)
    "Units of the embedding, and of the ReLU layer before the answer."
    steps: int = Field(default=2_000, ge=EPOCHS, multiple_of=EPOCHS)
    "Training steps; a multiple of 10."
    batch: int = Field(default=128, ge=1)
    "Sequences a training step."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of Adam."
    test_sequences: int = Field(default=10_000, ge=1)
    "Sequences that the error is measured on."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train and test."""
    task = NestedBrackets(config.pairs, config.depth, config.symbols, config.opening)
    memory = fw.Hebbian(tau=config.tau, eta=config.eta)
    with context.random_state("weights"):
        recurrent = core(config.model, config.embedding, config.units, memory, config.inner_steps)
        model = SequenceClassifier(recurrent, task.tokens, task.classes, config.embedding)
    validation = task.sample(1_000, context.generator("validation"))
    per_epoch = config.steps // EPOCHS

    def batches(epoch: int) -> Iterator[BracketSequences]:
        drawn = task.sample(per_epoch * config.batch, context.generator(f"training {epoch}"))
        for parts in zip(*(values.split(config.batch) for values in drawn), strict=True):
            yield BracketSequences(*parts)

    history = train(
        model,
        lambda model, batch: loss(model, batch, context),
        batches,
        per_epoch,
        lambda model: float(wrong(model, validation, context).double().mean()),
        Training(EPOCHS, config.learning_rate, clip=1.0),
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    test = task.sample(config.test_sequences, context.generator("test"))
    recording = errors(model, test, config, context)
    parameters = ((), parameter_count(model), "1", "trained parameters")
    recording = recording.merge(labelled_dataset({"parameters": parameters}))
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def answers(model: SequenceClassifier, tokens: Tensor) -> Tensor:
    """Class scores after every step, `[batch, time, class]`."""
    hidden, _ = model.core(model.embedding(tokens))
    return model.readout(hidden)


def loss(model: SequenceClassifier, batch: BracketSequences, context: Context) -> Tensor:
    """Mean cross entropy at the steps that close a bracket."""
    scores = answers(model, batch.tokens.to(context.device))
    return nn.functional.cross_entropy(scores.mT, batch.target.to(context.device), ignore_index=-1)


def wrong(model: SequenceClassifier, sequences: BracketSequences, context: Context) -> Tensor:
    """Whether each closing was answered wrongly, `[closing]`, sequence by sequence."""
    given = torch.cat(
        [answers(model, part.to(context.device)).argmax(-1) for part in sequences.tokens.split(2_000)]
    )
    closes = sequences.target >= 0
    return given.cpu()[closes] != sequences.target[closes]


@torch.no_grad()
def errors(model: SequenceClassifier, test: BracketSequences, config: Config, context: Context) -> xr.Dataset:
    """Test error over all closings, and by the levels that were opened and closed inside."""
    failed = wrong(model, test, context).double()
    inside = test.inside[test.target >= 0]
    levels = min(config.depth, config.pairs)
    count = torch.bincount(inside, minlength=levels).double()
    total = torch.zeros(levels).double().index_add(0, inside, failed)
    values = {
        "test_error": ((), 100 * float(failed.mean()), "%", "test error"),
        "level_error": ("inside", (100 * total / count).numpy(), "%", "test error by levels inside"),
        "closings": ("inside", count.numpy(), "1", "closings asked for"),
    }
    number = ("inside", np.arange(levels), {"units": "1", "long_name": "levels inside the bracket"})
    return labelled_dataset(values, coords={"inside": number})
