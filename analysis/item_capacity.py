"""Which items survive, with which period and peak rate, and on what does the capacity depend?

An item survives if its cluster still fires population spikes (above the threshold) in the last part of the run. The
period is the mean time from one population spike of a cluster to its next in the second half of the delay. Main numbers
are those of adaptive steps. How far fixed steps differ from them shows how accurate the survey is.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure

SWEPT = ()  # of a sweep, each point is analysed by itself

NAMES = {"tau_rec": "recovery τ_rec", "tau_facil": "facilitation τ_facil", "tau": "membrane τ"}
MARKS = {"tau_rec": ("o-", "blue"), "tau_facil": ("s-", "vermillion"), "tau": ("^-", "green")}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce rates to survivors, periods and peaks per load, and to capacities along the survey."""
    config = configuration(recording)
    rate = recording["rate"].load()
    begins = float(rate["time"][-1]) - config["delay"] / 2
    late = rate.sel(time=slice(begins, None))
    period, spread = periods(late, config["threshold"])
    accurate = recording["adaptive_rate"].load().sel(time=slice(begins, None)).expand_dims("step")
    adaptive_period, _ = periods(accurate, config["threshold"])
    adaptive = accurate.isel(step=0)
    result = xr.Dataset(
        {
            "survivors": labelled((late.max("time") > config["threshold"]).sum("unit"), "items that survive"),
            "period": labelled(period, "period of population spikes", "s"),
            "period_spread": labelled(spread, "largest difference of periods between items", "s"),
            "peak": labelled(late.max(("time", "unit")), "peak rate", "Hz"),
            "step_error": labelled(
                recording["step_error"].load().max("error_time"), "largest error of one step in h"
            ),
            "adaptive_survivors": labelled(
                (adaptive.max("time") > config["threshold"]).sum("unit"), "items that survive, adaptive steps"
            ),
            "adaptive_period": labelled(adaptive_period.isel(step=0), "period, adaptive steps", "s"),
            "adaptive_peak": labelled(adaptive.max(("time", "unit")), "peak rate, adaptive steps", "Hz"),
            "example": recording["adaptive_rate"].load(),
        },
        attrs={"experiment_configuration": recording.attrs["experiment_configuration"]},
    )
    change = abs(result["period"] / result["adaptive_period"] - 1).max("step")
    result["period_change"] = labelled(change, "largest relative difference of the period with fixed steps")
    return result.merge(capacities(recording, config))


def periods(rate: xr.DataArray, threshold: float) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean interval between the population spikes of a cluster, and how far clusters differ, `[step, load]`."""
    values = rate.transpose("step", "load", "unit", "time").values
    time = rate["time"].values
    mean, spread = np.full(values.shape[:2], np.nan), np.full(values.shape[:2], np.nan)
    for index in np.ndindex(mean.shape):
        found = [float(np.diff(spikes(trace, time, threshold)).mean()) for trace in values[index]
                 if len(spikes(trace, time, threshold)) > 1]  # fmt: skip
        if found:
            mean[index], spread[index] = np.mean(found), np.ptp(found)
    coords = {name: rate[name] for name in ("step", "load") if name in rate.coords}
    return xr.DataArray(mean, coords, ("step", "load")), xr.DataArray(spread, coords, ("step", "load"))


def spikes(trace: np.ndarray, time: np.ndarray, threshold: float) -> np.ndarray:
    """Times of the peaks above threshold, between samples by the parabola through three of them."""
    left, here, right = trace[:-2], trace[1:-1], trace[2:]
    at = np.flatnonzero((here > left) & (here >= right) & (here > threshold))
    curvature = left[at] - 2 * here[at] + right[at]
    offset = np.where(
        curvature < 0, 0.5 * (left[at] - right[at]) / np.where(curvature < 0, curvature, -1), 0.0
    )
    return time[at + 1] + offset * (time[1] - time[0])


def capacities(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Most items that survive at each point of the survey, over the loads tried there, `[step, place]`."""
    alive = (recording["survey_rate"].load().max("survey_time") > config["threshold"]).sum("unit")
    table = {}
    for name in NAMES:
        here = recording["varied"].values == name
        values = np.unique(recording["value"].values[here])
        most = [
            alive.isel(point=here & (recording["value"].values == value)).max("point") for value in values
        ]
        counts = xr.concat(
            most, xr.Variable(f"value_{name}", values, {"units": "s", "long_name": NAMES[name]})
        )
        table[f"capacity_{name}"] = labelled(counts, "items that can be held")
    return xr.Dataset(table)


EXPLAINED = {
    "survive": "items that are still active in turn at the end, solved with adaptive steps",
    "period (ms)": "time from one activation of an item to its next",
    "fixed steps differ by (%)": "largest difference of the period with fixed steps from that with adaptive ones",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "turns": (
        "Rates of the clusters in the last three seconds, for several numbers of cued items: items that "
        "are held become active in turn."
    ),
    "load": (
        "Against the number of items cued: items that survive (dotted: all), period of their turns, and "
        "their peak rate, at two steps of integration."
    ),
    "survey": (
        "Largest number of items that can be held, against each time constant relative to the model's "
        "(left) and against τ_rec/τ (right). Open symbols: the longer step of integration."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal: one a load, then where the count depends on the step."""
    rows = []
    for load in result["load"].values:
        coarse, fine = (result.sel(load=load).isel(step=index) for index in (0, 1))
        rows.append(
            {
                "": f"{int(load)} cued",
                "survive": int(fine.adaptive_survivors),
                "at the shorter step": int(fine.survivors),
                "at the longer step": int(coarse.survivors),
                "period (ms)": f"{1e3 * float(fine.adaptive_period):.1f}",
                "fixed steps differ by (%)": f"{100 * float(fine.period_change):.2f}",
                "peak rate (Hz)": f"{float(fine.adaptive_peak):.1f}",
            }
        )
    blank = dict.fromkeys(("survive", "period (ms)", "fixed steps differ by (%)", "peak rate (Hz)"), "")
    for name in NAMES:
        counts = result[f"capacity_{name}"]
        for value, (coarse, fine) in zip(
            counts[f"value_{name}"].values, counts.transpose(..., "step").values
        ):
            label = f"{name} {1e3 * value:g} ms"
            rows.append(
                {"": label, **blank, "at the shorter step": int(fine), "at the longer step": int(coarse)}
            )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the items taking turns, period and peak against load, and the survey."""
    return {"turns": plot_turns(result), "load": plot_load(result), "survey": plot_survey(result)}


def plot_turns(result: xr.Dataset) -> Figure:
    """Draw the rates of all clusters for some loads."""
    loads = [load for load in (1, 3, 5, 7) if load in result["load"]] or list(result["load"].values[:1])
    made, axes = figure(len(loads), 1, width="double", aspect=0.16, sharex=True, squeeze=False)
    for axis, load in zip(axes[:, 0], loads):
        rate = result["example"].sel(load=load)
        shown = rate.sel(time=slice(float(rate.time[-1]) - 3.0, None))
        for unit in range(shown.sizes["unit"]):
            if float(shown.isel(unit=unit).max()) > 5:
                axis.plot(shown.time, shown.isel(unit=unit), lw=0.8)
        axis.set(ylabel="rate (Hz)")
        axis.set_title(f"{load} item{'s' if load > 1 else ''} cued", loc="left")
    axes[-1, 0].set(xlabel="time (s)")
    return made


def plot_load(result: xr.Dataset) -> Figure:
    """Draw survivors, period and peak rate against load, at both steps."""
    made, axes = figure(1, 3, width="double", aspect=0.8)
    for index, style in ((0, {"marker": "o", "ms": 6, "mfc": "none", "ls": ""}), (1, {"marker": "s"})):
        one = result.isel(step=index)
        label = f"step {1e3 * float(one.step):g} ms"
        axes[0].plot(one["load"], one.survivors, label=label, **style)
        axes[1].plot(one["load"], 1e3 * one.period, label=label, **style)
        axes[2].plot(one["load"], one.peak, label=label, **style)
    axes[0].plot(result["load"], result["load"], color=COLOURS["black"], ls=":", lw=0.8, label="all")
    axes[0].set(xlabel="items cued", ylabel="items that survive", ylim=(0, None))
    axes[1].set(xlabel="items cued", ylabel="period (ms)", ylim=(0, None))
    axes[2].set(xlabel="items cued", ylabel="peak rate (Hz)", ylim=(0, None))
    axes[0].legend()
    return made


def plot_survey(result: xr.Dataset) -> Figure:
    """Draw the capacity against each time constant relative to the model's, and against τ_rec/τ."""
    config = configuration(result)
    made, (left, right) = figure(1, 2, width="double", aspect=0.75)
    for name, (style, colour) in MARKS.items():
        counts = result[f"capacity_{name}"].transpose("step", ...)
        value = counts[f"value_{name}"]
        ratio = {"tau_rec": value / config["tau"], "tau": config["tau_rec"] / value}
        for axis, x in ((left, value / config[name]), (right, ratio.get(name))):
            if x is not None:
                axis.plot(x, counts[1], style, color=COLOURS[colour], label=f"{NAMES[name]} varied")
                axis.plot(x, counts[0], style[0], color=COLOURS[colour], mfc="none", ms=6)
    left.set(xlabel="time constant, relative to the model", ylabel="items that can be held")
    right.set(xlabel="τ_rec / τ", ylabel="items that can be held")
    for axis, ticks in ((left, [0.25, 0.5, 1, 2, 4]), (right, [10, 20, 40, 80, 160])):
        axis.set(xscale="log", ylim=(0, None))
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    left.legend(title="open: the longer step", title_fontsize=7)
    return made
