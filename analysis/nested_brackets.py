"""From how many levels down does a network return to the bracket that it left, and with which time constant?

Works on a run and on a sweep. Shown is the error at a closing bracket against the number of levels that were opened and
closed inside it, beside that of chance; and how deep each network goes: the most levels inside up to which fewer than
a tenth of the answers are wrong.
"""

from __future__ import annotations

import itertools

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, each_setting, figure, formatted

SWEPT = (
    *(
        "model",
        "units",
        "tau",
        "eta",
        "inner_steps",
        "opening",
        "embedding",
        "steps",
        "batch",
        "learning_rate",
    ),
    *("test_sequences", "seed"),
)
RETURNED = 10.0  # % of answers that may be wrong where a network returns
LABELS = {"fast_weights": "fast weights", "no_memory": "no memory (RNN + LN)", "lstm": "LSTM"}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors by levels inside, and how deep networks go."""
    config = configuration(recording)
    result = recording[["test_error", "level_error", "closings", "validation", "parameters"]].load()
    result["validation_error"] = labelled(100 * result["validation"], "validation error", "%")
    returned = (result["level_error"] < RETURNED).cumprod("inside").sum("inside") - 1
    returned = returned.where(result["test_error"].notnull())
    result["deepest"] = labelled(returned, "levels inside up to which a network returns; −1 for none")
    result["chance"] = labelled(xr.DataArray(100 * (1 - 1 / config["symbols"])), "error by chance", "%")
    result.attrs = {
        "experiment_configuration": recording.attrs["experiment_configuration"],
        "model": config["model"],
        "tau": config["tau"],
    }
    return result


def networks(result: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Each network's name and results, seeds together."""
    result = result if "seed" in result.dims else result.expand_dims("seed")
    found = []
    for values, at in each_setting(result, [dim for dim in result["test_error"].dims if dim != "seed"]):
        model = str(values.pop("model", result.model))
        if model == "fast_weights":
            values.setdefault("tau", result.tau)
        else:
            values.pop("tau", None)
        others = "".join(
            f", τ = {value:.3g} s" if name == "tau" else f", {name} {value}" for name, value in values.items()
        )
        found.append((LABELS.get(model, model) + others, at))
    return found


EXPLAINED = {
    "test error (%)": "wrong answers over all closing brackets, one number for each seed",
    "returns from": "largest number of levels inside, up to which less than 10 % are wrong, for each seed",
    "* inside (%)": "wrong answers if so many levels were opened and closed inside the bracket",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "levels": (
        "Error against the number of levels that were opened and closed inside a bracket. Lines: means "
        "over seeds; dots: seeds; dotted: chance."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each network: error over all closings, how deep it goes, error at each number of levels inside."""
    rows = []
    for name, at in networks(result):
        errors = [formatted(value, missing="failed") for value in at["test_error"].values]
        deepest = [formatted(value, ".0f", missing="failed") for value in at["deepest"].values]
        levels = at["level_error"].mean("seed")
        rows.append(
            {
                "network": name,
                "test error (%)": " ".join(errors),
                "returns from": " ".join(deepest),
                **{
                    f"{int(inside)} inside (%)": formatted(levels.sel(inside=inside), ".1f", missing="failed")
                    for inside in levels.inside
                },
            }
        )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Error against levels inside, a line for each network with its seeds as dots."""
    made, axes = figure(width="double", aspect=0.5)
    colours = itertools.cycle(COLOURS[name] for name in COLOURS if name != "black")
    for (name, at), colour in zip(networks(result), colours, strict=False):
        style = "-" if name.startswith(LABELS["fast_weights"]) else "--"
        axes.plot(at.inside, at["level_error"].mean("seed"), style, color=colour, label=name)
        axes.plot(at.inside, at["level_error"].transpose("inside", "seed"), "o", ms=3, color=colour)
    axes.axhline(float(result.chance), color=COLOURS["black"], ls=":", label="chance")
    axes.set(xlabel="levels opened and closed inside", ylabel="error (%)", ylim=(-3, 100))
    axes.set_xticks(np.arange(result.sizes["inside"]))
    axes.legend()
    return {"levels": made}
