"""Is the oscillation that plasticity keeps the one of mean field?

The frequency after the input is the slope of the phase of activity's projection on the oscillation of the input, while
A is held, from `FROM` membrane time constants after its end; intervals are over networks (Student's t). Theory:
`entrained_activity` for the oscillation under the input and the eigenvalue λ that it writes, and its `held` for the
oscillation after the input.
"""

from __future__ import annotations

import math
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

FROM = 5.0  # membrane time constants in which activity leaves the input's amplitude


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Frequencies and sizes of what is left, with mean field beside them."""
    config = configuration(recording)
    result = recording.load().copy()
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    late = result.sel(time=slice(min(FROM, config["after"] / 2), None))
    turned = late["held_real"].copy(data=np.unwrap(np.arctan2(late["held_imaginary"], late["held_real"])))
    slope = turned.polyfit("time", 1)["polyfit_coefficients"].sel(degree=1, drop=True)
    result["frequency"] = labelled(slope / (2 * math.pi), "frequency after the input", "Hz")
    result["late_square"] = labelled(late["held_square"].mean("time"), "mean square rate after the input")
    result["share"] = labelled(
        np.hypot(late["held_real"], late["held_imaginary"]).mean("time"), "share of the oscillation"
    )
    result["plastic_share"] = labelled(
        np.hypot(late["plastic_real"], late["plastic_imaginary"]).isel(time=-1, drop=True), "share at the end"
    )
    return result.merge(predicted(config))


def predicted(config: dict) -> xr.Dataset:
    """Mean field for the same inputs."""
    rows = []
    for drive in config["drive"]:
        driven = theory.entrained_activity(
            config["coupling"],
            config["plasticity"],
            drive,
            2 * math.pi / config["period"],
            config["tau_memory"],
        )
        held = driven.held()
        rows.append(
            {
                "driven_square": driven.square,
                "outlier_real": driven.outlier.real,
                "outlier_imaginary": driven.outlier.imag,
                "frequency": held.frequency / (2 * math.pi),
                "late_square": held.square,
                "share": held.share,
            }
        )
    return xr.Dataset(
        {
            f"expected_{name}": labelled(
                xr.DataArray([row[name] for row in rows], dims="drive"),
                f"{name.replace('_', ' ')} in mean field",
                "Hz" if name == "frequency" else "1",
            )
            for name in rows[0]
        },
        coords={"drive": list(config["drive"])},
    )


EXPLAINED = {
    "I": "amplitude of the input",
    "⟨φ²⟩": "mean square rate in the last cycle of the input",
    "Re λ": "real part of the eigenvalue of J + A of largest size at the end of the input",
    "Im λ": "its imaginary part",
    "frequency": "of the oscillation after the input with A held, in cycles by membrane time constant",
    "⟨φ²⟩ after": "mean square rate then",
    "share": "size of the projection on the oscillation of the input then, relative to that under the input",
    "share with plasticity": "the same at the end of the run, if plasticity goes on after the input",
    "* in theory": "the same in mean field, which supposes that the network follows its input",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Simulation (points, with intervals over networks) and mean field (lines). Left: projection of activity on "
        "the oscillation of the input, after its end, in the first network, with A held. Middle: the eigenvalue that "
        "the oscillation writes, against the amplitude of the input. Right: frequency after the input; dotted: that "
        "of the input. Intervals of networks that do not follow their input leave the axes."
    ),
}

COLUMNS = {
    "⟨φ²⟩": "driven_square",
    "Re λ": "outlier_real",
    "Im λ": "outlier_imaginary",
    "frequency": "frequency",
    "⟨φ²⟩ after": "late_square",
    "share": "share",
}
"""Columns of the table that have a value in theory."""


def table(result: xr.Dataset) -> list[dict]:
    """One row for each amplitude of the input."""
    rows = []
    for drive in result["drive"].values:
        one, row = result.sel(drive=drive), {"I": f"{drive:g}"}
        for name, variable in COLUMNS.items():
            row[name] = interval(one[variable])
            row[f"{name} in theory"] = f"{float(one[f'expected_{variable}']):.3f}"
        rows.append(row | {"share with plasticity": interval(one["plastic_share"])})
    return rows


def interval(values: xr.DataArray) -> str:
    """Mean over networks with its 95 % interval."""
    return formatted(bootstrap(values.values), ".3f", missing="–", interval="({} – {})")


def plot(result: xr.Dataset) -> Figure:
    """Activity after the input, eigenvalues and frequencies: theory as lines, simulation as points with intervals."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    for drive, colour in zip(result["drive"].values, cycle(COLOURS.values()), strict=False):
        one = result.sel(drive=drive).isel(network=0)
        axes[0].plot(one["time"], one["held_real"], color=colour, lw=0.9, label=f"I = {drive:g}")
    axes[0].set(
        xlabel="time after the input (τ of a unit)",
        ylabel="projection on the oscillation",
        ylim=(-1.2, 1.7),
    )
    axes[0].legend(loc="upper right", fontsize=6)
    for variable, colour, label in (
        ("outlier_real", "blue", "real part"),
        ("outlier_imaginary", "vermillion", "imaginary part"),
    ):
        points(axes[1], result, variable, COLOURS[colour], label)
    axes[1].set(xlabel="amplitude I of the input", ylabel="eigenvalue λ", ylim=(-0.2, 3.2))
    axes[1].legend(fontsize=6)
    points(axes[2], result, "frequency", COLOURS["blue"])
    axes[2].axhline(1 / configuration(result)["period"], color="0.6", lw=0.8, ls=":")
    axes[2].set(
        xlabel="amplitude I of the input",
        ylabel="frequency (1/time constant)",
        ylim=(0, None),
    )
    return made


def points(axes: Axes, result: xr.Dataset, variable: str, colour: str, label: str | None = None) -> None:
    """Means over networks with their intervals, and mean field."""
    axes.plot(result["drive"], result[f"expected_{variable}"], color=colour, lw=0.8)
    errorbars(axes, result["drive"], result[variable], fmt=".", color=colour, ms=3, lw=0.6, label=label)
