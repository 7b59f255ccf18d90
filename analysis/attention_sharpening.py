"""Is the right pair attended to most more often after the inner loop than before, and where does the loop end?

For every iteration, of trained networks and of networks with random weights, the figures show how often the most
attended pair or item is the one asked for, how concentrated attention is, and the error of an answer at this
iteration. They also show whether the loop settles at the right end, settles elsewhere, cycles or wanders. Shares are
shares of the absolute attention.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure

SWEPT = ()  # of a sweep, each point is analysed by itself

STILL = 1e-3
"""A state returns if it comes this close to where it was, relative to its length."""
LONGEST_CYCLE = 16
ENDS = ("settled, right", "settled, wrong", "cycle", "wanders")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Attention, error and ends of all loops."""
    config = configuration(recording)
    recording = recording.load()
    right = recording["answer"] == recording["target"]
    pair = xr.DataArray(np.minimum(np.arange(recording.sizes["past"]) // 2, config["pairs"]), dims="past")
    result = attended(recording["attention"], pair, recording["asked"], config["pairs"])
    share = abs(recording["attention"]) / abs(recording["attention"]).sum("past")
    for place, name in enumerate(("letter", "digit")):
        step = xr.DataArray(np.arange(recording.sizes["past"]), dims="past")
        on = share.where(step == 2 * recording["asked"] + place, 0).sum("past").mean("trial")
        result[f"{name}_share"] = labelled(on, f"share of attention on the {name} of the right pair")
    result["error"] = labelled(1 - right.mean("trial"), "fraction of wrong answers at this iteration")
    result["end"] = ends(recording["path"], right.isel(iteration=-1), "unit")
    result["test_error"] = recording["test_error"]

    item = xr.DataArray(np.arange(config["items"]), dims="item")
    random = attended(recording["random_attention"], item, recording["random_asked"], config["items"])
    hit = random["hit_of_trial"].isel(iteration=-1)
    random["end"] = ends(recording["random_path"], hit, "random_unit")
    random["overlap"] = labelled(recording["random_overlap"].mean("trial"), "overlap with the item asked for")
    result = result.merge(random.rename({name: f"random_{name}" for name in random.data_vars}))
    result["hopfield_overlap"] = labelled(one_iteration(recording, config), "overlap of sign units in theory")
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    return result.drop_vars(["hit_of_trial", "random_hit_of_trial"])


def attended(attention: xr.DataArray, group: xr.DataArray, asked: xr.DataArray, groups: int) -> xr.Dataset:
    """How attention is shared among pairs or items; past states of a group beyond the last belong to none."""
    past = group.dims[0]
    share = abs(attention) / abs(attention).sum(past)

    def by_group(values: xr.DataArray) -> xr.DataArray:
        return xr.concat([values.where(group == one, 0).sum(past) for one in range(groups)], "group")

    of_group = by_group(share)
    hit = by_group(attention).argmax("group") == asked  # signed: an item's opposite is not the item
    on_right = of_group.isel(group=asked.astype(int))
    return xr.Dataset(
        {
            "hit_of_trial": hit,
            "hit": labelled(hit.mean("trial"), "fraction of queries that attend most to the right one"),
            "share": labelled(on_right.mean("trial"), "share of attention on the right one"),
            "elsewhere": labelled(1 - of_group.sum("group").mean("trial"), "share on neither pair nor item"),
            "concentration": labelled((share**2).sum(past).mean("trial"), "concentration Σ share²"),
        }
    )


def ends(path: xr.DataArray, right: xr.DataArray, unit: str) -> xr.DataArray:
    """Fraction of queries with each kind of end, after all iterations."""
    last = path.isel(iteration=-1)
    size = np.sqrt((last**2).sum(unit)) + np.finfo(float).tiny
    longest = min(LONGEST_CYCLE, path.sizes["iteration"] - 1)
    moved = [
        np.sqrt(((path.isel(iteration=-1 - period) - last) ** 2).sum(unit)) / size
        for period in range(1, longest + 1)
    ]
    returns = xr.concat(moved, "period") < STILL
    settled, cycle = returns.isel(period=0), returns.any("period")
    kinds = [settled & right, settled & ~right, cycle & ~settled, ~cycle]
    fractions = xr.concat([kind.mean("trial") for kind in kinds], "kind_of_end")
    return labelled(fractions.assign_coords(kind_of_end=list(ENDS)), "fraction of queries")


def one_iteration(recording: xr.Dataset, config: dict) -> xr.DataArray:
    """Overlap that theory gives sign units after 0 and 1 iterations and at the fixed point."""
    from scipy.special import erf

    load = (config["items"] - 1) / config["random_units"]  # of the other items
    start = recording["random_overlap"].sel(kind="sign units", iteration=0, drop=True)
    values = [
        float(start.mean()),
        float(erf(start / np.sqrt(2 * load)).mean()),
        float(fw.theory.hopfield_overlap(config["items"] / config["random_units"])),
    ]
    return xr.DataArray(values, {"at": ["cue", "one iteration", "fixed point"]}, "at")


EXPLAINED = {
    "at": "iteration of the inner loop; 0 is the cue",
    "right (%)": "queries whose most attended item is the right one",
    "share (%)": "share of the absolute attention on the right item",
    "of letter": "share on the state of its letter, in %",
    "of digit": "share on the state of its digit, in %",
    "error (%)": "wrong answers if the network answered now",
    "Σ share²": "concentration of attention: 1 if all of it is on one state",
    "settled, right": "loops that ended nearest to the right item, in %",
    "settled, wrong": "loops that ended nearest to another item, in %",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "trained": (
        "Trained networks over the iterations of the query's inner loop; dots mark the number S with "
        "which a network was trained. Left: how often the right pair gets most attention (dotted: "
        "chance). Middle: concentration of attention. Right: error if the network answered at this "
        "iteration (dotted: without binding)."
    ),
    "random": (
        "Networks with random weights over inner iterations. Left: how often the right item gets most "
        "attention. Middle: its share of the attention. Right: where the loops end."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each kind of network, at the cue, after S (random networks: one) iterations, and at the end."""
    rows = []
    for S in result.inner_steps.values:
        at = result.sel(inner_steps=S).mean("network")
        rows += [row(f"S = {S}", at, int(s)) for s in (0, S, result.iteration[-1])]
    for kind in result.kind.values:
        at = result.sel(kind=kind)
        random = at[[name for name in at if str(name).startswith("random_")]]
        random = random.rename({name: str(name).removeprefix("random_") for name in random})
        rows += [row(str(kind), random, int(s)) for s in (0, 1, result.iteration[-1])]
    return rows


SHOWN = {
    "hit": "right (%)",
    "share": "share (%)",
    "letter_share": "of letter",
    "digit_share": "of digit",
    "error": "error (%)",
}


def row(network: str, at: xr.Dataset, iteration: int) -> dict[str, object]:
    now = at.sel(iteration=iteration)
    shown = {"network": network, "at": iteration}
    for name, label in SHOWN.items():
        shown[label] = f"{100 * float(now[name]):.1f}" if name in now else ""
    shown["Σ share²"] = f"{float(now['concentration']):.3f}"
    last = iteration == int(at.iteration[-1])
    for kind in ENDS:
        shown[kind] = f"{100 * float(now['end'].sel(kind_of_end=kind)):.0f}" if last else ""
    return shown


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw trained networks and networks with random weights."""
    return {"trained": plot_trained(result), "random": plot_random(result)}


def plot_trained(result: xr.Dataset) -> Figure:
    """Attention and error over iterations for each S, the iteration of training marked."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    config = configuration(result)
    for S, colour in zip(result.inner_steps.values, cycle(COLOURS.values()), strict=False):
        at = result.sel(inner_steps=S)
        for panel, name in zip(axes, ("hit", "concentration", "error"), strict=True):
            over(panel, at[name], colour, f"S = {S}", int(S))
    axes[0].axhline(1 / config["pairs"], color=COLOURS["black"], ls=":")
    axes[0].set(ylabel="attends most to the right pair", ylim=(0.4, 1.02))
    axes[1].set(ylabel="concentration Σ share²")
    axes[2].axhline(1 - fw.theory.binding_plateau(config["pairs"]), color=COLOURS["black"], ls=":")
    axes[2].set(ylabel="error if answered here", ylim=(-0.02, 1))
    for panel in axes:
        panel.set(xlabel="inner iteration", xscale="symlog", xlim=(0, None))
    made.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=result.sizes["inner_steps"]
    )
    return made


def over(axes: Axes, values: xr.DataArray, colour: str, label: str, mark: int) -> None:
    """Draw the mean over networks, the range, and the iterations that the network was trained with."""
    axes.fill_between(
        values.iteration, values.min("network"), values.max("network"), color=colour, alpha=0.15, lw=0
    )
    mean = values.mean("network")
    axes.plot(values.iteration, mean, color=colour, label=label)
    axes.plot(mark, mean.sel(iteration=mark), "o", color=colour)


def plot_random(result: xr.Dataset) -> Figure:
    """Attention and overlap of networks with random weights, and where they end."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    for kind, colour in zip(result.kind.values, cycle(COLOURS.values()), strict=False):
        at = result.sel(kind=kind)
        axes[0].plot(at.iteration, at.random_hit, color=colour, label=kind)
        axes[1].plot(at.iteration, at.random_share, color=colour)
    axes[0].set(ylabel="attends most to the right item", ylim=(0, 1.02))
    axes[1].set(ylabel="share on the right item", ylim=(0, 1.02))
    for panel in axes[:2]:
        panel.set(xlabel="inner iteration", xscale="symlog", xlim=(0, None))
    bottom = np.zeros(result.sizes["kind"])
    names = [str(kind).replace(" units", "").replace("ReLU, ", "") for kind in result.kind.values]
    for end, colour in zip(ENDS, ("green", "vermillion", "orange", "sky"), strict=True):
        height = result.random_end.sel(kind_of_end=end).values
        axes[2].bar(names, height, bottom=bottom, color=COLOURS[colour], label=end)
        bottom = bottom + height
    axes[2].set(ylabel="fraction of cues", xlabel="network", ylim=(0, 1))
    axes[2].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize="x-small")
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=result.sizes["kind"])
    return made
