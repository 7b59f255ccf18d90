"""Which sign of η does training find for recognising what was seen, and for how long does it recognise?

Works on a run and on a sweep over `start` and `units`. Shown are hits and false alarms against the interval between two
showings; η after training; and how far each network reaches: the longest interval up to which the mean of hits and
correct rejections is at least 90 %, interpolated between the intervals that were tested.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure, formatted, mean_interval

SWEPT = ("start", "units", "seed")
RECOGNISED = 90.0  # % of hits and correct rejections, from which a network recognises
KEPT = (
    "hits",
    "false_alarms",
    "familiar_activity",
    "new_activity",
    "trained_tau",
    "trained_eta",
    "validation",
)


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Right answers by interval, how far networks reach, and the sign of η."""
    config = configuration(recording)
    result = recording[list(KEPT)].load()
    result["right"] = labelled(
        (result["hits"] + 100 - result["false_alarms"]) / 2, "mean of hits and correct rejections", "%"
    )
    reach = xr.apply_ufunc(
        reached,
        result["right"],
        result["interval"],
        input_core_dims=[["interval"], ["interval"]],
        vectorize=True,
    )
    result["reach"] = labelled(reach, "longest interval that is recognised")
    for name in ("start", "units"):
        if name not in result.dims:
            result = result.expand_dims({name: [config[name]]})
    result = result if "seed" in result.dims else result.expand_dims("seed")
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    return result


def reached(right: np.ndarray, interval: np.ndarray) -> float:
    """Interval at which right answers fall below `RECOGNISED`, interpolated over its logarithm.

    0 if they are fewer at the shortest interval already; the longest interval if they never are; NaN for failed runs.
    """
    if np.isnan(right).any():
        return np.nan
    below = np.flatnonzero(right < RECOGNISED)
    if len(below) == 0:
        return float(interval[-1])
    if below[0] == 0:
        return 0.0
    last, first = below[0] - 1, below[0]
    part = (right[last] - RECOGNISED) / (right[last] - right[first])
    return float(interval[last] * (interval[first] / interval[last]) ** part)


def networks(result: xr.Dataset) -> Iterator[tuple[str, int, xr.Dataset]]:
    """Sign before training, number of units, and results, seeds together."""
    for start in result["start"].values:
        for units in result["units"].values:
            yield str(start), int(units), result.sel(start=start, units=units)


EXPLAINED = {
    "η before": "sign of η before training",
    "units": "hidden units N",
    "η < 0 after": "networks whose η is negative after training, of all that were trained",
    "η N_x": "η after training times the number of inputs: mean over networks and its 95 % interval (Student's t)",
    "τ (steps)": "time constant after training, median over networks",
    "recognised up to": "longest interval with 90 % of right answers: mean over networks and its 95 % interval",
    "hits at * (%)": "familiar patterns recognised at this interval, mean over networks",
    "false alarms (%)": "new patterns called familiar, mean over networks and intervals",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "familiarity": (
        "Left: right answers against the number of patterns since the first showing (dashed: η below 0 "
        "before training; dotted: 90 %). Middle: η after training. Right: the longest interval up to "
        "which at least 90 % are right (circles: η above 0 before training; crosses: below). Colours: "
        "hidden units."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each sign before training and number of units."""
    inputs = configuration(result)["inputs"]
    shown = [int(each) for each in result["interval"].values if each in (1, 8, 32)]
    rows = []
    for start, units, at in networks(result):
        eta = at["trained_eta"].dropna("seed")
        rows.append(
            {
                "η before": "η < 0" if start == "anti-Hebbian" else "η > 0",
                "units": units,
                "η < 0 after": f"{int((eta < 0).sum())} of {eta.size}",
                "η N_x": formatted(mean_interval(inputs * eta), missing="failed"),
                "τ (steps)": formatted(at["trained_tau"].median(), ".1f", missing="failed"),
                "recognised up to": formatted(mean_interval(at["reach"]), missing="failed"),
                **{
                    f"hits at {each} (%)": formatted(
                        at["hits"].sel(interval=each).mean(), ".1f", missing="failed"
                    )
                    for each in shown
                },
                "false alarms (%)": formatted(at["false_alarms"].mean(), ".1f", missing="failed"),
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Right answers against the interval, η after training, and the reach against the number of units."""
    made, axes = figure(1, 3, width="double", aspect=1.0)
    curves, signs, reach = np.ravel(axes)
    sizes = result["units"].values.tolist()
    tint = dict(zip(sizes, itertools.cycle(each for each in COLOURS if each != "black"), strict=False))
    for start, units, at in networks(result):
        hebbian, colour = start == "Hebbian", COLOURS[tint[units]]
        curves.plot(at["interval"], at["right"].mean("seed"), "-" if hebbian else "--", color=colour)
        dots = {
            "color": colour,
            "marker": "o" if hebbian else "x",
            "ls": "",
            "ms": 4,
            "label": f"{units} units",
        }
        place = np.full(at.sizes["seed"], units)
        signs.plot(place, at["trained_eta"], **dots)
        reach.plot(place, at["reach"], **dots)
    curves.axhline(RECOGNISED, color=COLOURS["black"], ls=":")
    signs.axhline(0, color=COLOURS["black"], ls=":")
    curves.set(xlabel="interval (patterns)", ylabel="right answers (%)", xscale="log")
    signs.set(xlabel="hidden units N", ylabel="η after training")
    reach.set(xlabel="hidden units N", ylabel="recognised up to (patterns)", ylim=(0, None))
    for axis in (signs, reach):
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, [str(each) for each in sizes])
    handles, labels = signs.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    made.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
    return {"familiarity": made}
