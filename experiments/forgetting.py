"""How long does a memory with one or many time scales hold the items of a stream?

Items are random patterns of ±1, stored one after the other, `dt` apart. For each time `lag` since an item was stored,
two quantities are measured: the strength of the item in the memory, ξᵀAξ/N(N−1), and how well the network recognises
the item, as the overlap with it when the inner loop starts from a copy with some wrong units. Expect the strength to
be the kernel of the memory, κ(lag) = Σ η exp(−lag/τ), which is exponential for a single time scale. The expected
overlap after one iteration follows from the noise of all other items: erf(κ √(N/2Σκ²)).

Memories are compared at equal total strength κ(0): one, two, four or eight time scales, a power law Δ^−1/2, and the
chain of Benna & Fusi 2016, which is also a sum of exponentials, one for each mode:

    fwsim sweep forgetting --over spectrum=one,two,four,eight,power_law,benna_fusi --seeds 3

Nothing is trained. Points that differ in `spectrum`, `tau`, `eta` and seed run as one batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context, Duration, Seconds

QUICK = {"items": 100, "lags": 60, "trials": 4}
BATCHABLE = ("spectrum", "tau", "eta")

TIMESCALES = {"one": 1, "two": 2, "four": 4, "eight": 8}


class Config(Base):
    """One memory and streams of items."""

    units: int = Field(default=400, ge=2)
    "Units N of the network."
    spectrum: Literal["given", "one", "two", "four", "eight", "power_law", "benna_fusi"] = "given"
    "Time constants as given by `tau`, or a spectrum between `shortest` and `longest` of total strength `eta`."
    tau: tuple[Duration, ...] = Field(default=(20.0,), min_length=1)
    "Time constants of a given spectrum."
    eta: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    "Strength of one write: one number for all time constants, or one for each."
    shortest: Seconds = Field(default=2.0, gt=0)
    "Shortest time constant of a spectrum that is not given; the power law and the chain begin there."
    longest: Seconds = Field(default=200.0, gt=0)
    "Longest time constant of a spectrum that is not given; `one` is the geometric mean of shortest and longest."
    dt: Seconds = Field(default=1.0, gt=0)
    "Time between two items."
    items: int = Field(default=800, ge=2)
    "Items in a stream."
    lags: int = Field(default=200, ge=8)
    "Latest items that are asked for."
    trials: int = Field(default=8, ge=1)
    "Streams."
    wrong: float = Field(default=0.1, ge=0, lt=0.5)
    "Fraction of the cue's units that are wrong."
    iterations: int = Field(default=20, ge=1)
    "Iterations of the inner loop."


def run(config: Config, context: Context) -> xr.Dataset:
    """Measure one memory."""
    return run_batch([config], [context])[0]


@torch.no_grad()
def run_batch(configs: Sequence[Config], contexts: Sequence[Context]) -> list[xr.Dataset]:
    """Measure memories that differ in `tau` and `eta`, each with its own streams."""
    config, device = configs[0], contexts[0].device
    if config.lags > config.items:
        raise fw.ConfigError(f"lags={config.lags} of {config.items} items; ask for no more than there are")
    streams = [random_signs(config, context) for context in contexts]
    items, cues = (torch.cat(parts).to(device) for parts in zip(*streams, strict=True))
    net = listener(config, together(configs)).to(device)
    state = net(items)[1]
    latest = items.flip(1)[:, : config.lags]
    weights = state.memory.sum(1)
    pairs = config.units * (config.units - 1)
    measured = {
        "strength": ((latest @ weights * latest).sum(-1) / pairs, "strength in the memory"),
        "recognised": (overlap(iterate(weights, latest, 1), latest), "overlap after one iteration"),
        "recalled": (
            overlap(iterate(weights, cues, config.iterations), latest),
            "overlap of what is recalled",
        ),
    }
    return [recording(config, measured, place) for place, config in enumerate(configs)]


def point_bytes(config: Config) -> float:
    """Memory of one point: weights and their write, items and their history, what is recalled."""
    N = config.units
    return (
        8
        * config.trials
        * ((2 + 2 * rule(config).timescales) * N**2 + 4 * config.items * N + 4 * config.lags * N)
    )


def random_signs(config: Config, context: Context) -> tuple[Tensor, Tensor]:
    """Items `[trial, time, unit]`, and the latest with some units wrong, latest first: `[trial, lag, unit]`."""
    shape = (config.trials, config.items, config.units)
    items = torch.randint(0, 2, shape, generator=context.generator("items")).double() * 2 - 1
    latest = items.flip(1)[:, : config.lags]
    wrong = torch.rand(latest.shape, generator=context.generator("cues")) < config.wrong
    return items, torch.where(wrong, -latest, latest)


def rule(config: Config) -> fw.Hebbian:
    """The memory, all spectra but a given one with the total strength of one write κ(0) = `eta`."""
    single = len(config.eta) == 1
    if config.spectrum == "given":
        if not single and len(config.eta) != len(config.tau):
            raise fw.ConfigError(
                f"eta has {len(config.eta)} values for {len(config.tau)} time constants; give one, or one for each"
            )
        return fw.Hebbian(tau=list(config.tau), eta=list(config.eta))
    if not single or not config.shortest < config.longest:
        raise fw.ConfigError(
            f"spectrum={config.spectrum!r} with eta={config.eta}, shortest={config.shortest:g} and "
            f"longest={config.longest:g}; give one eta, its total strength, and shortest below longest"
        )
    tau, weight = spectrum(config)
    return fw.Hebbian(tau=tau, eta=config.eta[0] * weight / weight.sum())


def spectrum(config: Config) -> tuple[Tensor, Tensor]:
    """Time constants and relative strengths, `[timescale]`."""
    shortest, longest = config.shortest, config.longest
    match config.spectrum:
        case "power_law":
            memory = fw.Hebbian.power_law(0.5, shortest=shortest, longest=longest)
            return memory.tau, memory.eta
        case "benna_fusi":
            # A chain of m variables follows t^−1/2 up to 4^m; its leak lets it go on no longer.
            length = math.ceil(math.log(longest / shortest, 4)) + 1
            memory = fw.BennaFusi(length=length, tau=shortest, leak=2.0**-length).reduced()
            return memory.tau, memory.eta_rate
        case name:
            ends = torch.tensor([shortest, longest], dtype=torch.float64).log()
            place = torch.linspace(0, 1, TIMESCALES[name]) if name != "one" else torch.tensor([0.5])
            return torch.exp(ends[0] + place.double() * (ends[1] - ends[0])), torch.ones(TIMESCALES[name])


def together(configs: Sequence[Config]) -> fw.Hebbian:
    """The memories of all streams of all points as one, `[batch, timescale]`."""
    rules = [rule(config) for config in configs]
    longest = max(each.timescales for each in rules)

    def padded(values: Tensor, trials: int, rest: float) -> Tensor:
        """Repeat for each stream; nothing is written to time scales that a memory has not."""
        return torch.nn.functional.pad(values, (0, longest - len(values)), value=rest).expand(trials, -1)

    trials = [config.trials for config in configs]
    tau = [padded(one.tau.expand(one.shape), n, 1.0) for one, n in zip(rules, trials, strict=True)]
    eta = [padded(one.eta.expand(one.shape), n, 0.0) for one, n in zip(rules, trials, strict=True)]
    return fw.Hebbian(tau=torch.cat(tau), eta=torch.cat(eta))


def listener(config: Config, memory: fw.Hebbian) -> fw.FastWeightNetwork:
    """Network whose state is its input, so that each item is stored as it comes."""
    net = fw.FastWeightNetwork(
        config.units,
        config.units,
        memory,
        inner_steps=0,
        activation="sign",
        normalise="none",
        self_connections=False,
        dt=config.dt,
    ).double()
    net.W.zero_()
    net.b.zero_()
    net.C.copy_(torch.eye(config.units))
    return net


def iterate(weights: Tensor, states: Tensor, iterations: int) -> Tensor:
    """Run the inner loop of sign units, `[batch, lag, unit]`, with the memory as it is after the stream."""
    for _ in range(iterations):
        before, states = states, torch.sign(states @ weights.mT)
        if torch.equal(before, states):
            break
    return states


def overlap(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).mean(-1)


def recording(config: Config, measured: dict[str, tuple[Tensor, str]], place: int) -> xr.Dataset:
    """What was measured at one point, beside what theory expects."""
    mine = slice(place * config.trials, (place + 1) * config.trials)
    steps = torch.arange(config.items)
    memory = rule(config)
    kernel = memory.kernel(steps, config.dt).numpy()
    left = kernel[: config.lags]
    noise = np.sqrt((kernel**2).sum() - left**2)
    ratio = np.sqrt(config.units / 2) * left / np.maximum(noise, np.finfo(float).tiny)
    theory = {
        "kernel": (left, "kernel of the memory"),
        "expected_recognised": (np.vectorize(math.erf)(ratio), "overlap expected after one iteration"),
    }
    lag = np.arange(config.lags) * config.dt
    tau, eta = (each.expand(memory.shape).numpy() for each in (memory.tau, memory.eta))
    return labelled_dataset(
        {
            name: (("trial", "lag"), values[mine].cpu().numpy(), "1", label)
            for name, (values, label) in measured.items()
        }
        | {name: ("lag", values, "1", label) for name, (values, label) in theory.items()}
        | {
            "time_constant": ("timescale", tau, "s", "time constants"),
            "write_strength": ("timescale", eta, "1", "strength of one write on each time constant"),
            "units": ((), config.units, "1", "units"),
        },
        coords={
            "lag": ("lag", lag, {"units": "s", "long_name": "time since the item was stored"}),
            "trial": ("trial", np.arange(config.trials), {"units": "1", "long_name": "trial"}),
        },
    )
