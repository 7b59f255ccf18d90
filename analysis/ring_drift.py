"""By which factor does facilitation slow the bump, and does perturbation theory predict it?

The position is the angle of the population vector, averaged over 0.2 s to reduce the jitter of the rates. The drift is
the change of position from 0.2 s after the beginning, when the bump has taken the shape that the perturbation gives
it, to 0.8 s ("early") and to the end ("late"), as the root mean square over the seeds. The factor is the drift of the
static ring over that of the facilitating one, with a bootstrap interval over seeds; both rings of a seed have the same
perturbation. Where the interval of a mean square contains 0, there may be no drift: then the factor may be 0, or
infinite if it is the facilitating ring that may stay. For mistuned rings the late factor is a lower bound, since static
bumps come to rest. For noise the early factor is a lower bound, since the remaining jitter is larger than the diffusion
of the facilitating ring.

Theory: a weak perturbation δ of the field moves a bump with velocity ℓ·δ / (τ ℓ·∂y/∂θ), where ℓ is the left null
vector of the Jacobian of the whole state y = (h, u).
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

WINDOW = 0.2  # s over which positions are averaged
EARLY = 0.8  # s


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce rates to displacements and factors with intervals."""
    config = configuration(recording)
    position = displacement(recording["rate"].load())
    moved = xr.concat([drift(position, stop) for stop in ends(config)], "span").assign_coords(
        span=["early", "late"]
    )
    rms = np.sqrt((moved**2).mean("seed"))
    factor = rms.sel(synapse="static") / rms.sel(synapse="facilitating")
    peak = recording["rate"].isel(time=-1).max("unit").mean("seed")
    result = xr.Dataset(
        {
            "position": labelled(np.degrees(position), "position of the bump", "degree"),
            "drift": labelled(np.degrees(moved), "drift of the bump", "degree"),
            "rms": labelled(np.degrees(rms), "root mean square drift", "degree"),
            "factor": labelled(factor, "drift of the static ring over that of the facilitating one"),
            "factor_interval": labelled(factor_interval(moved), "95 % interval over seeds"),
            "predicted_rms": labelled(np.degrees(predicted(config)), "drift in theory", "degree"),
            "peak": labelled(peak.load(), "peak rate at the end", "Hz"),
        },
        attrs={"experiment_configuration": recording.attrs["experiment_configuration"]},
    )
    theory = result["predicted_rms"]
    result["predicted_factor"] = labelled(
        theory.sel(synapse="static") / theory.sel(synapse="facilitating"), "factor in theory"
    )
    return result


def displacement(rate: xr.DataArray) -> xr.DataArray:
    """Angle of the population vector, unwrapped in time, rad; the bump began at 0."""
    theta = 2 * np.pi * np.arange(rate.sizes["unit"]) / rate.sizes["unit"]
    vector = (rate * xr.DataArray(np.exp(1j * theta), dims="unit")).sum("unit")
    angle = np.unwrap(np.angle(vector), axis=vector.get_axis_num("time"))
    return xr.DataArray(angle, {k: v for k, v in vector.coords.items() if k != "unit"}, vector.dims)


def ends(config: dict) -> tuple[float, float]:
    """Until when drift is measured, early and late, in s."""
    return min(EARLY, config["delay"]), config["delay"]


def drift(position: xr.DataArray, stop: float) -> xr.DataArray:
    """Change of position from the first window after the bump has adapted to the one that ends at `stop`, rad."""
    first = position.sel(time=slice(WINDOW, 2 * WINDOW)).mean("time")
    return position.sel(time=slice(stop - WINDOW, stop + 1e-6)).mean("time") - first


def factor_interval(moved: xr.DataArray) -> xr.DataArray:
    """2.5 and 97.5 % quantiles of the factor that means over seeds allow, `[span, perturbation, bound]`."""
    squares = moved.transpose("seed", "synapse", "span", "perturbation") ** 2
    _, *angles = bootstrap(squares.values, angle)
    coords = {"bound": ["low", "high"], "span": moved["span"], "perturbation": moved["perturbation"]}
    found = np.tan(angles)
    found[np.equal(angles, np.pi / 2)] = np.inf
    return xr.DataArray(found, coords, tuple(coords)).transpose(..., "bound")


def angle(mean: np.ndarray) -> np.ndarray:
    """Angle whose tangent is the factor, which unlike it is finite, from mean squares `[synapse, …]`; NaN at 0/0."""
    static, facilitating = np.sqrt(np.maximum(mean, 0.0))
    return np.where(static + facilitating > 0, np.arctan2(static, facilitating), np.nan)


def predicted(config: dict) -> xr.DataArray:
    """Root mean square drift, rad, to first order in the perturbation."""
    elapsed = np.array(ends(config)) - 2 * WINDOW
    table = np.full((2, 2, 2), np.nan)
    for row, facilitating in enumerate((False, True)):
        if facilitating and (config["tau_rec"] > 0 or config["tau_facil"] == 0):
            continue  # the theory below is for u alone, as in the paper
        weights, sent, left, mobility = goldstone(config, facilitating)
        frozen = config["mistuning"] ** 2 * (weights**2 @ sent**2)
        velocity = math.sqrt(float(left**2 @ frozen)) / (config["tau"] * mobility)
        kick = config["noise"] ** 2 * 2 / config["tau"]
        diffusion = float((left**2).sum()) * kick / mobility**2
        table[row] = velocity * elapsed, np.sqrt(diffusion * elapsed)
    coords = {
        "synapse": ["static", "facilitating"],
        "perturbation": ["mistuned", "noise"],
        "span": ["early", "late"],
    }
    return xr.DataArray(table, coords, ("synapse", "perturbation", "span"))


def goldstone(config: dict, facilitating: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Weights, what units send, the field part of the left null vector, and its product with ∂y/∂θ."""
    units, tau, U, tau_facil = (config[name] for name in ("units", "tau", "U", "tau_facil"))
    theta = 2 * np.pi * np.arange(units) / units
    edge = math.cos(math.radians(config["half_width"]))
    amplitude = config["peak"] / (1 - edge)
    h = amplitude * (np.cos(theta) - edge)
    r, active = np.maximum(h, 0), (h > 0).astype(float)
    u = U * (1 + tau_facil * r) / (1 + U * tau_facil * r) if facilitating else np.ones(units)
    mean = (-amplitude * edge - config["background"]) / (u * r).mean()
    tuned = amplitude / (u * r * np.cos(theta)).mean()
    weights = (mean + tuned * np.cos(theta[:, None] - theta)) / units
    jacobian = (weights * (u * active) - np.eye(units)) / tau
    if facilitating:
        jacobian = np.block(
            [
                [jacobian, weights * r / tau],
                [np.diag(U * (1 - u) * active), -np.diag(1 / tau_facil + U * r)],
            ]
        )
    moving = null_vector(jacobian)
    # A bump that moves by dθ changes h by A sin θ dθ.
    moving *= (amplitude * np.sin(theta) @ (amplitude * np.sin(theta))) / (
        moving[:units] @ (amplitude * np.sin(theta))
    )
    left = null_vector(jacobian.T)
    return weights, u * r, left[:units], abs(float(left @ moving))


def null_vector(matrix: np.ndarray) -> np.ndarray:
    """Eigenvector of the eigenvalue closest to 0, real."""
    values, vectors = np.linalg.eig(matrix)
    return vectors[:, np.argmin(abs(values))].real


EXPLAINED = {
    "measured": "root mean square of the drift over seeds, or drift of the static over that of the facilitating ring",
    "95 % interval": "bootstrap interval over seeds; inf if the facilitating ring may not drift at all",
    "theory": "first-order perturbation theory of the bump, without a free parameter",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "drift": (
        "Position of the bump over time, a line for each network, for each kind of perturbation. Right: "
        "drift of each network, the root mean square of all, and theory."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal."""
    rows = []
    for kind, span in product(result["perturbation"].values, result["span"].values):
        one = result.sel(perturbation=kind, span=span)
        for synapse in result["synapse"].values:
            measured, theory = (
                formatted(values.sel(synapse=synapse), missing="–") for values in (one.rms, one.predicted_rms)
            )
            rows.append(row(f"{kind}, {synapse}: {span} drift (degree)", measured, "", theory))
        low, high = one.factor_interval.values
        interval = "–" if np.isnan([low, high]).any() else f"{low:.1f} – {high:.1f}"
        factor, theory = (formatted(each, ".1f", missing="–") for each in (one.factor, one.predicted_factor))
        rows.append(row(f"{kind}: facilitation slows {span} drift by", factor, interval, theory))
    return rows


def row(label: str, measured: str, interval: str, theory: str) -> dict[str, object]:
    """Make one row of the table."""
    return {"": label, "measured": measured, "95 % interval": interval, "theory": theory}


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the drift with and without facilitation."""
    return {"drift": plot_drift(result)}


def plot_drift(result: xr.Dataset) -> Figure:
    """Draw every seed's position over time, and the drift of all seeds beside the theory."""
    kinds = list(result["perturbation"].values)
    made, axes = figure(1, len(kinds) + 1, width="double", aspect=0.85)
    colours = {"static": COLOURS["vermillion"], "facilitating": COLOURS["blue"]}
    for axis, kind in zip(axes, kinds):
        for synapse, colour in colours.items():
            lines = result["position"].sel(synapse=synapse, perturbation=kind).transpose("time", "seed")
            axis.plot(result["time"], lines, color=colour, lw=0.5, alpha=0.6)
            axis.plot([], [], color=colour, label=synapse)
        axis.set(xlabel="time (s)", ylabel="position (degree)", title=kind)
    axes[0].legend()
    for place, (kind, synapse) in enumerate((kind, synapse) for kind in kinds for synapse in colours):
        one = result.sel(perturbation=kind, synapse=synapse, span="late")
        seeds = np.linspace(place - 0.15, place + 0.15, one.sizes["seed"])
        axes[-1].plot(seeds, abs(one["drift"]), ".", ms=2, color=colours[synapse])
        axes[-1].plot(place, one["rms"], "_", ms=16, color=COLOURS["black"])
        axes[-1].plot(place + 0.3, one["predicted_rms"], "x", ms=4, color=COLOURS["green"])
    axes[-1].plot([], [], "_", color=COLOURS["black"], label="root mean square")
    axes[-1].plot([], [], "x", ms=4, ls="", color=COLOURS["green"], label="theory")
    axes[-1].set_xticks([0.5, 2.5], kinds)
    axes[-1].set(ylabel="drift (degree)", yscale="log", title="each seed")
    axes[-1].legend(loc="lower left")
    return made
