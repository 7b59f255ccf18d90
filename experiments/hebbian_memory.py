"""For how long can spikes recall what Hebbian synapses stored, and does a rate network predict it?

Excitatory neurons, each connected to every other one by a Hebbian synapse, see patterns, one presentation each.
Between patterns all neurons are inhibited. Then a part of one pattern is cued, and the rest of it should fire.
Inhibitory neurons that all excitatory ones drive take the place of layer normalisation in the fast weights of Ba et
al. 2016 (arXiv 1610.06258). Excitatory synapses stay positive, so Dale's law holds.

The same inputs go to a rate network in continuous time. It has the memory rule that the synapse reduces to (`linear`,
`trained`), or, for a rule that saturates or is not linear, the rates of the complete rule. Five memories are compared:
`one` time scale and `several`, whose weights saturate; `linear`, without saturation; `bcpnn` (Fiebig & Lansner 2017,
J. Neurosci. 37:83); and `trained`, the memory of a trained associative-retrieval network, with its decay of 0.95 a
step converted to seconds (one step is one pattern with its pause) and its strength to volts.

Expect recall of the latest patterns only. The memory is a palimpsest: the time constant and saturation determine how
many patterns it holds. Without saturation expect rates during recall that no cortex has. The control cues a pattern
that was never shown.

    fwsim run hebbian_memory --memories one --tau 10s --load 12
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt

import fwsim as fw
from fwsim import ms, mV, spiking
from fwsim.recording import labelled
from fwsim.rules import AssociativeRule
from fwsim.spiking import Circuit, Connection, Population
from fwsim.study import Config as Base
from fwsim.study import Context, Duration, Seconds, Volts

Memory = Literal["linear", "one", "several", "bcpnn", "trained"]
QUICK = {
    "memories": ("one",),
    "networks": 2,
    "load": 4,
    "other_loads": (),
    "other_qualities": (),
}
CPU_ONLY = True
DT = 0.5 * ms
HOLD = 8  # steps of a sample of the drive
STRIDE = 8  # steps of the circuit for one of the rate network; a quarter of it changes rates by less than 0.1 Hz of 100
REDUCED = ("linear", "trained")
"""Memories whose rule becomes an outer product in the rate network; of others the rates of the whole rule are taken."""


class Config(Base):
    """Neurons, memories, and what is shown and cued."""

    memories: tuple[Memory, ...] = Field(
        default=("one", "several", "linear", "bcpnn", "trained"), min_length=1
    )
    "Memories that are compared."
    networks: int = Field(default=5, ge=1)
    "Networks, each with patterns and noise of its own."
    neurons: int = Field(default=200, ge=20)
    "Excitatory neurons; a quarter as many are inhibitory."
    active: int = Field(default=20, ge=4)
    "Neurons of a pattern."
    load: int = Field(default=8, ge=1)
    "Patterns that are shown."
    quality: float = Field(default=0.6, gt=0, lt=1)
    "Fraction of a pattern that is cued."
    other_loads: tuple[PositiveInt, ...] = (4, 12)
    "Other numbers of patterns, of which the latest are asked for; may be left empty."
    other_qualities: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.3, 0.8)
    "Other fractions, asked for the latest patterns; may be left empty."
    latest: int = Field(default=2, ge=1)
    "Number of the latest patterns."
    strength: float = Field(default=4.0, gt=0)
    "What one presentation would add to the input of a whole pattern without saturation, over the cue."
    linear_strength: float = Field(default=1.8, gt=0)
    "The same as `strength`, of the memory that does not saturate."
    tau: Seconds = Field(default=3.0, gt=0)
    "Time constant of the memory with one."
    taus: tuple[Duration, ...] = Field(default=(1.0, 9.0), min_length=1)
    "Time constants of the memory with several, in equal parts."
    limit: float = Field(default=0.9, gt=0)
    "Largest weight, in all time constants together; `linear` and `trained` have none."
    decay: float = Field(default=0.95, gt=0, lt=1)
    "What a step leaves of the trained network's memory."
    trained_strength: float = Field(default=27.0, gt=0)
    "What one write adds to the input of the trained network, over the state that was written: η|h|², measured."
    tau_trace: Seconds = Field(default=0.02, gt=0)
    "Time constant of the traces of spikes."
    efficacy: Volts = Field(default=0.001, gt=0)
    "Jump of the potential at a weight of 1."
    bcpnn_efficacy: Volts = 0.0003
    "Jump of the potential at a weight of 1 of BCPNN, whose weights are log odds."
    inhibition: Volts = 0.00035
    "Jump of the potential at synapses to and from inhibitory neurons."
    background: Volts = 0.014
    "Background drive above rest."
    noise: Volts = 0.003
    "Standard deviation of the potential by noise."
    cue: Volts = 0.014
    "Drive of a shown or cued neuron."
    show: Seconds = Field(default=0.2, gt=0)
    "Time for which a pattern is shown."
    pause: Seconds = Field(default=0.1, ge=0)
    "Time after each pattern, with all excitatory neurons inhibited."
    quench: Volts = 0.01
    "How far the drive of excitatory neurons is lowered in pauses."
    recall: Seconds = Field(default=0.2, gt=0)
    "Time for which a part is cued; rates are those after its first quarter."
    decay_current: Seconds = Field(default=0.005, ge=0)
    "Time constant of synaptic currents."


@dataclass(frozen=True, eq=False)
class Trials:
    """What is shown and cued: `patterns [pattern, unit]`; `cued [trial, unit]`, with the age and quality of each.

    The last trial cues a part of a pattern that was not shown, the last of `patterns`; its age is NaN.
    """

    patterns: np.ndarray
    cued: np.ndarray
    age: np.ndarray
    quality: np.ndarray

    @property
    def load(self) -> int:
        """Number of patterns that are shown."""
        return len(self.patterns) - 1

    @property
    def asked(self) -> np.ndarray:
        """Pattern that each trial is about, `[trial]`."""
        return np.where(np.isnan(self.age), self.load, self.load - 1 - np.nan_to_num(self.age)).astype(int)


def run(config: Config, context: Context) -> xr.Dataset:
    """Every memory in spikes and in rates, over networks, ages, qualities of the cue and loads."""
    if config.active >= config.neurons:
        raise fw.ConfigError(
            f"active={config.active} leaves none of the {config.neurons} neurons outside a pattern; give fewer"
        )
    found = []
    with context.progress("memories", len(config.memories) * config.networks) as advance:
        for memory in config.memories:
            networks = []
            for number in range(config.networks):
                networks.append(network(config, memory, context, number))
                advance()
            found.append(xr.concat(networks, "network"))
    asked = found[0][["cued", "completed"]]  # the same of every memory
    joined = xr.concat([each.drop_vars(list(asked)) for each in found], "memory")
    recording = joined.assign_coords(memory=list(config.memories)).merge(asked)
    recording = recording.merge(raster(config, context), combine_attrs="drop")
    circuits = {memory: circuit(config, memory).configuration() for memory in config.memories}
    return recording.assign_attrs(
        circuits=json.dumps(circuits), dt=circuit(config, config.memories[0]).dt, duration=duration(config)
    )


def network(config: Config, memory: Memory, context: Context, number: int) -> xr.Dataset:
    """Trials of all loads in one network, side by side, with the time course at the first load."""
    parts = []
    for load in (config.load, *config.other_loads):
        random = context.numpy_generator(f"patterns {number} {load}")
        trials = drawn(config, load, random)
        drive = shown(config, trials)
        spikes = averages(
            config,
            spiking.simulate(
                circuit(config, memory),
                drive,
                hold=HOLD,
                record=["rate"],
                every=bin_steps(config),
                seed=context.seed_of(f"noise {number} {load}", bits=31),
                progress=False,
            )["rate"],
        )
        rates = averages(
            config,
            spiking.simulate_resolved(
                circuit(config, memory),
                drive,
                hold=HOLD,
                stride=STRIDE,
                every=bin_steps(config) // STRIDE,
                reduced=memory in REDUCED,
            )["rate"],
        )
        both = spikes.merge(
            rates.rename({name: f"mean_field_{name}" for name in rates.data_vars}), join="exact"
        )
        keep = both if load == config.load else both.drop_dims("time")
        parts.append(keep.merge(labels(config, trials)))
    courses = parts[0][["course", "mean_field_course"]]
    joined = xr.concat([part.drop_dims("time", errors="ignore") for part in parts], "trial")
    return joined.merge(courses)


def drawn(config: Config, load: int, random: np.random.Generator) -> Trials:
    """Draw patterns; at the first load every age is cued, and the latest also with other qualities."""
    patterns = np.zeros((load + 1, config.neurons), bool)
    for each in patterns:
        each[random.choice(config.neurons, config.active, replace=False)] = True
    latest = range(min(config.latest, load))
    conditions = [(age, config.quality) for age in (range(load) if load == config.load else latest)]
    if load == config.load:
        conditions += [(age, quality) for quality in config.other_qualities for age in latest]
    age, quality = np.array([*conditions, (np.nan, config.quality)]).T
    trials = Trials(patterns, np.zeros((len(age), config.neurons), bool), age, quality)
    for row, pattern, part in zip(trials.cued, trials.asked, quality):
        members = np.flatnonzero(patterns[pattern])
        count = min(max(1, round(part * len(members))), len(members) - 1)
        row[random.choice(members, count, replace=False)] = True
    return trials


def labels(config: Config, trials: Trials) -> xr.Dataset:
    """What each trial is about: the neurons cued, and those to be completed."""
    asked = trials.patterns[trials.asked]
    return xr.Dataset(
        {
            "cued": (("trial", "unit"), trials.cued),
            "completed": (("trial", "unit"), asked & ~trials.cued),
        },
        coords={
            "age": ("trial", trials.age, {"units": "1", "long_name": "patterns shown since"}),
            "quality": ("trial", trials.quality, {"units": "1", "long_name": "fraction cued"}),
            "load": (
                "trial",
                np.full(len(trials.age), trials.load),
                {"units": "1", "long_name": "patterns shown"},
            ),
        },
    )


def duration(config: Config) -> float:
    """Length of a run at the first load in s."""
    return config.load * (config.show + config.pause) + config.recall


def bin_steps(config: Config) -> int:
    """Steps between two samples: a quarter of the recall."""
    return max(1, round(config.recall / 4 / (HOLD * DT))) * HOLD


def shown(config: Config, trials: Trials) -> np.ndarray:
    """Drive `[trial, time, unit]` of all neurons in V: patterns and pauses, then the cue of each trial."""
    sample = HOLD * DT
    show, pause, recall = (round(each / sample) for each in (config.show, config.pause, config.recall))
    steps = trials.load * (show + pause) + recall
    drive = np.zeros((len(trials.age), steps, config.neurons + config.neurons // 4))
    excitatory = drive[..., : config.neurons]
    for k, pattern in enumerate(trials.patterns[:-1]):
        start = k * (show + pause)
        excitatory[:, start : start + show] += config.cue * pattern
        excitatory[:, start + show : start + show + pause] -= config.quench
    excitatory[:, -recall:] += config.cue * trials.cued[:, None]
    return drive


def circuit(config: Config, memory: Memory) -> Circuit:
    """The spiking network."""
    both = {
        "threshold": 20 * mV,
        "reset": 10 * mV,
        "background": config.background,
        "noise": config.noise,
    }
    populations = [
        Population("E", config.neurons, tau=20 * ms, **both),
        Population("I", config.neurons // 4, tau=10 * ms, **both),
    ]
    decay = config.decay_current
    return Circuit(
        populations,
        [
            Connection("E", "E", efficacy(config, memory), synapse=rule(config, memory), decay=decay),
            Connection("E", "I", config.inhibition, decay=decay),
            Connection("I", "E", -config.inhibition, decay=decay),
        ],
        dt=DT,
    )


def efficacy(config: Config, memory: Memory) -> float:
    """Jump in V at a weight of 1."""
    return config.bcpnn_efficacy if memory == "bcpnn" else config.efficacy


def rule(config: Config, memory: Memory) -> AssociativeRule:
    """The synapse between excitatory neurons."""
    if memory == "bcpnn":
        z = {"tau_pre": config.tau_trace, "tau_post": config.tau_trace}
        return fw.BCPNN(**z, tau_p=config.tau, f_max=nominal_rate(config))
    strengths = {"linear": config.linear_strength, "trained": config.trained_strength}
    total = eta(config, strengths.get(memory, config.strength))
    taus = {"several": config.taus, "trained": (step(config) / -math.log(config.decay),)}.get(
        memory, (config.tau,)
    )
    return fw.HebbianTraces(
        tau=taus,
        eta=(total / len(taus),) * len(taus),
        tau_pre=config.tau_trace,
        tau_post=config.tau_trace,
        w_max=None if memory in REDUCED else (config.limit / len(taus),) * len(taus),
    )


def step(config: Config) -> float:
    """Duration of a step of the trained network in s: one pattern, one write."""
    return config.show + config.pause


def eta(config: Config, strength: float) -> float:
    """Change of a weight per pair of spikes by which one presentation gives a pattern `strength` times its cue.

    With n neurons at the rate r for the time T, w = η(τ_pre + τ_post) r² T, and their input is J w τ n r.
    """
    rate, neurons = nominal_rate(config), config.active - 1
    weight = strength * config.cue / (config.efficacy * 20 * ms * neurons * rate)
    return weight / (2 * config.tau_trace * rate**2 * config.show)


def nominal_rate(config: Config) -> float:
    """Rate in Hz of a neuron that is shown a pattern, without recurrent input."""
    gain = fw.siegert(tau=20 * ms, threshold=20 * mV, reset=10 * mV, refractory=2 * ms, sd=config.noise)
    return float(gain(torch.tensor([config.background + config.cue]).double()))


def averages(config: Config, rate: xr.DataArray) -> xr.Dataset:
    """Rates of excitatory neurons in recall, `[trial, unit]`; means over trials and neurons, `[time, population]`."""
    excitatory, inhibitory = rate[..., : config.neurons], rate[..., config.neurons :]
    recalled = excitatory.isel(time=slice(-3, None)).mean("time")
    course = xr.concat([each.mean(("trial", "unit")) for each in (excitatory, inhibitory)], "population")
    found = xr.Dataset({"recalled": recalled, "course": course.transpose("time", "population")})
    found = found.drop_vars(["trial", "unit"], errors="ignore").astype(np.float32)
    found["recalled"] = labelled(found["recalled"], "rate in recall", "Hz")
    found["course"] = labelled(found["course"], "rate of the population", "Hz")
    time = ("time", rate["time"].values.round(9), {"units": "s", "long_name": "time"})
    return found.assign_coords(population=["E", "I"], time=time)


def raster(config: Config, context: Context) -> xr.Dataset:
    """Spikes of the first memory and network, one trial: a part of the latest pattern is cued."""
    random = context.numpy_generator(f"patterns 0 {config.load}")
    trials = drawn(config, config.load, random)
    run = spiking.simulate(
        circuit(config, config.memories[0]),
        shown(config, trials)[:1],
        hold=HOLD,
        seed=context.seed_of(f"noise 0 {config.load}", bits=31),
        progress=False,
    )
    kept = run[list(spiking.EVENTS)].drop_vars(["trial", "unit"], errors="ignore")
    return kept.assign(pattern_member=(("pattern", "unit"), trials.patterns))
