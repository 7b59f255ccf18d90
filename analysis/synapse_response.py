"""Which rates does a synapse prefer, at which rate does its transmission saturate, and how do settings differ?

The preferred rate is the rate with the largest release per spike (from the polynomial through the best five rates). It
exists only with facilitation. The limiting rate is where rate × release reaches half of its largest value in the
range: for a depressing synapse in the mean field this is 1/(U τ_rec), beyond which a higher rate hardly transmits
more. Both are compared with the closed forms of the mean field, for settings that have one. The other responses are
those to pairs of spikes and to steps of the rate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from fwsim import spiking
from fwsim.recording import labelled
from fwsim.rules import RULES, AssociativeRule
from fwsim.study import COLOURS, Versions, configuration, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

GRID = 1e-4  # s, of Brian2
LINES = {"regular": "-", "poisson": "--", "mean_field": ":"}
WIDTHS = (2.4, 1.5, 0.8)  # settings that coincide are seen one on the other


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce releases to preferred and limiting rates and ratios."""
    result = recording.load().copy()
    release, rate = result["release"], result["rate"].values
    transmitted = release * result["rate"]
    pair = result["second"] / result["first"].where(abs(result["first"]) > 1e-12)
    limits = np.apply_along_axis(limiting, -1, transmitted.transpose(..., "rate").values, rate)
    preferences = np.apply_along_axis(preferred, -1, release.transpose(..., "rate").values, rate)
    dims = release.transpose(..., "rate").dims[:-1]
    result["transmitted"] = labelled(transmitted, "rate × release", "Hz")
    result["preferred"] = labelled(xr.DataArray(preferences, dims=dims), "preferred rate", "Hz")
    result["limiting"] = labelled(xr.DataArray(limits, dims=dims), "limiting rate", "Hz")
    result["pair_ratio"] = labelled(pair, "second release over first")
    result["closed_preferred"] = labelled(
        closed(recording, closed_preferred), "preferred rate in closed form", "Hz"
    )
    result["closed_limiting"] = labelled(
        closed(recording, closed_limiting), "limiting rate in closed form", "Hz"
    )
    return result


def preferred(release: np.ndarray, rate: np.ndarray) -> float:
    """Rate of the largest release; NaN where it lies at an end of the range."""
    return maximum(release, rate)[0]


def largest(release: np.ndarray, rate: np.ndarray) -> float:
    """Largest release between the rates; that of the rates themselves where it lies at an end of the range."""
    between = maximum(release, rate)[1]
    return float(np.max(release)) if math.isnan(between) else between


def maximum(release: np.ndarray, rate: np.ndarray) -> tuple[float, float]:
    """Rate and value of the maximum, by a polynomial through the best five rates; NaN at an end of the range."""
    release, rate = release[rate > 0], rate[rate > 0]
    best = int(np.argmax(release)) if len(rate) else 0
    if best in (0, len(rate) - 1) or len(rate) < 3 or not np.ptp(release) > 1e-9 * abs(release).max():
        return math.nan, math.nan
    reach = 2 if 2 <= best < len(rate) - 2 else 1
    near = slice(best - reach, best + reach + 1)
    place = np.log(rate[near]) - np.log(rate[best])
    curve = np.polynomial.Polynomial.fit(place, release[near], 2 * reach)
    turns = curve.deriv().roots()
    turns = turns[(abs(turns.imag) < 1e-9) & (abs(turns.real) <= place[-1] - place[0])].real
    top = turns[np.argmax(curve(turns))]
    return float(rate[best] * np.exp(top)), float(curve(top))


def limiting(transmitted: np.ndarray, rate: np.ndarray) -> float:
    """Rate at which half of the largest transmission is reached, NaN where transmission does not saturate."""
    transmitted, rate = transmitted[rate > 0], rate[rate > 0]
    if len(rate) < 3:
        return math.nan
    slope = np.gradient(np.log(np.maximum(transmitted, 1e-300)), np.log(rate))
    if slope[-1] > 0.2:
        return math.nan
    half = transmitted.max() / 2
    first = int(np.argmax(transmitted >= half))
    if first == 0:
        return math.nan
    share = (half - transmitted[first - 1]) / (transmitted[first] - transmitted[first - 1])
    return float(rate[first - 1] + share * (rate[first] - rate[first - 1]))


def closed(recording: xr.Dataset, formula: Callable[[float, float, float], float]) -> xr.DataArray:
    """Apply a closed form of the mean field to the settings that are Tsodyks–Markram in `maass2002`."""
    found = [
        formula(*(rule[name] for name in ("U", "tau_rec", "tau_facil")))
        if rule.get("convention") == "maass2002"
        else math.nan
        for rule in json.loads(recording.attrs["settings"])
    ]
    return xr.DataArray(found, dims="setting")


def closed_preferred(U: float, tau_rec: float, tau_facil: float) -> float:
    """(√(τ_f(1 − U)/(U τ_d)) − 1)/τ_f, only where τ_f(1 − U) > U τ_d."""
    if tau_facil * (1 - U) <= U * tau_rec:
        return math.nan
    return (math.sqrt(tau_facil * (1 - U) / (U * tau_rec)) - 1) / tau_facil


def closed_limiting(U: float, tau_rec: float, tau_facil: float) -> float:
    """1/(U τ_rec), only without facilitation."""
    return 1 / (U * tau_rec) if tau_facil == 0 else math.nan


def versions(result: xr.Dataset) -> list[Versions]:
    """Responses of the rules to the train with steps, on tensors and in Brian2, with spikes on its grid."""
    kind = RULES[configuration(result)["rule"]]
    times = torch.from_numpy(result["spike_time"].values / GRID).round().unique() * GRID
    found = []
    for settings in json.loads(result.attrs["settings"]):
        rule = kind(**settings)
        trains = [times, times] if isinstance(rule, AssociativeRule) else [times]
        found.append((spiking.respond(rule, *trains, dt=GRID).numpy(), rule.respond(*trains).numpy()))
    brian, tensor = (
        xr.DataArray(
            np.array(values), dims=("setting", "spike"), coords={"setting": result["setting"].values}
        )
        for values in zip(*found)
    )
    return [Versions("response to each spike", "response", brian, tensor)]


EXPLAINED = {
    "first": "release of the first spike",
    "largest": "largest release per spike, over rates",
    "preferred (Hz)": "rate with the largest release per spike",
    "r* (Hz)": "the same in closed form, of the mean field",
    "limiting (Hz)": "rate at which rate × release reaches half of its largest value",
    "1/(U τ_rec) (Hz)": "the limiting rate in closed form",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "rates": (
        "Steady state against rate. Left: output for each spike. Right: output for each second. Line "
        "styles: regular and Poisson trains, as the legend says."
    ),
    "responses": (
        "Left: response to the second of two spikes against their interval. Right: responses to a rate "
        "that steps up and down, at spikes (dots) and in the rate form (lines)."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal: one a setting and train."""
    rows = []
    number = partial(formatted, form=".4g", missing="–")
    for setting in result["setting"].values:
        for train in result["train"].values:
            one = result.sel(setting=setting, train=train)
            mean_field = train == "mean_field"
            rows.append(
                {
                    result.attrs["vary"]: str(setting),
                    "train": str(train).replace("_", " "),
                    "first": number(one["first"]),
                    "largest": number(largest(one["release"].values, one["rate"].values)),
                    "preferred (Hz)": number(one["preferred"]),
                    "r* (Hz)": number(one["closed_preferred"]) if mean_field else "",
                    "limiting (Hz)": number(one["limiting"]),
                    "1/(U τ_rec) (Hz)": number(one["closed_limiting"]) if mean_field else "",
                }
            )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the dependence on rate, and the responses in time."""
    return {"rates": plot_rates(result), "responses": plot_responses(result)}


def plot_rates(result: xr.Dataset) -> Figure:
    """Draw release and transmission against rate."""
    made, (left, right) = figure(1, 2, width="double", aspect=0.75)
    for setting, colour, width in styles(result):
        for train, line in LINES.items():
            one = result.sel(setting=setting, train=train)
            left.plot(one["rate"], one["release"], line, color=colour, lw=width)
            right.plot(one["rate"], one["transmitted"], line, color=colour, lw=width)
        left.plot([], [], color=colour, lw=width, label=f"{result.attrs['vary']} {setting}")
    for train, line in LINES.items():
        right.plot([], [], line, color=COLOURS["black"], label=train.replace("_", " "))
    left.set(xscale="log", xlabel="rate (Hz)", ylabel=f"{result.attrs['output']} per spike")
    right.set(xscale="log", xlabel="rate (Hz)", ylabel=f"rate × {result.attrs['output']} (Hz)")
    left.legend()
    right.legend()
    return made


def plot_responses(result: xr.Dataset) -> Figure:
    """Draw the response to a second spike, and to a rate that steps up and down."""
    made, (left, right) = figure(1, 2, width="double", aspect=0.75)
    relative = bool(result["pair_ratio"].notnull().all())
    response = result["pair_ratio"] if relative else result["second"]
    for setting, colour, width in styles(result):
        one = result.sel(setting=setting)
        left.plot(one["interval"], response.sel(setting=setting), color=colour, lw=width, label=str(setting))
        right.plot(one["spike_time"], one["train_response"], ".", ms=1 + 1.5 * width, color=colour)
        right.plot(one["moment"], one["mean_response"], color=colour, lw=width)
    label = "second spike / first" if relative else f"{result.attrs['output']} at the second spike"
    left.set(xscale="log", xlabel="interval (s)", ylabel=label)
    right.set(
        xlabel="time (s)",
        ylabel=f"{result.attrs['output']} per spike",
        title="dots: spikes, lines: rate form",
    )
    left.legend()
    return made


def styles(result: xr.Dataset) -> Iterator[tuple[str, str, float]]:
    """Colour and width of each setting."""
    return zip(result["setting"].values, cycle(COLOURS.values()), cycle(WIDTHS))
