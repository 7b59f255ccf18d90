"""Which networks retrieve, and does their attention fall on the pair that was asked for?

Shown are the test errors, with median and range over seeds, beside the paper's table and the binding plateau; the
learning curves; and how often the most attended pair is the right one, before and after the inner loop. A run is one
network with one seed; a sweep holds several; `join` puts several runs and sweeps into one table and figure. What one
network attends to in detail, and how its inner loop settles, is shown by the analysis `query_attention`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, each_run, figure, formatted

# Test error in %, by model and units (Ba et al. 2016, table 1).
PAPER = {
    "irnn": {20: 62.11, 50: 60.23, 100: 0.34},
    "lstm": {20: 60.81, 50: 1.85, 100: 0.0},
    "fast_weights": {20: 1.81, 50: 0.0, 100: 0.0},
}
LABELS = {
    "fast_weights": "fast weights",
    "no_memory": "no memory (RNN + LN)",
    "no_inner_loop": "no inner loop",
    "irnn": "IRNN",
    "lstm": "LSTM",
    "layer_norm_lstm": "LSTM + LN",
    "deep_rnn": "RNN of the same depth",
    "layer_norm_deep_rnn": "RNN of the same depth + LN",
    "stpn": "STPN",
}
STYLES = dict(zip(LABELS, (*COLOURS.values(), "0.5"), strict=True))  # grey, since there are eight colours
# What the paper's networks and task have; a network is named after what differs.
USUAL = {"rule": "hebbian", "normalise": "inner", "inner_steps": 1, "pairs": 4, "delay": 0, "learn": []}
OF_THE_TASK = ("pairs", "delay")  # the only ones of these that an STPN has
NOTES = {
    "rule": "{} rule",
    "normalise": "normalise {}",
    "inner_steps": "S = {}",
    "pairs": "K = {}",
    "delay": "delay {}",
    "learn": "{} trained",
}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce a run or a sweep to errors, learning curves and attention over networks and seeds."""
    return join([recording])


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Errors, learning curves and attention of every network in runs and sweeps, `[network, seed]`; NaN if missing."""
    networks: dict[str, list[xr.Dataset]] = {}
    for recording in recordings:
        for one in each_run(recording):
            config = configuration(one)
            networks.setdefault(json.dumps(config), []).append(of_seed(one, config))
    together = {"join": "outer", "data_vars": "all", "combine_attrs": "drop_conflicts"}
    rows = [xr.concat(seeds, "seed", coords="minimal", **together) for seeds in networks.values()]
    return xr.concat(rows, "network", coords="different", compat="equals", **together).sortby("seed")


def of_seed(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Numbers of one network with one seed, `[network, seed]`."""
    kept = recording[["test_error"]].copy()
    kept["validation_error"] = labelled(100 * recording["validation"], "validation error", "%")
    kept["minutes"] = labelled(recording["epoch_time"].sum("epoch") / 60, "time to train", "min")
    one = recording.isel(seed=0)
    if "attention" in one and bool(one["attention"].notnull().any()):
        found = hit(one.dropna("iteration", how="all", subset=["attention"]), config["pairs"])
        kept["hit_before"], kept["hit_after"] = (found.isel(iteration=place, drop=True) for place in (0, -1))
    kept = kept.reset_coords(drop=True).load()
    about = {name: config[name] for name in ("model", "units", "epochs", "learning_rate", "weight_decay")}
    about |= {"note": note(config), "paper_error": paper_error(config)}
    about["plateau"] = 100 * (1 - fw.theory.binding_plateau(config["pairs"]))
    return kept.expand_dims("network").assign_coords({k: ("network", [v]) for k, v in about.items()})


def hit(recording: xr.Dataset, pairs: int) -> xr.DataArray:
    """Fraction of queries whose most attended pair is the right one, `[iteration]`; of the absolute attention."""
    attention = abs(recording["attention"].isel(time=-1).load())
    per_pair = attention.isel(past=slice(2 * pairs)).coarsen(past=2).sum()
    right = per_pair.argmax("past") == recording["pair"].load()
    return labelled(right.mean("trial"), "fraction of queries whose most attended pair is the right one")


def note(config: dict) -> str:
    """Say in what a network differs from the paper's."""
    said = [
        NOTES[name].format(" and ".join(config[name]) if name == "learn" else config[name])
        for name, usual in USUAL.items()
        if config[name] != usual and (config["model"] != "stpn" or name in OF_THE_TASK)
    ]
    if config["model"] == "fast_weights" and (len(config["tau"]) > 1 or config["eta"] != [0.5]):
        said.append("τ " + " ".join(f"{tau:.3g}" for tau in config["tau"]) + " s")
        said.append("η " + " ".join(f"{eta:.3g}" for eta in config["eta"]))
    return ", ".join(said)


def paper_error(config: dict) -> float:
    """Error of such a network in the paper, in %; NaN where the paper has none."""
    return np.nan if note(config) else PAPER.get(config["model"], {}).get(config["units"], np.nan)


EXPLAINED = {
    "R": "recurrent units",
    "differs": "the setting that differs from the first row of this kind of network",
    "validation error (%)": "median over seeds of the error of the best epoch, by which settings may be chosen",
    "without binding": "error of a network that knows which digits occurred, but not with which letter (%)",
    "off the plateau": "networks whose validation error was 5 points below that at some epoch",
    "right pair * the loop (%)": "queries that attend most to the pair asked for",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "learning": (
        "Validation error during training for each number of units: median (line) and range (band) over "
        "seeds. Triangles: errors of the paper; dotted: an error without binding letters to digits. The "
        "axis is linear below 0.1 %."
    ),
    "errors": (
        "Test error of each network, which is named with its number of units: seeds (dots) and their "
        "median (bar). Black: without binding letters to digits. The axis is linear below 0.1 %."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, Any]]:
    """Make the rows, one for each network."""
    rows = []
    for place in range(result.sizes["network"]):
        one = result.isel(network=place)
        error = one["test_error"].dropna("seed")
        validated = one["validation_error"].min("epoch")
        hits = {
            f"right pair {side} the loop (%)": formatted(one[f"hit_{side}"].mean(), ".1f", scale=100)
            for side in ("before", "after")
            if f"hit_{side}" in one
        }
        rows.append(
            {
                "network": LABELS[one["model"].item()],
                "R": one["units"].item(),
                "differs": one["note"].item(),
                "epochs": one["epochs"].item(),
                "peak rate": one["learning_rate"].item(),
                "weight decay": one["weight_decay"].item(),
                "seeds": " ".join(str(seed) for seed in error["seed"].values),
                "validation error (%)": formatted(validated.median(), ".3f"),
                "median error (%)": formatted(error.median(), ".3f"),
                "lowest": formatted(error.min(), ".3f"),
                "highest": formatted(error.max(), ".3f"),
                "Ba et al. 2016": formatted(one["paper_error"]),
                "without binding": formatted(one["plateau"]),
                "off the plateau": f"{int((validated < one['plateau'] - 5).sum())} of {error.size}",
                **hits,
                "minutes each": formatted(one["minutes"].mean(), ".1f"),
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the learning curves and the errors."""
    return {"learning": plot_curves(result), "errors": plot_errors(result)}


def plot_curves(result: xr.Dataset) -> Figure:
    """Draw validation error over epochs for every number of units: median and range over seeds; the paper's errors."""
    sizes = np.unique(result["units"])
    made, panels = figure(1, len(sizes), width="double", aspect=1.2, sharey=True, squeeze=False)
    for axes, units in zip(panels[0], sizes, strict=True):
        shown = result.isel(network=np.flatnonzero(result["units"] == units))
        for place in range(shown.sizes["network"]):
            one = shown.isel(network=place).dropna("epoch", how="all", subset=["validation_error"])
            colour, label = STYLES[one["model"].item()], name_of(one)
            error = one["validation_error"]
            axes.plot(one["epoch"], error.median("seed"), color=colour, label=label)
            axes.fill_between(
                one["epoch"], error.min("seed"), error.max("seed"), color=colour, alpha=0.2, lw=0
            )
            axes.plot(one["epoch"][-1], one["paper_error"], "<", color=colour, ms=5, clip_on=False)
        for plateau in np.unique(shown["plateau"]):
            axes.axhline(plateau, color=COLOURS["black"], ls=":", lw=0.8)
        axes.set(xlabel="epoch", title=f"{units} units", ylim=(0, 100))
        axes.set_yscale("symlog", linthresh=0.1)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0, 0].set_ylabel("validation error (%)")
    handles = {
        label: line
        for axes in panels[0]
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    made.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return made


def plot_errors(result: xr.Dataset) -> Figure:
    """Draw the test error of every network: seeds as dots, their median as a bar, the error without binding."""
    made, axes = figure(width="double", aspect=0.1 + 0.035 * result.sizes["network"])
    height = -np.arange(result.sizes["network"])
    for place, y in enumerate(height):
        one = result.isel(network=place)
        colour = STYLES[one["model"].item()]
        axes.plot(one["test_error"], np.full(one.sizes["seed"], y), "o", color=colour, ms=4, alpha=0.7)
        axes.plot(one["test_error"].median(), y, "|", color=colour, ms=12, mew=2)
        axes.plot(one["plateau"], y, "|", color=COLOURS["black"], ms=8)
    axes.set_yticks(
        height,
        [f"{name_of(result.isel(network=k))}, {result['units'].values[k]}" for k in range(len(height))],
    )
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set(xlabel="test error (%); black: without binding", xlim=(-0.01, 100))
    return made


def name_of(one: xr.Dataset) -> str:
    """Network as people call it."""
    said = one["note"].item()
    return LABELS[one["model"].item()] + (f", {said}" if said else "")
