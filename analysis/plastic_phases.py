"""Are the phases where mean field says?

A network is *silent* if the mean square of its rates is below 1e-4 at the end, *at rest* if the root mean square of
dh/dt is below 0.005 per time constant, and *active* otherwise; its activity *can be frozen* if it stops, by the same
criterion, once plasticity is halted. Theory, with the time step of the simulation and no fitted parameter:

- the chaotic solution of `plastic_autocorrelation`, followed from strong to weak coupling, with the spectral radius of
  `frozen` states; activity can be frozen where the radius is below 1 (interpolated between values of k);
- `fixed_point_threshold`, the plasticity from which on stable fixed points are expected.

Intervals are over networks (Student's t).
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fwsim import theory
from fwsim.measure import bootstrap, half_time
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, errorbars, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

SILENT = 1e-4  # mean square rate below which a network is silent
STILL = 5e-3  # dh/dt below which it has stopped
PATHS, PERIOD = 200, 409.6  # of the mean field
EDGE = 0.1  # share of the autocorrelation at lag 0 that is left at the longest lag of activity that changes

PHASES = ("silent", "at rest", "active", "active, can be frozen")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Name the phase of every network, and put mean field beside it."""
    config = configuration(recording)
    result = recording.load().copy()
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    for prefix in ("", "tau_"):
        silent, still = result[f"{prefix}square"] < SILENT, result[f"{prefix}speed"] < STILL
        stops = result[f"{prefix}halted_speed"] < STILL
        phase = xr.where(silent, 0, xr.where(still, 1, xr.where(stops, 3, 2)))
        result[f"{prefix}phase"] = labelled(phase, "phase, by its number in " + ", ".join(PHASES))
        result[f"{prefix}mean_square"] = labelled(
            result[f"{prefix}autocorrelation"].isel(lag=0, drop=True), "mean square rate over time"
        )
        half = half_time(result[f"{prefix}autocorrelation"]).where(result[f"{prefix}mean_square"] >= SILENT)
        result[f"{prefix}half_time"] = labelled(half, "half-time of the autocorrelation", "s")
    there = (result["lowered_speed"] < STILL) & (result["lowered_square"] > SILENT)
    lost = result["lowered"].where(there).min("lowered")
    result["lost"] = labelled(lost, "smallest plasticity at which activity is still at rest as it is lowered")
    return result.merge(predicted(config))


def predicted(config: dict) -> xr.Dataset:
    """Mean field of the chaotic state in both planes, and the thresholds that follow from it."""
    ks, couplings, taus = (np.array(config[name]) for name in ("plasticity", "coupling", "tau_memory"))
    plane = np.full((len(couplings), len(ks), 3), np.nan)
    for column, k in enumerate(ks):
        start = None
        for row in np.argsort(couplings)[::-1]:  # from strong to weak
            found = chaotic(couplings[row], k, config["plane_tau"], config["step"], start)
            if found is None:
                break
            plane[row, column], start = found
    other = np.full((len(taus), len(ks), 3), np.nan)
    for row, tau in enumerate(taus):
        start = None
        for column in np.argsort(ks):
            found = chaotic(config["tau_coupling"], ks[column], tau, config["step"], start)
            if found is not None:
                other[row, column], start = found
    thresholds = [theory.fixed_point_threshold(g) for g in couplings]
    values = {}
    for prefix, axis, along, table in (
        ("", "coupling", couplings, plane),
        ("tau_", "tau_memory", taus, other),
    ):
        coords = {axis: along.tolist(), "plasticity": ks.tolist()}
        for place, (name, said, unit) in enumerate(
            (
                ("square", "mean square rate in mean field", "1"),
                ("half_time", "half-time in mean field", "s"),
                ("radius", "spectral radius of what is frozen in mean field", "1"),
            )
        ):
            values[f"{prefix}expected_{name}"] = labelled(
                xr.DataArray(table[..., place], coords, (axis, "plasticity")), said, unit
            )
        freezing = [crossing(ks, row) for row in table[..., 2]]
        values[f"{prefix}freezing"] = labelled(
            xr.DataArray(freezing, {axis: along.tolist()}, (axis,)),
            "plasticity from which on activity can be frozen",
        )
    values["fixed_points"] = labelled(
        xr.DataArray(thresholds, {"coupling": couplings.tolist()}, ("coupling",)),
        "plasticity from which on there are stable fixed points",
    )
    return xr.Dataset(values)


def chaotic(
    coupling: float, k: float, tau: float, step: float, start: np.ndarray | None
) -> tuple[tuple[float, float, float], np.ndarray] | None:
    """Mean square rate, half-time and radius of the chaotic solution, and its autocorrelation; `None` without one."""
    found = theory.plastic_autocorrelation(
        coupling, k, tau, dt=step, paths=PATHS, period=max(PERIOD, 96 * tau), start=start
    )
    C = found.autocorrelation
    late = np.abs(C[3 * len(C) // 4 :]).max()
    if not found.converged or C[0] < SILENT or late > EDGE * C[0]:
        return None
    half = float(half_time(xr.DataArray(C, {"lag": found.lag}, ("lag",))))
    return (float(C[0]), half, found.frozen().radius), C


def crossing(ks: np.ndarray, radii: np.ndarray) -> float:
    """The k at which the radius becomes less than 1, linearly between values; NaN if it does not."""
    there = np.isfinite(radii)
    ks, radii = ks[there], radii[there]
    below = np.flatnonzero(radii < 1)
    if not below.size or below[0] == 0:
        return float("nan")
    at = slice(below[0] - 1, below[0] + 1)
    return float(np.interp(-1.0, -radii[at], ks[at]))


EXPLAINED = {
    "plane": "g: over coupling and k; τ_A: over time constant and k; k lowered: at a fixed point, as k is lowered",
    "g": "coupling; random weights have variance g²/N",
    "τ_A": "time constant of plasticity in membrane time constants",
    "k": "plasticity",
    "networks": "how many are in each phase",
    "⟨φ²⟩": "mean square rate before the halt, with its interval over networks",
    "half-time": "lag at which the autocorrelation of rates has halved, in membrane time constants",
    "at rest down to": "smallest k at which each network is at rest, as k is lowered",
    "fixed points from": "k from which on mean field expects stable fixed points",
    "radius in theory": "spectral radius at the fixed point to which a halt leads; below 1 it is stable",
    "* in theory": "the same in mean field; – where it has no chaotic state",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Phases of single networks (symbols; several at one point are side by side) and of mean field (lines). Left: "
        "coupling and plasticity. Middle: time constant of plasticity and plasticity. Right: half-time of the "
        "autocorrelation against τ_A, simulation (points, with intervals) and mean field. τ_A is the time constant of "
        "plasticity; it and half-times are in membrane time constants."
    ),
}


def table(result: xr.Dataset) -> list[dict]:
    """One row for each point of both planes, and for each coupling at which k was lowered."""
    config = configuration(result)
    rows = []
    for prefix, axis in (("", "coupling"), ("tau_", "tau_memory")):
        for value in result[axis].values:
            for k in result["plasticity"].values:
                one = result.sel({axis: value, "plasticity": k})
                counts = [int((one[f"{prefix}phase"] == number).sum()) for number in range(len(PHASES))]
                rows.append(
                    {
                        "plane": "τ_A" if prefix else "g",
                        "g": f"{config['tau_coupling'] if prefix else value:g}",
                        "τ_A": f"{value if prefix else config['plane_tau']:g}",
                        "k": f"{k:g}",
                        "networks": ", ".join(
                            f"{count} {name}" for count, name in zip(counts, PHASES, strict=True) if count
                        ),
                        "⟨φ²⟩": interval(one[f"{prefix}mean_square"], 3),
                        "⟨φ²⟩ in theory": formatted(one[f"{prefix}expected_square"], ".3f", missing="–"),
                        "half-time": interval(one[f"{prefix}half_time"], 1),
                        "half-time in theory": formatted(
                            one[f"{prefix}expected_half_time"], ".1f", missing="–"
                        ),
                        "radius in theory": formatted(one[f"{prefix}expected_radius"], ".3f", missing="–"),
                    }
                )
    for g in result["coupling"].values:
        one = result.sel(coupling=g)
        rows.append(
            {
                "plane": "k lowered",
                "g": f"{g:g}",
                "τ_A": f"{config['lowered_tau']:g}",
                "at rest down to": ", ".join(f"{k:g}" for k in np.sort(one["lost"].values)),
                "fixed points from": formatted(one["fixed_points"], ".2f", missing="–"),
            }
        )
    names = dict.fromkeys(name for row in (rows[0], rows[-1]) for name in row)
    return [{name: row.get(name, "–") for name in names} for row in rows]


def interval(values: xr.DataArray, digits: int) -> str:
    """Mean over networks with its 95 % interval; a dash unless all networks have a value."""
    if values.isnull().any():
        return "–"
    if values.max() < SILENT:
        return "0"
    return formatted(bootstrap(values.values), f".{digits}f", missing="–", interval="({} – {})")


STYLE = {0: (".", "black"), 1: ("^", "orange"), 2: ("o", "blue"), 3: ("s", "green")}
"""Marker and colour of each phase."""


def plot(result: xr.Dataset) -> Figure:
    """Both planes with the phases of single networks and the lines of mean field; half-times over time constants."""
    made, axes = figure(1, 3, width="double", aspect=1.1)
    for place, prefix, axis in ((axes[0], "", "coupling"), (axes[1], "tau_", "tau_memory")):
        phases(place, result[f"{prefix}phase"], axis)
        place.plot(result[axis], result[f"{prefix}freezing"], "-", color=COLOURS["green"], lw=1)
    axes[0].axvline(1.0, color="0.5", lw=0.8, ls=":")
    axes[0].plot(result["coupling"], result["fixed_points"], "--", color=COLOURS["orange"], lw=1)
    axes[0].set(xlabel="coupling g", ylabel="plasticity k")
    for place in axes[1:]:
        place.set(xlabel="τ_A (membrane time constants)", xscale="log")
        place.set_xticks(result["tau_memory"].values, [f"{tau:g}" for tau in result["tau_memory"].values])
        place.xaxis.set_minor_locator(NullLocator())
    axes[1].set(ylabel="plasticity k")
    handles = [
        axes[1].plot([], [], marker, color=COLOURS[colour], ms=3, label=name)[0]
        for (marker, colour), name in zip(STYLE.values(), PHASES, strict=True)
    ]
    made.legend(handles=handles, loc="outside upper center", ncols=len(PHASES), fontsize=6)
    for k, colour in zip(result["plasticity"].values[::2], cycle(COLOURS), strict=False):
        one = result.sel(plasticity=k)
        axes[2].plot(one["tau_memory"], one["tau_expected_half_time"], color=COLOURS[colour], lw=0.8)
        look = {"fmt": ".", "color": COLOURS[colour], "ms": 3, "lw": 0.6, "label": f"k = {k:g}"}
        errorbars(axes[2], one["tau_memory"], one["tau_half_time"], **look)
    axes[2].set(ylabel="half-time (membrane time constants)", yscale="log", ylim=(3, 60))
    axes[2].set_yticks([3, 5, 10, 20, 50], ["3", "5", "10", "20", "50"])
    axes[2].yaxis.set_minor_locator(NullLocator())
    axes[2].legend(fontsize=5)
    return made


def phases(axes: Axes, phase: xr.DataArray, axis: str) -> None:
    """Symbols of all networks, side by side."""
    networks = phase.sizes["network"]
    values = phase[axis].values
    for index in range(networks):
        shift = index - (networks - 1) / 2
        x = values + 0.05 * shift if axis == "coupling" else values * 1.1**shift
        for number, (marker, colour) in STYLE.items():
            row, column = np.nonzero(
                (phase.isel(network=index).transpose(axis, "plasticity") == number).values
            )
            axes.plot(x[row], phase["plasticity"].values[column], marker, color=COLOURS[colour], ms=1.7)
