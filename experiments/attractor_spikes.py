"""Does a loop that has settled on a stored item stay there if it runs in continuous time, and in spikes?

A network learns associative retrieval as in `attractor_memory` (schedule `late_query`). Then inhibition takes the place
of layer normalisation, and the training goes on for `tuning` epochs: the mean of all fields is subtracted, and the rest
is divided by an inhibitory pool, F/(floor + g mean max(F, 0)). A circuit can do both. After that, the memory of a test
sequence is held, and three versions of the query's loop run on it:

- the iterated map of the training;
- a rate network in continuous time, τ dh/dt = −h + gain · inhibited(A r + z) + bias with r = max(h, 0), which has the
  same fixed points;
- leaky integrate-and-fire neurons in Brian2. `copies` neurons stand for a unit, and as many interneurons receive its
  field. The interneurons drive a pool, one for each trial, which divides the synaptic input of all neurons: shunting
  inhibition. Mean input and its scale make the neurons' rate (Siegert) closest to λ times that of a rectified unit.

The query's input z acts for `shown`, then it is gone, and only the memory can keep the state for `held`. λ is chosen
from `scales` by the answers one second later in trials that are not tested.

    fwsim sweep attractor_spikes --over weight_decay=0 --seeds 5

The recording holds, for the test trials, answers and states of units over time: of the rate network, and of the
spikes filtered with the synaptic time constant. `settled` is where the map ends, first with z and then without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

import fwsim as fw
from fwsim import ms, mV
from fwsim.engine.cell import Cell
from fwsim.models import SequenceClassifier
from fwsim.recording import labelled_dataset
from fwsim.spiking.backend import prepared
from fwsim.study import Config as Base
from fwsim.study import Context, Seconds
from fwsim.training import InnerSteps, Training, error_rate, train_varied

QUICK = {"epochs": 6, "training_sequences": 12_800, "test_sequences": 500, "trials": 6, "choosing": 4, "held": 0.5,
         "copies": (1,), "scales": (10.0,)}  # fmt: skip

COUNTS = (1, 2, 4, 8, 16, 64, 256)
"""Iterations after which the map is asked."""
DT, SAMPLED, RATE_DT = 0.5 * ms, 50 * ms, 5 * ms
"""Time steps of the spikes, of the recording, and of the rate network."""
MEMBRANE, SYNAPTIC, POOL = 10 * ms, 100 * ms, 20 * ms
"""Time constants of neurons, of synaptic currents (and of the rate network), and of the inhibitory pool."""
CHOOSING = 1.0
"""Time after the query by whose answers λ is chosen, in s."""
THRESHOLD, REFRACTORY, NOISE = 25 * mV, 2 * ms, 1 * mV
RANGE = (-2.0, 8.0)
"""Fields for which neurons are made to have the right rate."""


class Config(Base):
    """One network, and the spikes that stand for it."""

    units: int = Field(default=32, ge=2)
    "Recurrent units R."
    pairs: int = Field(default=2, ge=2, le=26)
    "Letter–digit pairs K."
    tau: Seconds = Field(default=50.0, gt=0)
    "Time constant of the memory at 1 s a step."
    eta: float = Field(default=0.2, gt=0)
    "Strength of one write."
    division: float = Field(default=2.5, ge=0)
    "Strength g of divisive inhibition; normal fields then come out with a variance of about 1."
    floor: float = Field(default=0.05, gt=0)
    "What divisive inhibition divides by without activity."
    most: int = Field(default=8, ge=1)
    "Largest number of iterations in training."
    after: float = Field(default=0.3, ge=0, le=1)
    "Length of the first part of training, with one iteration, as a fraction."
    epochs: int = Field(default=10, ge=1)
    "Passes through the training sequences with layer normalisation."
    tuning: int = Field(default=2, ge=1)
    "Passes with inhibition, after that."
    training_sequences: int = Field(default=51_200, ge=1)
    "Sequences to train on."
    learning_rate: float = Field(default=1e-2, gt=0)
    "Peak of the one-cycle rate of AdamW; a third of it with inhibition."
    weight_decay: float = Field(default=0.0, ge=0)
    "Times the rate, the fraction of every weight that a training step takes away."
    test_sequences: int = Field(default=5_000, ge=1)
    "Sequences that errors of the map are measured on."
    trials: int = Field(default=40, ge=2)
    "Test sequences that run in continuous time."
    choosing: int = Field(default=20, ge=2)
    "Other sequences, by which λ is chosen."
    shown: Seconds = Field(default=0.5, gt=0)
    "Time for which the query's input acts."
    held: Seconds = Field(default=3.0, gt=0)
    "Time for which nothing acts after that."
    copies: tuple[PositiveInt, ...] = Field(default=(1, 10), min_length=1)
    "Neurons that stand for a unit."
    scales: tuple[PositiveFloat, ...] = Field(default=(5.0, 10.0, 20.0), min_length=1)
    "Values of λ in Hz, the rate of a neuron for a rate of 1 of its unit."


@dataclass(frozen=True, eq=False)
class Inhibition:
    """Fields without their mean, divided by an inhibitory pool; with a gain and a bias for every unit."""

    strength: float
    floor: float
    gain: Tensor
    bias: Tensor

    def __call__(self, field: Tensor) -> Tensor:
        """Inhibited fields `[..., unit]`."""
        rest = field - field.mean(-1, keepdim=True)
        pool = torch.relu(rest).mean(-1, keepdim=True)
        return self.gain * rest / (self.floor + self.strength * pool) + self.bias


@dataclass(frozen=True, eq=False, kw_only=True)
class CircuitCell(Cell):
    """A step with inhibition in the place of layer normalisation."""

    strength: float
    floor: float

    def normal(self, field: Tensor) -> Tensor:
        """Inhibited fields."""
        return Inhibition(self.strength, self.floor, self.gain, self.bias)(field)


class CircuitNetwork(fw.FastWeightNetwork):
    """Fast weights normalised by inhibition; compiled kernels know layer normalisation only."""

    def __init__(self, config: Config) -> None:
        memory = fw.Hebbian(tau=config.tau, eta=config.eta)
        super().__init__(config.units, config.units, memory, kernel="reference")
        self.inhibition = {"strength": config.division, "floor": config.floor}

    def cell(self, inner_steps: int | None = None) -> CircuitCell:
        """Return the parameters and conventions of one step."""
        return CircuitCell(**vars(super().cell(inner_steps)), **self.inhibition)


class Loop(NamedTuple):
    """Query loops `[trial, ...]` with their memory held.

    `matrix [trial, post, pre]`, `sustained [trial, unit]` is the input z; `inhibition` has gain and bias of the units.
    """

    matrix: Tensor
    sustained: Tensor
    inhibition: Inhibition

    def __call__(self, state: Tensor, scale: float = 1.0) -> Tensor:
        """One iteration of the map, with so much of the input."""
        answer = (self.matrix @ state[..., None])[..., 0]
        return torch.relu(self.inhibition(answer + scale * self.sustained))

    def settled(self) -> Tensor:
        """Where the map ends without input, from where it ends with it: `[trial, unit]`."""
        state = torch.relu(self.sustained)
        for scale in (1.0, 0.0):
            for _ in range(max(COUNTS)):
                state = self(state, scale)
        return state


def run(config: Config, context: Context) -> xr.Dataset:
    """Train, then run the loop as a map, in continuous time, and in spikes."""
    task = fw.tasks.AssociativeRetrieval(pairs=config.pairs)
    model = inhibited(layered(task, config, context), task, config, context)
    tested = task.sample(config.test_sequences, context.generator("test"))
    timed = task.sample(config.trials, context.generator("timed"))
    choosing = task.sample(config.choosing, context.generator("choosing"))
    with torch.no_grad():
        errors = [error_rate(model, tested, context.device, inner_steps=(1, count)) for count in COUNTS]
        return recorded(model, timed, choosing, config, context).assign(
            error=xr.DataArray(
                100 * np.array(errors), {"iteration": list(COUNTS)}, "iteration",
                attrs={"units": "%", "long_name": "wrong answers of the map"},
            )
        )  # fmt: skip


def layered(task: fw.tasks.AssociativeRetrieval, config: Config, context: Context) -> SequenceClassifier:
    """Train with layer normalisation; a random number of iterations at the query in the second part."""
    with context.random_state("weights"):
        memory = fw.Hebbian(tau=config.tau, eta=config.eta)
        net = fw.FastWeightNetwork(config.units, config.units, memory)
        model = SequenceClassifier(net, task.tokens, task.classes, config.units)
    training = Training(config.epochs, config.learning_rate, clip=1.0, weight_decay=config.weight_decay)
    trained(model, task, "layer", InnerSteps(config.most, after=config.after), training, config, context)
    return model


def inhibited(
    layered: SequenceClassifier, task: fw.tasks.AssociativeRetrieval, config: Config, context: Context
) -> SequenceClassifier:
    """The same network with inhibition, trained further, always with a random number of iterations."""
    model = SequenceClassifier(CircuitNetwork(config), task.tokens, task.classes, config.units)
    model.load_state_dict(layered.state_dict())
    training = Training(config.tuning, config.learning_rate / 3, clip=1.0, weight_decay=config.weight_decay)
    trained(model, task, "inhibition", InnerSteps(config.most, after=0.0), training, config, context)
    return model


def trained(
    model: SequenceClassifier,
    task: fw.tasks.AssociativeRetrieval,
    part: str,
    iterations: InnerSteps,
    training: Training,
    config: Config,
    context: Context,
) -> None:
    """Train in place; the epoch is chosen by validation errors after several numbers of iterations."""
    examples = task.sample(config.training_sequences, context.generator(f"training {part}"))
    validation = task.sample(1_000, context.generator(f"validation {part}"))
    train_varied(
        model,
        examples,
        validation,
        training,
        iterations,
        lambda epoch: context.generator(f"order {part} {epoch}"),
        lambda epoch: context.generator(f"iterations {part} {epoch}"),
        validated=[(1, count) for count in (1, 4, 64)],
        device=context.device,
        checkpoints=context.checkpoints / part,
        resume=context.resume,
        progress=context.progress,
    )


def loop_of(model: SequenceClassifier, sequences: fw.tasks.Sequences) -> tuple[Loop, Tensor]:
    """Loops of the queries in double precision, and the states that were written with each digit."""
    net, x = model.core, model.embedding(sequences.tokens.to(model.embedding.weight.device))
    past, state = net(x[:, :-1])
    sustained = state.hidden @ net.W.T + x[:, -1] @ net.C.T + net.b
    inhibition = Inhibition(**net.inhibition, gain=net.gain.double().cpu(), bias=net.bias.double().cpu())
    digits = past[:, 1 : 2 * (sequences.tokens.shape[1] - 3) // 2 : 2]
    loop = Loop(state.memory.sum(1).double().cpu(), sustained.double().cpu(), inhibition)
    return loop, digits.double().cpu()


def recorded(
    model: SequenceClassifier,
    timed: fw.tasks.Sequences,
    choosing: fw.tasks.Sequences,
    config: Config,
    context: Context,
) -> xr.Dataset:
    """States and answers in continuous time."""
    loop, digits = loop_of(model, timed)
    other, _ = loop_of(model, choosing)
    readout = model.readout.double().cpu()

    def answers(states: Tensor) -> np.ndarray:
        return readout(states).argmax(-1).numpy()

    states, scales = [in_rates(loop, config)], []
    short = config.model_copy(update={"held": min(config.held, CHOOSING)})
    for copies in config.copies:
        ends = dict.fromkeys(config.scales, 0.0)
        for scale in config.scales if len(ends) > 1 else ():
            last = in_spikes(other, short, copies, scale, context.seed_of("choosing"))[:, -1]
            ends[scale] = float((answers(last) == choosing.target.numpy()).mean())
        scales.append(max(ends, key=lambda scale: ends[scale]))
        states.append(in_spikes(loop, config, copies, scales[-1], context.seed_of("noise")))
    found = torch.stack(states)
    settled = loop.settled()
    time = SAMPLED * np.arange(1, found.shape[2] + 1)
    values = {
        "state": (("version", "trial", "time", "unit"), found.numpy(), "1", "rate of units / λ"),
        "answer": (("version", "trial", "time"), answers(found), "1", "digit answered"),
        "settled": (("trial", "unit"), settled.numpy(), "1", "where the map ends"),
        "settled_answer": (("trial",), answers(settled), "1", "digit that the map answers at its end"),
        "target": (("trial",), timed.target.numpy(), "1", "right digit"),
        "stored": (("trial", "stored", "unit"), digits.numpy(), "1", "state written with a digit"),
        "scale": (("version",), [1.0, *scales], "Hz", "λ, 1 for units"),
    }
    versions = ["rates", *(f"{copies} neuron{'s' * (copies > 1)} a unit" for copies in config.copies)]
    time = ("time", time.round(9), {"units": "s", "long_name": "time since the query began"})
    return labelled_dataset(values, {"version": versions, "time": time})


def in_rates(loop: Loop, config: Config) -> Tensor:
    """The rate network from rest, sampled: `[trial, time, unit]`."""
    every, counts = round(SAMPLED / RATE_DT), [round(each / RATE_DT) for each in (config.shown, config.held)]
    net = fw.RateNetwork(fw.Projection(loop.matrix), SYNAPTIC, dt=RATE_DT, normalise=loop.inhibition)
    on = torch.cat([torch.ones(counts[0]), torch.zeros(counts[1])]).double()
    rate, _ = net(on[:, None] * loop.sustained[:, None])
    return rate[:, every - 1 :: every]


NEURON = """
dv/dt = (base + current*x - v)/tau + sd*sqrt(2/tau)*xi : 1 (unless refractory)
f : 1 (linked)
z : 1 (linked)
"""
"""Of neurons, in V and s as plain numbers; `f` is the field of their unit by spikes, `z` its input."""
CELL = f"""{NEURON}
x = gain*(f + z)/(least + strength*p) + bias : 1
gain : 1
bias : 1
p : 1 (linked)
"""
INTERNEURON = f"""{NEURON}
x = (f + z)/typical : 1
"""
UNIT = """
df/dt = -f/synaptic : 1
ds/dt = -s/synaptic : 1
z : 1
"""
"""`s` are filtered spikes, for the recording."""


def in_spikes(loop: Loop, config: Config, copies: int, scale: float, seed: int) -> Tensor:
    """Integrate-and-fire neurons from rest: filtered spikes over λ, `[trial, time, unit]`."""
    trials, units = loop.sustained.shape
    with prepared(seed) as b:
        network, unit, monitor = circuit(b, loop, copies, scale)
        network.run(config.shown * b.second)
        unit.z = 0
        network.run((config.held + DT) * b.second)
        found = np.asarray(monitor.s)[:, 1:]
    return torch.as_tensor(found).view(trials, units, -1).mT.contiguous()


def circuit(b: Any, loop: Loop, copies: int, scale: float) -> tuple[Any, Any, Any]:
    """Network, units and monitor of Brian2, with a block of neurons for each trial.

    The mean of the fields is subtracted by the weights.
    """
    (trials, units), second = loop.sustained.shape, b.second
    matrix, sustained = (each - each.mean(1, keepdim=True) for each in (loop.matrix, loop.sustained))
    # A memory that calls up nothing has no typical field.
    typical = float(torch.relu((matrix @ loop.settled()[..., None])[..., 0]).mean()) or 1.0
    gain = fw.siegert(tau=MEMBRANE, threshold=THRESHOLD, reset=0.0, refractory=REFRACTORY, sd=NOISE)
    base, current = gain.rectified(scale, *RANGE)
    charge = 1 / (scale * copies)  # a rate of λ of all copies is a rate of 1 of the unit
    names = {
        "base": base, "current": current, "tau": MEMBRANE * second, "sd": NOISE, "synaptic": SYNAPTIC * second,
        "slow": POOL * second, "strength": loop.inhibition.strength, "least": loop.inhibition.floor,
        "typical": typical, "limit": THRESHOLD, "one": charge / SYNAPTIC, "share": typical * charge / (units * POOL),
    }  # fmt: skip
    common = {"namespace": names, "dt": DT * second}
    firing = {
        "threshold": "v > limit",
        "reset": "v = 0",
        "refractory": REFRACTORY * second,
        "method": "euler",
    }
    of_cell = np.repeat(np.arange(trials * units), copies)
    # Names of their own, so that code which was compiled once serves all networks.
    pool = b.NeuronGroup(trials, "dp/dt = -p/slow : 1", method="exact", name="pool", **common)
    unit = b.NeuronGroup(trials * units, UNIT, method="exact", name="unit", **common)
    cells, interneurons = (
        b.NeuronGroup(len(of_cell), equations, name=name, **firing, **common)
        for name, equations in (("cells", CELL), ("interneurons", INTERNEURON))
    )
    for group in (cells, interneurons):
        group.f, group.z = (b.linked_var(unit, name, index=of_cell) for name in ("f", "z"))
    cells.p = b.linked_var(pool, "p", index=of_cell // units)
    unit.z = sustained.flatten().numpy()
    cells.gain, cells.bias = (
        each.expand(units).numpy()[of_cell % units] for each in (loop.inhibition.gain, loop.inhibition.bias)
    )
    sources, targets = np.arange(len(of_cell)), np.arange(units)
    recurrent = b.Synapses(cells, unit, "w : 1", on_pre="f_post += w", name="recurrent", **common)
    recurrent.connect(i=np.repeat(sources, units), j=(of_cell[:, None] // units * units + targets).flatten())
    # From every cell, `[trial, pre, copy, post]`; the charge of a spike is spread over the time constant.
    spread = matrix.mT[:, :, None].expand(-1, -1, copies, -1) * charge / SYNAPTIC
    recurrent.w = spread.flatten().numpy()
    read = b.Synapses(cells, unit, on_pre="s_post += one", name="read", **common)
    read.connect(i=sources, j=of_cell)
    inhibits = b.Synapses(interneurons, pool, on_pre="p_post += share", name="inhibits", **common)
    inhibits.connect(i=sources, j=of_cell // units)
    monitor = b.StateMonitor(unit, "s", record=True, dt=SAMPLED * second, when="end", name="monitor")
    return b.Network(pool, unit, cells, interneurons, recurrent, read, inhibits, monitor), unit, monitor
