"""Which memory retrieves best, of those with about 2,000 trained numbers and the same search for a learning rate?

The task is associative retrieval, `c9k8j3f1??c` → 9 (Ba et al. 2016). The networks have the sizes of the public code of
Rodriguez, Guo & Moraitis 2022 (ICML; NeuromorphicComputing/stpn): an STPN of 11 units, HebbFF of 26 (Tyulmankov, Yang &
Abbott 2022), fast weights of 20 and an LSTM of 9. As there, a token is one input of 37, and the readout is linear and
may answer any token. The same learning rates are tried for every network with one seed; the one with the smallest
validation error is used with all other seeds.

Expect the STPN to be best, as the paper says. Expect HebbFF to guess (90 %): it has no recurrence, and the answer of a
memory of one-hot inputs to a letter depends on when the letter was there, and on no digit. Different from that code:
the rows of the STPN's total weights are not normalised, and its Λ is between 0 and 1; HebbFF has tanh in place of a
sigmoid, and its η may become positive; training is much shorter, with a one-cycle rate, smaller batches and clipping.

    fwsim sweep compared_memories --over model=stpn,fast_weights,lstm,hebbff --over learning_rate=0.003,0.01,0.03
"""

from __future__ import annotations

from typing import Literal

import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.models import LSTM, parameter_count
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context
from fwsim.tasks import Sequences
from fwsim.training import Training, error_rate, train_classifier

QUICK = {
    "epochs": 1,
    "training_sequences": 2_000,
    "validation_sequences": 500,
    "test_sequences": 500,
}
UNITS = {"stpn": 11, "hebbff": 26, "fast_weights": 20, "lstm": 9}


class Config(Base):
    """One network on associative retrieval."""

    model: Literal["stpn", "hebbff", "fast_weights", "lstm"] = "stpn"
    "The network; each has the number of units that it has in the public code."
    pairs: int = Field(default=4, ge=1, le=26)
    "Letter–digit pairs K."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of Adam."
    epochs: int = Field(default=5, ge=1)
    "Passes through the training sequences."
    batch: int = Field(default=64, ge=1)
    "Sequences a training step."
    training_sequences: int = Field(default=100_000, ge=1)
    "Sequences to train on."
    validation_sequences: int = Field(default=5_000, ge=1)
    "Sequences that choose the best epoch, and of a sweep the learning rate."
    test_sequences: int = Field(default=20_000, ge=1)
    "Sequences that the error is measured on."


class Retriever(nn.Module):
    """One-hot tokens → recurrent core → scores of all tokens as the answer after the last step."""

    def __init__(self, core: nn.Module, tokens: int) -> None:
        super().__init__()
        self.core, self.tokens = core, tokens
        self.readout = nn.Linear(core.units, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers `[batch, time]` → scores `[batch, token]`."""
        hidden, _ = self.core(nn.functional.one_hot(tokens, self.tokens).to(self.readout.weight))
        return self.readout(hidden[:, -1])


def build(model: str, tokens: int) -> Retriever:
    """Make the network, with the initial values of the public code where it says them."""
    units = UNITS[model]
    if model == "lstm":
        return Retriever(LSTM(tokens, units), tokens)
    if model == "fast_weights":
        memory = fw.Hebbian.from_decay(0.9, eta=0.5)
        core = fw.FastWeightNetwork(tokens, units, memory, activation="tanh", normalise="all")
        return Retriever(core, tokens)
    if model == "stpn":
        synapses = (units, tokens + units)
        small = 1e-3 * (2 * torch.rand(synapses) - 1) / units**0.5
        memory = fw.Hebbian.from_decay(0.01 + 0.98 * torch.rand(synapses), eta=small, axes=("post", "pre"))
        options = {"pre": ("inputs", "previous")}
    else:
        memory, options = (
            fw.Hebbian.from_decay(0.99, eta=-5 / units),
            {"pre": "inputs", "identity_scale": 0.0},
        )
    core = fw.FastWeightNetwork(
        tokens,
        units,
        memory,
        activation="tanh",
        normalise="none",
        learn={"tau": "log", "eta": "signed"},
        **options,
    )
    for unused in (core.gain, core.bias, *([core.W] if model == "hebbff" else [])):
        unused.requires_grad_(False)
    return Retriever(core, tokens)


def draw(task: fw.tasks.AssociativeRetrieval, number: int, generator: torch.Generator) -> Sequences:
    """Draw sequences whose target is a token, the digit after the letter that is asked for."""
    drawn = task.sample(number, generator)
    return drawn._replace(target=drawn.tokens.gather(1, 2 * drawn.pair[:, None] + 1)[:, 0])


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test."""
    task = fw.tasks.AssociativeRetrieval(pairs=config.pairs)
    training, validation, test = (
        draw(task, number, context.generator(name))
        for name, number in (
            ("training", config.training_sequences),
            ("validation", config.validation_sequences),
            ("test", config.test_sequences),
        )
    )
    with context.random_state("weights"):
        model = build(config.model, task.tokens)
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
    values = {
        "test_error": ((), 100 * error_rate(model, test, context.device), "%", "test error"),
        "parameters": ((), float(parameter_count(model)), "1", "trained numbers"),
        "validation_error": ("epoch", 100 * history["validation"].values, "%", "validation error"),
    }
    epochs = ("epoch", history["epoch"].values, {"units": "1", "long_name": "epoch"})
    return labelled_dataset(values | constants(model.core), coords={"epoch": epochs})


def constants(core: nn.Module) -> dict[str, tuple]:
    """Time constants and strengths of the memory after training; of an STPN by synapse, inputs first."""
    if isinstance(core, LSTM):
        return {}
    tau, eta = (core.memory.values()[name].detach().cpu().double().squeeze(-1) for name in ("tau", "eta"))
    dims = ("post", "pre") if tau.ndim else ()
    return {
        "trained_tau": (dims, tau.numpy(), "s", "time constants after training, at 1 s a step"),
        "trained_eta": (dims, eta.numpy(), "1", "strengths of one write after training"),
    }
