"""How many patterns do fast weights hold in a continuing stream, and does the number follow theory?

Random patterns are stored one after the other while the memory decays. Then each of the latest patterns is recalled by
the inner loop, with the memory held fixed. Sign units without self-connections are the palimpsest of Nadal, Toulouse,
Changeux & Dehaene 1986 and Mézard, Nadal & Toulouse 1986. Expect their overlaps to lie on
`fwsim.theory.palimpsest_overlap`, with 0.049 N items at best. The information in all items together then grows as N²,
whereas the states of N units hold N bits.

Further conditions have no theory: self-connections, two time constants, the delta rule, correlated patterns, and ReLU
units with layer normalisation. Their cues are imperfect. Recall is compared with the cue alone (no memory) and with
another pattern (shuffled).

    fwsim run capacity --units 250 --units 500 --units 1000
    fwsim run capacity --conditions sign --conditions delta --comparison-units 250
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt
from torch import Tensor

import fwsim as fw
from fwsim.recording import labelled_dataset
from fwsim.study import Config as Base
from fwsim.study import Context

Name = Literal["sign", "self_connections", "time_scales", "delta", "correlated", "relu"]

QUICK = {
    "units": (250, 500),
    "trials": 4,
    "decay_units": 250,
    "comparison_units": 250,
    "epsilons": (3.0, 4.1, 6.0),
}


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Config(Base):
    """Sizes, decays and conditions."""

    units: tuple[PositiveInt, ...] = Field(default=(250, 500, 1000, 2000), min_length=1)
    "Numbers of units N of the sign networks that are held against theory."
    epsilon: Positive = 4.10812
    "Decay ε = √(2N/τ) at all sizes, τ in steps; the optimum of theory is 4.108."
    epsilons: tuple[Positive, ...] = Field(
        default=(2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0), min_length=1
    )
    "Decays ε that are compared."
    decay_units: int = Field(default=1000, ge=50)
    "Number of units of the networks with these decays, `epsilons`."
    conditions: tuple[Name, ...] = Field(
        default=("sign", "self_connections", "time_scales", "delta", "correlated", "relu"), min_length=1
    )
    "Networks and patterns that are compared at one size."
    comparison_units: int = Field(default=500, ge=50)
    "Number of units of the networks under `conditions`."
    trials: int = Field(default=20, ge=1)
    "Independent streams of patterns."
    oldest: float = Field(default=0.1, gt=0, le=1)
    "Oldest pattern that is recalled, in units of N."
    iterations: int = Field(default=100, ge=1)
    "Most iterations of the inner loop; forgotten patterns drift away slowly."
    flip: float = Field(default=0.1, ge=0, le=0.5)
    "Fraction of wrong units in the cues of the compared conditions."
    similarity: float = Field(default=0.5, ge=0, le=1)
    "Correlation of the sustained cue with the pattern's input (ReLU units)."
    strength: float = Field(default=0.03, gt=0)
    "η‖h‖²/‖z‖: what one write answers to its own pattern, over the input (ReLU units)."
    correlation: float = Field(default=0.02, ge=0, lt=1)
    "Correlation of any two patterns in the correlated condition."
    tau_factors: tuple[Positive, ...] = Field(default=(1 / 3, 3.0), min_length=1)
    "Time constants of the condition with several, over the single one."
    eta_factors: tuple[Positive, ...] = Field(default=(1.0, 0.3), min_length=1)
    "Relative strengths of one write of these time constants, `tau_factors`."


@dataclass(frozen=True, eq=False)
class Stream:
    """Patterns stored one after the other `[trial, time, unit]`, and cues for the latest `[trial, lag, unit]`.

    Cues are initial states, and with ReLU units also the sustained input.
    """

    patterns: Tensor
    cues: Tensor
    sustained: bool = False

    @property
    def targets(self) -> Tensor:
        """What each cue asks for, the latest first: `[trial, lag, unit]`."""
        return self.patterns.flip(1)[:, : self.cues.shape[1]]


def run(config: Config, context: Context) -> xr.Dataset:
    """Recall at all sizes, all decays, under all conditions."""
    check(config)
    points = len(config.units) + len(config.epsilons) + len(config.conditions)
    with context.progress("capacity", points) as advance:

        def point(name: Name, units: int, epsilon: float, flip: float) -> xr.Dataset:
            overlaps = measure(config, name, units, epsilon, flip, context)
            advance()
            return overlaps

        N = config.comparison_units
        sizes = [point("sign", units, config.epsilon, 0.0) for units in config.units]
        decays = [point("sign", config.decay_units, epsilon, 0.0) for epsilon in config.epsilons]
        conditions = [point(name, N, config.epsilon, config.flip) for name in config.conditions]
    recording = xr.Dataset()
    recording["overlap"] = xr.concat([one["overlap"] for one in sizes], "units", join="outer")
    recording["decay_overlap"] = xr.concat([one["overlap"] for one in decays], "epsilon", join="outer")
    for name in conditions[0]:
        compared = xr.concat([one[name] for one in conditions], "condition", join="outer")
        recording[f"condition_{name}"] = compared
    labels = {"units": "units", "epsilon": "decay ε", "lag": "patterns stored since", "trial": "trial"}
    values = {"units": list(config.units), "epsilon": list(config.epsilons)}
    recording = recording.assign_coords(values | {"condition": list(config.conditions)})
    for name, label in labels.items():
        recording[name].attrs = {"units": "1", "long_name": label}
    return recording


def check(config: Config) -> None:
    """Refuse time scales without a strength, and ages of less than a pattern."""
    if len(config.tau_factors) != len(config.eta_factors):
        raise fw.ConfigError(
            f"tau_factors has {len(config.tau_factors)} values and eta_factors {len(config.eta_factors)}; give one of "
            "each for every time constant"
        )
    least = min(*config.units, config.decay_units, config.comparison_units)
    if config.oldest * least < 1:
        raise fw.ConfigError(
            f"oldest={config.oldest:g} is less than a pattern of {least} units; give at least {1 / least:.3g}, or more "
            "units"
        )


@torch.no_grad()
def measure(
    config: Config, name: Name, units: int, epsilon: float, flip: float, context: Context
) -> xr.Dataset:
    """Overlaps `[trial, lag]` of what is recalled with what was stored, and their controls."""
    tau = float(fw.theory.tau_from_epsilon(epsilon, units))
    net = network(config, name, units, tau).to(context.device)
    trials = []
    for trial in range(config.trials):
        generator = context.generator(f"{name} {units} {epsilon} {trial}")
        lasting = tau * max(config.tau_factors) if name == "time_scales" else tau
        stream = STREAMS[name](config, units, lasting, flip, generator)
        stream = Stream(stream.patterns.to(net.W), stream.cues.to(net.W), stream.sustained)
        recalled, alone = recall(net, stream, config.iterations)
        trials.append(overlaps(stream, recalled, alone))
    return xr.concat(trials, "trial").assign_coords(trial=np.arange(config.trials))


def network(config: Config, name: Name, units: int, tau: float) -> fw.FastWeightNetwork:
    """Network of one condition; sign units forget η, which scales all of A alike."""
    if name == "relu":
        z = h = units**0.5
        eta = config.strength * z / (h**2 / 2)
        return fw.FastWeightNetwork(1, units, fw.Hebbian(tau=tau, eta=eta))
    memory: fw.rules.MemoryRule = fw.Hebbian(tau=tau, eta=1.0)
    if name == "time_scales":
        memory = fw.Hebbian(tau=[tau * factor for factor in config.tau_factors], eta=list(config.eta_factors))
    if name == "delta":
        memory = fw.rules.Delta(beta=1.0)
    return fw.FastWeightNetwork(
        1, units, memory, activation="sign", normalise="none", self_connections=name == "self_connections"
    )


def recall(net: fw.FastWeightNetwork, stream: Stream, iterations: int) -> tuple[Tensor, Tensor]:
    """Run the inner loop from every cue with the memory as it is after the stream, and without memory."""
    state = net.store(net.initial_state(1), stream.patterns)
    loop = fw.measure.InnerLoop.of(net, state, stream.cues.new_zeros(1))
    sustained = stream.cues[0] if stream.sustained else torch.zeros_like(stream.cues[0])
    states = loop.cell.start(sustained) if stream.sustained else stream.cues[0]
    alone = loop.cell.iterate(sustained, torch.zeros_like(sustained)) if stream.sustained else states
    states, moving = states.clone(), torch.arange(len(states), device=states.device)
    for _ in range(iterations):
        if len(moving) == 0:
            break
        after = loop.cell.iterate(sustained[moving], states[moving] @ loop.matrix.T)
        changed = (after != states[moving]).any(-1)
        states[moving], moving = after, moving[changed]
    return states, alone


def overlaps(stream: Stream, recalled: Tensor, alone: Tensor) -> xr.Dataset:
    """Overlap; the same with the means over patterns and over recalled states taken out; and controls."""
    targets = stream.targets[0]
    mean, recalled_mean = stream.patterns[0].mean(0), recalled.mean(0)
    measured = {
        "overlap": (cosine(recalled, targets), "overlap"),
        "centred": (cosine(recalled - recalled_mean, targets - mean), "mean-subtracted overlap"),
        "shuffled": (
            cosine(recalled - recalled_mean, targets.roll(len(targets) // 2, 0) - mean),
            "mean-subtracted overlap with another pattern",
        ),
        "no_memory": (
            cosine(alone - alone.mean(0), targets - mean),
            "mean-subtracted overlap of the cue alone",
        ),
    }
    return labelled_dataset(
        {
            name: ("lag", value.double().cpu().numpy(), "1", label)
            for name, (value, label) in measured.items()
        },
        coords={"lag": np.arange(len(targets))},
    )


def cosine(one: Tensor, other: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(one, other, dim=-1)


def signs(config: Config, units: int, tau: float, flip: float, generator: torch.Generator) -> Stream:
    """Independent ±1 patterns."""
    return flipped(random_signs(length(units, tau), units, generator), config, flip, generator)


def correlated(config: Config, units: int, tau: float, flip: float, generator: torch.Generator) -> Stream:
    """±1 patterns that all resemble one template."""
    template = random_signs(1, units, generator)
    kept = torch.rand(length(units, tau), units, generator=generator) < (1 + config.correlation**0.5) / 2
    return flipped(torch.where(kept, template, -template), config, flip, generator)


def rectified(config: Config, units: int, tau: float, flip: float, generator: torch.Generator) -> Stream:
    """What ReLU units make of normal inputs; the cue is an input that resembles the pattern's."""
    z = torch.randn(length(units, tau), units, generator=generator)
    latest = z.flip(0)[: round(config.oldest * units)]
    noise = torch.randn(latest.shape, generator=generator)
    cues = config.similarity * latest + (1 - config.similarity**2) ** 0.5 * noise
    return Stream(z.relu()[None], cues[None], sustained=True)


STREAMS: dict[Name, Callable[[Config, int, float, float, torch.Generator], Stream]] = {
    "sign": signs,
    "self_connections": signs,
    "time_scales": signs,
    "delta": signs,
    "correlated": correlated,
    "relu": rectified,
}


def flipped(patterns: Tensor, config: Config, flip: float, generator: torch.Generator) -> Stream:
    """Cues that are the latest patterns with some units wrong."""
    latest = patterns.flip(0)[: round(config.oldest * patterns.shape[1])]
    wrong = torch.rand(latest.shape, generator=generator) < flip
    return Stream(patterns[None], torch.where(wrong, -latest, latest)[None])


def random_signs(count: int, units: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, (count, units), generator=generator).float() * 2 - 1


def length(units: int, tau: float) -> int:
    """Number of patterns after which the memory no longer knows that it was empty; the delta rule needs 2N."""
    return max(2 * units, round(8 * tau))
