"""What does it cost not to hold the whole, and does the integrating step attend to the whole that it belongs to?

Works on a run and on a sweep. Shown are test errors beside Table 2 of the paper; the layout on the first test image;
the learning curve; how much worse the trained network gets when some of its steps read nothing; and the share of
attention that each step pays to each stored state, beside what their ages alone would give.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, each_setting, figure, formatted

# Test error in %, by model and units (Ba et al. 2016, table 2).
PAPER = {
    "irnn": {50: 12.95, 100: 1.95, 200: 1.42},
    "lstm": {50: 12.0, 100: 1.55, 200: 1.10},
    "convnet": {50: 1.81, 100: 1.0, 200: 0.9},
    "fast_weights": {50: 7.21, 100: 1.30, 200: 0.85},
}
LABELS = {"fast_weights": "fast weights", "irnn": "IRNN", "lstm": "LSTM", "convnet": "ConvNet"}
BLIND = {"integrating": "integrating blind (%)", "looking": "looking blind (%)", "all": "all blind (%)"}
SWEPT = (
    *(
        "model",
        "units",
        "levels",
        "store",
        "clear",
        "controls",
        "sharing",
        "inner_steps",
        "tau",
        "eta",
        "maps",
    ),
    *("embedding", "dropout", "epochs", "learning_rate", "schedule", "clip", "weight_decay", "batch"),
    *("training_images", "validation_images", "test_images", "seed"),
)
LAYOUT_OF_PAPER = {"levels": 2, "store": "whole", "clear": "whole", "sharing": "levels"}
LAYOUT = ("glimpse", "level", "integrate", "part", "stored", "cleared")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors, learning curve, lesions, and shares of attention."""
    config = configuration(recording)
    kept = ["test_error", "parameters", "validation", "lesion_error", *LAYOUT]
    result = recording[[name for name in kept if name in recording]].load()
    result["validation_error"] = labelled(100 * result["validation"], "validation error", "%")
    result["paper_error"] = paper(result, config)
    if "attention" in recording:
        attention, recency = abs(recording["attention"].load()), recording["recency"].load()
        result["share"] = labelled(share(attention).mean("trial"), "share of attention")
        result["recency_share"] = labelled(share(recency), "share by age alone")
    result.attrs = {
        "experiment_configuration": recording.attrs["experiment_configuration"],
        "model": config["model"],
        "units": config["units"],
    }
    return result


def share(values: xr.DataArray) -> xr.DataArray:
    """Fraction of the sum over stored states; 0 where there is nothing to attend to."""
    total = values.sum("past")
    return (values / total.where(total > 0)).fillna(0)


def paper(result: xr.Dataset, config: dict) -> xr.DataArray:
    """Table 2 of the paper, where a model with a number of units and its layout is in it."""

    def given(name: str) -> xr.DataArray:
        return result.get(name, xr.DataArray(config[name]))

    models, units = given("model"), given("units")
    error = xr.apply_ufunc(
        lambda model, count: PAPER.get(str(model), {}).get(int(count), np.nan), models, units, vectorize=True
    )
    for name, value in LAYOUT_OF_PAPER.items():
        error = error.where(given(name) == value)
    return labelled(error, "test error in Ba et al. 2016", "%")


def networks(result: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Each network's name, which says what was varied, and its results, seeds together."""
    found = []
    for varied, at in each_setting(result, [dim for dim in result["test_error"].dims if dim != "seed"]):
        model = str(varied.pop("model", result.attrs["model"]))
        units = varied.pop("units", result.attrs["units"])
        others = [f"{name} {varied[name]}" for name in sorted(varied)]
        found.append((", ".join([LABELS.get(model, model), f"{units} units", *others]), at))
    return found


EXPLAINED = {
    "seeds": "test error of each seed (%)",
    "attention to its whole (%)": "share of a part's attention on the stored whole to which it belongs",
    "by age alone (%)": "the share that the decay alone would give it",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "errors": "Test error of each network (dots: seeds; diamonds: Ba et al. 2016).",
    "learning": "Error on the validation images during training, and on the test images after it.",
    "layout": (
        "What the network sees at each step, in order; grey: a step that integrates without an image. "
        "Red: the hidden state is stored or cleared after the step."
    ),
    "attention": (
        "Left: share of attention of each step to the stored states. Right: what the age of these "
        "states alone would give. Dotted: steps that integrate."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each point, and for one run what blocking memory costs."""
    rows = []
    for name, at in networks(result):
        errors = np.atleast_1d(at.test_error.values)
        shown = errors[np.isfinite(errors)]
        if not len(shown):
            continue
        parameters = np.nanmax(at.parameters.values)
        row = {
            "network": name,
            "test error (%)": f"{shown.mean():.2f}",
            "seeds": " ".join(f"{error:.2f}" for error in shown),
            "Ba et al. 2016 (%)": mean_of(at["paper_error"]),
            "parameters": f"{parameters:.0f}",
        }
        if "lesion_error" in at:
            for blocked, column in BLIND.items():
                row[column] = mean_of(at["lesion_error"].sel(blocked=blocked))
            row["attention to its whole (%)"] = mean_of(own_share(at, "share"))
            row["by age alone (%)"] = mean_of(own_share(at, "recency_share"))
        rows.append(row)
    return rows


def one(at: xr.Dataset) -> xr.Dataset:
    """First of what ran, without the steps that longer layouts have."""
    dims = at["test_error"].dims
    if dims:
        places = np.argwhere(at["test_error"].notnull().values)[0]
        at = at.isel(dict(zip(dims, places, strict=True)))
    steps = np.flatnonzero(at["integrate"].notnull())
    return at.isel({dim: steps for dim in ("time", "past") if dim in at.dims})


def own_share(at: xr.Dataset, name: str) -> xr.DataArray:
    """Mean share of attention in % that integrating steps pay to the whole whose parts they put together.

    Over the steps that have a choice, since more than one state is stored; NaN without any.
    """
    layout = one(at)
    integrates, stored, level = (layout[key].values for key in ("integrate", "stored", "level"))
    places = [
        (step, max(time for time in range(step) if level[time] == level[step] and not integrates[time]))
        for step in np.flatnonzero(integrates)
        if stored[:step].sum() > 1
    ]
    shares = [at[name].isel(time=step, past=past) for step, past in places]
    found = xr.concat(shares, "step").mean() if shares else xr.DataArray(0.0)
    return 100 * found.where(found > 0)


def mean_of(values: xr.DataArray) -> str:
    """Mean over seeds as text."""
    return formatted(values.mean(), missing="–")


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the errors of a sweep, or the learning curve of a run; layout and attention of the first that was run."""
    first = one(result)
    swept = bool(result["test_error"].dims)
    figures = {"errors": plot_errors(result)} if swept else {"learning": plot_learning(result)}
    figures["layout"] = plot_layout(first)
    if "share" in first and bool((first["share"] > 0).any()):
        figures["attention"] = plot_attention(first)
    return figures


def plot_errors(result: xr.Dataset) -> Figure:
    """Test error of every point, each seed a dot, beside the paper's."""
    found = [(name, at) for name, at in networks(result) if bool(at.test_error.notnull().any())]
    made, axes = figure(width="double", aspect=0.14 + 0.04 * len(found))
    for place, (_, at) in enumerate(found):
        errors = np.atleast_1d(at.test_error.values)
        axes.plot(errors, np.full(len(errors), place), "o", color=COLOURS["blue"], label="here")
        if bool(at.paper_error.notnull()):
            axes.plot(
                at.paper_error, place, "D", mfc="none", color=COLOURS["vermillion"], label="Ba et al. 2016"
            )
    axes.set(xlabel="test error (%)", xscale="log", xlim=(0.7, 100), ylim=(len(found) - 0.5, -0.5))
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.set_yticks(range(len(found)), [name for name, _ in found])
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    made.legend(known.values(), known.keys(), loc="outside upper right", ncols=2)
    return made


def plot_layout(result: xr.Dataset) -> Figure:
    """The glimpses in their order; a frame for a whole, a mark for what happens to the hidden state."""
    side = round(result.sizes["pixel"] ** 0.5)
    columns = 6 if result.sizes["time"] % 6 == 0 else min(8, result.sizes["time"])
    rows = -(-result.sizes["time"] // columns)
    made, axes = figure(rows, columns, width="double", aspect=1.1, squeeze=False)
    for step, panel in enumerate(axes.flat):
        panel.set(xticks=[], yticks=[])
        if step >= result.sizes["time"]:
            panel.set_axis_off()
            continue
        at = result.isel(time=step)
        marks = [name for name, on in (("store", at.stored), ("clear", at.cleared)) if bool(on)]
        kind = "integrate" if bool(at["integrate"]) else f"level {int(at.level)}, part {int(at.part)}"
        panel.set_title(f"{step + 1}: {kind}", fontsize=7)
        panel.set_xlabel(" and ".join(marks), fontsize=7, color=COLOURS["vermillion"])
        if bool(at["integrate"]):
            panel.set_facecolor("0.85")
            panel.text(0.5, 0.5, "Σ", transform=panel.transAxes, ha="center", va="center", fontsize=14)
            panel.set_box_aspect(1)
        else:
            panel.imshow(at.glimpse.values.reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
        for spine in panel.spines.values():
            spine.set(visible=True, lw=1.5 if marks else 0.5, color=COLOURS["vermillion"] if marks else "0.6")
    return made


def plot_learning(result: xr.Dataset) -> Figure:
    """Draw validation error over epochs, and test error, beside the paper."""
    made, axes = figure()
    axes.plot(result.epoch, result.validation_error, "o-", label="validation")
    axes.plot(result.epoch[-1], result.test_error, "s", color=COLOURS["vermillion"], label="test")
    if np.isfinite(result.paper_error):
        axes.axhline(float(result.paper_error), color=COLOURS["green"], ls="--", label="Ba et al. 2016")
    title = f"{LABELS[result.attrs['model']]}, {result.attrs['units']} units"
    axes.set(xlabel="epoch", ylabel="error (%)", yscale="log", title=title)
    axes.legend()
    return made


def plot_attention(result: xr.Dataset) -> Figure:
    """Share of attention of every step to each stored state, and what their ages alone would give."""
    stored = np.flatnonzero(result["stored"].values)
    made, axes = figure(1, 2, width="double", aspect=1.1, sharey=True)
    for panel, (name, title) in zip(
        axes, (("share", "attention"), ("recency_share", "by age alone")), strict=True
    ):
        values = result[name].isel(past=stored).values
        picture = panel.imshow(values, aspect="auto", cmap="viridis", vmin=0, vmax=1)
        panel.set(title=title, xlabel="stored after step", xticks=range(len(stored)))
        panel.set_xticklabels(stored + 1)
        for step in np.flatnonzero(result["integrate"].values):
            panel.axhline(step, color="white", lw=0.5, ls=":")
    axes[0].set_ylabel("step (dotted: integrates)")
    axes[0].set_yticks(range(0, result.sizes["time"], 2), range(1, result.sizes["time"] + 1, 2))
    made.colorbar(picture, ax=axes.tolist(), label="share of attention")
    return made
