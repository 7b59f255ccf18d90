"""In which regime is the network under which drive, does the rate version know, and what reads the memory out?

Shown are the regimes against background in spikes and in rates, the raster with u and x of the cued and of another
pool, the response to the ping for each model, and the lifetime of the memory over τ_facil and τ_rec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, Versions, configuration, figure

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
READ = 0.5
"""Selectivity of the response to a ping above which the memory counts as read out."""
LABELS = {"mongillo2008": "facilitation (mongillo2008)", "maass2002": "facilitation (maass2002)",
          "slow_current": "slow currents"}  # fmt: skip


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
    """Regimes and rates against background, boundaries, responses to the ping and lifetimes, with intervals."""
    config = configuration(recording)
    recording = recording.load()
    parts = []
    if "regimes" in config["parts"]:
        parts += [regimes(recording, config), boundaries(recording, config)]
        parts.append(recording[["regime_rate", "regime_mean_field_rate"]].rename(unit="population"))
    if "pings" in config["parts"]:
        parts.append(pings(recording))
    if "lifetimes" in config["parts"]:
        parts.append(lifetimes(recording))
    shown = recording[["raster_time", "raster_row", "raster_rate", "raster_u", "raster_x"]].isel(unit=[0, 1])
    result = xr.merge([*parts, shown], compat="no_conflicts", combine_attrs="drop")
    return result.assign_attrs(experiment_configuration=recording.attrs["experiment_configuration"])


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

    In V, `[model, interval]`, NaN where it does not happen up to the largest background. Intervals are 95 % bootstrap
    intervals over networks, widened to the backgrounds between which the change happens.
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
    if np.isnan(low):
        return np.full(3, np.nan)
    return np.array([estimate, background[background <= low].max(), background[background >= high].min()])


def pings(recording: xr.Dataset) -> xr.Dataset:
    """Selectivity of the responses: (cued − others)/(cued + others), `[model, ping_delay, interval]`."""
    values = selectivity(recording["ping_response"]).transpose("model", "ping_delay", "network").values
    found = [[bootstrap(networks) for networks in model] for model in values]
    mean_field = selectivity(recording["mean_field_ping_response"]).transpose("model", "ping_delay")
    return (
        xr.Dataset(
            {
                "selectivity": (("model", "ping_delay", "interval"), np.array(found)),
                "mean_field_selectivity": mean_field,
            },
            coords={"interval": ["estimate", "low", "high"], "ping_delay": recording["ping_delay"]},
        )
        .map(lambda each: labelled(each, "selectivity of the response to the ping", "1"))
        .assign(network_selectivity=labelled(selectivity(recording["ping_response"]), "selectivity", "1"))
    )


def lifetimes(recording: xr.Dataset) -> xr.Dataset:
    """Delay at which the selectivity falls to one half, in s, `[tau_facil, tau_rec, interval]`.

    Memories that outlive the longest delay count as living that long, those never read out as 0.
    """
    delays = recording["ping_delay"].values
    dims = ("tau_facil", "tau_rec", "network", "ping_delay")
    values = selectivity(recording["lifetime_response"]).transpose(*dims).values
    mean_field = (
        selectivity(recording["mean_field_lifetime_response"]).transpose(*dims[:2], "ping_delay").values
    )
    shape = values.shape[:2]
    each = np.apply_along_axis(lambda one: fall(delays, one), -1, values)
    found = [bootstrap(values[at], lambda mean: fall(delays, mean)) for at in np.ndindex(shape)]
    alone = [fall(delays, mean_field[at]) for at in np.ndindex(shape)]
    return xr.Dataset(
        {
            "lifetime": ((*dims[:2], "interval"), np.reshape(found, (*shape, 3))),
            "mean_field_lifetime": (dims[:2], np.reshape(alone, shape)),
            "network_lifetime": (dims[:3], each),
        },
        coords={"tau_facil": recording["tau_facil"], "tau_rec": recording["tau_rec"]},
    ).map(lambda each: labelled(each, "lifetime of the memory", "s"))


def selectivity(response: xr.DataArray) -> xr.DataArray:
    """How much more the cued pool answers than the others do, from −1 to 1; 0 where none does."""
    cued, others = response.isel(unit=0), response.isel(unit=slice(1, POOLS)).mean("unit")
    total = cued + others
    return xr.where(total > 0, (cued - others) / total.where(total > 0, 1.0), 0.0)


def rise(x: np.ndarray, y: np.ndarray) -> float:
    """Where y first comes to one half, by interpolation; NaN if never."""
    above = np.nonzero(y >= READ)[0]
    if not len(above):
        return np.nan
    k = above[0]
    return float(x[0] if k == 0 else x[k - 1] + (x[k] - x[k - 1]) * (READ - y[k - 1]) / (y[k] - y[k - 1]))


def fall(x: np.ndarray, y: np.ndarray) -> float:
    """Where y first falls below one half, by interpolation; 0 if it begins there, the last x if it never does."""
    below = np.nonzero(y < READ)[0]
    if not len(below):
        return float(x[-1])
    k = below[0]
    return 0.0 if k == 0 else float(x[k - 1] + (x[k] - x[k - 1]) * (y[k - 1] - READ) / (y[k - 1] - y[k]))


def versions(result: xr.Dataset) -> list[Versions]:
    """What the spiking network and its rate version have in common."""
    pairs = (
        ("trajectory of the populations", "trajectory", "regime_rate", "regime_mean_field_rate", "Hz"),
        ("spontaneous rate", "rate", "spontaneous", "mean_field_spontaneous", "Hz"),
        ("rate of the cued pool", "rate", "delay_rate", "mean_field_delay_rate", "Hz"),
        ("selectivity of a ping", "recall", "network_selectivity", "mean_field_selectivity", "1"),
        ("lifetime", "lifetime", "network_lifetime", "mean_field_lifetime", "s"),
    )
    return [
        Versions(quantity, kind, result[spiking], result[rates], units, "network")
        for quantity, kind, spiking, rates, units in pairs
        if spiking in result
    ]


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows: spiking network with 95 % intervals, beside the rate version."""
    rows: list[dict[str, object]] = []
    for model in result["model"].values if "model" in result else ():
        at = result.sel(model=model)
        rows += [*regime_rows(str(model), at), *ping_rows(str(model), at)]
    return [*rows, *lifetime_rows(result)]


def regime_rows(model: str, at: xr.Dataset) -> list[dict[str, object]]:
    if "regime" not in at:
        return []
    rows = []
    for name, label in (("hold", "holds above"), ("loss", "loses its spontaneous state above")):
        spiking, rates = at[f"{name}_boundary"] * 1e3, at[f"mean_field_{name}_boundary"] * 1e3
        rows.append(row(model, f"{label} (mV)", spiking, rates))
    for background in at["background"].values:
        here = at.sel(background=background)
        regimes = ", ".join(REGIMES[k] for k in here["regime"].values)
        for name, label in (("spontaneous", "spontaneous rate"), ("delay_rate", "cued pool in the delay")):
            values = bootstrap(here[name].values)
            quantity = f"{label} at {background * 1e3:g} mV (Hz)"
            rows.append(row(model, quantity, values, here[f"mean_field_{name}"]) | {"networks": regimes})
    return rows


def ping_rows(model: str, at: xr.Dataset) -> list[dict[str, object]]:
    if "selectivity" not in at:
        return []
    delays = [at.sel(ping_delay=delay) for delay in at["ping_delay"].values]
    quantity = "selectivity of a ping after {:g} s"
    return [
        row(
            model,
            quantity.format(one["ping_delay"].item()),
            one["selectivity"],
            one["mean_field_selectivity"],
        )
        for one in delays
    ]


def lifetime_rows(result: xr.Dataset) -> list[dict[str, object]]:
    if "lifetime" not in result:
        return []
    rows = []
    for facil in result["tau_facil"].values:
        for rec in result["tau_rec"].values:
            here = result.sel(tau_facil=facil, tau_rec=rec)
            quantity = f"lifetime at τ_facil {facil:g} s, τ_rec {rec:g} s (s)"
            rows.append(row("mongillo2008", quantity, here["lifetime"], here["mean_field_lifetime"]))
    return rows


def row(model: str, quantity: str, spiking: Any, rates: Any) -> dict[str, object]:
    values = {"spiking": said(spiking), "rate version": said(rates)}
    return {"model": LABELS[str(model)], "quantity": quantity, **values, "networks": ""}


def said(value: Any) -> str:
    """A number, or an estimate with its interval."""
    estimate, *ends = np.atleast_1d(value)
    if np.isnan(estimate):
        return "not reached"
    return f"{estimate:.2f}" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the paper's figure, and the comparisons."""
    return {"memory": plot_example(result), "comparison": plot_comparison(result)}


def plot_example(result: xr.Dataset) -> Figure:
    """Draw the raster, and below it the rates, u and x of two pools."""
    config = configuration(result)
    made, axes = figure(3, 1, width="double", aspect=0.25, sharex=True, height_ratios=[2, 1, 1])
    axes[0].plot(result["raster_time"], result["raster_row"], ",", color=COLOURS["black"])
    axes[0].set(ylabel="neuron", title=f"background {config['raster_background'] * 1e3:g} mV")
    rows = int(result["raster_row"].max()) + 1 if result.sizes["spike"] else 1
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


def plot_comparison(result: xr.Dataset) -> Figure:
    """Draw what was run of: rates against background, responses to the ping, lifetimes; lines are the rate version."""
    models = dict(zip(result["model"].values if "model" in result else (), COLOURS.values(), strict=False))
    panels: dict[str, Callable[[Axes], None]] = {
        "regime": lambda axes: plot_regimes(axes, result, models),
        "selectivity": lambda axes: plot_pings(axes, result, models),
        "lifetime": lambda axes: plot_lifetimes(axes, result),
    }
    shown = [draw for name, draw in panels.items() if name in result]
    made, grid = figure(1, max(1, len(shown)), width="double", aspect=0.95, squeeze=False)
    for axes, draw in zip(grid[0], shown, strict=False):
        draw(axes)
    return made


def plot_regimes(axes: Axes, result: xr.Dataset, models: dict[str, str]) -> None:
    """Draw the rate of the cued pool at the end of the delay; crosses have lost their spontaneous state."""
    for model, colour in models.items():
        at = result.sel(model=model).sortby("background")
        mV = at["background"] * 1e3
        for number in range(at.sizes["network"]):
            one = at.isel(network=number)
            lost = one["regime"] == 2
            axes.plot(mV, one["delay_rate"].where(~lost), "o", ms=2.5, color=colour)
            axes.plot(mV, one["delay_rate"].where(lost), "x", ms=3, color=colour)
        axes.plot(mV, at["mean_field_delay_rate"], color=colour, label=LABELS[str(model)])
    axes.set(xlabel="background (mV)", ylabel="rate (Hz)", yscale="log", title="cued pool in the delay")
    axes.legend(fontsize="xx-small")


def plot_pings(axes: Axes, result: xr.Dataset, models: dict[str, str]) -> None:
    """Draw the selectivity of the responses with its interval."""
    for model, colour in models.items():
        at = result.sel(model=model)
        middle = at["selectivity"].sel(interval="estimate")
        ends = [np.abs(at["selectivity"].sel(interval=end) - middle) for end in ("low", "high")]
        axes.errorbar(at["ping_delay"], middle, ends, fmt="o", ms=3, color=colour)
        axes.plot(at["ping_delay"], at["mean_field_selectivity"], color=colour)
    axes.axhline(0, color=COLOURS["black"], lw=0.5)
    axes.set(
        xlabel="time since the cue (s)",
        ylabel="selectivity",
        ylim=(-1.05, 1.05),
        title="response to the ping",
    )


def plot_lifetimes(axes: Axes, result: xr.Dataset) -> None:
    """Draw the lifetime against τ_facil."""
    for rec, colour in zip(result["tau_rec"].values, COLOURS.values(), strict=False):
        at = result.sel(tau_rec=rec)
        axes.plot(at["tau_facil"], at["mean_field_lifetime"], color=colour)
        lifetime = at["lifetime"].sel(interval="estimate")
        axes.plot(at["tau_facil"], lifetime, "o", ms=3, color=colour, label=f"τ_rec = {rec:g} s")
    axes.set(xlabel="τ_facil (s)", ylabel="lifetime (s)", ylim=(0, None), title="silent memory")
    axes.legend()
