"""How much of a trained working memory is left if connections are removed, and does plasticity make it robust?

Rate networks of one size, with the same number of training steps and trials, learn delayed match to sample, or its
version with a distractor. They differ in what their synapses do: presynaptic short-term plasticity, anti-Hebbian fast
weights, or nothing (`fwsim.models.MatchingNetwork`). After training a share of all connections between units is removed
at random, in several draws, without further training. Where a connection is removed there is no weight and no fast
weight. Kozachkov et al. 2022, PLOS Computational Biology 18:e1010776, find that networks with plasticity are the
more robust, the anti-Hebbian ones most of all.

    fwsim run ablation --plasticity anti_hebbian
    fwsim sweep ablation --over plasticity=presynaptic,anti_hebbian,none --seeds 5

The recording holds right answers without and with ablations, and the trained network with test trials. The analysis
`trained_dynamics` looks at its fixed points and exponents, and `trained_spikes` runs it with spikes.

What differs from the paper: the task and its timing are those of Masse et al. 2019, there is noise, weights obey Dale's
law, the anti-Hebbian strength is one number instead of one for each synapse, the delay is half a second, and networks
are small (40 units) and trained for 32,000 trials, in time steps of 50 ms. Noise and training are those of
`trained_silent_memory`. Networks without plasticity may need less noise and longer training: `--noise 0.05 --steps 2000
--learning-rate 0.005 --clip 1 --rate-cost 0.002`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.models import MatchingNetwork
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.tasks import DelayedMatch, Trials
from fwsim.training import train_trials

QUICK = {"units": 25, "steps": 60, "test_trials": 100, "removed": (0.2, 1.0), "draws": 2, "kept_trials": 40}

EPOCHS = 20
"""Validations in a training; all trials are drawn anew."""


class Config(Base):
    """One network."""

    plasticity: Literal["presynaptic", "anti_hebbian", "none"] = "presynaptic"
    "What synapses between units do."
    task: Literal["dms", "distracted"] = "dms"
    "Delayed match to sample, or the same with another direction in the middle of the delay."
    units: int = Field(default=40, ge=5)
    "Units, of which four fifths are excitatory."
    fast: Seconds = Field(default=0.2, gt=0)
    "Short time constant of presynaptic plasticity."
    slow: Seconds = Field(default=1.5, gt=0)
    "Long time constant of presynaptic plasticity, and time constant of fast weights."
    noise: float = Field(default=0.5, ge=0)
    "Standard deviation that noise alone gives to the activity."
    delay: Seconds = Field(default=0.5, ge=0)
    "Time between sample and test, a multiple of the time step."
    dt: Seconds = Field(default=0.05, gt=0)
    "Time step."
    steps: int = Field(default=1_000, ge=EPOCHS, multiple_of=EPOCHS)
    "Training steps; a multiple of 20."
    batch: int = Field(default=32, ge=1)
    "Trials in a training step."
    learning_rate: float = Field(default=0.02, gt=0)
    "Learning rate of Adam."
    clip: float = Field(default=0.1, gt=0)
    "Largest norm of the gradient of each parameter."
    rate_cost: float = Field(default=0.02, ge=0)
    "Weight of the mean squared rate in the loss."
    test_trials: int = Field(default=256, ge=100)
    "Trials that are tested."
    removed: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        default=(0.05, 0.1, 0.2, 0.3, 0.5), min_length=1
    )
    "Shares of the connections that are removed."
    draws: int = Field(default=5, ge=1)
    "Random draws of the connections that are removed."
    kept_trials: int = Field(default=256, ge=1)
    "Test trials that the recording keeps."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, remove connections, test."""
    task = DelayedMatch(dt=config.dt, delay=config.delay, distractor=config.task == "distracted")
    with context.random_state("weights"):
        model = MatchingNetwork(
            task,
            config.units,
            plasticity=config.plasticity,
            fast=config.fast,
            slow=config.slow,
            noise=config.noise,
        )
    history = train_trials(
        model,
        task,
        context,
        steps=config.steps,
        batch=config.batch,
        epochs=EPOCHS,
        learning_rate=config.learning_rate,
        clip=config.clip,
        rate_cost=config.rate_cost,
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    test = task.sample(config.test_trials, context.generator("test"))
    recording = xr.merge(
        [ablated(model, test, config, context), network(model), kept(test, config.kept_trials)],
        combine_attrs="drop_conflicts",
    )
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


@torch.no_grad()
def ablated(model: MatchingNetwork, test: Trials, config: Config, context: Context) -> xr.Dataset:
    """Right answers of the whole network, and after each ablation."""
    generator, seed = context.generator("ablation"), context.seed_of("test noise")
    found = np.empty((len(config.removed), config.draws))
    with context.progress("ablations", found.size) as advance:
        for draw in range(config.draws):
            order = torch.rand(config.units, config.units, generator=generator)
            for place, share in enumerate(config.removed):
                remaining = connections(order, share).to(context.device)
                found[place, draw] = right(model, without(model.core, remaining), test, seed)
                advance()
    values = {
        "accuracy": ((), right(model, model.core, test, seed), "%", "right answers"),
        "ablated_accuracy": (("removed", "draw"), found, "%", "right answers after an ablation"),
    }
    shares = ("removed", list(config.removed), {"units": "1", "long_name": "share of connections removed"})
    return labelled_dataset(values, coords={"removed": shares})


def connections(order: Tensor, share: float) -> Tensor:
    """Pairs that are left, booleans `[post, pre]`, if this share of pairs of different units is removed in an order."""
    pairs = order.masked_fill(torch.eye(len(order), dtype=torch.bool), torch.inf).flatten()
    gone = round(share * len(order) * (len(order) - 1))
    left = torch.ones(pairs.shape, dtype=torch.bool)
    left[pairs.argsort()[:gone]] = False
    return left.view_as(order)


def without(core: fw.RateNetwork, remaining: Tensor) -> fw.RateNetwork:
    """The network with only some of its connections; fast weights are also only there."""
    return fw.RateNetwork(
        fw.Projection(core.weights[0].detach() * remaining, synapse=core.projections[0].synapse),
        tau=core.tau,
        dt=core.dt,
        noise=core.noise,
        memory=core.memory,
        self_connections=core.self_connections,
        connected=None if core.memory is None else remaining,
    )


def right(model: MatchingNetwork, core: fw.RateNetwork, test: Trials, seed: int) -> float:
    """Right answers (%) of a network whose connections between units are those of `core`."""
    rate, _ = core(model.drive(test.inputs.to(model.bias_in)), seed=seed)
    return 100 * float(test.correct(model.scores(rate).argmax(-1).cpu()).mean())


def network(model: MatchingNetwork) -> xr.Dataset:
    """Weights and biases after training, and the strength of fast weights."""
    named = {
        "weights": (("post", "pre"), model.core.weights[0], "weights between units"),
        "weights_in": (("unit", "input"), torch.relu(model.weights_in), "weights of inputs"),
        "bias_in": (("unit",), model.bias_in, "constant input"),
        "weights_out": (("answer", "excitatory"), torch.relu(model.weights_out), "weights of answers"),
        "bias_out": (("answer",), model.bias_out, "bias of answers"),
    }
    values = {
        name: (dims, value.detach().cpu().numpy(), "1", label) for name, (dims, value, label) in named.items()
    }
    strength = np.nan if model.core.memory is None else float(model.core.memory.eta_rate.detach())
    return labelled_dataset({**values, "eta": ((), strength, "1/s", "strength of fast weights")})


def kept(test: Trials, trials: int) -> xr.Dataset:
    """The first test trials."""
    part = Trials(*(each[:trials] for each in test))
    values = {
        "inputs": (("trial", "time", "input"), part.inputs.numpy(), "1", "inputs"),
        "target": (
            ("trial", "time"),
            part.target.numpy(),
            "1",
            "right answer: 0 fixate, 1 no match, 2 match",
        ),
        "weight": (("trial", "time"), part.weight.numpy(), "1", "whether a step counts"),
        "sample": ("trial", part.sample[:, 0].numpy(), "1", "direction of the sample"),
    }
    return labelled_dataset(values)
