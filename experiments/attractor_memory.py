"""Can a trained network's inner loop be an attractor memory, which goes on for ever and ends at what was stored?

Ba et al. 2016 say that the inner loop is an attractor dynamics which settles on what was stored (claim 2), and that
attention is then "more focussed on past hidden states that manage to attract the current hidden state" (claim 4).
A network that is trained with one fixed number of iterations S answers after S iterations, and nothing asks it to
answer later. Here the schedule of S during training is the variable:

- `one`: S = 1, the paper's. `fixed`: S = `most` from the start.
- `late_query`: S = 1 while storing. At the query S = 1 in the first part of training, then drawn from 1 … `most`.
- `query`: drawn at the query from the start. `late`: as `late_query`, but in all steps of a sequence.
- `random`: drawn in all steps from the start. `ramp`: so, and the largest number grows during 60 % of the training.
- `equilibrium`: as `late_query`, but the second part learns from the mean loss after one iteration and at the fixed
  point, by implicit differentiation.

Expect `late_query` to answer after any number of iterations, with one attractor for each stored pair, `one` to answer
after one iteration only, and schedules that begin with large S to stay on the plateau of no binding.

The recording holds, for test queries, answers after 1 … 256 iterations, also to damaged queries. For some of them it
holds the states and the attention of the loop, and all that the loop is made of: memory, input, gain and bias.

    fwsim sweep attractor_memory --over schedule=late_query,one --seeds 5
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor, nn

import fwsim as fw
from fwsim.measure import inner_path
from fwsim.models import SequenceClassifier
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Duration
from fwsim.tasks.retrieval import LETTERS
from fwsim.training import InnerSteps, Training, cross_entropy, train_varied

QUICK = {"training_sequences": 25_600, "epochs": 6, "test_sequences": 500, "recorded": 40, "searched": 10}

COUNTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Iterations after which the loop is looked at."""
VALIDATED = (1, 4, 64)
"""Iterations at the query whose mean error on validation sequences chooses the epoch."""
NOISE = (0.25, 0.5, 1.0, 1.5, 2.0)
"""Lengths of the noise on the query's embedding, over the length of the embedding."""
DELETED = (0.1, 0.25, 0.5, 0.75)
"""Fractions of the query's embedding that are set to 0."""


class Config(Base):
    """One network."""

    schedule: Literal["late_query", "one", "fixed", "query", "late", "random", "ramp", "equilibrium"] = (
        "late_query"
    )
    "How many iterations of the inner loop the network is trained with, and when."
    most: int = Field(default=8, ge=1)
    "Largest number of iterations in training."
    after: float = Field(default=0.3, ge=0, le=1)
    "Length of the first part of training, as a fraction."
    units: int = Field(default=32, ge=2)
    "Recurrent units R."
    pairs: int = Field(default=2, ge=2, le=26)
    "Letter–digit pairs K."
    tau: tuple[Duration, ...] = Field(default=(50.0,), min_length=1)
    "Time constants of the memory at 1 s a step."
    eta: tuple[float, ...] = Field(default=(0.2,), min_length=1)
    "Strength of one write, for each time constant."
    embedding: int = Field(default=32, ge=1)
    "Units of the embedding, and of the ReLU layer before the answer."
    epochs: int = Field(default=10, ge=1)
    "Passes through the training sequences."
    training_sequences: int = Field(default=51_200, ge=1)
    "Sequences to train on."
    batch: int = Field(default=128, ge=1)
    "Sequences a training step."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of AdamW."
    weight_decay: float = Field(default=0.0, ge=0)
    "Times the rate, the fraction of every weight that a training step takes away."
    test_sequences: int = Field(default=5_000, ge=1)
    "Sequences that errors are measured on."
    recorded: int = Field(default=200, ge=1)
    "Test sequences whose loop is recorded."
    searched: int = Field(default=40, ge=1)
    "Recorded sequences whose memory is recorded too, for a search of attractors."


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, test, record."""
    task = fw.tasks.AssociativeRetrieval(pairs=config.pairs)
    with context.random_state("weights"):
        memory = fw.Hebbian(tau=list(config.tau), eta=list(config.eta))
        net = fw.FastWeightNetwork(config.embedding, config.units, memory)
        model = SequenceClassifier(net, task.tokens, task.classes, config.embedding)
    history = trained(model, task, config, context)
    test = task.sample(config.test_sequences, context.generator("test"))
    recording = tested(model, test, context).merge(recorded(model, test, config))
    return recording.merge(
        history.rename(loss="training_loss", wall_time="epoch_time"), combine_attrs="no_conflicts"
    )


def schedule(config: Config) -> InnerSteps:
    """Numbers of iterations by the name of the schedule."""
    most, after = config.most, config.after
    return {
        "late_query": InnerSteps(most, after=after),
        "equilibrium": InnerSteps(most, after=after),
        "one": InnerSteps(most, after=1.0),
        "fixed": InnerSteps(most, first=most, after=1.0, storing=None),
        "query": InnerSteps(most, after=0.0),
        "late": InnerSteps(most, after=after, storing=None),
        "random": InnerSteps(most, after=0.0, storing=None),
        "ramp": InnerSteps(most, after=0.0, ramp=0.6, storing=None),
    }[config.schedule]


def storing(config: Config) -> int:
    """Iterations while storing, after training; 1 where the network was trained with many."""
    return config.most if config.schedule == "fixed" else 1


def trained(
    model: SequenceClassifier, task: fw.tasks.AssociativeRetrieval, config: Config, context: Context
) -> xr.Dataset:
    """Train, and keep the epoch whose answers on validation sequences are best over several counts."""
    examples = task.sample(config.training_sequences, context.generator("training"))
    validation = task.sample(2_000, context.generator("validation"))
    counts = {"one": (1,), "fixed": (config.most,)}.get(config.schedule, VALIDATED)
    return train_varied(
        model,
        examples,
        validation,
        Training(config.epochs, config.learning_rate, clip=1.0, weight_decay=config.weight_decay),
        schedule(config),
        lambda epoch: context.generator(f"order {epoch}"),
        lambda epoch: context.generator(f"iterations {epoch}"),
        validated=[(storing(config), count) for count in counts],
        objective=at_equilibrium if config.schedule == "equilibrium" else cross_entropy,
        batch=config.batch,
        device=context.device,
        checkpoints=context.checkpoints,
        resume=context.resume,
        progress=context.progress,
    )


def at_equilibrium(model: SequenceClassifier, batch: tuple) -> Tensor:
    """Loss after one iteration; where more are drawn, the mean of this and of the loss at the fixed point."""
    tokens, target, (before, last) = batch
    net, x = model.core, model.embedding(tokens)
    _, state = net(x[:, :-1], inner_steps=before)
    loss = nn.functional.cross_entropy(model.readout(net(x[:, -1:], state, inner_steps=1)[0][:, -1]), target)
    if last == 1:
        return loss
    settled, _ = fw.equilibrium(net, x[:, -1], state, iterations=64)
    return (loss + nn.functional.cross_entropy(model.readout(settled), target)) / 2


@torch.no_grad()
def tested(model: SequenceClassifier, test: fw.tasks.Sequences, context: Context) -> xr.Dataset:
    """Errors of answers after every count of iterations, of clean and of damaged queries."""
    x, target = model.embedding(test.tokens.to(context.device)), test.target.to(context.device)
    generator = context.generator("damage")
    query = x[:, -1]
    noise = torch.randn(query.shape, generator=generator).to(x)
    noise *= query.norm(dim=-1, keepdim=True) / noise.norm(dim=-1, keepdim=True)
    order = torch.rand(query.shape, generator=generator).to(x)
    damaged = {("noise", level): query + level * noise for level in NOISE}
    damaged |= {("deleted", level): query * (order >= level) for level in DELETED}
    some = slice(0, min(len(x), 2_000))
    values = {"error": (("iteration",), errors(model, x, query, target, COUNTS))}
    short = tuple(count for count in COUNTS if count <= 16)
    for kind, levels in (("noise", NOISE), ("deleted", DELETED)):
        rows = [errors(model, x[some], damaged[kind, level][some], target[some], short) for level in levels]
        rows = [np.pad(row, (0, len(COUNTS) - len(short)), constant_values=np.nan) for row in rows]
        values[f"error_{kind}"] = ((kind, "iteration"), np.array(rows))
    labels = {
        "error": "wrong answers",
        "error_noise": "wrong answers to a query with noise",
        "error_deleted": "wrong answers to a query with deleted parts",
    }
    coords = {
        "iteration": ("iteration", list(COUNTS), {"units": "1", "long_name": "inner iteration"}),
        "noise": ("noise", list(NOISE), {"units": "1", "long_name": "noise / length of the query"}),
        "deleted": ("deleted", list(DELETED), {"units": "1", "long_name": "deleted fraction of the query"}),
    }
    return labelled_dataset(
        {name: (dims, each, "%", labels[name]) for name, (dims, each) in values.items()}, coords
    )


def errors(
    model: SequenceClassifier, x: Tensor, query: Tensor, target: Tensor, counts: tuple[int, ...]
) -> np.ndarray:
    """Wrong answers in %, by count of iterations, to these queries after the other steps of `x`."""
    wrong = []
    for sequences, asked, answer in zip(x.split(500), query.split(500), target.split(500), strict=True):
        _, state = model.core(sequences[:, :-1])
        path = inner_path(model.core, state, asked, max(counts))[:, list(counts)]
        wrong.append(model.readout(path).argmax(-1) != answer[:, None])
    return 100 * torch.cat(wrong).double().mean(0).cpu().numpy()


@torch.no_grad()
def recorded(model: SequenceClassifier, test: fw.tasks.Sequences, config: Config) -> xr.Dataset:
    """States and attention of the query's loop, and what the loop is made of."""
    net, device = model.core, model.embedding.weight.device
    tokens, pair = test.tokens[: config.recorded].to(device), test.pair[: config.recorded]
    x = model.embedding(tokens)
    past, state = net(x[:, :-1])
    path = inner_path(net, state, x[:, -1], max(COUNTS))
    change = (path[:, -1] - path[:, -2]).norm(dim=-1) / path[:, -1].norm(dim=-1)
    path = path[:, list(COUNTS)]
    age = torch.arange(past.shape[1] - 1, -1, -1, device=device)
    attention = torch.einsum("bsn,bpn->bsp", path, past) * net.memory.kernel(age, net.dt).to(path)
    some = slice(0, config.searched)
    values = {
        "path": (("trial", "iteration", "unit"), path, "state of the inner loop"),
        "change": (("trial",), change, "relative length of the last iteration"),
        "past": (("trial", "past", "unit"), past, "state that was written"),
        "attention": (("trial", "iteration", "past"), attention, "attention to a past state"),
        "pair": (("trial",), pair, "pair asked for"),
        "digits": (
            ("trial", "stored"),
            tokens[:, 1 : 2 * config.pairs : 2] - LETTERS,
            "digit of the pair",
        ),
        "memory": (("searched", "post", "pre"), state.memory[some].sum(1), "memory that the query reads"),
        "sustained": (
            ("searched", "unit"),
            past[some, -1] @ net.W.T + x[some, -1] @ net.C.T + net.b,
            "sustained input of the query",
        ),
        "gain": (("unit",), net.gain, "gain of the layer normalisation"),
        "bias": (("unit",), net.bias, "bias of the layer normalisation"),
        "readout_in": (("readout", "unit"), model.readout[0].weight, "weight of the readout layer"),
        "readout_bias": (("readout",), model.readout[0].bias, "bias of the readout layer"),
        "class_in": (("digit", "readout"), model.readout[2].weight, "weight of the class scores"),
        "class_bias": (("digit",), model.readout[2].bias, "bias of the class scores"),
    }
    return labelled_dataset(
        {
            name: (dims, each.detach().cpu().numpy(), "1", label)
            for name, (dims, each, label) in values.items()
        }
    )
