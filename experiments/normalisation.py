"""Does normalisation make fast weights robust to the choice of decay and strength, and can inhibition provide it?

Claim 5 of Ba et al. 2016: with layer normalisation in the inner loop, the decay λ and the strength η of a write hardly
matter. A run trains one network on associative retrieval at one λ and η: with layer normalisation, without any, or
with what a circuit has instead, global inhibition. Inhibition divides the fields, F/(floor + g mean max(F, 0)), or is
subtracted from them, F − g mean max(F, 0). Each network has a trained gain and bias for every unit, and the whole
field is normalised in every iteration.

    fwsim sweep normalisation --over normalise=layer,none,divisive,subtractive --over decay=0.8,0.95
        --over eta=0.02,0.1,0.5,2.5 --seeds 3

Layer normalisation and division bound the field, whatever was written; subtraction does not. Expect the first two to
learn on a larger area of the grid. A network that diverges is recorded with the error of chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.engine.cell import Cell
from fwsim.engine.rate.normalisation import Normalisation
from fwsim.models import SequenceClassifier
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context
from fwsim.training import Training, error_rate, train_classifier

QUICK = {"training_sequences": 9_600, "epochs": 4, "learning_rate": 1e-2}


class Config(Base):
    """One network on associative retrieval."""

    normalise: Literal["layer", "none", "divisive", "subtractive"] = "layer"
    "What the field of the inner loop is normalised by."
    decay: float = Field(default=0.95, gt=0, le=1)
    "λ, what a step leaves of the memory."
    eta: float = Field(default=0.5, gt=0)
    "Strength of one write."
    division: float = Field(default=2.5, ge=0)
    "Strength g of divisive inhibition; normal fields then come out with a variance of about 1."
    floor: float = Field(default=0.05, gt=0)
    "What divisive inhibition divides by without activity."
    subtraction: float = Field(default=1.0, ge=0)
    "Strength g of subtractive inhibition."
    inner_steps: int = Field(default=1, ge=1)
    "Iterations of the inner loop S."
    units: int = Field(default=32, ge=2)
    "Units; as many for embedding and read-out."
    pairs: int = Field(default=2, ge=1, le=26)
    "Letter–digit pairs K."
    epochs: int = Field(default=5, ge=1)
    "Passes through the training sequences."
    training_sequences: int = Field(default=25_600, ge=1)
    "Sequences to train on."
    batch: int = Field(default=64, ge=1)
    "Sequences a training step."
    learning_rate: float = Field(default=5e-3, gt=0)
    "Peak of the one-cycle rate of Adam."


@dataclass(frozen=True, eq=False, kw_only=True)
class CircuitCell(Cell):
    """A step in which global inhibition stands in the place of layer normalisation."""

    inhibition: Normalisation

    def normal(self, field: Tensor) -> Tensor:
        """Inhibited fields, with the gain and bias of layer normalisation."""
        return self.gain * self.inhibition(field) + self.bias


class CircuitNetwork(fw.FastWeightNetwork):
    """Fast weights whose inner loop is normalised by inhibition; compiled kernels know layer normalisation only."""

    def __init__(self, *sizes: int, memory: fw.Hebbian, inner_steps: int, inhibition: Normalisation) -> None:
        super().__init__(*sizes, memory, inner_steps, kernel="reference")
        self.inhibition = inhibition

    def cell(self, inner_steps: int | None = None) -> CircuitCell:
        """Return the parameters and conventions of one step."""
        return CircuitCell(**vars(super().cell(inner_steps)), inhibition=self.inhibition)


def run(config: Config, context: Context) -> xr.Dataset:
    """Train and test."""
    task = fw.tasks.AssociativeRetrieval(pairs=config.pairs)
    with context.random_state("weights"):
        model = SequenceClassifier(network(config), task.tokens, task.classes, config.units)
    training, validation, test = (
        task.sample(number, context.generator(name))
        for name, number in (
            ("training", config.training_sequences),
            ("validation", 1_000),
            ("test", 5_000),
        )
    )
    chance, validated = 1 - 1 / task.classes, np.full(config.epochs, np.nan)
    try:
        history = train_classifier(
            model,
            training,
            validation,
            Training(config.epochs, config.learning_rate, clip=1.0),
            lambda epoch: context.generator(f"order {epoch}"),
            batch=config.batch,
            device=context.device,
            checkpoints=context.checkpoints,
            resume=context.resume,
            progress=context.progress,
        )
        validated[: history.sizes["epoch"]] = history["validation"]
        error, diverged = error_rate(model, test, context.device), False
    except fw.DivergedError:
        error, diverged = chance, True
    values = {
        "test_error": ((), 100 * error, "%", "test error"),
        "diverged": ((), diverged, "1", "whether training diverged"),
        "validation_error": ("epoch", 100 * validated, "%", "validation error"),
        "plateau": ((), 100 * (1 - fw.theory.binding_plateau(config.pairs)), "%", "error without binding"),
    }
    return labelled_dataset(
        values,
        coords={"epoch": np.arange(1, config.epochs + 1)},
    )


def network(config: Config) -> fw.FastWeightNetwork:
    """The network, normalised as asked."""
    memory = fw.Hebbian.from_decay(config.decay, eta=config.eta)
    circuits = {
        "divisive": partial(fw.divisive, config.division, config.floor),
        "subtractive": partial(fw.subtractive, config.subtraction),
    }
    if config.normalise in circuits:
        return CircuitNetwork(
            config.units,
            config.units,
            memory=memory,
            inner_steps=config.inner_steps,
            inhibition=circuits[config.normalise](),
        )
    return fw.FastWeightNetwork(
        config.units,
        config.units,
        memory,
        config.inner_steps,
        normalise="inner" if config.normalise == "layer" else "none",
    )
