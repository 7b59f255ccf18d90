"""Does the network retrieve, and does its attention fall on the pair that was asked for?

Shown are the test error beside the paper's table and the binding plateau; the learning curve; the attention
that the query pays to each past step at each iteration of the inner loop, with the share that falls on the
right pair; and how the inner loop settles when it is run on for longer than it was trained for.

Of a sweep: test errors with median and range over seeds, learning curves, and where attention falls before and after
the inner loop. `join` puts several sweeps into one table and figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.study import COLOURS, configuration, figure
from fwsim.study import points as swept_points

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
    "layer_norm_lstm": "LSTM + LN",
    "deep_rnn": "RNN of the same depth",
    "layer_norm_deep_rnn": "RNN of the same depth + LN",
}
STYLES = dict(zip(LABELS, COLOURS.values(), strict=True))
# What the paper's networks and task have; a network is named after what differs.
USUAL = {"rule": "hebbian", "normalise": "inner", "inner_steps": 1, "pairs": 4, "delay": 0, "learn": []}
NOTES = {
    "rule": "{} rule",
    "normalise": "normalise {}",
    "inner_steps": "S = {}",
    "pairs": "K = {}",
    "delay": "delay {}",
    "learn": "{} trained",
}
SYMBOLS = "abcdefghijklmnopqrstuvwxyz0123456789?_"


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Reduce a recording to errors, learning curve, attention of the query, settling; a sweep to errors over seeds."""
    return join([recording]) if "seed" in recording.dims else one_network(recording)


def one_network(recording: xr.Dataset) -> xr.Dataset:
    """Errors, learning curve, attention of the query, settling."""
    config = json.loads(recording.attrs["experiment_configuration"])
    result = recording[["test_error", "training_loss", "validation"]].load()
    result["validation_error"] = 100 * result["validation"]
    result["validation_error"].attrs = {"units": "%", "long_name": "validation error"}
    result["plateau"] = percent(1 - fw.theory.binding_plateau(config["pairs"]), "error without binding")
    result["paper_error"] = percent(paper_error(config) / 100, "error in Ba et al. 2016")
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
    # The same measure on each of the other pairs, averaged: what attention without binding would give.
    others = share.where((pair >= 0) & ~right, 0).sum("past") / max(1, config["pairs"] - 1)
    per_pair = share.groupby(pair.rename("of_pair")).sum().sel(of_pair=slice(0, None))
    hit = (per_pair.argmax("of_pair") == recording["pair"].load()).mean("trial")
    return xr.Dataset(
        {
            "query_attention": described(attention, "attention of the query"),
            "share_on_pair": described(on_pair, "share of attention on the right pair"),
            "share_elsewhere": described(others, "mean share on a wrong pair"),
            "hit": described(hit, "fraction of queries whose most attended pair is the right one"),
            "concentration": described((share**2).sum("past"), "concentration of attention (Σ share²)"),
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
            "movement": described(moved, "relative movement of the inner loop"),
            "settling_error": recording["settling_error"].load(),
        }
    )


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Errors, learning curves and attention of every network in runs and sweeps, `[network, seed]`; NaN if missing."""
    networks: dict[str, list[xr.Dataset]] = {}
    for recording in recordings:
        for config, point in points(recording):
            networks.setdefault(json.dumps(config), []).append(of_seed(point, config))
    together = {"join": "outer", "data_vars": "all", "combine_attrs": "drop_conflicts"}
    rows = [xr.concat(seeds, "seed", coords="minimal", **together) for seeds in networks.values()]
    return xr.concat(rows, "network", coords="different", compat="equals", **together).sortby("seed")


def points(recording: xr.Dataset) -> Iterator[tuple[dict, xr.Dataset]]:
    """Every network and seed that ran: its configuration and its recording, with a dimension for the seed."""
    if "seed" not in recording.dims:
        yield configuration(recording), recording.expand_dims(seed=[recording.attrs["experiment_seed"]])
        return
    for point in swept_points(recording):
        if not point.failed:
            yield configuration(point.recording), point.recording.expand_dims(seed=[point.seed])


def of_seed(recording: xr.Dataset, config: dict) -> xr.Dataset:
    """Numbers of one network with one seed, `[network, seed]`."""
    kept = recording[["test_error"]].copy()
    kept["validation_error"] = 100 * recording["validation"]
    kept["minutes"] = recording["epoch_time"].sum("epoch") / 60
    one = recording.isel(seed=0)
    if "attention" in one and bool(one["attention"].notnull().any()):
        one = one.dropna("iteration", how="all", subset=["attention"])
        hit = query_attention(one, config)["hit"]
        kept["hit_before"], kept["hit_after"] = (hit.isel(iteration=place, drop=True) for place in (0, -1))
    kept = kept.reset_coords(drop=True).load()
    about = {name: config[name] for name in ("model", "units", "epochs", "learning_rate")}
    about |= {"note": note(config), "paper_error": paper_error(config)}
    about["plateau"] = 100 * (1 - fw.theory.binding_plateau(config["pairs"]))
    return kept.expand_dims("network").assign_coords({k: ("network", [v]) for k, v in about.items()})


def note(config: dict) -> str:
    """Say in what a network differs from the paper's."""
    said = [
        NOTES[name].format(" and ".join(config[name]) if name == "learn" else config[name])
        for name, usual in USUAL.items()
        if config[name] != usual
    ]
    if config["model"] == "fast_weights" and (len(config["tau"]) > 1 or config["eta"] != [0.5]):
        said.append("τ " + " ".join(f"{tau:.3g}" for tau in config["tau"]) + " s")
        said.append("η " + " ".join(f"{eta:.3g}" for eta in config["eta"]))
    return ", ".join(said)


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal."""
    return rows_over_seeds(result) if "network" in result.dims else rows_of_one(result)


def rows_over_seeds(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each network."""
    rows = []
    for place in range(result.sizes["network"]):
        one = result.isel(network=place)
        error = one["test_error"].dropna("seed")
        left = one["validation_error"] < one["plateau"] - 5
        hits = {
            f"right pair {side} the loop (%)": written(100 * one[f"hit_{side}"].mean(), 1)
            for side in ("before", "after")
            if f"hit_{side}" in one
        }
        rows.append(
            {
                "network": LABELS[one["model"].item()],
                "R": one["units"].item(),
                "differs": one["note"].item(),
                "epochs": one["epochs"].item(),
                "peak rate": one["learning_rate"].item(),
                "seeds": " ".join(str(seed) for seed in error["seed"].values),
                "median error (%)": written(error.median(), 3),
                "lowest": written(error.min(), 3),
                "highest": written(error.max(), 3),
                "Ba et al. 2016": written(one["paper_error"]),
                "without binding": f"{float(one['plateau']):.2f}",
                "off the plateau": f"{int(left.any('epoch').sum())} of {error.size}",
                **hits,
                "minutes each": f"{float(one['minutes'].mean()):.1f}",
            }
        )
    return rows


def rows_of_one(result: xr.Dataset) -> list[dict[str, object]]:
    """Errors, attention and settling of one network."""
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
            for iteration in range(result.sizes["iteration"]):
                value = float(result[name].isel(iteration=iteration).mean())
                rows.append({"": f"{text}, after {iteration} iterations", "%": f"{100 * value:.1f}"})
    if "movement" in result:
        settled = float((result.movement[:, -1] < 1e-3).mean())
        text = f"queries settled after {result.sizes['settling_iteration'] - 1} iterations"
        rows.append({"": text, "%": f"{100 * settled:.1f}"})
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the learning curve, and where there is a memory its attention and the settling of the inner loop."""
    if "network" in result.dims:
        return {"learning": plot_curves(result), "errors": plot_errors(result)}
    figures = {"learning": plot_learning(result)}
    if "query_attention" in result:
        figures["attention"] = plot_attention(result)
    if "movement" in result:
        figures["settling"] = plot_settling(result)
    return figures


def plot_curves(result: xr.Dataset) -> Figure:
    """Draw validation error over epochs for every number of units: median and range over seeds; the paper's errors."""
    sizes = np.unique(result["units"])
    made, panels = figure(1, len(sizes), width="double", aspect=1.2, sharey=True, squeeze=False)
    for axes, units in zip(panels[0], sizes, strict=True):
        shown = result.isel(network=np.flatnonzero(result["units"] == units))
        for place in range(shown.sizes["network"]):
            one = shown.isel(network=place).dropna("epoch", how="all", subset=["validation_error"])
            colour, label = STYLES[one["model"].item()], name_of(one)
            error = one["validation_error"]
            axes.plot(one["epoch"], error.median("seed"), color=colour, label=label)
            axes.fill_between(
                one["epoch"], error.min("seed"), error.max("seed"), color=colour, alpha=0.2, lw=0
            )
            axes.plot(one["epoch"][-1], one["paper_error"], "<", color=colour, ms=5, clip_on=False)
        for plateau in np.unique(shown["plateau"]):
            axes.axhline(plateau, color=COLOURS["black"], ls=":", lw=0.8)
        axes.set(xlabel="epoch", title=f"{units} units", ylim=(0, 100))
        axes.set_yscale("symlog", linthresh=0.1)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0, 0].set_ylabel("validation error (%)")
    handles = {
        label: line
        for axes in panels[0]
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    made.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return made


def plot_errors(result: xr.Dataset) -> Figure:
    """Draw the test error of every network: seeds as dots, their median as a bar, the error without binding."""
    made, axes = figure(width="double", aspect=0.1 + 0.035 * result.sizes["network"])
    height = -np.arange(result.sizes["network"])
    for place, y in enumerate(height):
        one = result.isel(network=place)
        colour = STYLES[one["model"].item()]
        axes.plot(one["test_error"], np.full(one.sizes["seed"], y), "o", color=colour, ms=4, alpha=0.7)
        axes.plot(one["test_error"].median(), y, "|", color=colour, ms=12, mew=2)
        axes.plot(one["plateau"], y, "|", color=COLOURS["black"], ms=8)
    axes.set_yticks(
        height,
        [f"{name_of(result.isel(network=k))}, {result['units'].values[k]}" for k in range(len(height))],
    )
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set(xlabel="test error (%); black: without binding", xlim=(-0.01, 100))
    return made


def name_of(one: xr.Dataset) -> str:
    """Network as people call it."""
    said = one["note"].item()
    return LABELS[one["model"].item()] + (f", {said}" if said else "")


def written(value: xr.DataArray, digits: int = 2) -> str:
    """Number as text, and nothing where there is none."""
    return "" if bool(value.isnull()) else f"{float(value):.{digits}f}"


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


def paper_error(config: dict) -> float:
    """Error of such a network in the paper, in %; NaN where the paper has none."""
    return np.nan if note(config) else PAPER.get(config["model"], {}).get(config["units"], np.nan)


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
