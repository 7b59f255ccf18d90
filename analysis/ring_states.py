"""Which state does the ring take under which coupling and background, and does linear stability predict it?

A state is classified from the last seconds: uniform if the population vector is below 5 % of the mean rate, rotating
if it turns by more than 0.02 turns a second, and stationary otherwise. The dashed line is where the uniform state
loses stability, in closed form.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

STATES = ("uniform", "stationary", "rotating")
STATE_COLOURS = ("#BBBBBB", COLOURS["blue"], COLOURS["vermillion"])


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """State, speed and modulation for every coupling and background, and where uniformity ends in theory."""
    config = configuration(recording)
    rate = recording["rate"].load()
    units = rate.sizes["unit"]
    theta = xr.DataArray(np.exp(2j * np.pi * np.arange(units) / units), dims="unit")
    vector, mean = (rate * theta).mean("unit"), rate.mean("unit")
    modulation = (abs(vector) / mean.where(mean > 1e-9)).mean("time").fillna(0.0)
    angle = np.unwrap(np.angle(vector), axis=vector.get_axis_num("time"))
    time = rate["time"].values
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
    U, tau_rec, tau, inhibition = (config[name] for name in ("U", "tau_rec", "tau", "inhibition"))
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


EXPLAINED = {
    "measured": "percentage of the grid of couplings and backgrounds, or range of the rotation speed"
}
"""What the columns of the table mean."""

CAPTIONS = {
    "states": (
        "Left: state of the ring for each background input and cosine coupling; dashed: border of "
        "stability of the uniform state. Right: speed of rotating states."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows: shares of the grid, agreement with theory, speed."""
    shares = {
        f"depression, {name}: share of the grid (%)": result["state"] == index
        for index, name in enumerate(STATES)
    }
    agreement = (result["state"] == 0) == result["uniform_is_stable"]
    shares["uniform where linear stability says so (%)"] = agreement
    rows = [
        {"": label, "measured": formatted(share.mean(), ".0f", scale=100)} for label, share in shares.items()
    ]
    speed = result["speed"]
    if bool(speed.notnull().any()):
        slowest, fastest = formatted(speed.min()), formatted(speed.max())
        rows.append({"": "rotating bumps: turns per second", "measured": f"{slowest} – {fastest}"})
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the states, and the speed of rotation."""
    return {"states": plot_states(result)}


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
    if right.get_lines():  # else nothing rotates
        right.legend()
    return made
