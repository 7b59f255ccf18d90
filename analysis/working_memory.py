"""In which regime is the network under which background, and is its rate version in the same one?

The figures show the regimes against the background in spikes and in rates, and a raster with u and x of the cued pool
and of another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, Versions, configuration, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself

POOLS = 5
REGIMES = ("forgets", "holds", "lost")
EVENT = 30.0
"""Rate of a pool in one sample of 10 ms, in Hz, that makes a population spike."""
HELD = 2.0
"""Least rate in Hz of a cued pool that holds, in the last second of the delay."""
SELECTIVE = 3.0
"""Least ratio of this rate to the mean of the other pools."""
START = 0.2
"""Time in s after which the spontaneous state counts, when the initial potentials are forgotten."""
ROWS = 280
"""Neurons of the raster that are drawn, evenly spaced; with all of them it is a grey area."""
LABELS = {"mongillo2008": "facilitation (mongillo2008)", "maass2002": "facilitation (maass2002)",
          "slow_current": "slow currents", "spread": "facilitation, spread as measured",
          "measured": "measured synapses"}  # fmt: skip


def regime(rate: xr.DataArray, settle: float) -> xr.DataArray:
    """Classify runs by rates `[…, time, unit]`: 0 forgets, 1 holds, 2 lost (a pool is active before the cue)."""
    pools = rate.isel(unit=slice(POOLS))
    before = pools.where((rate["time"] > START) & (rate["time"] <= settle + 1e-9))
    lost = (before > EVENT).any(("time", "unit"))
    late = pools.where(rate["time"] > float(rate["time"][-1]) - 1).mean("time")
    cued, others = late.isel(unit=0), late.isel(unit=slice(1, None)).mean("unit")
    holds = (cued > HELD) & (cued > SELECTIVE * others)
    return xr.where(lost, 2, xr.where(holds, 1, 0)).astype(int)


def events(rate: xr.DataArray) -> xr.DataArray:
    """Count population spikes in the last second: samples above threshold that follow one below."""
    late = rate.where(rate["time"] > float(rate["time"][-1]) - 1, drop=True)
    above = late > EVENT
    return (above & ~above.shift(time=1, fill_value=True)).sum("time")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Regimes and rates against the background, and the boundaries of the regimes with their intervals."""
    config = configuration(recording)
    recording = recording.load().drop_vars("population", errors="ignore")  # names; here it is the dimension
    rates = recording[["regime_rate", "regime_mean_field_rate"]].rename(unit="population")
    shown = recording[["raster_time", "raster_row", "raster_rate", "raster_u", "raster_x"]].isel(unit=[0, 1])
    parts = [regimes(recording, config), boundaries(recording, config), rates, shown]
    result = xr.merge(parts, compat="no_conflicts", combine_attrs="drop")
    return result.assign_attrs(experiment_configuration=recording.attrs["experiment_configuration"])


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Analyse the networks of several runs that differ in their seed alone; the raster is that of the first."""
    runs = [each.load() for each in recordings]
    networks = xr.concat([each["regime_rate"] for each in runs], "network")
    return analyse(runs[0].drop_vars("regime_rate").assign(regime_rate=networks))


def regimes(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Regime and rates of every run, `[model, network, background]`, and of the rate version."""
    found = {}
    for prefix, name in (("", "regime_rate"), ("mean_field_", "regime_mean_field_rate")):
        rate = recording[name]
        before = (rate["time"] > START) & (rate["time"] <= config["settle"] + 1e-9)
        late = rate["time"] > float(rate["time"][-1]) - 1
        pools = rate.isel(unit=slice(POOLS))
        found[f"{prefix}regime"] = labelled(regime(rate, config["settle"]), "regime", "1")
        found[f"{prefix}spontaneous"] = labelled(
            pools.where(before).mean(("time", "unit")), "spontaneous rate of pools", "Hz"
        )
        found[f"{prefix}delay_rate"] = labelled(
            pools.isel(unit=0).where(late).mean("time"), "rate of the cued pool at the end of the delay", "Hz"
        )
        found[f"{prefix}events"] = labelled(events(pools.isel(unit=0)), "population spikes", "Hz")
    return xr.Dataset(found)


def boundaries(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Backgrounds above which half of the networks hold (or more), and lose their spontaneous state.

    In V, `[model, interval]`, NaN where it does not happen up to the largest background. Intervals are 95 %
    intervals (Student's t) over networks, widened to the backgrounds between which the change happens; those of a
    single network, such as the rate version, are these backgrounds.
    """
    found = {}
    order = np.argsort(recording["background"].values)
    background = recording["background"].values[order]
    spiking = regime(recording["regime_rate"], config["settle"]).transpose("model", "network", "background")
    rates = regime(recording["regime_mean_field_rate"], config["settle"]).transpose("model", "background")
    for level, name in ((1, "hold"), (2, "loss")):
        for prefix, networks in (("", spiking.values), ("mean_field_", rates.values[:, None])):
            reached = (networks >= level)[..., order].astype(float)
            both = [boundary(background, one) for one in reached]
            found[f"{prefix}{name}_boundary"] = (("model", "interval"), np.array(both))
    result = xr.Dataset(found).assign_coords(interval=["estimate", "low", "high"], model=recording["model"])
    return result.map(lambda each: labelled(each, "background at the boundary", "V"))


def boundary(background: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """Boundary and its interval from what each network reached, `[network, background]`."""
    estimate, low, high = bootstrap(reached, lambda mean: rise(background, mean))
    if np.isnan(estimate):
        return np.full(3, np.nan)
    if len(reached) == 1:  # the backgrounds on both sides are all that is known
        low = high = estimate
    elif np.isnan(low):
        return np.full(3, np.nan)
    return np.array([estimate, background[background <= low].max(), background[background >= high].min()])


def rise(x: np.ndarray, y: np.ndarray) -> float:
    """Where y first comes to one half, by interpolation; NaN if never."""
    above = np.nonzero(y >= 0.5)[0]
    if not len(above):
        return np.nan
    k = above[0]
    return float(x[0] if k == 0 else x[k - 1] + (x[k] - x[k - 1]) * (0.5 - y[k - 1]) / (y[k] - y[k - 1]))


def versions(result: xr.Dataset) -> list[Versions]:
    """What the spiking network and its rate version have in common."""
    pairs = (
        ("trajectory of the populations", "trajectory", "regime_rate", "regime_mean_field_rate", "Hz"),
        ("spontaneous rate", "rate", "spontaneous", "mean_field_spontaneous", "Hz"),
        ("rate of the cued pool", "rate", "delay_rate", "mean_field_delay_rate", "Hz"),
    )
    return [
        Versions(quantity, kind, result[spiking], result[rates], units, "network")
        for quantity, kind, spiking, rates, units in pairs
    ]


EXPLAINED = {
    "spiking": "mean over networks, with its 95 % interval if there are several networks",
    "rate version": "the same quantity in the rate version",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "memory": (
        "Spikes of a sample of neurons, with rate, u and x of the cued pool and of another. Shaded: the cue."
    ),
    "regimes": (
        "Rate of the cued pool in the delay against the background input. Dots: spiking networks; "
        "crosses: networks that have lost their spontaneous state; lines: rate version."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows: spiking network with 95 % intervals, beside the rate version."""
    rows = []
    for model in map(str, result["model"].values):
        at = result.sel(model=model)
        for name, label in (("hold", "holds above"), ("loss", "loses its spontaneous state above")):
            spiking, rates = at[f"{name}_boundary"] * 1e3, at[f"mean_field_{name}_boundary"] * 1e3
            rows.append(row(model, f"{label} (mV)", spiking, rates))
        for background in at["background"].values:
            here = at.sel(background=background)
            regimes = ", ".join(REGIMES[k] for k in here["regime"].values)
            for name, label in (
                ("spontaneous", "spontaneous rate"),
                ("delay_rate", "cued pool in the delay"),
            ):
                quantity = f"{label} at {background * 1e3:g} mV (Hz)"
                values = bootstrap(here[name].values)
                rows.append(row(model, quantity, values, here[f"mean_field_{name}"], regimes))
    return rows


def row(model: str, quantity: str, spiking: Any, rates: Any, networks: str = "") -> dict[str, object]:
    shown = {
        name: formatted(values, missing="not reached")
        for name, values in (("spiking", spiking), ("rate version", rates))
    }
    return {"model": LABELS[model], "quantity": quantity, **shown, "networks": networks}


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the paper's figure, and the regimes."""
    return {"memory": plot_example(result), "regimes": plot_regimes(result)}


def plot_example(result: xr.Dataset) -> Figure:
    """Draw the raster, and below it the rates, u and x of two pools."""
    config = configuration(result)
    made, axes = figure(3, 1, width="double", aspect=0.25, sharex=True, height_ratios=[2, 1, 1])
    rows = int(result["raster_row"].max()) + 1 if result.sizes["spike"] else 1
    few = result["raster_row"] % max(1, rows // ROWS) == 0
    axes[0].plot(
        result["raster_time"].where(few), result["raster_row"], ".", ms=1.2, mew=0, color=COLOURS["black"]
    )
    axes[0].set(ylabel="neuron", title=f"background {config['raster_background'] * 1e3:g} mV")
    axes[0].set_yticks(
        np.arange(7) * rows / 7 + rows / 14, ["1 (cued)", "2", "3", "4", "5", "no pool", "inhibitory"]
    )
    for pool, colour, label in ((0, "blue", "cued pool"), (1, "orange", "another pool")):
        shown = result.isel(unit=pool)
        axes[1].plot(shown["time"], shown["raster_rate"], color=COLOURS[colour], label=label)
        axes[2].plot(shown["time"], shown["raster_u"], color=COLOURS[colour], label=f"u, {label}")
        axes[2].plot(shown["time"], shown["raster_x"], "--", color=COLOURS[colour], label=f"x, {label}")
    for each in axes:
        each.axvspan(
            config["settle"], config["settle"] + config["cue"], color=COLOURS["sky"], alpha=0.3, lw=0
        )
    axes[1].set(ylabel="rate (Hz)")
    axes[1].legend()
    axes[2].set(xlabel="time (s)", ylabel="u, x", ylim=(0, 1.02))
    axes[2].legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.35))
    return made


def plot_regimes(result: xr.Dataset) -> Figure:
    """Draw the rate of the cued pool in the delay; crosses have lost their spontaneous state, lines are in rates."""
    made, axes = figure()
    for model, colour in zip(result["model"].values, cycle(COLOURS.values()), strict=False):
        at = result.sel(model=model).sortby("background")
        mV = at["background"] * 1e3
        for number in range(at.sizes["network"]):
            one = at.isel(network=number)
            lost = one["regime"] == 2
            axes.plot(mV, one["delay_rate"].where(~lost), "o", ms=2.5, color=colour)
            axes.plot(mV, one["delay_rate"].where(lost), "x", ms=3, color=colour)
        axes.plot(mV, at["mean_field_delay_rate"], color=colour, label=LABELS[str(model)])
    axes.set(xlabel="background (mV)", ylabel="rate (Hz)", yscale="log", title="cued pool in the delay")
    axes.legend()
    return made
