"""Does the network follow its mean field before, in and after the pulse?

Means over networks with intervals (Student's t), in three spans: the last 0.1 s before the pulse, the last 0.1 s of it,
and the last 0.2 s of the run. A pulse or what follows it may be shorter, and is then averaged as a whole.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, errorbars, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

VARIABLES = ("rate", "u", "x")
NAMES = {"rate": "rate (Hz)", "u": "utilisation u", "x": "resources x"}
UNITS = {"rate": "Hz", "u": "1", "x": "1"}
MARKS = {"shared": ("o", "blue"), "own": ("s", "vermillion")}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Average over the three spans, and measure the distance from mean field over time."""
    config = configuration(recording)
    result = recording.load().copy()
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    spans = {
        "before": (config["begin"] - 0.1, config["begin"]),
        "pulse": (max(config["begin"], config["end"] - 0.1), config["end"]),
        "after": (max(config["end"], config["duration"] - 0.2), config["duration"]),
    }
    time = result["time"].values
    for name in VARIABLES:
        for kind in (name, f"expected_{name}"):
            means = [
                result[kind]
                .isel(time=np.flatnonzero((time > low + 1e-6) & (time < high + 1e-6)))
                .mean("time")
                for low, high in spans.values()
            ]
            parts = xr.concat(means, "span").assign_coords(span=list(spans))
            result[f"{kind}_in_span"] = labelled(parts, f"mean of {kind.replace('_', ' ')}", UNITS[name])
        distance = np.sqrt(((result[name].mean("network") - result[f"expected_{name}"]) ** 2).mean("time"))
        result[f"{name}_distance"] = labelled(
            distance, f"root mean square distance of {name} from mean field", UNITS[name]
        )
    return result


EXPLAINED = {
    "span": "the last 0.1 s before the pulse or of it, or the last 0.2 s of the run; distance: over the whole run",
    "variable": "rate, utilisation u or resources x",
    "mean field": "four differential equations",
    "shared": "network whose synapses share u and x, with its interval over networks",
    "own": "network in which each neuron has its own u and x, with its interval",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Rate, u and x over time: networks of spiking neurons (points, with intervals over networks) "
        "and mean field (lines). Grey: the pulse of input."
    ),
}


def table(result: xr.Dataset) -> list[dict]:
    """One row for each variable in each span, and the distances."""
    rows = []
    for name, digits in zip(VARIABLES, (2, 3, 3), strict=True):
        for span in result["span"].values:
            row = {"variable": name, "span": str(span)}
            row["mean field"] = f"{float(result[f'expected_{name}_in_span'].sel(span=span)):.{digits}f}"
            for kind in result["synapse"].values:
                found = bootstrap(result[f"{name}_in_span"].sel(span=span, synapse=kind).values)
                row[str(kind)] = formatted(found, f".{digits}f", interval="({} – {})")
            rows.append(row)
        distances = {str(kind): f"{float(result[f'{name}_distance'].sel(synapse=kind)):.{digits}f}"
                     for kind in result["synapse"].values}  # fmt: skip
        rows.append({"variable": name, "span": "distance", "mean field": "–", **distances})
    return rows


def plot(result: xr.Dataset) -> Figure:
    """Rate, u and x over time: mean field as lines, networks as points with intervals."""
    config = configuration(result)
    made, axes = figure(1, 3, width="double", aspect=1.0)
    shown = result.isel(time=slice(1, None, 3))
    for panel, name in zip(axes, VARIABLES, strict=True):
        panel.axvspan(config["begin"], config["end"], color="0.92", lw=0)
        panel.plot(
            result["time"],
            result[f"expected_{name}"],
            "-",
            color=COLOURS["black"],
            lw=0.8,
            label="mean field",
        )
        for kind in result["synapse"].values:
            mark, colour = MARKS[str(kind)]
            look = {"fmt": mark, "color": COLOURS[colour], "ms": 1.5, "lw": 0.5, "label": f"{kind} u and x"}
            errorbars(panel, shown["time"], shown[name].sel(synapse=kind), **look)
        panel.set(xlabel="time (s)", ylabel=NAMES[name])
    axes[0].legend(fontsize=5)
    return made
