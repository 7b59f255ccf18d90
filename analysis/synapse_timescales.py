"""How many time scales do recorded pairs have, and how many pairs have slow components?

Rules are compared in twos that differ in one component: what is left out decides whether the component is shown in all
pairs together (difference of log predictive density, with its standard error over pairs), and how many pairs have it.
A pair for which neither rule predicts better counts for both, so that intervals contain what is undetermined.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from fwsim.errors import RecordingError
from fwsim.fitting import shares
from fwsim.recording import labelled_dataset
from fwsim.study import COLOURS, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself
ERRORS = 2.0  # standard errors that show a component
TWOS = {
    "second trace": ("linear–nonlinear 2", "linear–nonlinear 1"),
    "augmentation": ("augmented release", "Tsodyks–Markram"),
    "release-independent depression": ("independent depression", "Tsodyks–Markram"),
    "calcium-dependent recovery": ("calcium-dependent recovery", "Tsodyks–Markram"),
}
"""Component → the rule that has it, and the one that lacks it."""
LEAST = 10  # pairs of a group of which shares are given


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Gains and shares of each component, for all pairs and for each species."""
    loaded = recording.load()
    used = loaded.sel(cell=loaded.predicted.max("rule") > 0)
    names = {str(name) for name in used.rule.values}
    twos = {part: rules for part, rules in TWOS.items() if set(rules) <= names}
    if not twos:
        raise RecordingError(
            "the run has no two rules that differ in one component; compare all, without rules=…"
        )
    species = np.array([str(name) for name in used.species.values])
    groups = {"all": np.ones(len(species), bool)} | {
        str(name): species == name for name in np.unique(species)
    }
    groups = {name: chosen for name, chosen in groups.items() if chosen.sum() >= LEAST or name == "all"}
    rows = []
    for part, rules in twos.items():
        for group, chosen in groups.items():
            density = used.density.sel(rule=list(rules)).isel(cell=np.flatnonzero(chosen))
            off = density.values[0] - density.values[1]
            found = shares(density).sel(rule=rules[0])
            rows.append({
                "component": part,
                "group": group,
                "pairs": len(off),
                "gain": off.sum(),
                "gain_error": np.sqrt(len(off)) * off.std(ddof=1),
                **{name: float(found[name]) for name in found.data_vars},
            })  # fmt: skip
    text = {
        "pairs": "pairs of which something was left out",
        "gain": "gain of the component in log predictive density, in nats",
        "gain_error": "its standard error over pairs",
        "share": "share of pairs that have it",
        "share_low": "lower end of its interval",
        "share_high": "upper end of its interval",
        "number": "number of these pairs that have it",
        "number_low": "lower end of its interval",
        "number_high": "upper end of its interval",
    }
    frame = pd.DataFrame(rows, columns=["component", "group", *text])
    made = (
        frame.set_index(["component", "group"]).to_xarray().reindex(component=list(twos), group=list(groups))
    )
    order = ("component", "group")
    variables = {name: (order, made[name].transpose(*order).values, "1", text[name]) for name in text}
    coords = {name: made[name].values.astype(object) for name in order}
    return labelled_dataset(variables, coords, recording.attrs)


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make a row for each component and group."""
    rows: list[dict[str, object]] = []
    for part in result.component.values:
        for group in result.group.values:
            one = result.sel(component=part, group=group)
            more, fewer = TWOS[str(part)]
            low, high = float(one.share_low), float(one.share_high)
            rows.append({
                "left out": result.attrs["left_out"],
                "component": str(part),
                "rules": f"{more} over {fewer}",
                "pairs": f"{group} ({int(one.pairs)})",
                "gain (nats)": formatted(one.gain, "+.0f"),
                "gain: error": formatted(one.gain_error, ".0f"),
                "shown": "yes" if one.gain > ERRORS * one.gain_error else "no",
                "share of pairs (%)": formatted(100 * one.share, ".0f"),
                "share: interval (%)": f"{100 * low:.0f} … {100 * high:.0f}",
                "number of pairs": formatted(one.number, ".0f"),
                "number: interval": f"{float(one.number_low):.0f} … {float(one.number_high):.0f}",
            })  # fmt: skip
    return rows


EXPLAINED = {
    "gain*": "difference of log predictive density over the rule without the component, and its error over pairs",
    "shown": "whether the gain exceeds two standard errors",
    "share*": "share of all pairs of this kind that have the component, with its 95 % interval",
    "number*": "the same among the recorded pairs; what a pair leaves open widens the interval",
}
CAPTIONS = {
    "*": (
        "What one component more adds. Left: gain of log predictive density over the rule without it, all pairs, with "
        "two standard errors. Right: share of pairs that have it, with 95 % intervals."
    ),
}


def plot(result: xr.Dataset) -> Figure:
    """Draw gains and shares, a row for each component."""
    made, axes = figure(1, 2, width="double", aspect=0.5, squeeze=False, sharey=True)
    left, right = axes[0]
    rows = np.arange(result.sizes["component"])[::-1]
    every = result.sel(group="all")
    left.errorbar(every.gain, rows, xerr=ERRORS * every.gain_error, fmt="o", color=COLOURS["blue"], capsize=2)
    left.axvline(0, color=COLOURS["black"], lw=0.5)
    left.set_yticks(rows, [str(part).replace(" ", "\n", 1) for part in result.component.values])
    left.set(xlabel="gain of all pairs (nats)")
    names = list(result.group.values)
    for k, (name, colour) in enumerate(zip(names, ("black", "orange", "green"))):
        one = result.sel(group=name)
        sides = np.stack([one.share - one.share_low, one.share_high - one.share])
        height = rows - 0.2 * (k - (len(names) - 1) / 2)
        right.errorbar(
            100 * one.share, height, xerr=100 * sides, fmt="o", ms=3, color=COLOURS[colour], label=name
        )
    right.set(xlabel="pairs with it (%)", xlim=(-3, 103))
    right.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    return made
