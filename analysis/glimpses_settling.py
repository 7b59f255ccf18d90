"""After how many iterations do integrating steps still answer, and does their loop end at a stored whole?

Works on runs and sweeps of `glimpses_settling`. Shown are the error by the number of iterations of all integrating
steps, and for the loop of the last one: the overlap with the whole that was stored latest, of the quadrant whose
parts were just seen, and with the other three (cosines after the mean of all stored states is subtracted); the share
of the absolute attention on the latest; and the concentration of attention Σ share². Intervals are Student's t over
networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import xarray as xr
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.study import COLOURS, each_point, each_setting, figure, formatted, join_runs, mean_interval

SETTINGS = (
    "schedule", "most", "after", "units", "tau", "eta", "embedding", "epochs", "learning_rate", "weight_decay",
    "training_images",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
STILL = 1e-3
"""A loop has settled if its last iteration changes it by less than this, relative to its length."""
LABELS = {
    "overlap": "centred overlap with the latest whole",
    "others": "centred overlap with the other wholes",
    "nearest": "loops nearest to the latest whole",
    "share": "share of attention on the latest whole",
    "concentration": "concentration of attention Σ share²",
    "settled": "loops that have settled",
}


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors, overlaps and attention of each network."""
    result = each_point(recording, [dim for dim in SWEPT if dim in recording.dims], network)
    for name, label in LABELS.items():
        result[name].attrs = {"units": "1", "long_name": label}
    return result


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Results of several runs as one, by schedule and seed."""
    return join_runs(recordings, analyse, ["schedule"])


def network(one: xr.Dataset) -> xr.Dataset:
    """All of one network."""
    centre = one["stored"].mean(["trial", "past"])
    overlap = fw.measure.overlap(one["path"], one["stored"].rename(past="pattern"), centre=centre)
    share = abs(one["attention"]) / abs(one["attention"]).sum("past")
    latest = one.sizes["past"] - 1
    return xr.Dataset(
        {
            "error": one["error"],
            "overlap": overlap.isel(pattern=latest).mean("trial"),
            "others": overlap.isel(pattern=slice(0, latest)).mean(["trial", "pattern"]),
            "nearest": (overlap.argmax("pattern") == latest).mean("trial"),
            "share": share.isel(past=latest).mean("trial"),
            "concentration": (share**2).sum("past").mean("trial"),
            "settled": (one["change"] < STILL).mean(),
        }
    )


EXPLAINED = {
    "error after * (%)": "wrong answers with so many iterations of every integrating step",
    "settled (%)": "loops of the last step that no longer change after 64 iterations",
    "*, 0 → 64": "mean before the loop and after 64 iterations, and the change with its 95 % interval",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "settling": (
        "Integrating steps over their iterations: error, overlap with the whole that was stored latest, share of "
        "attention on it, and Σ share². Lines: means over networks; bands: their range."
    ),
}

CHANGES = {
    "overlap": "overlap with the latest whole",
    "others": "overlap with the others",
    "share": "attention on the latest whole",
    "concentration": "Σ share²",
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting."""
    rows = []
    for values, at in each_setting(result, [dim for dim in SETTINGS if dim in result.dims]):
        row: dict[str, object] = {name.replace("_", " "): value for name, value in values.items()}
        row["networks"] = at.sizes.get("seed", 1)
        for count in (1, 4, 16, 64):
            row[f"error after {count} (%)"] = formatted(mean_interval(at["error"].sel(count=count)))
        row["settled (%)"] = formatted(mean_interval(at["settled"]), ".1f", scale=100)
        row["nearest to the latest whole (%)"] = formatted(
            mean_interval(at["nearest"].sel(iteration=64)), ".1f", scale=100
        )
        for name, label in CHANGES.items():
            start, late = (at[name].sel(iteration=count) for count in (0, 64))
            both = f"{float(start.mean()):.3f} → {float(late.mean()):.3f}"
            row[f"{label}, 0 → 64"] = f"{both} ({formatted(mean_interval(late - start), '+.3f')})"
        rows.append(row)
    return rows


PANELS = {
    "error": "error (%)",
    "overlap": "overlap with the latest whole",
    "share": "attention on the latest whole",
    "concentration": "Σ share² of attention",
}


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw error, overlap and attention by iteration."""
    made, axes = figure(2, 2, width="double", aspect=0.65)
    settings = list(each_setting(result, [dim for dim in SETTINGS if dim in result.dims]))
    for (values, at), colour in zip(settings, cycle(COLOURS.values()), strict=False):
        label = ", ".join(map(str, values.values())) or "this network"
        for axis, name in zip(axes.flat, PANELS, strict=True):
            lines = at[name] if "seed" in at.dims else at[name].expand_dims("seed")
            at_count = lines[next(dim for dim in lines.dims if dim != "seed")]
            axis.fill_between(at_count, lines.min("seed"), lines.max("seed"), color=colour, alpha=0.15, lw=0)
            axis.plot(at_count, lines.mean("seed"), color=colour, label=label)
    for axis, label in zip(axes.flat, PANELS.values(), strict=True):
        axis.set(xscale="symlog", xlim=(0, None), xlabel="inner iteration", ylabel=label)
    axes[0, 0].set_ylim(0, None)
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return {"settling": made}
