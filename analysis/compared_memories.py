"""Which memory of about 2,000 trained numbers makes the fewest errors, and how long do synapses of an STPN remember?

Works on runs, on sweeps over `model` and `learning_rate`, and on several of them together. Shown are errors, in
training and in the test, and how the time constants of an STPN's synapses are distributed after training. Which of
these any synapse was measured to have says the analysis `plausibility`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.study import COLOURS, configuration, each_run, figure, formatted

SWEPT = ("model", "learning_rate", "seed")
LABELS = {"stpn": "STPN", "fast_weights": "fast weights", "lstm": "LSTM", "hebbff": "HebbFF"}
TINTS = dict(zip(LABELS, ("blue", "vermillion", "green", "purple"), strict=True))
NETWORK = ("model", "learning_rate", "epochs", "pairs")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors and time constants of every network in a run or a sweep."""
    return join([recording])


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Errors and time constants of every network in runs and sweeps, `[network, seed]`; NaN if missing."""
    networks: dict[tuple, list[xr.Dataset]] = {}
    for recording in recordings:
        for one in each_run(recording):
            config = configuration(one)
            kept = one.reset_coords(drop=True).load()
            networks.setdefault(tuple(config[name] for name in NETWORK), []).append(kept)
    together = {"join": "outer", "data_vars": "all", "combine_attrs": "drop_conflicts"}
    rows = [
        xr.concat(seeds, "seed", coords="minimal", **together)
        .expand_dims("network")
        .assign_coords({name: ("network", [value]) for name, value in zip(NETWORK, network, strict=True)})
        for network, seeds in networks.items()
    ]
    return xr.concat(rows, "network", coords="different", compat="equals", **together).sortby("seed")


EXPLAINED = {
    "numbers": "trained numbers, the readout included",
    "peak rate": "peak learning rate",
    "validation error (%)": "smallest of all epochs, mean over networks",
    "test error (%)": "mean over networks and its 95 % interval (Student's t)",
    "lowest": "smallest test error of a network (%)",
    "highest": "largest test error of a network (%)",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "memories": (
        "Left: validation error during training, median (line) and range (band) over networks. Middle: test "
        "errors, one dot a network. Dotted: 90 % (chance) and the error without binding letters to digits. "
        "Axes of errors are linear below 1 %. Right: fraction of an STPN's synapses with at most this time "
        "constant, before (dotted) and after training, one line a network; a step is a token."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each network."""
    rows = []
    for place in range(result.sizes["network"]):
        one = result.isel(network=place).dropna("seed", subset=["test_error"])
        error = one["test_error"].values
        rows.append(
            {
                "network": LABELS[one["model"].item()],
                "numbers": int(one["parameters"][0]),
                "peak rate": f"{one['learning_rate'].item():g}",
                "epochs": one["epochs"].item(),
                "networks": error.size,
                "validation error (%)": formatted(one["validation_error"].min("epoch").mean()),
                "test error (%)": formatted(np.clip(fw.measure.bootstrap(error), 0, 100)),
                "lowest": formatted(error.min()),
                "highest": formatted(error.max()),
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Errors during training, test errors, and time constants of synapses."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    curves, errors, synapses = np.ravel(axes)
    names = [f"{LABELS[str(each)]}" for each in result["model"].values]
    for place, name in enumerate(names):
        one = result.isel(network=place)
        colour, error = COLOURS[TINTS[one["model"].item()]], one["validation_error"]
        curves.plot(one["epoch"], error.median("seed"), color=colour, label=name)
        curves.fill_between(one["epoch"], error.min("seed"), error.max("seed"), color=colour, alpha=0.2, lw=0)
        errors.plot(np.full(one.sizes["seed"], place), one["test_error"], "o", ms=4, alpha=0.7, color=colour)
        for tau in time_constants(one):
            synapses.plot(np.sort(tau), np.arange(1, tau.size + 1) / tau.size, color=colour)
    for axis in (curves, errors):
        for level in {90.0, *(100 * (1 - fw.theory.binding_plateau(int(k))) for k in result["pairs"])}:
            axis.axhline(level, color=COLOURS["black"], ls=":", lw=0.8)
        axis.set_yscale("symlog", linthresh=1)
        axis.set(ylim=(0, 120))
    curves.set(xlabel="epoch", ylabel="validation error (%)", xticks=result["epoch"].values)
    errors.set(ylabel="test error (%)", xlim=(-0.5, len(names) - 0.5))
    errors.set_xticks(range(len(names)), names, rotation=30)
    before = np.linspace(0.01, 0.99, 200)  # λ before training is uniform between these
    synapses.plot(-1 / np.log(before), (before - 0.01) / 0.98, ":", color=COLOURS["black"])
    synapses.set(xlabel="time constant (steps)", ylabel="fraction of synapses", xscale="log", xlim=(0.1, 1e3))
    handles = dict(reversed([*zip(*curves.get_legend_handles_labels()[::-1], strict=True)]))
    made.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return {"memories": made}


def time_constants(one: xr.Dataset) -> list[np.ndarray]:
    """Time constants in steps of all synapses of each network, if it is an STPN."""
    if one["model"].item() != "stpn":
        return []
    tau = one["trained_tau"].stack(synapse=("post", "pre")).values
    return [each[np.isfinite(each)] for each in tau if np.isfinite(each).any()]
