"""Does attention sharpen as the inner loop iterates, and where does the loop end?

Ba et al. 2016 claim that the inner loop is an attractor dynamics that settles on what was stored, and that its
attention to past states sharpens meanwhile (claims 2 and 4). Here networks are trained on associative retrieval with
few and with many iterations S. Then the inner loop of the last step continues beyond S, with the memory held fixed.

Two kinds of network with random weights are compared with them. Sign units without self-connections are a Hopfield
network: from an overlap m with the item, one iteration leads to erf(m/√(2α)) at load α, so attention must sharpen
where this is above m. The item nearest to the cue is already the most likely one, so the loop cannot find the right
item more often than the cue did. Rectified units with layer normalisation are the loop of the paper without training,
at several strengths of one write.

Expect a larger share of attention on the right item in the Hopfield network. A trained network need not sharpen: its
task is to give a digit after S iterations, not to restore a stored state.

    fwsim run attention_sharpening
    fwsim run attention_sharpening --inner-steps 1 --inner-steps 4 --networks 1
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveFloat
from torch import Tensor

import fwsim as fw
from fwsim.engine.state import State
from fwsim.measure import inner_path
from fwsim.models import SequenceClassifier
from fwsim.progress import track
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.training import Training, error_rate, train_classifier

QUICK = {
    "inner_steps": (1,),
    "networks": 1,
    "training_sequences": 25_600,
    "epochs": 6,
    "recorded": 64,
}


class Config(Base):
    """Trained networks, and networks with random weights."""

    inner_steps: tuple[NonNegativeInt, ...] = Field(default=(1, 2, 4, 8, 20), min_length=1)
    "Iterations of the inner loop S that networks are trained with."
    networks: int = Field(default=3, ge=1)
    "Networks trained for each S."
    units: int = Field(default=32, ge=2)
    "Units of the trained networks; as many for embedding and read-out."
    tau: Seconds = Field(default=50.0, gt=0)
    "Time constant of the memory of trained networks at 1 s a step."
    eta: float = Field(default=0.2, gt=0)
    "Strength of one write."
    pairs: int = Field(default=2, ge=2, le=26)
    "Letter–digit pairs K."
    epochs: int = Field(default=10, ge=1)
    "Passes through the training sequences."
    training_sequences: int = Field(default=51_200, ge=1)
    "Sequences to train on."
    batch: int = Field(default=128, ge=1)
    "Sequences a training step."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of Adam."
    recorded: int = Field(default=128, ge=1)
    "Test sequences, and streams of random items, that are recorded."
    iterations: int = Field(default=64, ge=1)
    "Iterations of the recorded inner loops."
    random_units: int = Field(default=100, ge=2)
    "Units of the networks with random weights."
    items: int = Field(default=5, ge=2)
    "Random items that networks with random weights store, all with the same strength."
    wrong: float = Field(default=0.35, ge=0, lt=0.5)
    "Fraction of wrong units in the cues of sign units."
    similarity: float = Field(default=0.3, ge=0, le=1)
    "Correlation of the cue with the item's input, of rectified units."
    strengths: tuple[PositiveFloat, ...] = Field(default=(0.1, 0.3, 1.0, 3.0), min_length=1)
    "η‖h‖²/‖z‖ of rectified units: what one write answers to its own item, over the input."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train and record; then the random networks."""
    with context.progress("networks", len(config.inner_steps) * config.networks) as advance:
        trained = [
            xr.concat(
                [trained_network(config, context, S, number, advance) for number in range(config.networks)],
                "network",
            )
            for S in config.inner_steps
        ]
    recording = xr.concat(trained, "inner_steps").assign_coords(inner_steps=list(config.inner_steps))
    kinds = {"sign units": signs(config, context)} | {
        f"ReLU, {strength:g}": rectified(config, context, strength) for strength in config.strengths
    }
    random = xr.concat(list(kinds.values()), "kind").assign_coords(kind=list(kinds))
    recording = recording.merge(random.rename({name: f"random_{name}" for name in random.data_vars}))
    for name, label in LABELS.items():
        for variable in {name, f"random_{name}"} & set(recording.variables):
            recording[variable].attrs = {"units": "1", "long_name": label}
    recording["test_error"].attrs = {"units": "%", "long_name": "test error"}
    return recording


LABELS = {
    "path": "state of the inner loop",
    "attention": "attention of the inner loop to a past state",
    "answer": "digit answered at this iteration",
    "target": "digit asked for",
    "asked": "pair or item asked for",
    "overlap": "overlap with the item asked for",
    "inner_steps": "iterations S of the trained network",
    "iteration": "iteration of the inner loop",
}


def trained_network(
    config: Config, context: Context, inner_steps: int, number: int, advance: Callable
) -> xr.Dataset:
    """Train one network and record the inner loop of its query."""
    task = fw.tasks.AssociativeRetrieval(pairs=config.pairs)
    name = f"network {number}"  # the same sequences and first weights for every S
    memory = fw.Hebbian(tau=config.tau, eta=config.eta)
    with context.random_state(f"weights of {name}"):
        net = fw.FastWeightNetwork(config.units, config.units, memory, inner_steps)
        model = SequenceClassifier(net, task.tokens, task.classes, config.units)
    sequences = task.sample(config.training_sequences, context.generator(f"training of {name}"))
    validation = task.sample(2_000, context.generator(f"validation of {name}"))
    train_classifier(
        model,
        sequences,
        validation,
        Training(config.epochs, config.learning_rate, clip=1.0),
        lambda epoch: context.generator(f"order {epoch} of {name}"),
        batch=config.batch,
        device=context.device,
        checkpoints=context.checkpoints / f"S {inner_steps}, {name}",
        resume=context.resume,
        progress=partial(track, show=False),
    )
    advance()
    test = task.sample(5_000, context.generator(f"test of {name}"))
    recording = query(model, task.sample(config.recorded, context.generator(f"recorded of {name}")), config)
    recording["test_error"] = 100 * error_rate(model, test, context.device)
    return recording


@torch.no_grad()
def query(model: SequenceClassifier, sample: fw.tasks.Sequences, config: Config) -> xr.Dataset:
    """Inner loop of the last step, run on, with the memory that it reads held fixed."""
    net, x = model.core, model.embedding(sample.tokens.to(model.embedding.weight.device))
    past, state = net(x[:, :-1])
    path = inner_path(net, state, x[:, -1], config.iterations)
    age = torch.arange(past.shape[1] - 1, -1, -1, device=past.device)
    values = {
        "path": (("trial", "iteration", "unit"), path),
        "attention": (("trial", "iteration", "past"), attention(path, past, net.memory.kernel(age, net.dt))),
        "answer": (("trial", "iteration"), model.readout(path).argmax(-1)),
        "target": (("trial",), sample.target),
        "asked": (("trial",), sample.pair),
    }
    return as_dataset(values)


def attention(path: Tensor, past: Tensor, kernel: Tensor) -> Tensor:
    """κ(t−τ) h(τ)·h_s: path `[trial, iteration, unit]`, past `[trial, past, unit]` → `[trial, iteration, past]`."""
    return torch.einsum("bsn,bpn->bsp", path, past) * kernel.to(path)


@torch.no_grad()
def signs(config: Config, context: Context) -> xr.Dataset:
    """Items of ±1 and cues with wrong units, in a Hopfield network."""
    N = config.random_units
    items = torch.randint(0, 2, shape(config), generator=context.generator("signs")).float() * 2 - 1
    wrong = torch.rand(config.recorded, N, generator=context.generator("wrong units")) < config.wrong
    cue = torch.where(wrong, -items[:, 0], items[:, 0])
    net = storing(N, 1 / N, activation="sign", normalise="none", self_connections=False)
    return recall(config, net, items, cue, None, context.device)


@torch.no_grad()
def rectified(config: Config, context: Context, strength: float) -> xr.Dataset:
    """What ReLU units make of normal inputs; the cue is an input that resembles the item's and stays on."""
    z = torch.randn(shape(config), generator=context.generator("inputs"))
    noise = torch.randn(config.recorded, config.random_units, generator=context.generator("noise"))
    sustained = config.similarity * z[:, 0] + (1 - config.similarity**2) ** 0.5 * noise
    eta = strength * config.random_units**0.5 / (config.random_units / 2)
    net = storing(config.random_units, eta)
    return recall(config, net, z.relu(), sustained.relu(), sustained, context.device)


def shape(config: Config) -> tuple[int, int, int]:
    return config.recorded, config.items, config.random_units


def storing(units: int, eta: float, **options: object) -> fw.FastWeightNetwork:
    """Network that never forgets and writes all with the same strength."""
    return fw.FastWeightNetwork(units, units, fw.Hebbian(tau=float("inf"), eta=eta), **options)


def recall(
    config: Config,
    net: fw.FastWeightNetwork,
    items: Tensor,
    cue: Tensor,
    sustained: Tensor | None,
    device: torch.device,
) -> xr.Dataset:
    """Store all items and run the inner loop from a cue of the first."""
    net, items, cue = net.to(device), items.to(device), cue.to(device)
    state: State = net.initial_state(len(items))
    for item in items.unbind(1):
        state = net.write(state, item)
    held = None if sustained is None else sustained.to(device)
    path = net.recall(state, cue, config.iterations, sustained=held)[1]
    kernel = net.memory.kernel(torch.arange(config.items), net.dt)
    values = {
        "path": (("trial", "iteration", "random_unit"), path),
        "attention": (("trial", "iteration", "item"), attention(path, items, kernel)),
        "asked": (("trial",), torch.zeros(len(items), dtype=torch.long)),
        "overlap": (
            ("trial", "iteration"),
            torch.nn.functional.cosine_similarity(path, items[:, :1], dim=-1),
        ),
    }
    return as_dataset(values)


def as_dataset(values: dict[str, tuple[tuple[str, ...], Tensor]]) -> xr.Dataset:
    made = {name: (dims, value.cpu().numpy()) for name, (dims, value) in values.items()}
    iterations = values["path"][1].shape[1]
    return xr.Dataset(made, coords={"iteration": np.arange(iterations)})
