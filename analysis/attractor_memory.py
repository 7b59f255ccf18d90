"""After how many iterations does a trained loop still answer, where does it end, and what does it attend to on the way?

Works on a run and on a sweep. Shown are the error by count of iterations, of clean and damaged queries; the overlap of
the loop with the stored states, without the mean that all states share; and attention: its share on the pair asked
for, its share on the pair that attracts the loop (whose digit state is nearest to the end), its concentration and
entropy. Every searched memory is asked from many starts how many attractors its loop has, with the query's input and
without any, and what they answer. Tables have means over seeds with Student's t interval (95 %).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from torch import Tensor

import fwsim as fw
from fwsim.engine.cell import Cell
from fwsim.measure import InnerLoop
from fwsim.recording import labelled_dataset
from fwsim.study import COLOURS, each_point, each_setting, figure, formatted, join_runs, mean_interval

SETTINGS = (
    "schedule", "most", "after", "units", "pairs", "tau", "eta", "embedding", "epochs", "training_sequences",
    "learning_rate", "weight_decay",
)  # fmt: skip
SWEPT = (*SETTINGS, "seed")
STILL = 1e-3
"""A loop has settled if its last iteration changes it by less than this, relative to its length."""
RANDOM = 40
"""Random starts of a search: rectified normal states of the length of the stored ones."""
PERTURBED = (0.5, 1.0, 2.0)
"""Lengths of the noise added to stored states, over their length."""
DRAWS = 5  # perturbed starts for each stored state and length
LIMIT = 500  # iterations of a search
SHOWN = 24  # iterations of a portrait
QUERIES = ("all", "digit stored once")


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Errors, overlaps, attention and attractors of each network."""
    result = each_point(recording, [dim for dim in SWEPT if dim in recording.dims], network)
    for name, label in LABELS.items():
        result[name].attrs = {"units": "1", "long_name": label}
    return result


def join(recordings: Iterable[xr.Dataset]) -> xr.Dataset:
    """Networks of several runs, as those of one sweep over schedules."""
    return join_runs(recordings, analyse, ["schedule"])


LABELS = {
    "right": "share of attention on the pair asked for",
    "attracting": "share of attention on the pair that attracts the loop",
    "concentration": "concentration of attention Σ share²",
    "entropy": "entropy of attention",
    "hit": "queries that attend most to the pair asked for",
    "overlap_right": "centred overlap with the digit's state of the pair asked for",
    "overlap_other": "centred overlap with the digits' states of other pairs",
    "nearest": "queries nearest to the pair asked for",
    "settled": "loops that have settled",
    "attractors": "attractors in a memory",
    "answers": "stored digits whose state leads to an attractor that answers them",
    "random_answers": "random starts that end at an attractor which answers a stored digit",
    "returns": "perturbed stored states that end where the stored state does",
}


def network(one: xr.Dataset) -> xr.Dataset:
    """All of one network."""
    errors = one[["error", "error_noise", "error_deleted"]]
    settled = (one["change"] < STILL).mean().rename("settled")
    return xr.merge([errors, attended(one), neared(one), settled, searched(one)], combine_attrs="drop")


def digit_states(one: xr.Dataset) -> xr.DataArray:
    """States written with each pair's digit, `[trial, stored, unit]`; they hold letter and digit."""
    return one["past"].isel(past=slice(1, 2 * one.sizes["stored"], 2)).rename(past="stored")


def overlaps(one: xr.Dataset) -> xr.DataArray:
    """Cosines of the loop with the digits' states, less the mean of all states: `[trial, iteration, stored]`."""
    mean = one["past"].mean(["trial", "past"])
    return fw.measure.overlap(one["path"], digit_states(one).rename(stored="pattern"), centre=mean).rename(
        pattern="stored"
    )


def neared(one: xr.Dataset) -> xr.Dataset:
    """How near the loop is to the stored states, by iteration."""
    overlap, asked = overlaps(one), one["pair"].astype(int)
    right = overlap.isel(stored=asked)
    others = (overlap.sum("stored") - right) / (one.sizes["stored"] - 1)
    nearest = overlap.argmax("stored") == asked
    return by_query(one, {"overlap_right": right, "overlap_other": others, "nearest": nearest})


def attended(one: xr.Dataset) -> xr.Dataset:
    """How attention is shared, by iteration; shares are of the absolute attention."""
    attention, asked, pairs = one["attention"], one["pair"].astype(int), one.sizes["stored"]
    share = abs(attention) / abs(attention).sum("past")

    def of_pairs(values: xr.DataArray) -> xr.DataArray:
        both = [values.isel(past=slice(place, 2 * pairs, 2)).rename(past="stored") for place in (0, 1)]
        return both[0] + both[1]

    end = overlaps(one).isel(iteration=-1, drop=True).argmax("stored")
    return by_query(
        one,
        {
            "right": of_pairs(share).isel(stored=asked),
            "attracting": of_pairs(share).isel(stored=end),
            "concentration": (share**2).sum("past"),
            "entropy": -(share * np.log(share.where(share > 0, 1))).sum("past"),
            "hit": of_pairs(attention).argmax("stored") == asked,
        },
    )


def by_query(one: xr.Dataset, values: dict[str, xr.DataArray]) -> xr.Dataset:
    """Means over all queries, and over those whose digit is stored once: others may end at either of two pairs."""
    digits = one["digits"]
    once = (digits == digits.isel(stored=one["pair"].astype(int))).sum("stored") == 1
    means = xr.Dataset({name: each.mean("trial") for name, each in values.items()})
    distinct = xr.Dataset(
        {name: each.astype(float).where(once).mean("trial") for name, each in values.items()}
    )
    return xr.concat([means, distinct], "queries").assign_coords(queries=list(QUERIES))


def searched(one: xr.Dataset) -> xr.Dataset:
    """Search the attractors of every recorded memory, with the query's input and without."""
    generator = torch.Generator().manual_seed(0)  # of the starts
    kinds = {"query": 1.0, "none": 0.0}
    found = [
        xr.concat([attractors(one, trial, scale, generator) for trial in range(one.sizes["searched"])], "m")
        for scale in kinds.values()
    ]
    result = xr.concat(found, "input").mean("m").assign_coords(input=list(kinds), perturbed=list(PERTURBED))
    return result.merge(portrait(one, generator))


def attractors(one: xr.Dataset, trial: int, scale: float, generator: torch.Generator) -> xr.Dataset:
    """Attractors of one memory, what they answer, and from where they are reached."""
    loop = inner_loop(one, trial, scale)
    past, stored = tensor(one["past"][trial]), tensor(digit_states(one)[trial])
    noise = torch.randn(len(PERTURBED), DRAWS, *stored.shape, generator=generator, dtype=stored.dtype)
    size = torch.tensor(PERTURBED).view(-1, 1, 1, 1) * stored.norm(dim=-1, keepdim=True)
    perturbed = (stored + size * noise / noise.norm(dim=-1, keepdim=True)).relu()
    random = random_starts(past, RANDOM, generator)
    starts = torch.cat([stored, random, past, loop.start, perturbed.flatten(0, 2)])
    ends = fw.measure.basins(loop, starts, iterations=LIMIT)
    answer = np.append(answers(one, torch.as_tensor(ends["state"].values)), -1)  # −1: none was reached
    end, digits = ends["end"].values, one["digits"].values[trial]
    first, last = end[: len(stored)], end[-perturbed.shape[:-1].numel() :].reshape(perturbed.shape[:-1])
    return xr.Dataset(
        {
            "attractors": float(ends.sizes["attractor"]),
            "answers": float((answer[first] == digits).mean()),
            "random_answers": float(np.isin(answer[end[len(stored) :][:RANDOM]], digits).mean()),
            "returns": ("perturbed", ((last == first) & (first >= 0)).mean((1, 2))),
        }
    )


def inner_loop(one: xr.Dataset, trial: int, scale: float) -> InnerLoop:
    """The loop of one memory, with so much of the query's input."""
    gain, bias = tensor(one["gain"]), tensor(one["bias"])
    cell = Cell(torch.diag(gain), gain, bias, 1, "relu", "inner", "final")
    return InnerLoop(cell, tensor(one["memory"][trial]), scale * tensor(one["sustained"][trial]))


def random_starts(states: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rectified normal states of the mean length of `states`."""
    noise = torch.randn(count, states.shape[1], generator=generator, dtype=states.dtype).relu()
    return noise * states.norm(dim=-1).mean() / noise.norm(dim=-1, keepdim=True)


def answers(one: xr.Dataset, states: Tensor) -> np.ndarray:
    """Digit that the readout makes of states `[batch, unit]`."""
    layer = torch.relu(states @ tensor(one["readout_in"]).T + tensor(one["readout_bias"]))
    return (layer @ tensor(one["class_in"]).T + tensor(one["class_bias"])).argmax(-1).numpy()


def portrait(one: xr.Dataset, generator: torch.Generator) -> xr.Dataset:
    """Paths of the loop of the first memory without input, in the plane in which they end furthest apart."""
    loop, stored = inner_loop(one, 0, 0.0), tensor(digit_states(one)[0])
    path = [torch.cat([stored, random_starts(stored, RANDOM, generator)])]
    for _ in range(SHOWN):
        path.append(loop(path[-1]))
    settled = path[-1]
    for _ in range(LIMIT):
        settled = loop(settled)
    paths = torch.stack([*path, settled], dim=1)
    ends = xr.DataArray(paths[:, -1].numpy(), dims=("start", "unit"))
    plane = fw.measure.principal_components(ends, count=2, dim="start")
    paths = xr.DataArray(paths.numpy(), dims=("start", "step", "unit"))
    seen = xr.dot(paths - plane["mean"], plane["component"], dim="unit").transpose("start", "step", "mode")
    values = {
        "portrait": (seen.dims, seen.values, "1", "principal component"),
        "portrait_answer": ("start", answers(one, settled), "1", "digit answered at the end"),
        "portrait_digit": ("stored", one["digits"].values[0], "1", "digit stored"),
    }
    return labelled_dataset(values)


def tensor(values: xr.DataArray) -> Tensor:
    return torch.as_tensor(values.values, dtype=torch.float64)


EXPLAINED = {
    "error after * (%)": "wrong answers after so many iterations, with the 95 % interval over networks",
    "largest error (%)": "largest error of any network after any number of iterations above 0",
    "settled (%)": "loops that no longer change",
    "attractors without input": "attractors in a memory, with the query's input left out",
    "stored digits that lead to their answer (%)": "stored states whose loop ends at an attractor with their digit",
    "*, 0 → 64": "mean before the loop and after 64 iterations, and the change with its 95 % interval",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "iterations": (
        "The query's inner loop over its iterations: error, overlap with the right stored state, "
        "attention to the attracting pair, and concentration of attention. Lines: means over seeds; "
        "bands: their range."
    ),
    "damage": (
        "Error of damaged queries over inner iterations. Left: with noise; right: with parts deleted. "
        "Colours: how much."
    ),
    "portrait": (
        "Paths of the inner loop of one memory without input, along the first two principal components: "
        "from stored states (blue) and from random ones (light), to fixed points (stars) and their "
        "answers."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each setting: errors, where the loop ends, and how that and attention change from h_0 on."""
    rows = []
    for values, at in each_setting(result, [dim for dim in SETTINGS if dim in result.dims]):
        row: dict[str, object] = {name.replace("_", " "): value for name, value in values.items()}
        row["seeds"] = at.sizes.get("seed", 1)
        for count in (1, 8, 64, 256):
            row[f"error after {count} (%)"] = formatted(
                mean_interval(at["error"].sel(iteration=count)), ".2f"
            )
        largest = at["error"].sel(iteration=slice(1, None)).max("iteration")
        row["largest error (%)"] = formatted(float(largest.max()), ".2f")
        row["settled (%)"] = formatted(mean_interval(at["settled"]), ".1f", scale=100)
        alone = at.sel(input="none")
        row["attractors without input"] = formatted(mean_interval(alone["attractors"]), ".2f")
        row["stored digits that lead to their answer (%)"] = formatted(
            mean_interval(alone["answers"]), ".1f", scale=100
        )
        for name, queries, label in CHANGES:
            start, late = (at[name].sel(iteration=count, queries=queries) for count in (0, 64))
            both = f"{float(start.mean()):.3f} → {float(late.mean()):.3f}"
            row[f"{label}, 0 → 64"] = f"{both} ({formatted(mean_interval(late - start), '+.3f')})"
        rows.append(row)
    return rows


CHANGES = (
    ("overlap_right", "all", "overlap with the right state"),
    ("attracting", "all", "attention on the attracting pair"),
    ("concentration", "all", "Σ share²"),
    ("hit", "all", "attend most to the right pair"),
    ("hit", "digit stored once", "the same, digit stored once"),
)


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw errors, overlaps and attention by iteration; damaged queries; and one landscape."""
    return {
        "iterations": plot_iterations(result),
        "damage": plot_damage(result),
        "portrait": plot_portrait(result),
    }


def shown(result: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Name and result of each setting."""
    dims = [dim for dim in SETTINGS if dim in result.dims]
    named = [(", ".join(map(str, values.values())), at) for values, at in each_setting(result, dims)]
    return [(name.replace("_", " "), at) for name, at in named]


def plot_iterations(result: xr.Dataset) -> Figure:
    """Error, overlap and attention over iterations, mean and range over seeds."""
    made, axes = figure(2, 2, width="double", aspect=0.65)
    for (name, at), colour in zip(shown(result), cycle(COLOURS.values()), strict=False):
        for panel, variable in zip(
            axes.flat, ("error", "overlap_right", "attracting", "concentration"), strict=True
        ):
            at = at.sel(queries="all") if "queries" in at.dims else at
            values = at[variable] if "seed" in at.dims else at[variable].expand_dims("seed")
            mean, low, high = values.mean("seed"), values.min("seed"), values.max("seed")
            panel.fill_between(mean.iteration, low, high, color=colour, alpha=0.15, lw=0)
            panel.plot(mean.iteration, mean, color=colour, label=name or "this network")
    for panel, label in zip(
        axes.flat,
        (
            "error (%)",
            "overlap with the right state",
            "attention to the attracting pair",
            "Σ share² of attention",
        ),
        strict=True,
    ):
        panel.set(xscale="symlog", xlim=(0, None), xlabel="inner iteration", ylabel=label)
    axes[0, 0].set_ylim(-1, 65)
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return made


TITLES = {"noise": "noise / length of the query", "deleted": "deleted fraction of the query"}


def plot_damage(result: xr.Dataset) -> Figure:
    """Errors of damaged queries over iterations, for the first setting."""
    name, at = shown(result)[0]
    made, axes = figure(1, 2, width="double", aspect=0.7, sharey=True)
    for panel, kind in zip(axes, ("noise", "deleted"), strict=True):
        error = at[f"error_{kind}"].sel(iteration=slice(1, None)).dropna("iteration")
        error = error.mean("seed") if "seed" in error.dims else error
        for level, colour in zip(error[kind].values, cycle(COLOURS.values()), strict=False):
            panel.plot(
                error.iteration, error.sel({kind: level}), "o-", ms=3, color=colour, label=f"{level:g}"
            )
        panel.set(xscale="log", xlabel="inner iteration", ylim=(0, 50))
        panel.legend(title=TITLES[kind], ncols=3, loc="upper center")
    axes[0].set_ylabel("error (%)")
    made.suptitle(name)
    return made


def plot_portrait(result: xr.Dataset) -> Figure:
    """Paths from random and from stored states to the attractors of one memory, without input."""
    settings = shown(result)[:3]
    made, grid = figure(
        1, len(settings), width="double" if len(settings) > 1 else "single", aspect=0.9, squeeze=False
    )
    labels = []  # text, point, first place, colour, by panel
    for panel, (name, at) in zip(grid[0], settings, strict=True):
        at = at.isel(seed=0) if "seed" in at.dims else at
        paths, stored = at["portrait"].values, at["portrait_digit"].values
        for path in paths[len(stored) :]:
            panel.plot(*path.T, color=COLOURS["sky"], lw=0.6, zorder=1)
        labels.append([])
        for place, digit in enumerate(stored):
            panel.plot(*paths[place].T, ".-", color=COLOURS["blue"], lw=1, ms=3, zorder=2)
            labels[-1].append((f"stored {digit:.0f}", paths[place, 0], (6, -16), COLOURS["blue"]))
        ends, first = np.unique(paths[:, -1].round(1), axis=0, return_index=True)
        for end, start in zip(ends, first, strict=True):
            panel.plot(*end, "*", ms=9, color=COLOURS["vermillion"], zorder=3)
            answer = f"answers {at['portrait_answer'].values[start]:.0f}"
            labels[-1].append((answer, end, (0, -12), COLOURS["black"]))
        panel.set(xlabel="first component", title=name)
    grid[0, 0].set_ylabel("second component")
    made.draw_without_rendering()  # so that panels have their sizes
    for panel, texts in zip(grid[0], labels, strict=True):
        taken: list[Bbox] = []
        for text in texts:
            taken.append(beside(panel, *text, taken))
    return made


def beside(
    panel: Axes, text: str, point: np.ndarray, place: tuple[int, int], colour: str, taken: list[Bbox]
) -> Bbox:
    """Write a text beside a point, at a place in points from it, or above or below if others are there; its box."""
    look = {"textcoords": "offset points", "color": colour, "fontsize": "small", "zorder": 4}
    label = panel.annotate(text, point, xytext=place, **look)
    for up in (0, 24, -12, 36, -24, 48):
        label.xyann = (place[0], place[1] + up)
        box = label.get_window_extent().padded(2)
        if not any(box.overlaps(other) for other in taken):
            break
    return box
