"""Does the attention of a query fall on the pair that was asked for, and how does its inner loop settle?

For one run of `associative_retrieval`: `fwsim analyse RUN --analysis query_attention`. Shown are the attention that the
query pays to each past step at each iteration of the inner loop, the share of it that falls on the right pair, and how
the inner loop settles when it is run on for longer than it was trained for.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.errors import RecordingError
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure, formatted
from fwsim.tasks import AssociativeRetrieval

SWEPT = ()  # of a sweep, each point is analysed by itself


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Attention of the query and settling of its inner loop."""
    config = configuration(recording)
    if "attention" not in recording and "settling" not in recording:
        raise RecordingError(
            "the recording holds no attention; analyse a run of associative_retrieval with model=fast_weights"
        )
    result = xr.Dataset(attrs={"experiment_configuration": recording.attrs["experiment_configuration"]})
    if "attention" in recording:
        result = result.merge(query_attention(recording, config))
    if "settling" in recording:
        result = result.merge(settling(recording))
    plateau = xr.DataArray(100 * (1 - fw.theory.binding_plateau(config["pairs"])))
    result["plateau"] = labelled(plateau, "error without binding", "%")
    task = AssociativeRetrieval(pairs=config["pairs"], delay=config["delay"])
    result["example"] = task.text(recording["token"][:1].values)[0]
    result["example"].attrs = {"long_name": "first sequence"}
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
    # The same measure on each of the other pairs, averaged: what attention without binding would give.
    others = share.where((pair >= 0) & ~right, 0).sum("past") / max(1, config["pairs"] - 1)
    per_pair = share.groupby(pair.rename("of_pair")).sum().sel(of_pair=slice(0, None))
    hit = (per_pair.argmax("of_pair") == recording["pair"].load()).mean("trial")
    return xr.Dataset(
        {
            "query_attention": labelled(attention, "attention of the query"),
            "share_on_pair": labelled(on_pair, "share of attention on the right pair"),
            "share_elsewhere": labelled(others, "mean share on a wrong pair"),
            "hit": labelled(hit, "fraction of queries whose most attended pair is the right one"),
            "concentration": labelled((share**2).sum("past"), "concentration of attention (Σ share²)"),
        }
    )


def settling(recording: xr.Dataset) -> xr.Dataset:
    """How far the inner loop moves in each iteration, relative to where it is, and the error if it stopped there."""
    path = recording["settling"].load()
    size = np.sqrt((path**2).sum("unit"))
    moved = np.sqrt((path.diff("settling_iteration") ** 2).sum("unit")) / size.isel(
        settling_iteration=slice(1, None)
    )
    return xr.Dataset(
        {
            "movement": labelled(moved, "relative movement of the inner loop"),
            "settling_error": recording["settling_error"].load(),
        }
    )


EXPLAINED = {"%": "percentage of queries, or of the absolute attention"}
"""What the columns of the table mean."""

CAPTIONS = {
    "attention": (
        "Left: attention of one query to each past input, over inner iterations. Middle: share of "
        "attention on the right pair and on a wrong one (median, 10 to 90 % of queries). Right: "
        "fraction of queries whose most attended pair is right, and concentration of attention."
    ),
    "settling": (
        "The inner loop of the query when it runs on. Left: relative movement of the state in an "
        "iteration (median, 10 to 90 % of queries). Right: error if the loop stopped there (dotted: "
        "without binding)."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows: attention after each iteration, and how many queries have settled."""
    rows = []
    for name, text in (
        ("hit", "most attended pair is the right one"),
        ("share_on_pair", "attention on the pair"),
    ):
        for iteration in range(result.sizes["iteration"]) if name in result else ():
            share = formatted(result[name].isel(iteration=iteration).mean(), ".1f", scale=100)
            rows.append({"": f"{text}, after {iteration} iterations", "%": share})
    if "movement" in result:
        settled = (result.movement[:, -1] < 1e-3).mean()
        text = f"queries settled after {result.sizes['settling_iteration'] - 1} iterations"
        rows.append({"": text, "%": formatted(settled, ".1f", scale=100)})
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the attention of the query, and the settling of its inner loop."""
    figures = {"attention": plot_attention(result)} if "query_attention" in result else {}
    return figures | ({"settling": plot_settling(result)} if "movement" in result else {})


def plot_attention(result: xr.Dataset) -> Figure:
    """Draw the attention of one query at each iteration, and how much falls on the right pair over all queries."""
    made, (left, middle, right) = figure(1, 3, width="double", aspect=0.85)
    example = str(result["example"].values)
    attention = result.query_attention.isel(trial=0)
    steps = np.arange(len(example))
    inner = attention.sizes["iteration"]
    extreme = float(abs(attention).max())
    picture = left.imshow(
        attention, aspect="auto", cmap="PuOr_r", vmin=-extreme, vmax=extreme, origin="lower"
    )
    left.set_xticks(steps, example)
    left.set_yticks(range(inner))
    left.set(xlabel="past input", ylabel="inner iteration", title="one query")
    made.colorbar(picture, ax=left, label="attention")

    points = np.arange(inner)
    for values, label, colour in (
        (result.share_on_pair, "right pair", "blue"),
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
    movement = result.movement.isel(settling_iteration=slice(1, None))  # the start has not moved yet
    low, mid, high = movement.quantile([0.1, 0.5, 0.9], "trial")
    left.plot(movement.settling_iteration, mid, "o-")
    left.fill_between(movement.settling_iteration, low, high, alpha=0.2, lw=0)
    left.set(xlabel="inner iteration", ylabel="relative movement", yscale="log", title="median, 10–90 %")
    right.plot(np.arange(result.sizes["settling_iteration"]), result.settling_error, "o-")
    right.axhline(float(result.plateau), color=COLOURS["black"], ls=":", label="no binding")
    right.set(xlabel="inner iteration", ylabel="error if it stopped here (%)", ylim=(-2, 102))
    right.legend()
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return made
