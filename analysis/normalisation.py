"""On what area of decay and strength does each normalisation learn?

Works on a run and on a sweep over `normalise`, `decay` and `eta`. A network has learned if its error is below half of
that without binding. Shown are the errors on the grid, the mean over seeds, and the area: the fraction of the grid's
networks that have learned, with the interval of Student's t over seeds: points of the grid are no random sample.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import figure

LABELS = {
    "layer": "layer norm",
    "none": "none",
    "divisive": "divisive",
    "subtractive": "subtractive",
}
GRID = ("normalise", "decay", "eta", "seed")
SWEPT = GRID


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors, what has learned or diverged, and areas."""
    recording = recording[["test_error", "plateau", "diverged"]].load()
    config = recording.attrs["experiment_configuration"]
    missing = [dim for dim in GRID if dim not in recording.dims]
    recording = recording.expand_dims(missing)
    ran = recording["test_error"].notnull() | (recording["diverged"] == 1)  # the others failed
    learned = (recording["test_error"] < recording["plateau"] / 2).where(ran)
    over = [dim for dim in recording["test_error"].dims if dim != "normalise"]
    result = recording.copy()
    result["error"] = labelled(recording["test_error"].mean("seed"), "test error", "%")
    result["learned"] = labelled(learned.mean("seed"), "networks that have learned")
    result["area"] = labelled(learned.mean(over), "area: fraction of the grid's networks that have learned")
    of_seeds = learned.mean([dim for dim in over if dim != "seed"]).transpose("seed", "normalise")
    _, low, high = bootstrap(of_seeds.values).clip(0, 1)
    result["area_low"] = labelled(xr.DataArray(low, dims="normalise"), "lower end of the 95 % interval")
    result["area_high"] = labelled(xr.DataArray(high, dims="normalise"), "upper end of the 95 % interval")
    result["diverged_area"] = labelled(
        recording["diverged"].astype(float).mean(over), "fraction of the grid's networks that diverged"
    )
    result.attrs = {"experiment_configuration": config}
    return result


EXPLAINED = {
    "area (%)": "networks of the grid of decays and strengths that learn: less than half the error of no binding",
    "95 %": "Student's t interval of the area over seeds",
    "diverged (%)": "networks of the grid whose states became infinite",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "*": (
        "Test error (mean over seeds) on the grid of strength η and decay λ, for each field of the "
        "inner loop. Yellow: learned; crosses: every network diverged."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each normalisation."""
    rows = []
    for place, name in enumerate(names(result)):
        at = result.isel(normalise=place)
        if not bool(at.area.notnull()):
            rows.append({"normalised by": name, "area (%)": "failed"})
            continue
        rows.append(
            {
                "normalised by": name,
                "area (%)": f"{100 * float(at.area):.0f}",
                "95 %": f"{100 * float(at.area_low):.0f} – {100 * float(at.area_high):.0f}",
                "diverged (%)": f"{100 * float(at.diverged_area):.0f}",
                "best error (%)": f"{float(at.test_error.min()):.2f}",
            }
        )
    return rows


def names(result: xr.Dataset) -> list[str]:
    """What people call the normalisations; nothing where only one was run."""
    given = result["normalise"].values if "normalise" in result.coords else [""]
    return [LABELS.get(str(name), str(name)) for name in given]


def plot(result: xr.Dataset) -> Figure:
    """Error on the grid of decay and strength, one panel for each normalisation."""
    shown = names(result)
    made, axes = figure(1, len(shown), width="double", aspect=1.1, sharey=True, squeeze=False)
    for place, (panel, name) in enumerate(zip(axes[0], shown, strict=True)):
        error = result["error"].isel(normalise=place).transpose("decay", "eta")
        picture = panel.imshow(error, origin="lower", aspect="auto", cmap="viridis_r", vmin=0, vmax=50)
        for dim, ticks in (("eta", panel.set_xticks), ("decay", panel.set_yticks)):
            if dim in result.coords:
                ticks(range(result.sizes[dim]), [f"{value:g}" for value in result[dim].values])
        crossed = np.argwhere(
            (result["diverged"] == 1).isel(normalise=place).transpose("decay", "eta", "seed").values.all(-1)
        )
        for row, column in crossed:
            panel.text(column, row, "×", ha="center", va="center", color="white")
        panel.set(title=name, xlabel="strength η")
        panel.plot([], [], "x", color="black", ms=4, label="all networks diverged")
    axes[0, 0].set_ylabel("decay λ of a step")
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower right")
    made.colorbar(picture, ax=axes[0, :].tolist(), label="test error (%)")
    return made
