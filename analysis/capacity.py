"""Do fast weights hold what theory says, how does it grow with N, and what changes it?

Shown are the overlap of recalled patterns against their age at several sizes, on the mean-field curve; the
capacity against the decay; the bits that fast weights hold against N, beside the N bits that N sign units
can hold; and the recall under conditions for which there is no theory, each beside its cue and another pattern.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure, standard_error

SWEPT = ()  # of a sweep, each point is analysed by itself

RETRIEVED = 0.9
"""An item counts as held if its overlap is at least this; theory's transition jumps from 0.97 to 0."""

LABELS = {
    "sign": "sign units",
    "self_connections": "with self-connections",
    "time_scales": "several time scales",
    "delta": "delta rule",
    "correlated": "correlated patterns",
    "relu": "ReLU, layer norm",
}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce overlaps to curves over age, capacities and bits, with what theory says beside them."""
    config = configuration(recording)
    recording = recording.load()
    result = xr.Dataset(attrs={"experiment_configuration": recording.attrs["experiment_configuration"]})
    result = result.merge(sizes(recording["overlap"], config["epsilon"]))
    result = result.merge(decays(recording["decay_overlap"], config["decay_units"]))
    return result.merge(conditions(recording, config))


def sizes(overlap: xr.DataArray, epsilon: float) -> xr.Dataset:
    """Overlap against age u = k/N at each N, and bits."""
    age = overlap["lag"] / overlap["units"]
    theory = xr.apply_ufunc(lambda u: fw.theory.palimpsest_overlap(u, epsilon), age)
    held = [
        fw.measure.information(one.dropna("lag").rename(lag="pattern"), int(one["units"]))
        for one in overlap.transpose("units", ...)
    ]
    bits = xr.concat(held, "units")
    bound = fw.theory.palimpsest_information(epsilon) * overlap["units"].astype(float) ** 2
    return xr.Dataset(
        {
            "age": labelled(age, "age u = k/N"),
            "overlap": labelled(overlap.mean("trial"), "overlap"),
            "overlap_error": labelled(standard_error(overlap, "trial"), "standard error of the overlap"),
            "overlap_theory": labelled(theory.where(overlap.notnull().any("trial")), "overlap in theory"),
            "bits": labelled(bits.mean("trial"), "information held", "bit"),
            "bits_error": labelled(standard_error(bits, "trial"), "standard error of the information", "bit"),
            "bits_theory": labelled(bound, "information held in theory", "bit"),
        }
    )


def decays(overlap: xr.DataArray, units: int) -> xr.Dataset:
    """Capacity against ε."""
    items = retrieved(overlap, units)
    theory = xr.DataArray(fw.theory.palimpsest_capacity(overlap["epsilon"].values), dims="epsilon")
    return xr.Dataset(
        {
            "capacity": labelled(items.mean("trial"), "items held over N"),
            "capacity_error": labelled(standard_error(items, "trial"), "standard error of the capacity"),
            "capacity_theory": labelled(theory, "items held over N in theory"),
        }
    )


def conditions(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Mean-subtracted overlap under each condition, with its controls, and the items held."""
    units = config["comparison_units"]
    values = {name: recording[f"condition_{name}"] for name in ("centred", "no_memory", "shuffled")}
    result = xr.Dataset({f"condition_{name}": mean_over_trials(value) for name, value in values.items()})
    result["condition_error"] = labelled(standard_error(values["centred"], "trial"), "standard error")
    items = retrieved(recording["condition_overlap"], units)
    result["condition_capacity"] = labelled(items.mean("trial"), "items held over N")
    result["condition_capacity_error"] = labelled(
        standard_error(items, "trial"), "standard error of the capacity"
    )
    gain = (values["centred"] - values["no_memory"]).where(recording["lag"] < 0.02 * units).mean("lag")
    result["condition_gain"] = labelled(gain.mean("trial"), "gain over the cue, ages below 0.02 N")
    spectrum = fw.theory.Spectrum.from_tau(
        np.array(config["tau_factors"]) * fw.theory.tau_from_epsilon(config["epsilon"], units),
        np.array(config["eta_factors"]),
        units,
    )
    theory = {"sign": config["epsilon"], "time_scales": spectrum}
    result["condition_capacity_theory"] = labelled(
        xr.DataArray(
            [
                fw.theory.palimpsest_capacity(theory[name]) if name in theory else np.nan
                for name in config["conditions"]
            ],
            dims="condition",
        ),
        "items held over N in theory",
    )
    return result


def retrieved(overlap: xr.DataArray, units: int) -> xr.DataArray:
    """Number of items with at least the overlap that counts, over N, in each trial."""
    return (overlap >= RETRIEVED).sum("lag") / units


def mean_over_trials(values: xr.DataArray) -> xr.DataArray:
    return values.mean("trial", keep_attrs=True)


EXPLAINED = {
    "held / N": "patterns that are recalled, over the number of units",
    "bits / N²": "information in all recalled patterns, over the number of weights",
    "off theory": "mean overlap at ages up to 0.035 N, minus theory's",
    "gain": "what recall adds to the cue's overlap at ages below 0.02 N",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "theory": (
        "Left: overlap of recall against age, for sign units. Middle: items held for each unit against "
        "the decay. Right: information that is held against the number of units. Lines: theory; dots: "
        "simulation with standard errors."
    ),
    "conditions": (
        "Overlap of recall without its mean, against age, under each condition: the stored pattern "
        "(blue, with standard error), another pattern (dotted), and the cue without memory (dashed)."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal: sizes, then conditions."""
    rows = []
    for one in result.units.values:
        at = result.sel(units=one)
        young = at.age <= 0.035
        off = float((at.overlap - at.overlap_theory).where(young).mean())
        rows.append(
            {
                "network": f"sign units, N = {one}",
                "held / N": "",
                "theory": "",
                "bits / N²": f"{float(at.bits) / one**2:.4f}",
                "off theory": f"{off:+.5f}",
                "gain": "",
            }
        )
    for name in result.condition.values:
        at = result.sel(condition=name)
        theory = float(at.condition_capacity_theory)
        held, spread = float(at.condition_capacity), float(at.condition_capacity_error)
        rows.append(
            {
                "network": f"{LABELS[str(name)]}, noisy cues",
                "held / N": f"{held:.4f} ± {spread:.4f}",
                "theory": f"{theory:.4f}" if np.isfinite(theory) else "none",
                "bits / N²": "",
                "off theory": "",
                "gain": f"{float(at.condition_gain):+.3f}",
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the theory it lands on, and the conditions for which there is none."""
    made, axes = figure(1, 3, width="double", aspect=0.9)
    plot_overlap(axes[0], result)
    plot_decay(axes[1], result)
    plot_bits(axes[2], result)
    return {"theory": made, "conditions": plot_conditions(result)}


def plot_overlap(axes: Axes, result: xr.Dataset) -> None:
    config = configuration(result)
    age = np.linspace(0, config["oldest"], 400)
    axes.plot(
        age, fw.theory.palimpsest_overlap(age, config["epsilon"]), color=COLOURS["black"], label="theory"
    )
    for units, colour in zip(result.units.values, cycle(COLOURS.values()), strict=False):
        at = result.sel(units=units).dropna("lag", subset=["overlap"])
        smooth = at[["age", "overlap"]].coarsen(lag=max(1, at.sizes["lag"] // 40), boundary="trim").mean()
        axes.plot(smooth.age, smooth.overlap, "o", ms=2.5, color=colour, label=f"N = {units}")
    axes.set(xlabel="age k/N", ylabel="overlap", ylim=(0, 1.03), title="sign units")
    axes.legend()


def plot_decay(axes: Axes, result: xr.Dataset) -> None:
    epsilon = np.linspace(2.3, float(result.epsilon.max()), 300)
    axes.plot(epsilon, fw.theory.palimpsest_capacity(epsilon), color=COLOURS["black"], label="theory")
    units = configuration(result)["decay_units"]
    axes.errorbar(
        result.epsilon, result.capacity, result.capacity_error, fmt="o", ms=3, color=COLOURS["blue"],
        label=f"N = {units}",
    )  # fmt: skip
    axes.set(xlabel="decay ε = √(2N/τ)", ylabel="items held / N", ylim=(0, None), title="capacity")
    axes.legend()


def plot_bits(axes: Axes, result: xr.Dataset) -> None:
    units = result.units
    axes.errorbar(
        units, result.bits, result.bits_error, fmt="o", ms=3, color=COLOURS["blue"], label="fast weights"
    )
    axes.plot(units, result.bits_theory, color=COLOURS["black"], label="theory, ∝ N²")
    axes.plot(units, units, "--", color=COLOURS["vermillion"], label="N sign units: N bits")
    axes.set(xscale="log", yscale="log", xlabel="units N", ylabel="information (bit)", title="what is held")
    axes.set_xticks(units, [str(one) for one in units.values])
    axes.minorticks_off()
    axes.legend(loc="upper left")


def plot_conditions(result: xr.Dataset) -> Figure:
    """Draw the mean-subtracted overlap against age under each condition."""
    names = result.condition.values
    rows = -(-len(names) // 3)
    made, grid = figure(rows, 3, width="double", aspect=0.8, sharex=True, sharey=True, squeeze=False)
    units = configuration(result)["comparison_units"]
    for axes, name in zip(grid.flat, names, strict=False):
        at = result.sel(condition=name).dropna("lag", subset=["condition_centred"])
        age = at.lag / units
        axes.plot(age, at.condition_no_memory, "--", color=COLOURS["black"], label="cue alone")
        axes.plot(age, at.condition_shuffled, ":", color=COLOURS["black"], label="another pattern")
        axes.plot(age, at.condition_centred, color=COLOURS["blue"], label="recalled")
        spread = at.condition_error
        axes.fill_between(
            age,
            at.condition_centred - spread,
            at.condition_centred + spread,
            color=COLOURS["blue"],
            alpha=0.2,
            lw=0,
        )
        axes.set(title=LABELS[str(name)], ylim=(-0.1, 1.03))
    for axes in grid[-1]:
        axes.set_xlabel("age k/N")
    for axes in grid[:, 0]:
        axes.set_ylabel("overlap, mean-subtracted")
    grid[0, 0].legend()
    return made
