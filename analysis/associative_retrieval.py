"""Does the network retrieve, and does its attention fall on the pair that was asked for?

Shown are the test error beside the paper's table and the binding plateau; the learning curve; the attention
that the query pays to each past step at each iteration of the inner loop, with the share that falls on the
right pair; and how the inner loop settles when it is run on for longer than it was trained for.
"""

from __future__ import annotations

import json

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.study import COLOURS, figure

# Test error in %, by model and units (Ba et al. 2016, table 1).
PAPER = {
    "irnn": {20: 62.11, 50: 60.23, 100: 0.34},
    "lstm": {20: 60.81, 50: 1.85, 100: 0.0},
    "fast_weights": {20: 1.81, 50: 0.0, 100: 0.0},
}
LABELS = {
    "fast_weights": "fast weights",
    "no_memory": "no memory (RNN + LN)",
    "no_inner_loop": "no inner loop",
    "irnn": "IRNN",
    "lstm": "LSTM",
}
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789?_"


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce a recording to errors, learning curve, attention of the query, settling."""
    config = json.loads(recording.attrs["experiment_configuration"])
    result = recording[["test_error", "training_loss", "validation", "learning_rate"]].load()
    result["validation_error"] = 100 * result["validation"]
    result["validation_error"].attrs = {"units": "%", "long_name": "validation error"}
    result["plateau"] = percent(1 - fw.theory.binding_plateau(config["pairs"]), "error without binding")
    paper = PAPER.get(config["model"], {}).get(config["units"], np.nan) if paper_task(config) else np.nan
    result["paper_error"] = percent(paper / 100, "error in Ba et al. 2016")
    result["wrong"] = recording["answer"] != recording["target"]
    if "attention" in recording:
        result = result.merge(query_attention(recording, config))
    if "settling" in recording:
        result = result.merge(settling(recording))
    result["example"] = xr.DataArray(
        text(recording["token"][0].values), attrs={"long_name": "first sequence"}
    )
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    result.attrs["model"], result.attrs["units"] = config["model"], config["units"]
    result.attrs["parameters"] = recording.attrs["parameters"]
    return result


def query_attention(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Attention of the last step to each past step, and its share on the pair that was asked for.

    Shares are of the absolute attention, which is signed and unnormalised as it is recorded.
    """
    attention = recording["attention"].isel(time=-1).load()
    share = abs(attention) / abs(attention).sum("past")
    step = np.arange(attention.sizes["past"])  # τ − 1
    pair = xr.DataArray(np.where(step < 2 * config["pairs"], step // 2, -1), dims="past")
    right = pair == recording["pair"].load()
    on_pair = share.where(right, 0).sum("past")
    digit = xr.DataArray(step % 2 == 1, dims="past") & right
    # The same measure on each of the other pairs, averaged: what attention without binding would give.
    others = share.where((pair >= 0) & ~right, 0).sum("past") / max(1, config["pairs"] - 1)
    per_pair = share.groupby(pair.rename("of_pair")).sum().sel(of_pair=slice(0, None))
    hit = (per_pair.argmax("of_pair") == recording["pair"].load()).mean("trial")
    span = attention.isel(inner=-1)
    return xr.Dataset(
        {
            "query_attention": described(attention, "attention of the query"),
            "asked": described(right, "whether the step belongs to the pair asked for"),
            "share_on_pair": described(on_pair, "share of attention on the right pair"),
            "share_on_digit": described(
                share.where(digit, 0).sum("past"), "share of attention on the right digit"
            ),
            "share_elsewhere": described(others, "mean share on a wrong pair"),
            "hit": described(hit, "fraction of queries whose most attended pair is the right one"),
            "concentration": described((share**2).sum("past"), "concentration of attention (Σ share²)"),
            "strength": described(abs(span).sum("past"), "total attention of the settled state"),
        }
    )


def settling(recording: xr.Dataset) -> xr.Dataset:
    """How far the inner loop moves in each iteration, relative to where it is, and the error if it stopped there."""
    path = recording["settling"].load()
    size = np.sqrt((path**2).sum("unit"))
    moved = np.sqrt((path.diff("iteration") ** 2).sum("unit")) / size.isel(iteration=slice(1, None))
    return xr.Dataset(
        {
            "movement": described(moved, "relative movement of the inner loop"),
            "settling_error": recording["settling_error"].load(),
        }
    )


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal."""
    rows = [
        {
            "": f"test error, {LABELS[result.model]}, {result.units} units",
            "%": f"{float(result.test_error):.2f}",
        },
        {"": "the same in Ba et al. 2016", "%": f"{float(result.paper_error):.2f}"},
        {"": "binding plateau (knows the digits, not the pairs)", "%": f"{float(result.plateau):.2f}"},
    ]
    rows = [row for row in rows if row["%"] != "nan"]
    if "hit" in result:
        for name, text in (
            ("hit", "most attended pair is the right one"),
            ("share_on_pair", "attention on the pair"),
        ):
            for iteration in range(result.sizes["inner"]):
                value = float(result[name].isel(inner=iteration).mean())
                rows.append({"": f"{text}, after {iteration} iterations", "%": f"{100 * value:.1f}"})
    if "movement" in result:
        settled = float((result.movement[:, -1] < 1e-3).mean())
        text = f"queries settled after {result.sizes['iteration'] - 1} iterations"
        rows.append({"": text, "%": f"{100 * settled:.1f}"})
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the learning curve, and where there is a memory its attention and the settling of the inner loop."""
    figures = {"learning": plot_learning(result)}
    if "query_attention" in result:
        figures["attention"] = plot_attention(result)
    if "movement" in result:
        figures["settling"] = plot_settling(result)
    return figures


def plot_learning(result: xr.Dataset) -> Figure:
    """Draw validation error over epochs, beside plateau and paper."""
    made, axes = figure()
    axes.plot(result.epoch, result.validation_error, "o-", label="validation")
    axes.axhline(float(result.plateau), color=COLOURS["black"], ls=":", label="no binding")
    axes.plot(result.epoch[-1], result.test_error, "s", color=COLOURS["vermillion"], label="test")
    if np.isfinite(result.paper_error):
        axes.axhline(float(result.paper_error), color=COLOURS["green"], ls="--", label="Ba et al. 2016")
    axes.set(
        xlabel="epoch",
        ylabel="error (%)",
        ylim=(-2, 92),
        title=f"{LABELS[result.model]}, {result.units} units",
    )
    axes.legend()
    return made


def plot_attention(result: xr.Dataset) -> Figure:
    """Draw the attention of one query at each iteration, and how much falls on the right pair over all queries."""
    made, (left, middle, right) = figure(1, 3, width="double", aspect=0.85)
    example = str(result["example"].values)
    attention = result.query_attention.isel(trial=0)
    steps = np.arange(len(example))
    inner = attention.sizes["inner"]
    extreme = float(abs(attention).max())
    picture = left.imshow(
        attention, aspect="auto", cmap="PuOr_r", vmin=-extreme, vmax=extreme, origin="lower"
    )
    left.set_xticks(steps, example)
    left.set_yticks(range(inner))
    left.set(xlabel="past input", ylabel="inner iteration", title="one query")
    made.colorbar(picture, ax=left, label="attention")

    share = abs(result.query_attention) / abs(result.query_attention).sum("past")
    bound = share.where(result.asked).sum("past")
    points = np.arange(inner)
    for values, label, colour in (
        (bound, "right pair", "blue"),
        (result.share_elsewhere, "a wrong pair", "vermillion"),
    ):
        low, mid, high = values.quantile([0.1, 0.5, 0.9], "trial")
        middle.plot(points, mid, "o-", color=COLOURS[colour], label=label)
        middle.fill_between(points, low, high, color=COLOURS[colour], alpha=0.2, lw=0)
    middle.set(xlabel="inner iteration", ylabel="share of attention", ylim=(0, None), title="median, 10–90 %")
    middle.set_xticks(points)
    middle.legend()

    right.plot(points, result.hit, "o-", label="most attended pair is right")
    right.plot(points, result.concentration.mean("trial"), "s--", label="concentration")
    right.set(xlabel="inner iteration", ylabel="fraction", ylim=(0, 1.05), title="all queries")
    right.set_xticks(points)
    right.legend()
    return made


def plot_settling(result: xr.Dataset) -> Figure:
    """Draw how the inner loop of the query settles when it is run on."""
    made, (left, right) = figure(1, 2, width="double", aspect=0.6)
    movement = result.movement.isel(iteration=slice(1, None))  # the start has not moved yet
    low, mid, high = movement.quantile([0.1, 0.5, 0.9], "trial")
    left.plot(movement.iteration, mid, "o-")
    left.fill_between(movement.iteration, low, high, alpha=0.2, lw=0)
    left.set(xlabel="inner iteration", ylabel="relative movement", yscale="log", title="median, 10–90 %")
    right.plot(np.arange(result.sizes["iteration"]), result.settling_error, "o-")
    right.axhline(float(result.plateau), color=COLOURS["black"], ls=":", label="no binding")
    right.set(xlabel="inner iteration", ylabel="error if it stopped here (%)", ylim=(-2, 102))
    right.legend()
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return made


def paper_task(config: dict) -> bool:
    """Whether the run did what the paper did."""
    return config["pairs"] == 4 and config["delay"] == 0


def percent(fraction: float, name: str) -> xr.DataArray:
    """Make a variable in per cent of a fraction."""
    return xr.DataArray(100 * fraction, attrs={"units": "%", "long_name": name})


def described(values: xr.DataArray, name: str) -> xr.DataArray:
    """Give a variable its name and unit."""
    values.attrs = {"units": "1", "long_name": name}
    return values


def text(tokens: np.ndarray) -> str:
    """Write tokens as people read them."""
    return "".join(SYMBOLS[token] for token in tokens)
