"""Can a network bind letters to digits that it has seen once, and look one up?

`c9k8j3f1??c` → 9: the input has four letter–digit pairs, two marks and a letter, and the answer is the letter's digit
(Ba et al. 2016, section 4.1). A network that knows which digits occurred, but not with which letter, has the error of
the binding plateau, 61.65 % for four pairs. Expect fast weights of 50 units to leave the plateau within a few epochs
and to end near 0 %. Controls of the same size should stay on it at least as long: the same network without memory (RNN
+ LN) or without an inner loop, networks of the same depth with trained matrices instead of the memory, an identity
RNN, and LSTMs. Other settings go beyond the paper: more pairs, a delay, several or trained time constants, more
iterations of the inner loop, and the delta rule. The STPN of Rodriguez, Guo & Moraitis 2022, which did this task
with 11 units, has a trained time constant and signed strength for each synapse, also of the inputs.

The recording holds the training history, the parameters of the memory after training, and, for test sequences, hidden
and inner states and attention of the trained network. It also holds the inner loop of the last step, continued for
many more iterations than the network was trained with.

    fwsim run associative_retrieval --pairs 8 --units 100
    fwsim sweep associative_retrieval --over model=fast_weights,no_memory,lstm --seeds 3
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.measure import inner_path
from fwsim.models import SequenceClassifier, core, parameter_count
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Duration
from fwsim.training import Training, error_rate, train_classifier

QUICK = {
    "units": 20,
    "pairs": 1,
    "training_sequences": 4_000,
    "epochs": 3,
    "test_sequences": 500,
    "recorded": 16,
}

MEMORIES = {
    "hebbian": lambda tau, eta: fw.Hebbian(tau=tau, eta=eta),
    "delta": lambda tau, eta: fw.Delta(beta=eta, tau=tau),
}
STRENGTHS = {"hebbian": "eta", "delta": "beta"}  # what the rules call the strength of a write


class Config(Base):
    """One network on associative retrieval."""

    model: Literal[
        "fast_weights",
        "no_memory",
        "no_inner_loop",
        "irnn",
        "lstm",
        "layer_norm_lstm",
        "deep_rnn",
        "layer_norm_deep_rnn",
        "stpn",
    ] = "fast_weights"
    "Fast weights, a control of the same size, or the STPN; each ignores the settings that it does not have."
    units: int = Field(default=50, ge=1)
    "Recurrent units R."
    inner_steps: int = Field(default=1, ge=0)
    "Iterations of the inner loop S."
    rule: Literal["hebbian", "delta"] = "hebbian"
    "How the memory is written."
    tau: tuple[Duration, ...] = Field(default=(-1 / math.log(0.95),), min_length=1)
    "Time constants of the memory at 1 s a step; 19.5 s is the paper's decay of 0.95."
    eta: tuple[float, ...] = Field(default=(0.5,), min_length=1)
    "Strength of one write, for each time constant; of the delta rule the fraction of the error that it corrects."
    normalise: Literal["inner", "none", "all"] = "inner"
    "Layer normalisation."
    learn: tuple[Literal["tau", "eta"], ...] = ()
    "Parameters of the memory to train."
    pairs: int = Field(default=4, ge=1, le=26)
    "Letter–digit pairs K."
    delay: int = Field(default=0, ge=0)
    "Blanks between the pairs and the question."
    embedding: int = Field(default=100, ge=1)
    "Units of the embedding."
    readout: int = Field(default=100, ge=1)
    "Units of the ReLU layer before the answer."
    epochs: int = Field(default=16, ge=1)
    "Passes through the training sequences."
    learning_rate: float = Field(default=3e-3, gt=0)
    "Peak of the one-cycle rate of AdamW."
    weight_decay: float = Field(default=0.1, ge=0)
    "Times the rate, the fraction of every weight that a training step takes away."
    batch: int = Field(default=128, ge=1)
    "Sequences a training step."
    training_sequences: int = Field(default=100_000, ge=1)
    "Sequences to train on."
    validation_sequences: int = Field(default=10_000, ge=1)
    "Sequences that choose the best epoch."
    test_sequences: int = Field(default=20_000, ge=1)
    "Sequences that the error is measured on."
    recorded: int = Field(default=256, ge=1)
    "Test sequences that are recorded."
    settling: int = Field(default=20, ge=1)
    "Iterations of the inner loop in the recording of how it settles."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, record."""
    task = fw.tasks.AssociativeRetrieval(pairs=config.pairs, delay=config.delay)
    with context.random_state("weights"):
        model = build(config, task)
    training, validation, test = (
        task.sample(number, context.generator(name))
        for name, number in (
            ("training", config.training_sequences),
            ("validation", config.validation_sequences),
            ("test", config.test_sequences),
        )
    )

    history = train_classifier(
        model,
        training,
        validation,
        Training(config.epochs, config.learning_rate, clip=1.0, weight_decay=config.weight_decay),
        lambda epoch: context.generator(f"order {epoch}"),
        batch=config.batch,
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )
    recording = record(model, test, config, context)
    measured = {
        "validation_error": (
            (),
            100 * float(history["validation"].min()),
            "%",
            "validation error, best epoch",
        ),
        "test_error": ((), 100 * error_rate(model, test, context.device), "%", "test error"),
        "parameters": ((), parameter_count(model), "1", "trained parameters"),
    }
    recording = recording.merge(labelled_dataset(measured))
    if config.model in ("fast_weights", "stpn"):
        recording = recording.merge(trained_memory(model.core))
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def build(config: Config, task: fw.tasks.AssociativeRetrieval) -> SequenceClassifier:
    """Make the network."""
    if config.model == "stpn":
        return SequenceClassifier(
            stpn(config.embedding, config.units), task.tokens, task.classes, config.readout
        )
    options = {"normalise": config.normalise}
    if config.model == "fast_weights":
        options["learn"] = tuple(STRENGTHS[config.rule] if name == "eta" else name for name in config.learn)
    memory = MEMORIES[config.rule](list(config.tau), list(config.eta))
    recurrent = core(config.model, config.embedding, config.units, memory, config.inner_steps, **options)
    return SequenceClassifier(recurrent, task.tokens, task.classes, config.readout)


def stpn(inputs: int, units: int) -> fw.FastWeightNetwork:
    """Make an STPN: h = tanh((G + F) [x; h] + b), F ← Λ ⊙ F + Γ ⊙ h [x; h]ᵀ with Λ and Γ trained.

    Source: Rodriguez, Guo & Moraitis 2022 (ICML). The values before training are ours.
    """
    synapses = (units, inputs + units)
    memory = fw.Hebbian.from_decay(
        torch.rand(synapses) * 0.9 + 0.05, eta=0.1 * torch.randn(synapses), axes=("post", "pre")
    )
    return fw.FastWeightNetwork(
        inputs,
        units,
        memory,
        pre=("inputs", "previous"),
        activation="tanh",
        normalise="none",
        learn={"tau": "log", "eta": "signed"},
    )


def trained_memory(net: fw.FastWeightNetwork) -> xr.Dataset:
    """Time constants and strengths of the memory after training, by time scale; of an STPN by synapse."""
    meanings = {
        "tau": ("trained_tau", "s", "time constants after training"),
        "eta": ("trained_eta", "1", "strengths of one write after training"),
        "beta": ("trained_eta", "1", "fractions of the error corrected by one write after training"),
    }
    values = {}
    for name, each in net.memory.values().items():
        recorded, units, label = meanings[name]
        dims = ("timescale",) if each.ndim == 1 else ("post", "pre", "timescale")
        numbers = each.detach().cpu().double().numpy()
        values[recorded] = (dims, numbers, units, label)
    return labelled_dataset(values)


@torch.no_grad()
def record(
    model: SequenceClassifier, test: fw.tasks.Sequences, config: Config, context: Context
) -> xr.Dataset:
    """Record the trained network on the first test sequences."""
    tokens = test.tokens[: config.recorded].to(context.device)
    target, pair = test.target[: config.recorded], test.pair[: config.recorded]
    x = model.embedding(tokens)
    names = [name for name in ("hidden", "inner", "attention") if name in model.core.recordable()]
    recording = fw.simulate(model.core, x, record=names, seed=context.seed)
    answer = model(tokens).argmax(-1).cpu().numpy()
    sequences = {
        "token": (("trial", "time"), tokens.cpu().numpy(), "1", "token"),
        "target": ("trial", target.numpy(), "1", "digit asked for"),
        "pair": ("trial", pair.numpy(), "1", "pair asked for"),
        "answer": ("trial", answer, "1", "digit answered"),
    }
    recording = recording.merge(labelled_dataset(sequences))
    if config.model == "fast_weights" and config.inner_steps > 0:
        recording = recording.merge(settling(model, x, target, config.settling))
    return recording


def settling(model: SequenceClassifier, x: Tensor, target: Tensor, iterations: int) -> xr.Dataset:
    """Inner loop of the last step, run on, and the error of the answer at each of its iterations."""
    _, state = model.core(x[:, :-1])
    path = inner_path(model.core, state, x[:, -1], iterations)
    wrong = model.readout(path).argmax(-1).cpu() != target[:, None]
    dims = ("trial", "settling_iteration", "unit")
    states = (dims, path.cpu().numpy(), "1", "state of the inner loop run on")
    error = ("settling_iteration", 100 * wrong.double().mean(0).numpy(), "%", "error if answered here")
    number = ("settling_iteration", np.arange(iterations + 1), {"units": "1", "long_name": "iteration"})
    return labelled_dataset({"settling": states, "settling_error": error}, {"settling_iteration": number})
