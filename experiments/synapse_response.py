"""What does a synapse transmit at which rate, after one spike, and when the rate changes?

The experiment compares several settings of any spike-driven rule. By default these are the Tsodyks–Markram model in
the three conventions that the literature confuses, with the facilitating synapse of Mongillo, Barak & Tsodyks 2008.
For each setting it records the release per spike in long regular and Poisson trains and in the mean field (all exact
or with a stated error), the response to a second spike some time after a first one, and the response to a rate that
steps up and down, for single spikes and in the rate form. Expect the conventions `maass2002` and `tm1998` to agree in
trains, `mongillo2008` to release more from rest (U(2 − U), not U), and the mean field to overestimate Poisson releases
where u and x are anticorrelated.

Associative rules are paired with a postsynaptic train of the same rate, and their weight takes the place of the
release.

    fwsim run synapse_response --vary tau_facil --values 0.5 --values 1.5 --values 3
    fwsim run synapse_response --rule varela --vary f --values 0 --values 0.5 --values 1
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import Field
from torch import Tensor

import fwsim as fw
from fwsim.rules import RULES, AssociativeRule
from fwsim.study import Config as Base
from fwsim.study import Context, Hertz, Seconds
from fwsim.units import quantity

QUICK = {"rates": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0), "intervals": (0.01, 0.1, 1.0, 10.0)}
CPU_ONLY = True
FACILITATING = {"U": 0.2, "tau_rec": 0.2, "tau_facil": 1.5}  # Mongillo, Barak & Tsodyks 2008
TRAINS = ("regular", "poisson", "mean_field")
SAMPLES = 400  # of the rate form in the response to a step
MOMENT = 2e-3  # s, step of the rate form; relaxation is exact at any


class Config(Base):
    """A rule, what varies, and what it is asked."""

    rule: Literal["tsodyks_markram", "varela", "enhancement", "hebbian_traces", "bcpnn", "benna_fusi"] = (
        "tsodyks_markram"
    )
    "The rule."
    parameters: dict[str, str] = Field(default_factory=dict)
    "Parameters of the rule, in SI or with a unit; by default a facilitating synapse, or what the rule says."
    vary: str = "convention"
    "The parameter or option that differs between settings."
    values: tuple[str, ...] = Field(default=("maass2002", "tm1998", "mongillo2008"), min_length=1)
    "Values of what differs, one setting each."
    rates: tuple[Annotated[Hertz, Field(gt=0)], ...] = Field(
        default=tuple(float(f"{rate:.4g}") for rate in np.geomspace(0.1, 200.0, 67)), min_length=1
    )
    "Rates of the long trains."
    intervals: tuple[Annotated[Seconds, Field(gt=0)], ...] = Field(
        default=tuple(float(f"{gap:.4g}") for gap in np.geomspace(0.005, 20.0, 49)), min_length=1
    )
    "Times from a first spike to a second."
    low: Hertz = Field(default=2.0, gt=0)
    "Rate before and after the step."
    high: Hertz = Field(default=20.0, gt=0)
    "Rate during the step."
    before: Seconds = Field(default=3.0, gt=0)
    "Time at the low rate before the step."
    during: Seconds = Field(default=1.5, gt=0)
    "Time at the high rate."
    after: Seconds = Field(default=3.0, gt=0)
    "Time at the low rate after the step."


def run(config: Config, context: Context) -> xr.Dataset:
    """Ask every setting for its steady states, pairs and step."""
    rules = settings(config)
    parts = []
    with context.progress("settings", len(rules)) as advance:
        for rule in rules:
            steady = steady_releases(rule, config)
            parts.append(xr.merge([steady, pairs(rule, config), step(rule, config)]))
            advance()
    recording = xr.concat(parts, xr.Variable("setting", list(config.values)), join="outer")
    plain = [{f.name: getattr(rule, f.name) for f in fields(rule)} for rule in rules]
    recording.attrs = {"vary": config.vary, "output": rules[0].output, "settings": json.dumps(plain)}
    return recording


def settings(config: Config) -> list[Any]:
    """One rule for each value."""
    kind = RULES[config.rule]
    fixed = {name: parsed(value) for name, value in config.parameters.items()}
    if config.rule == "tsodyks_markram":
        fixed = FACILITATING | fixed
    known = [field.name for field in fields(kind)]
    for name in (*fixed, config.vary):
        if name not in known:
            raise fw.ConfigError(f"{config.rule} has no {name!r}; it has {', '.join(known)}")
    return [kind(**fixed | {config.vary: parsed(value)}) for value in config.values]


def parsed(value: str) -> Any:
    """Read a whole number, a number, a time with a unit, or else a word."""
    if value.strip().isdigit():
        return int(value)
    try:
        return quantity(value, "time")
    except fw.ConfigError:
        return value


def steady_releases(rule: Any, config: Config) -> xr.Dataset:
    """Release per spike in long trains, with its error, `[train, rate]`."""
    rates = torch.tensor(config.rates, dtype=torch.float64)
    sides = (rates, rates) if isinstance(rule, AssociativeRule) else (rates,)
    found = [rule.steady_state(*sides, train) for train in TRAINS]
    name = "weight per spike" if rule.output == "weight" else "release per spike"
    release = torch.stack([each.release for each in found]).numpy()
    error = torch.stack([each.release_error.expand(rates.shape) for each in found]).numpy()
    coords = {
        "train": ("train", list(TRAINS)),
        "rate": ("rate", rates.numpy(), {"units": "Hz", "long_name": "presynaptic rate"}),
    }
    return xr.Dataset(
        {
            "release": (("train", "rate"), release, {"units": "1", "long_name": name}),
            "release_error": (("train", "rate"), error, {"units": "1", "long_name": f"error of the {name}"}),
        },
        coords,
    )


def pairs(rule: Any, config: Config) -> xr.Dataset:
    """Response to one spike: what a first spike releases, and a second one after each interval."""
    gaps = torch.tensor(config.intervals, dtype=torch.float64)
    times = torch.stack([torch.zeros_like(gaps), gaps], -1)
    responses = (
        rule.respond(times, times[:, :1]) if isinstance(rule, AssociativeRule) else rule.respond(times)
    )
    return xr.Dataset(
        {
            "first": ((), float(responses[0, 0]), {"units": "1", "long_name": "release of a first spike"}),
            "second": (
                "interval",
                responses[:, 1].numpy(),
                {"units": "1", "long_name": "release of a second spike"},
            ),
        },
        {"interval": ("interval", gaps.numpy(), {"units": "s", "long_name": "interval between two spikes"})},
    )


def step(rule: Any, config: Config) -> xr.Dataset:
    """Response to a rate that steps up and down: of a regular train, and of the rate form."""
    times = stepping_train(config)
    associative = isinstance(rule, AssociativeRule)
    responses = rule.respond(times, times) if associative else rule.respond(times)
    spike = {"spike_time": ("spike", times.numpy(), {"units": "s", "long_name": "time"})}
    train = ("spike", responses.numpy(), {"units": "1", "long_name": "release of each spike"})

    duration = config.before + config.during + config.after
    steps = round(duration / MOMENT)
    every = max(1, steps // SAMPLES)
    # A unit whose field follows its input at once: the rate is the drive.
    net = fw.RateNetwork(fw.Projection([[0.0]], synapse=rule), tau=1e-9, dt=MOMENT)
    found = fw.simulate(
        net, rate_of(config), steps=steps, record=[rule.output, "rate"], every=every, progress=False
    )
    values = found[rule.output].values.reshape(found.sizes["time"])
    return xr.Dataset(
        {
            "train_response": train,
            "mean_response": ("moment", values, {"units": "1", "long_name": "release in the rate form"}),
        },
        {**spike, "moment": ("moment", found["time"].values, {"units": "s", "long_name": "time"})},
    )


def stepping_train(config: Config) -> Tensor:
    """Spike times of a regular train whose rate steps up and down."""
    up, down = config.before, config.before + config.during
    parts = [
        torch.arange(0.0, up, 1 / config.low, dtype=torch.float64),
        torch.arange(up, down, 1 / config.high, dtype=torch.float64),
        torch.arange(down, down + config.after, 1 / config.low, dtype=torch.float64),
    ]
    return torch.cat(parts)


def rate_of(config: Config) -> Callable[[int, int], Tensor]:
    """Give the stepping rate as a function of steps."""

    def drive(start: int, stop: int) -> Tensor:
        time = (torch.arange(start, stop) + 0.5) * MOMENT
        raised = (time >= config.before) & (time < config.before + config.during)
        return torch.where(raised, config.high, config.low).double()[None, :, None]

    return drive
