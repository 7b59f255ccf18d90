"""Are activity, freezing and stored patterns as in mean field?

The autocorrelation of rates is averaged over units and times, separately for each network; intervals are over networks
(Student's t). Its half-time is the lag at which it has decreased to one half. Activity counts as frozen if, after the
halt, the root mean square of dh/dt is below 0.001 per time constant. Theory: `fwsim.theory`, with the time step of the
simulation and no fitted parameter; nothing where its iteration has not converged.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim import theory
from fwsim.measure import bootstrap, half_time
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, errorbars, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

STILL = 1e-3  # dh/dt below which activity has stopped
PATHS = 800  # of the mean field
POINTS = {"fmt": ".", "ms": 3, "lw": 0.6}  # how simulations are drawn


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce rates to autocorrelations, half-times, and overlaps with what was frozen or stored."""
    config = configuration(recording)
    rate = recording["rate"].load()
    measured = autocorrelation(rate)
    halted = recording["halted_rate"].load()
    result = xr.Dataset(
        {
            "autocorrelation": measured,
            "square": labelled(measured.isel(lag=0, drop=True), "mean square rate"),
            "half_time": labelled(half_time(measured), "half-time of the autocorrelation", "s"),
            "frozen_overlap": labelled(
                cosine(rate.isel(time=-1), halted), "cosine of rates at and after the halt"
            ),
            "still": labelled(
                (recording["halted_speed"].load() < STILL).astype(float), "activity has stopped"
            ),
            "radius": labelled(
                config["coupling"] * np.sqrt(((1 - halted**2) ** 2).mean("unit")),
                "spectral radius after the halt",
            ),
            "pattern_rate": labelled(
                recording["pattern_overlap"].load() * np.sqrt(recording["pattern_square"].load()),
                "mean rate in the direction of the stored pattern",
            ),
        },
        attrs={"experiment_configuration": recording.attrs["experiment_configuration"]},
    )
    return result.merge(predicted(config, measured["lag"]))


def autocorrelation(rate: xr.DataArray) -> xr.DataArray:
    """Mean of φ(t) φ(t + lag) over units and times, `[network, plasticity, lag]`, up to half of the recording."""
    values = rate.transpose("network", "plasticity", "time", "unit").values
    time = rate["time"].values
    found = [
        (values[:, :, : len(time) - lag] * values[:, :, lag:]).mean((2, 3)) for lag in range(len(time) // 2)
    ]
    coords = {"plasticity": rate["plasticity"], "lag": time[: len(found)] - time[0]}
    made = xr.DataArray(np.stack(found, -1), coords, ("network", "plasticity", "lag"))
    made["lag"].attrs = {"units": "s", "long_name": "lag"}
    return labelled(made, "autocorrelation of rates")


def cosine(first: xr.DataArray, second: xr.DataArray) -> xr.DataArray:
    """Cosine over units."""
    return (first * second).sum("unit") / np.sqrt((first**2).sum("unit") * (second**2).sum("unit"))


def predicted(config: dict, lag: xr.DataArray) -> xr.Dataset:
    """Mean field at the same plasticities and lags."""
    curves, halts = [], []
    for k in config["plasticity"]:
        found = theory.plastic_autocorrelation(
            config["coupling"], k, config["tau_memory"], dt=config["step"], paths=PATHS
        )
        if found.converged:
            curves.append(np.interp(lag, found.lag, found.autocorrelation))
            halts.append(found.frozen())
        else:
            curves.append(np.full(lag.size, np.nan))
            halts.append(theory.Frozen(np.nan, np.nan, np.nan))
    coords = {"plasticity": list(config["plasticity"]), "stored": list(config["stored"])}
    curve = xr.DataArray(
        np.array(curves), {"plasticity": coords["plasticity"], "lag": lag}, ("plasticity", "lag")
    )
    patterns = [theory.stored_pattern(config["weak"], k) for k in config["stored"]]
    return xr.Dataset(
        {
            "expected_autocorrelation": labelled(curve, "autocorrelation in mean field"),
            "expected_square": labelled(curve.isel(lag=0, drop=True), "mean square rate in mean field"),
            "expected_half_time": labelled(half_time(curve), "half-time in mean field", "s"),
            "expected_overlap": labelled(
                xr.DataArray([one.overlap if one.radius < 1 else np.nan for one in halts], dims="plasticity"),
                "cosine in mean field",
            ),
            "expected_radius": labelled(
                xr.DataArray([one.radius for one in halts], dims="plasticity"),
                "spectral radius in mean field",
            ),
            "expected_pattern": labelled(
                xr.DataArray([one.overlap * one.square**0.5 for one in patterns], dims="stored"),
                "mean rate in the direction of the pattern in mean field",
            ),
        },
        coords=coords,
    )


EXPLAINED = {
    "part": "chaos: activity with plasticity, then halted; pattern: stored signs, with weak random weights",
    "k": "plasticity; below 0 anti-Hebbian",
    "⟨φ²⟩": "mean square rate, with its interval over networks and its value in mean field",
    "half-time (s)": "lag at which the autocorrelation has halved, in membrane time constants",
    "stopped": "fraction of the networks whose activity stopped after the halt",
    "overlap": "cosine between rates at the halt and after it; in theory only where the fixed point is stable",
    "pattern": "mean over units of sign in the pattern · rate at the end",
    "radius": "spectral radius of the random weights at the end of the halt; a fixed point needs less than 1",
    "* in theory": "the same in mean field; – where it has not converged",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Simulation (points, with intervals over networks) and mean field (lines). Left: "
        "autocorrelation of the rates. Middle: overlap of the rates with those at the halt of "
        "plasticity, and spectral radius of the weights, against plasticity. Right: mean rate along a "
        "stored pattern."
    ),
}


def table(result: xr.Dataset) -> list[dict]:
    """One row for each plasticity of both parts."""
    rows = []
    for k in result["plasticity"].values:
        one = result.sel(plasticity=k)
        rows.append(
            {
                "part": "chaos",
                "k": f"{k:g}",
                "⟨φ²⟩": interval(one["square"], 4),
                "⟨φ²⟩ in theory": formatted(one["expected_square"], ".4f", missing="–"),
                "half-time (s)": interval(one["half_time"], 2),
                "half-time in theory": formatted(one["expected_half_time"], ".2f", missing="–"),
                "stopped": f"{float(one['still'].mean()):.2f}",
                "overlap": interval(one["frozen_overlap"], 3),
                "overlap in theory": formatted(one["expected_overlap"], ".3f", missing="–"),
                "radius": interval(one["radius"], 3),
                "radius in theory": formatted(one["expected_radius"], ".3f", missing="–"),
            }
        )
    for k in result["stored"].values:
        one = result.sel(stored=k)
        rows.append(
            {
                "part": "pattern",
                "k": f"{k:g}",
                "pattern": interval(one["pattern_rate"], 3),
                "pattern in theory": f"{float(one['expected_pattern']):.3f}",
            }
        )
    names = [name for row in (rows[0], rows[-1]) for name in row]
    return [{name: row.get(name, "–") for name in dict.fromkeys(names)} for row in rows]


def interval(values: xr.DataArray, digits: int) -> str:
    """Mean over networks with its 95 % interval."""
    return formatted(bootstrap(values.values), f".{digits}f", missing="–", interval="({} – {})")


def plot(result: xr.Dataset) -> Figure:
    """Autocorrelations, freezing and patterns: theory as lines, simulation as points with intervals."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    for k, colour in zip(result["plasticity"].values, cycle(COLOURS.values()), strict=False):
        one = result.sel(plasticity=k)
        axes[0].plot(one["lag"], one["expected_autocorrelation"], "-", color=colour, lw=0.8)
        shown = one.isel(lag=slice(0, 56, 5))
        errorbars(axes[0], shown["lag"], shown["autocorrelation"], color=colour, label=f"k = {k:g}", **POINTS)
    axes[0].set(xlabel="lag (membrane time constants)", ylabel="autocorrelation of rates", xlim=(-1, 34))
    axes[0].legend(fontsize=5)
    for name, expected, line, colour, label in (
        ("frozen_overlap", "expected_overlap", "-", COLOURS["blue"], "overlap with the halt"),
        ("radius", "expected_radius", "--", COLOURS["vermillion"], "spectral radius"),
    ):
        axes[1].plot(result["plasticity"], result[expected], line, color=colour, lw=0.8)
        errorbars(axes[1], result["plasticity"], result[name], color=colour, label=label, **POINTS)
    axes[1].axhline(1.0, color="0.7", lw=0.6)
    axes[1].set(xlabel="plasticity k", ylabel="after plasticity is halted", ylim=(-0.6, 1.8))
    axes[1].legend(loc="upper left")
    config = configuration(result)
    dense = np.linspace(min(result["stored"].values), max(result["stored"].values), 200)
    patterns = [theory.stored_pattern(config["weak"], k) for k in dense]
    axes[2].plot(dense, [one.overlap * one.square**0.5 for one in patterns], color=COLOURS["blue"], lw=0.8)
    errorbars(axes[2], result["stored"], result["pattern_rate"], color=COLOURS["blue"], **POINTS)
    axes[2].set(xlabel="plasticity k", ylabel="mean rate along the pattern", ylim=(-0.05, 1.05))
    return made
