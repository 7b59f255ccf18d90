"""Is recall as in mean field, below and above the critical load?

Overlaps over time and at the end, with intervals over networks (Student's t). Theory: `recall_dynamics`, with the time
step of the simulation and no fitted parameter, over `SEEDS` samples, and the critical load of static states
(`recall_capacity`).
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fwsim import theory
from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, errorbars, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

SEEDS = 4  # samples of the mean field
SAMPLED = 800  # units of each
POINTS = {"fmt": ".", "ms": 3, "lw": 0.6}  # how simulations are drawn


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Put mean field beside the overlaps that were recorded."""
    config = configuration(recording)
    result = recording.load().copy()
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    time = result["time"].values

    def expected(load: float, k: float, tau: float) -> list[np.ndarray]:
        found = [
            theory.recall_dynamics(
                load, k, tau, gain=config["gain"], cue=config["cue"], duration=config["duration"],
                dt=config["step"], units=SAMPLED, seed=seed,
            )
            for seed in range(SEEDS)
        ]  # fmt: skip
        return [np.interp(time, one.time, one.overlap) for one in found]

    loads = [
        [expected(load, k, config["tau_memory"]) for k in config["plasticity"]] for load in config["load"]
    ]
    slow = [expected(config["slow_load"], config["slow_plasticity"], tau) for tau in config["slow"]]
    result["expected_overlap"] = labelled(
        xr.DataArray(np.array(loads), dims=("load", "plasticity", "sample", "time")), "overlap in mean field"
    )
    result["expected_slow_overlap"] = labelled(
        xr.DataArray(np.array(slow), dims=("tau_memory", "sample", "time")), "overlap in mean field"
    )
    result["capacity"] = labelled(
        xr.DataArray(
            [theory.recall_capacity(k, gain=config["gain"]) for k in config["plasticity"]], dims="plasticity"
        ),
        "critical load of static states",
    )
    for name in ("overlap", "slow_overlap"):
        distance = result[name].mean("network") - result[f"expected_{name}"].mean("sample")
        result[f"{name}_distance"] = labelled(
            np.sqrt((distance**2).mean("time")), "root mean square distance from mean field"
        )
    return result


EXPLAINED = {
    "α": "load, patterns by units",
    "k": "plasticity; below 0 anti-Hebbian",
    "τ_A": "time constant of plasticity in membrane time constants",
    "overlap": "mean over units of pattern · rate at the end, with its interval over networks",
    "in theory": "the same in dynamical mean field, with its interval over samples",
    "distance": "root mean square difference between the mean over networks and mean field, over the whole run",
    "critical α": "largest load with a static state of recall, for this plasticity",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Simulation (points, with intervals over networks) and mean field (lines). Left: overlap with the "
        "pattern after a cue. Middle: overlap at the end, against load; dashed: the critical load without plasticity. "
        "Right: overlap at the end, against the time constant of plasticity."
    ),
}


def table(result: xr.Dataset) -> list[dict]:
    """One row for each load and plasticity, and one for each time constant."""
    config, rows = configuration(result), []
    for load in result["load"].values:
        for k in result["plasticity"].values:
            one = result.sel(load=load, plasticity=k)
            rows.append(
                {"α": f"{load:g}", "k": f"{k:g}", "τ_A": f"{config['tau_memory']:g}"}
                | compared(one["overlap"], one["expected_overlap"], one["overlap_distance"])
                | {"critical α": f"{float(one['capacity']):.3f}"}
            )
    for tau in result["tau_memory"].values:
        one = result.sel(tau_memory=tau)
        rows.append(
            {"α": f"{config['slow_load']:g}", "k": f"{config['slow_plasticity']:g}", "τ_A": f"{tau:g}"}
            | compared(one["slow_overlap"], one["expected_slow_overlap"], one["slow_overlap_distance"])
            | {"critical α": "–"}
        )
    return rows


def compared(values: xr.DataArray, expected: xr.DataArray, distance: xr.DataArray) -> dict[str, str]:
    """Overlap at the end beside mean field, and the distance over the run."""
    return {
        "overlap": interval(values.isel(time=-1)),
        "in theory": interval(expected.isel(time=-1)),
        "distance": f"{float(distance):.3f}",
    }


def interval(values: xr.DataArray) -> str:
    """Mean over networks or samples with its 95 % interval."""
    return formatted(bootstrap(values.values), ".3f", missing="–", interval="({} – {})")


def plot(result: xr.Dataset) -> Figure:
    """Overlaps over time, load and time constant: theory as lines, simulation as points with intervals."""
    config = configuration(result)
    made, axes = figure(1, 3, width="double", aspect=1.0)
    result = result.mean("sample")
    shown = result.sel(load=config["slow_load"], method="nearest")
    for k, colour in zip(result["plasticity"].values, cycle(COLOURS.values()), strict=False):
        one, end = shown.sel(plasticity=k), result.sel(plasticity=k).isel(time=-1)
        axes[0].plot(one["time"], one["expected_overlap"], "-", color=colour, lw=0.8)
        some = one.isel(time=slice(1, None, 3))
        errorbars(axes[0], some["time"], some["overlap"], color=colour, label=f"k = {k:g}", **POINTS)
        axes[1].plot(end["load"], end["expected_overlap"], "-", color=colour, lw=0.8)
        errorbars(axes[1], end["load"], end["overlap"], color=colour, **POINTS)
        if k == 0:
            axes[1].axvline(float(end["capacity"]), color="0.6", lw=0.8, ls="--")
    axes[0].set(xlabel="time (membrane time constants)", ylabel="overlap", ylim=(-0.05, 1.05))
    axes[0].set_title(f"α = {float(shown['load']):g}")
    axes[0].legend(loc="lower left", fontsize=6)
    axes[1].set(xlabel="load α", ylabel="overlap at the end", ylim=(-0.05, 1.05))
    time_constants(axes[2], result.isel(time=-1), config)
    axes[2].set(
        xscale="log", xlabel="τ_A (membrane time constants)", ylabel="overlap at the end", ylim=(-0.05, 1.05)
    )
    axes[2].set_title(f"α = {config['slow_load']:g}, k = {config['slow_plasticity']:g}")
    return made


def time_constants(axis: Axes, end: xr.Dataset, config: dict) -> None:
    """Overlap at the end, with that of the first part if it has the same load and plasticity."""
    found, expected = end["slow_overlap"], end["expected_slow_overlap"]
    first = {"load": config["slow_load"], "plasticity": config["slow_plasticity"]}
    if all(value in end[name].values for name, value in first.items()):
        here = end[["overlap", "expected_overlap"]].sel(first).drop_vars(first)
        here = here.expand_dims(tau_memory=[config["tau_memory"]])
        found = xr.concat([found, here["overlap"]], "tau_memory").sortby("tau_memory")
        expected = xr.concat([expected, here["expected_overlap"]], "tau_memory").sortby("tau_memory")
    axis.plot(expected["tau_memory"], expected, "-", color=COLOURS["blue"], lw=0.8)
    errorbars(axis, found["tau_memory"], found, color=COLOURS["blue"], **POINTS)
