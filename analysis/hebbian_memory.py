"""How much of a pattern comes back at which age, load and cue, in spikes and in rates, and for how long?

The overlap of a recalled pattern is that of its neurons that were not cued: their rate less that of neurons outside
the pattern, over the rate of the cued ones; 1 if the pattern comes back whole, 0 if nothing does. The shuffled
control takes as many random neurons for those to be completed. Intervals have 95 % (Student's t over networks).
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, Versions, configuration, errorbars, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

LABELS = {
    "linear": "without saturation",
    "one": "one time scale",
    "several": "several time scales",
    "bcpnn": "BCPNN",
    "trained": "trained network's",
}
SHUFFLES = 20
SILENT = 1.0
"""Rate in Hz of the cued neurons below which nothing counts as recalled."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Overlaps against age, quality of the cue and load; the shuffled control; lifetimes; rates."""
    config = configuration(recording)
    recording = recording.load()
    random = np.random.default_rng(0)
    shuffled = shuffle(recording["completed"], recording["cued"], random)
    overlaps = {
        "overlap": overlap(recording["recalled"], recording, recording["completed"]),
        "mean_field_overlap": overlap(recording["mean_field_recalled"], recording, recording["completed"]),
        "shuffled": overlap(recording["recalled"], recording, shuffled).mean("shuffle"),
    }
    rates = {
        f"{name}_rate": recording[name].where(recording["completed"]).mean("unit")
        for name in ("recalled", "mean_field_recalled")
    }
    trials = xr.Dataset(
        {name: labelled(each, "overlap") for name, each in overlaps.items()}
        | {name: labelled(each, "rate of the completed", "Hz") for name, each in rates.items()}
    )
    first = trials["load"] == config["load"]
    usual = trials["quality"] == config["quality"]
    latest = (trials["age"] < config["latest"]) & trials["age"].notnull()
    by_age = at(trials, first & usual & trials["age"].notnull(), "age")
    result = by_age.merge(lifetimes(config, by_age))
    unseen = trials.where(first & trials["age"].isnull(), drop=True).isel(trial=0, drop=True)
    result["unseen"] = labelled(unseen["overlap"], "overlap")
    overlaps = trials[["overlap", "mean_field_overlap"]]
    for dim, where in (("quality", first & latest), ("load", usual & latest)):
        part = overlaps.where(where, drop=True).groupby(dim).mean("trial")
        names = {"overlap": f"{dim}_overlap", "mean_field_overlap": f"mean_field_{dim}_overlap"}
        result = result.merge(part.rename(names))
    kept = ["course", "mean_field_course", "spike_time", "spike_unit"]
    return result.merge(recording[kept]).assign_attrs(recording.attrs)


def overlap(rate: xr.DataArray, recording: xr.Dataset, completed: xr.DataArray) -> xr.DataArray:
    """(rate of the completed − rate outside)/(rate of the cued), 0 where the cued are silent."""
    cued = recording["cued"]
    outside = rate.where(~recording["completed"] & ~cued).mean("unit")
    driven = rate.where(cued).mean("unit")
    inside = rate.where(completed).mean("unit")
    return xr.where(driven > SILENT, (inside - outside) / driven.where(driven > SILENT, 1.0), 0.0)


def shuffle(completed: xr.DataArray, cued: xr.DataArray, random: np.random.Generator) -> xr.DataArray:
    """As many random neurons that are not cued, `[shuffle, network, trial, unit]`."""
    count = completed.sum("unit").values[..., None]
    rank = random.random((SHUFFLES, *completed.shape)) + cued.values  # the cued come last
    chosen = rank.argsort(-1).argsort(-1) < count
    return xr.DataArray(chosen, dims=("shuffle", *completed.dims))


def at(trials: xr.Dataset, where: xr.DataArray, dim: str) -> xr.Dataset:
    """Trials as an axis of their own."""
    part = trials.where(where, drop=True)
    others = [name for name in ("age", "quality", "load") if name != dim]
    return part.drop_vars(others).swap_dims(trial=dim).sortby(dim)


def lifetimes(config: dict, by_age: xr.Dataset) -> xr.Dataset:
    """Lifetime: the overlap summed over age, in s, how long a memory that is perfect and then gone would last."""
    step = config["show"] + config["pause"]
    found = {
        f"{prefix}lifetime": step * by_age[f"{prefix}overlap"].sum("age") for prefix in ("", "mean_field_")
    }
    return xr.Dataset({name: labelled(each, "lifetime of the memory", "s") for name, each in found.items()})


def versions(result: xr.Dataset) -> list[Versions]:
    """What the spiking network and the rate network have in common."""
    pairs = (
        ("trajectory of the populations", "trajectory", "course", "Hz"),
        ("rate of the completed", "rate", "recalled_rate", "Hz"),
        ("overlap", "recall", "overlap", "1"),
        ("overlap", "recall", "load_overlap", "1"),
        ("overlap", "recall", "quality_overlap", "1"),
        ("lifetime", "lifetime", "lifetime", "s"),
    )
    return [
        Versions(quantity, kind, result[name], result[f"mean_field_{name}"], units, "network")
        for quantity, kind, name, units in pairs
    ]


EXPLAINED = {
    "asked": "which pattern is cued: its age (patterns shown since), the number shown, or the fraction cued",
    "spiking": "overlap of the neurons that were not cued, with its 95 % interval over networks",
    "rate network": "the same in the rate version",
    "shuffled": "the same for patterns that were never shown",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "overlap": (
        "Overlap of recall with the pattern in spikes (dots, with intervals over networks) and in rates "
        "(lines), a colour for each memory. Left: against the number of patterns shown since (dotted: "
        "another pattern). Middle: against the number shown. Right: against the fraction of the pattern "
        "that is cued."
    ),
    "run": (
        "Above: spikes of one trial, excitatory neurons below the red line and inhibitory ones above. "
        "Below: rates of both populations, from spikes (dots) and in the rate version (lines). Shaded: "
        "a pattern is shown."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows: one a memory and age, then loads, qualities, lifetimes."""
    rows = []
    for memory in result["memory"].values:
        one = result.sel(memory=memory)
        for dim, prefix, label in (
            ("age", "", "age {:g}"),
            ("load", "load_", "latest of {:g}"),
            ("quality", "quality_", "latest, {:.0%} cued"),
        ):
            for value in one[dim].values:
                here = one.sel({dim: value})
                row = {"memory": LABELS[str(memory)], "asked": label.format(value)}
                row |= both_versions(here[f"{prefix}overlap"], here[f"mean_field_{prefix}overlap"])
                row["shuffled"] = f"{float(here['shuffled'].mean()):.2f}" if dim == "age" else ""
                row["rate (Hz)"] = f"{float(here['recalled_rate'].mean()):.0f}" if dim == "age" else ""
                rows.append(row)
        rows.append(
            {"memory": LABELS[str(memory)], "asked": "never shown", **both_versions(one["unseen"], None)}
            | {"shuffled": "", "rate (Hz)": ""}
        )
        rows.append(
            {"memory": LABELS[str(memory)], "asked": "lifetime (s)"}
            | both_versions(one["lifetime"], one["mean_field_lifetime"])
            | {"shuffled": "", "rate (Hz)": ""}
        )
    return rows


def both_versions(spiking: xr.DataArray, rates: xr.DataArray | None) -> dict[str, object]:
    """Estimate with its interval, and the rate network's."""
    return {
        "spiking": formatted(bootstrap(spiking.values)),
        "rate network": "" if rates is None else f"{float(rates.mean()):.2f}",
    }


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the overlaps, and one run."""
    return {"overlap": plot_overlaps(result), "run": plot_run(result)}


def plot_overlaps(result: xr.Dataset) -> Figure:
    """Draw the overlap against age, load and quality; points are spikes, lines the rate network."""
    made, axes = figure(1, 3, width="double", aspect=1.0, sharey=True)
    panels = (
        ("age", "", "patterns shown since"),
        ("load", "load_", "patterns shown"),
        ("quality", "quality_", "fraction cued"),
    )
    for panel, (dim, prefix, label) in zip(axes, panels):
        for memory, colour in zip(result["memory"].values, cycle(COLOURS.values()), strict=False):
            one = result.sel(memory=memory)
            rates = one[f"mean_field_{prefix}overlap"]
            errorbars(panel, one[dim], one[f"{prefix}overlap"], fmt="o", ms=3, color=colour)
            panel.plot(one[dim], rates.mean("network"), color=colour, label=LABELS[str(memory)])
        panel.axhline(0, color=COLOURS["black"], lw=0.5)
        panel.set(xlabel=label)
    grey = result["shuffled"].mean("network")
    axes[0].plot(grey["age"], grey.transpose("age", ...), ":", color=COLOURS["black"], lw=0.8)
    axes[0].plot([], [], ":", color=COLOURS["black"], lw=0.8, label="shuffled")
    axes[0].set(ylabel="overlap")
    named = axes[0].get_legend_handles_labels()
    made.legend(*named, loc="outside lower center", ncols=len(named[1]), fontsize="x-small")
    return made


def plot_run(result: xr.Dataset) -> Figure:
    """Draw the spikes of one trial, and the mean rates of both populations in both versions."""
    config = configuration(result)
    made, (top, bottom) = figure(2, 1, width="double", aspect=0.3, sharex=True, height_ratios=[2, 1])
    top.plot(result["spike_time"], result["spike_unit"], ".", ms=1, color=COLOURS["black"])
    top.axhline(config["neurons"], color=COLOURS["vermillion"], lw=0.5)
    top.set(ylabel="neuron", title=f"memory: {LABELS[str(result['memory'].values[0])]}")
    step = config["show"] + config["pause"]
    for start in [k * step for k in range(config["load"])]:
        for axes in (top, bottom):
            axes.axvspan(start, start + config["show"], color=COLOURS["sky"], alpha=0.25, lw=0)
    course = result.isel(memory=0).mean("network")
    for population, colour in (("E", "blue"), ("I", "vermillion")):
        one = course.sel(population=population)
        bottom.plot(
            one["time"], one["course"], ".", ms=3, color=COLOURS[colour], label=f"{population}, spikes"
        )
        bottom.plot(
            one["time"], one["mean_field_course"], color=COLOURS[colour], label=f"{population}, rates"
        )
    bottom.set(xlabel="time (s)", ylabel="rate (Hz)")
    bottom.legend(ncols=2, fontsize="xx-small")
    return made
