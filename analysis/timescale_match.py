"""Which delays does a memory solve, and where do trained time constants go?

Works on a run and on a sweep. Shown are the test error against the delay, one line for each value of the first other
parameter, beside the error without binding; and, if time constants were trained, where they began and ended, with the
strength of their writes.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fwsim.recording import labelled
from fwsim.study import COLOURS, figure

SWEPT = (
    *(
        "tau",
        "eta",
        "learn",
        "delays",
        "units",
        "pairs",
        "epochs",
        "training_sequences",
        "batch",
        "learning_rate",
    ),
    "seed",
)
OWN = {"seed", "task_delay", "timescale", "epoch"}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors over seeds, whether the delay is solved, and the spectrum before and after."""
    recording = recording.load()
    if "seed" not in recording.dims:
        recording = recording.expand_dims("seed")
    recording = recording.drop_vars(["failed", "point_seed"], errors="ignore")
    ran = recording["test_error"].notnull()
    solved = (recording["test_error"] < recording["plateau"] / 2).where(ran)
    result = recording[["test_error", "delay", "plateau", "tau_before", "tau_after", "eta_after"]]
    result["error"] = labelled(recording["test_error"].mean("seed"), "test error", "%")
    result["solved"] = labelled(solved.mean("seed"), "networks with less than half the error without binding")
    share = result["eta_after"] / result["eta_after"].sum("timescale")
    moved = np.log(result["tau_after"] / result["tau_before"])
    result["share_after"] = labelled(share, "share of a write's strength")
    result["moved"] = labelled(moved, "ln of the factor by which training changed a time constant")
    with np.errstate(divide="ignore"):  # the mean with a time constant of 0 is 0
        kernel_mean = np.exp((share * np.log(result["tau_after"])).sum("timescale"))
    result["tau_mean"] = labelled(kernel_mean, "geometric mean of the time constants, by strength", "s")
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    return result


EXPLAINED = {
    "error (%)": "mean test error over seeds",
    "from – to": "lowest and highest seed",
    "solved": "fraction of seeds with less than half the error of no binding",
    "mean τ (s)": "geometric mean of the time constants after training, by strength",
    "τ (s)": "median over seeds of each time constant after training",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "errors": "Test error against the delay of the task; dotted: without binding letters to digits.",
    "spectra": (
        "Time constants of each network before training (crosses) and after it (discs, whose area is "
        "the share of a write), a row for each task. Dotted: the task's delay."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each point and delay of its task."""
    points = result[["error", "solved", "delay", "tau_mean", "tau_after"]].copy()
    points["delay"] = first_seed(points["delay"])
    points["lowest"], points["highest"] = (
        getattr(result["test_error"], name)("seed") for name in ("min", "max")
    )
    points["tau_mean"] = points["tau_mean"].mean("seed")
    points["after"] = points["tau_after"].median("seed")
    parameters = [dim for dim in points["error"].dims if dim not in OWN]
    stacked = points.drop_vars("tau_after").stack(point=[*parameters, "task_delay"])
    rows = []
    for place in range(stacked.sizes["point"]):
        one = stacked.isel(point=place)
        ran = bool(one.error.notnull())
        rows.append(
            {name: one[name].item() for name in parameters}
            | {
                "delay (s)": float(one.delay) if ran else "",
                "error (%)": f"{float(one.error):.1f}" if ran else "failed",
                "from – to": f"{float(one.lowest):.1f} – {float(one.highest):.1f}" if ran else "",
                "solved": f"{float(one.solved):.2f}" if ran else "",
                "mean τ (s)": f"{float(one.tau_mean):.3g}" if ran else "",
                "τ (s)": " ".join(f"{tau:.3g}" for tau in one.after.values if np.isfinite(tau)),
            }
        )
    return rows


def first_seed(values: xr.DataArray) -> xr.DataArray:
    """What is the same for all seeds that ran."""
    return values.max("seed") if "seed" in values.dims else values


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Error against delay, and the spectrum before and after training where there was any."""
    parameters = [dim for dim in result["error"].dims if dim not in {*OWN, "delays"}]
    shown = result.isel(dict.fromkeys(parameters[1:], 0))
    first = parameters[0] if parameters else None
    figures = {"errors": plot_errors(shown, first)}
    if bool((abs(result["moved"]) > 0.01).any()):
        figures["spectra"] = plot_spectra(shown.isel({first: 0}) if first else shown)
    return figures


def plot_errors(shown: xr.Dataset, first: str | None) -> Figure:
    """Draw one line for each value of a parameter."""
    made, axes = figure()
    for place, colour in zip(
        range(shown.sizes[first]) if first else [None], cycle(COLOURS.values()), strict=False
    ):
        one = shown.isel({first: place}) if first else shown
        label = f"{first} = {one[first].item():g}" if first and one[first].dtype.kind in "if" else None
        errors(axes, one, colour, label)
    axes.axhline(float(shown["plateau"].max()), color=COLOURS["black"], ls=":", label="no binding")
    axes.set(xlabel="delay (s)", ylabel="test error (%)", xscale="log", ylim=(-2, 100))
    axes.legend(loc="upper left")
    return made


def errors(axes: Axes, one: xr.Dataset, colour: str, label: str | None) -> None:
    """Every network as a dot, their mean as a line."""
    delay = first_seed(one["delay"]).values.ravel()
    order = np.argsort(delay)
    mean = one["error"].values.ravel()
    axes.plot(delay[order], mean[order], "-", color=colour, label=label)
    for seed in range(one.sizes["seed"]):
        axes.plot(delay, one["test_error"].isel(seed=seed).values.ravel(), ".", color=colour, ms=4)


def plot_spectra(one: xr.Dataset) -> Figure:
    """Time constants before (crosses) and after training (discs as large as their share of a write)."""
    made, axes = figure()
    tasks = one["delays"].values if "delays" in one.dims else [None]
    for place in range(len(tasks)):
        at = one.isel(delays=place) if "delays" in one.dims else one
        for seed in range(at.sizes["seed"]):
            network = at.isel(seed=seed)
            height = np.full(network.sizes["timescale"], place + 0.1 * (seed - (at.sizes["seed"] - 1) / 2))
            axes.plot(network["tau_before"], height, "x", color=COLOURS["black"], ms=3)
            size = 80 * network["share_after"]
            axes.scatter(network["tau_after"], height, s=size, color=COLOURS["blue"], alpha=0.6, lw=0)
        for delay in first_seed(at["delay"]).values.ravel():
            axes.plot([delay, delay], [place - 0.3, place + 0.3], ":", color=COLOURS["vermillion"])
    axes.set_yticks(range(len(tasks)), ["" if task is None else f"{task:g}" for task in tasks])
    axes.set(xlabel="time constant (s)", ylabel="delay of the task (s)", xscale="log")
    axes.plot([], [], "x", color=COLOURS["black"], ms=3, label="before training")
    axes.scatter([], [], s=30, color=COLOURS["blue"], alpha=0.6, lw=0, label="after (area: strength)")
    axes.plot([], [], ":", color=COLOURS["vermillion"], label="delay")
    made.legend(loc="outside upper center", ncols=3)
    return made
