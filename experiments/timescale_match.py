"""Which time constant of the memory solves which delay, and does training find the time constants that a task needs?

One network is trained on associative retrieval in which blanks separate the pairs from the question by a delay of 2 to
200 steps. Every blank is also written to the memory. The memory has one time constant or several, fixed or trained.
With delays of two lengths, batches of one length alternate with batches of the other.

    fwsim sweep timescale_match --over tau=2,10,50,250 --over delays=2,10,50,200 --seeds 3
    fwsim sweep timescale_match --tau 2 --tau 10 --tau 50 --tau 250 --over delays=2,10,50 --seeds 3
    fwsim sweep timescale_match --tau 2 --tau 10 --tau 50 --tau 250 --learn tau --learn eta
        --over delays=2,50 --seeds 3                       (or --delays 2 --delays 50 for the mixture)

A memory with time constant τ keeps the fraction e^(−d/τ) over a delay d. Layer normalisation and training can
compensate for a weak memory, but not for one that later writes dominate. Expect that τ must be of the order of the
delay or longer, and that several time constants serve all delays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field, NonNegativeInt
from torch import Tensor

import fwsim as fw
from fwsim.models import SequenceClassifier
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Duration
from fwsim.training import Training, cross_entropy, error_rate, shuffled, train

QUICK = {"delays": (5,), "training_sequences": 12_800, "epochs": 3}


class Config(Base):
    """One memory and the delays of its task."""

    tau: tuple[Duration, ...] = Field(default=(20.0,), min_length=1)
    "Time constants of the memory, at 1 s a step; the first ones, if they are trained."
    eta: float = Field(default=0.5, gt=0)
    "Total strength of one write, shared by the time constants."
    learn: tuple[Literal["tau", "eta"], ...] = ()
    "What of the memory is trained with the network."
    delays: tuple[NonNegativeInt, ...] = Field(default=(20,), min_length=1)
    "Blanks between pairs and question; batches take turns if there are several."
    units: int = Field(default=32, ge=2)
    "Units; as many for embedding and read-out."
    pairs: int = Field(default=2, ge=1, le=26)
    "Letter–digit pairs K."
    epochs: int = Field(default=5, ge=1)
    "Passes through the training sequences."
    training_sequences: int = Field(default=16_000, ge=1)
    "Sequences to train on, in all."
    batch: int = Field(default=64, ge=1)
    "Sequences a training step."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of Adam."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train and test at every delay of the task."""
    tasks = [fw.tasks.AssociativeRetrieval(pairs=config.pairs, delay=delay) for delay in config.delays]
    if config.training_sequences < len(tasks):
        raise fw.ConfigError(
            f"training_sequences={config.training_sequences} are fewer than {len(tasks)} delays; give at least one each"
        )
    with context.random_state("weights"):
        model = network(config, max(task.tokens for task in tasks), tasks[0].classes)
    training = sampled(tasks, config.training_sequences // len(tasks), "training", context)
    validation = sampled(tasks, 1_000 // len(tasks), "validation", context)

    def validate(model: torch.nn.Module) -> float:
        return float(np.mean([error_rate(model, one, context.device) for one in validation]))

    steps = len(tasks) * -(-len(training[0].target) // config.batch)
    history = train(
        model,
        cross_entropy,
        lambda epoch: in_turn(training, config, context, epoch),
        steps,
        validate,
        Training(config.epochs, config.learning_rate, clip=1.0),
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    errors = [error_rate(model, one, context.device) for one in sampled(tasks, 2_000, "test", context)]
    return recording(config, model.core, errors, history)


def network(config: Config, tokens: int, classes: int) -> SequenceClassifier:
    """Fast weights whose strength of one write is shared by all time constants."""
    share = config.eta / len(config.tau)
    memory = fw.Hebbian(tau=list(config.tau), eta=[share] * len(config.tau))
    net = fw.FastWeightNetwork(config.units, config.units, memory, 1, learn=config.learn)
    return SequenceClassifier(net, tokens, classes, config.units)


def sampled(
    tasks: list[fw.tasks.AssociativeRetrieval], number: int, name: str, context: Context
) -> list[fw.tasks.Sequences]:
    return [task.sample(number, context.generator(f"{name}, delay {task.delay}")) for task in tasks]


def in_turn(
    training: list[fw.tasks.Sequences], config: Config, context: Context, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one delay after the other."""
    each = [
        shuffled(one, config.batch, lambda epoch: context.generator(f"order {epoch}"), context.device)(epoch)
        for one in training
    ]
    return chain.from_iterable(zip(*each, strict=True))


def recording(
    config: Config, net: fw.FastWeightNetwork, errors: list[float], history: xr.Dataset
) -> xr.Dataset:
    """Errors at the delays of the task, and the memory before and after training, shortest time constant first."""
    rule = net.memory
    tau, eta = rule.tau.detach().cpu().double(), rule.eta.detach().cpu().double().expand(rule.shape)
    order = tau.argsort()
    values = {
        "test_error": ("task_delay", 100 * np.array(errors), "%", "test error"),
        "delay": ("task_delay", np.array(config.delays, float), "s", "delay"),
        "plateau": ((), 100 * (1 - fw.theory.binding_plateau(config.pairs)), "%", "error without binding"),
        "validation_error": ("epoch", 100 * history["validation"].values, "%", "validation error"),
        "tau_before": ("timescale", np.sort(config.tau), "s", "time constants before training"),
        "tau_after": ("timescale", tau[order].numpy(), "s", "time constants after training"),
        "eta_after": ("timescale", eta[order].numpy(), "1", "strengths of one write after training"),
    }
    return labelled_dataset(
        values,
        coords={"epoch": history["epoch"].values},
    )
