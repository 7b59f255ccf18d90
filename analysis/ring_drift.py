"""By which factor facilitation slows the bump, beside perturbation theory; which state depression leaves.

Position is the angle of the population vector, averaged over 0.2 s so that jitter of the rates counts less. Drift
is the change of position from 0.2 s after the beginning, when the bump has taken the shape that the perturbation
gives it, to 0.8 s ("early") and to the end ("late"), root mean square over the seeds. The factor is that of the
static ring over that of the facilitating one, with a bootstrap interval over seeds (both rings of a seed have the
same perturbation). Late, it is a lower bound for mistuned rings: static bumps come to rest at places that hold
them. Early, it is one for noise: what jitter is left outweighs the diffusion of the facilitating ring.

Theory: a weak perturbation δ of the field moves a bump with velocity ℓ·δ / (τ ℓ·∂y/∂θ), where ℓ is the left null
vector of the Jacobian of the whole state y = (h, u).

States under depression are told from the last seconds: uniform where the population vector is below 5 % of the
mean rate, rotating where it turns by more than 0.02 turns a second, else stationary. The dashed line is where
the uniform state loses stability, in closed form.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure

SWEPT = ()  # of a sweep, each point is analysed by itself

STATES = ("uniform", "stationary", "rotating")
STATE_COLOURS = ("#BBBBBB", COLOURS["blue"], COLOURS["vermillion"])
RESAMPLES = 10_000
WINDOW = 0.2  # s over which positions are averaged
EARLY = 0.8  # s


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce rates to displacements, factors with intervals, and states."""
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
            "factor_interval": labelled(bootstrap(moved), "95 % interval over seeds"),
            "predicted_rms": labelled(np.degrees(predicted(config)), "drift in theory", "degree"),
            "peak": labelled(peak.load(), "peak rate at the end", "Hz"),
        },
        attrs={"experiment_configuration": recording.attrs["experiment_configuration"]},
    )
    theory = result["predicted_rms"]
    result["predicted_factor"] = labelled(
        theory.sel(synapse="static") / theory.sel(synapse="facilitating"), "factor in theory"
    )
    return result.merge(states(recording, config))


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


def bootstrap(moved: xr.DataArray) -> xr.DataArray:
    """2.5 and 97.5 % quantiles of the factor over resampled seeds, `[span, perturbation, bound]`."""
    seeds = moved.sizes["seed"]
    chosen = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    squares = moved.transpose("synapse", "span", "perturbation", "seed").values ** 2
    rms = np.sqrt(squares[..., chosen].mean(-1))  # [synapse, span, perturbation, resample]
    bounds = np.moveaxis(np.quantile(rms[0] / rms[1], [0.025, 0.975], axis=-1), 0, -1)
    coords = {"span": moved["span"], "perturbation": moved["perturbation"], "bound": ["low", "high"]}
    return xr.DataArray(bounds, coords, ("span", "perturbation", "bound"))


# --- perturbation theory --------------------------------------------------------------------------------------


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


# --- depression -----------------------------------------------------------------------------------------------


def states(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """State, speed and modulation for every coupling and background, and where uniformity ends in theory."""
    rate = recording["depressed_rate"].load()
    units = rate.sizes["depressed_unit"]
    theta = xr.DataArray(np.exp(2j * np.pi * np.arange(units) / units), dims="depressed_unit")
    vector, mean = (rate * theta).mean("depressed_unit"), rate.mean("depressed_unit")
    modulation = (abs(vector) / mean.where(mean > 1e-9)).mean("watched_time").fillna(0.0)
    angle = np.unwrap(np.angle(vector), axis=vector.get_axis_num("watched_time"))
    time = rate["watched_time"].values
    speed = modulation.copy(data=abs(angle[..., -1] - angle[..., 0]) / (2 * np.pi * (time[-1] - time[0])))
    state = xr.where(modulation < 0.05, 0, xr.where(speed < 0.02, 1, 2))
    stable = modulation.copy(
        data=[
            [uniform_is_stable(c, b, config) for b in rate["background"].values]
            for c in rate["coupling"].values
        ]
    )
    return xr.Dataset(
        {
            "state": labelled(state, "0 uniform, 1 stationary, 2 rotating"),
            "speed": labelled(speed.where(state == 2), "turns per second", "Hz"),
            "modulation": labelled(modulation, "population vector over mean rate"),
            "uniform_is_stable": labelled(stable, "whether the uniform state is stable, in theory"),
        }
    )


def uniform_is_stable(coupling: float, background: float, config: dict) -> bool:
    """Linear stability of the uniform state to a cosine: trace and determinant of its 2 × 2 Jacobian."""
    U, tau_rec, tau, inhibition = (
        config[name] for name in ("depression_utilisation", "depression_tau_rec", "tau", "inhibition")
    )
    if tau_rec == 0:
        return coupling < 2  # nothing is depressed, and only the trace is left
    # r = b + J₀ x r with x = 1/(1 + U τ_rec r): the positive root of k r² + (1 − k b − J₀) r − b = 0.
    k = U * tau_rec
    p = 1 - k * background - inhibition
    r = (-p + math.sqrt(p * p + 4 * k * background)) / (2 * k)
    x = 1 / (1 + k * r)
    trace = (coupling * x / 2 - 1) / tau - 1 / tau_rec - U * r
    determinant = (1 - coupling * x / 2) / tau * (1 / tau_rec + U * r) + coupling * r / (2 * tau) * U * x
    return trace < 0 < determinant


# --- tables and figures -----------------------------------------------------------------------------------------


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal."""
    rows = []
    for kind, span in product(result["perturbation"].values, result["span"].values):
        one = result.sel(perturbation=kind, span=span)
        for synapse in result["synapse"].values:
            measured, theory = (
                float(one.rms.sel(synapse=synapse)),
                float(one.predicted_rms.sel(synapse=synapse)),
            )
            rows.append(
                row(f"{kind}, {synapse}: {span} drift (degree)", f"{measured:.2f}", theory=f"{theory:.2f}")
            )
        low, high = one.factor_interval.values
        factor, theory = f"{float(one.factor):.1f}", f"{float(one.predicted_factor):.1f}"
        rows.append(
            row(f"{kind}: facilitation slows {span} drift by", factor, f"{low:.1f} – {high:.1f}", theory)
        )
    for index, name in enumerate(STATES):
        rows.append(row(f"depression, {name}: share of the grid (%)", percent(result["state"] == index)))
    agreement = (result["state"] == 0) == result["uniform_is_stable"]
    rows.append(row("uniform where linear stability says so (%)", percent(agreement)))
    speed = result["speed"]
    if bool(speed.notnull().any()):
        rows.append(
            row("rotating bumps: turns per second", f"{float(speed.min()):.2f} – {float(speed.max()):.2f}")
        )
    return rows


def row(label: str, measured: str, interval: str = "", theory: str = "") -> dict[str, object]:
    """Make one row of the table."""
    return {"": label, "measured": measured, "95 % interval": interval, "theory": theory}


def percent(share: xr.DataArray) -> str:
    """Write how often something holds."""
    return f"{100 * float(share.mean()):.0f}"


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the drift with and without facilitation, and the states under depression."""
    return {"drift": plot_drift(result), "states": plot_states(result)}


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


def plot_states(result: xr.Dataset) -> Figure:
    """Draw the states over coupling and background, and the speed of rotation."""
    made, (left, right) = figure(1, 2, width="double", aspect=0.75)
    state, background, coupling = result["state"], result["background"], result["coupling"]
    left.pcolormesh(
        background,
        coupling,
        state,
        cmap=ListedColormap(STATE_COLOURS),
        vmin=-0.5,
        vmax=2.5,
        shading="nearest",
    )
    stable = result["uniform_is_stable"].astype(float)
    if 0 < float(stable.mean()) < 1 and min(stable.shape) > 1:
        left.contour(
            background, coupling, stable, levels=[0.5], colors="black", linestyles="--", linewidths=0.8
        )
    left.set(xscale="log", xlabel="background input (Hz)", ylabel="cosine coupling")
    patches = [Patch(color=colour, label=name) for name, colour in zip(STATES, STATE_COLOURS)]
    left.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=3)
    for value in coupling.values[:: max(1, len(coupling) // 5)]:
        speed = result["speed"].sel(coupling=value)
        if bool(speed.notnull().any()):
            right.plot(background, speed, "o-", label=f"coupling {value:g}")
    right.set(xscale="log", xlabel="background input (Hz)", ylabel="rotation (turns/s)", ylim=(0, None))
    right.legend()
    return made
