"""What are typical synapses of each group of recorded pairs, and how much do pairs of one group differ?

Shown are, for each group, the values of its typical pair with their intervals, and the standard deviation over its
pairs on the unbounded scale (logarithms of times and gains, logits of probabilities).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from fwsim.study import COLOURS, figure, formatted

SWEPT = ()  # of a sweep, each point is analysed by itself
SHOWN = {"U": "U", "tau_rec": "τ_rec (ms)", "tau_facil": "τ_facil (ms)"}
AGREE = 1.1  # R̂ below which chains agree


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Sort groups by their number of pairs."""
    result = recording.load()
    return result.isel(group=np.argsort(-result.cells.isel(parameter=0).values, kind="stable"))


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make a row for each group."""
    rows: list[dict[str, object]] = []
    for group in result.group.values:
        one = result.sel(group=group)
        row: dict[str, object] = {"group": str(group), "pairs": int(one.cells[0])}
        for name, label in SHOWN.items():
            part, scale = one.sel(parameter=name), 1e3 if name.startswith("tau") else 1
            low, high = (scale * float(part[end]) for end in ("typical_low", "typical_high"))
            row[label] = formatted(scale * part.typical, ".3g")
            row[f"{label}: interval"] = f"{low:.3g} … {high:.3g}"
            row[f"{label}: spread"] = formatted(part.spread, ".2f")
        row["R̂"] = formatted(one.r_hat.sel(parameter=list(SHOWN)).max(), ".2f")
        rows.append(row)
    return rows


EXPLAINED = {
    "*: interval": "95 % interval of the typical value",
    "*: spread": "standard deviation over pairs of the logit (U) or the logarithm (time constants)",
    "R̂": f"largest potential scale reduction of the row; chains agree below {AGREE}",
}
CAPTIONS = {
    "*": (
        "U, τ_rec and τ_facil of each class of synapses: typical pair (dots) with 95 % interval (blue), "
        "and one standard deviation over pairs to both sides (orange). Numbers of pairs are in "
        "parentheses."
    ),
}


def plot(result: xr.Dataset) -> Figure:
    """Draw the typical values of each group with their intervals, and the range of two thirds of its pairs."""
    height = 0.12 + 0.045 * result.sizes["group"]
    made, axes = figure(
        1, len(SHOWN), width="double", aspect=max(0.6, 3 * height / 2), squeeze=False, sharey=True
    )
    rows = np.arange(result.sizes["group"])[::-1]
    for axis, (name, label) in zip(axes[0], SHOWN.items()):
        one, scale = result.sel(parameter=name), 1e3 if name.startswith("tau") else 1
        centre = np.log(one.typical) if scale > 1 else np.log(one.typical / (1 - one.typical))
        ends = [np.exp(centre + side * one.spread) for side in (-1, 1)]
        ends = ends if scale > 1 else [end / (1 + end) for end in ends]
        axis.hlines(rows, scale * ends[0], scale * ends[1], color=COLOURS["orange"], lw=1)
        sides = [one.typical - one.typical_low, one.typical_high - one.typical]
        axis.errorbar(
            scale * one.typical,
            rows,
            xerr=scale * np.array(sides),
            fmt="o",
            ms=3,
            lw=2.5,
            color=COLOURS["blue"],
        )
        axis.set(xlabel=label, xscale="log" if scale > 1 else "linear")
    counts = result.cells.isel(parameter=0).values
    axes[0, 0].set_yticks(rows, [f"{group} ({int(n)})" for group, n in zip(result.group.values, counts)])
    return made
