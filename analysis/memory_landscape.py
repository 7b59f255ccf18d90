"""Where does the inner loop of a trained network lead, and what do stored items do to it?

At every step the loop is frozen and its fixed points are searched from random states, from all states stored so
far and from h_0. Shown are the spectrum of the fast-weight matrix as items are stored; how many attractors there
are and how strongly they attract; the answer that the query would get from the memory of every earlier step;
the answers to all keys that could have been asked; and the basins around the stored states.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor

import fwsim as fw
from fwsim.engine.cell import Cell
from fwsim.progress import track
from fwsim.study import COLOURS, figure, standard_error

SWEPT = ()  # of a sweep, each point is analysed by itself

RANDOM = 48
"""Random starts of every search, rectified normal states of the length of the recorded ones."""

NOISE = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Lengths of the noise added to stored states, over the length of the state."""

SPECTRUM = 12
PORTRAIT = 15  # iterations drawn
SETTLED = 300  # iterations
WHEN = ("as trained", "settled")
"""Answers are read after the iterations that the network was trained for, and when its loop has settled."""


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Search the landscapes of all recorded steps."""
    recording = recording.load()
    generator = torch.Generator().manual_seed(0)  # of the starts
    trials = range(recording.sizes["trial"])
    with track("landscapes", len(trials)) as advance:
        parts = []
        for trial in trials:
            parts.append(landscape(recording.isel(trial=trial), generator))
            advance()
    result = xr.concat(parts, "trial", join="outer")
    result["presented"] = 2 * recording["pair"] + 2
    result = result.merge(portrait(recording.isel(trial=0), generator))
    for name, label in LABELS.items():
        result[name].attrs = {"units": "1", "long_name": label}
    return result


LABELS = {
    "eigenvalue": "eigenvalue of the fast-weight matrix",
    "stable": "number of stable fixed points",
    "unstable": "number of unstable fixed points",
    "slow": "number of slow points",
    "contraction": "largest |eigenvalue| at the fixed point that h_0 leads to",
    "share": "share of random starts that end where h_0 does",
    "earlier_right": "right answer if the memory of this step is asked",
    "earlier_overlap": "overlap with the state that the whole memory leads to",
    "key_right": "right answer to the key of this pair",
    "basin_right": "share of noisy stored states that end at the right answer",
    "basin_same": "share of noisy stored states that end where h_0 does",
    "presented": "steps until the pair asked for is stored",
}


def landscape(one: xr.Dataset, generator: torch.Generator) -> xr.Dataset:
    """Landscape of each step of one trial, and of its query under other memories, keys and starts."""
    hidden = tensor(one["hidden"])
    steps = [step_landscape(one, step, generator) for step in range(1, len(hidden))]
    per_step = {name: np.array([step[name] for step in steps]) for name in steps[0]}
    result = xr.Dataset({name: ("step", values) for name, values in per_step.items() if values.ndim == 1})
    result["eigenvalue"] = ("step", "mode"), per_step["eigenvalue"]
    last = len(hidden) - 1
    target = int(one["target"])

    query = frozen(one, last)
    end = settle(query, query.start, SETTLED)
    earlier = [frozen(one, last, memory=step) for step in range(1, last + 1)]
    asked = [frozen(one, last, sustained=z) for z in tensor(one["query_sustained"])]
    for name, loops, right in (
        ("earlier_right", earlier, target),
        ("key_right", asked, one["digits"].values),
    ):
        answers = [
            answer(one, torch.cat([settle(loop, loop.start, iterations) for loop in loops]))
            for iterations in (one.attrs["inner_steps"], SETTLED)
        ]
        dimension = "step" if loops is earlier else "asked"
        result[name] = ("when", dimension), np.array(answers) == right
    ends = torch.cat([settle(loop, loop.start, SETTLED) for loop in earlier])
    result["earlier_overlap"] = "step", torch.nn.functional.cosine_similarity(ends, end, dim=-1).numpy()

    right, same = zip(
        *(noisy(one, query, hidden[:last], end, size, generator) for size in NOISE), strict=True
    )
    result["basin_right"] = "noise", np.array(right)
    result["basin_same"] = "noise", np.array(same)
    return result.assign_coords(
        step=np.arange(1, last + 1), noise=list(NOISE), mode=np.arange(SPECTRUM), when=list(WHEN)
    )


def portrait(one: xr.Dataset, generator: torch.Generator) -> xr.Dataset:
    """Paths of the loop from random and from stored states, before the query and at it, for one trial."""
    hidden = tensor(one["hidden"])
    last = len(hidden) - 1
    random = random_starts(hidden, 16, generator)
    paths = []
    for step in (last - 1, last):
        loop = frozen(one, step)
        path = [torch.cat([loop.start, random])]
        for _ in range(PORTRAIT):
            path.append(loop(path[-1]))
        paths.append(torch.stack(path, dim=1).numpy())
    return xr.Dataset(
        {
            "path": (("moment", "start", "iteration", "unit"), np.array(paths)),
            "stored": (("past", "unit"), hidden[:last].numpy()),
            "example_text": str(one["text"].values),
        },
        coords={"moment": ["before the query", "query"]},
    )


def random_starts(states: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rectified normal states of the mean length of `states`."""
    noise = torch.randn(count, states.shape[1], generator=generator, dtype=states.dtype).relu()
    return noise * states.norm(dim=-1).mean() / noise.norm(dim=-1, keepdim=True)


def step_landscape(one: xr.Dataset, step: int, generator: torch.Generator) -> dict[str, object]:
    """Fixed points of the loop that turns h(step) into h(step + 1), and the spectrum of its memory."""
    loop = frozen(one, step)
    stored = tensor(one["hidden"])[:step]
    starts = torch.cat([loop.start, stored, random_starts(stored, RANDOM, generator)])
    found = fw.measure.fixed_points(loop, starts)
    ends = fw.measure.basins(loop, starts)
    reached = fw.measure.fixed_points(loop, settle(loop, loop.start, SETTLED))
    values = torch.linalg.eigvalsh(loop.matrix).flip(0)[:SPECTRUM]
    home = int(ends["end"][0])
    return {
        "eigenvalue": torch.nn.functional.pad(values, (0, SPECTRUM - len(values))).numpy(),
        "stable": int(found["stable"].sum()),
        "unstable": int((found["converged"] & (found["index"] > 0)).sum()),
        "slow": int(found["slow"].sum()),
        "contraction": float(abs(reached["eigenvalue"][0]).max())
        if bool(reached["converged"][0])
        else np.nan,
        "share": float((ends["end"][-RANDOM:] == home).mean()) if home >= 0 else np.nan,
    }


def noisy(
    one: xr.Dataset,
    query: fw.measure.InnerLoop,
    stored: Tensor,
    end: Tensor,
    size: float,
    generator: torch.Generator,
) -> tuple[float, float]:
    """Start the query's loop from stored states with noise: share of right answers, share that ends as h_0 does."""
    noise = torch.randn(8, *stored.shape, generator=generator, dtype=stored.dtype)
    noise = size * stored.norm(dim=-1, keepdim=True) * noise / noise.norm(dim=-1, keepdim=True)
    ends = settle(query, (stored + noise).relu().flatten(0, 1), SETTLED)
    same = (ends - end).norm(dim=-1) < 1e-2 * (1 + end.norm())
    return float((answer(one, ends) == int(one["target"])).mean()), float(same.double().mean())


def frozen(
    one: xr.Dataset, step: int, memory: int | None = None, sustained: Tensor | None = None
) -> fw.measure.InnerLoop:
    """Inner loop of the step after `step` steps, on request with the memory of an earlier one or another input."""
    gain, bias = tensor(one["gain"]), tensor(one["bias"])
    cell = Cell(torch.diag(gain), gain, bias, 1, one.attrs["activation"], one.attrs["normalise"], "final")
    matrix = one["memory"].isel(time=(memory or step) - 1)
    matrix = matrix.sum("timescale") if "timescale" in matrix.dims else matrix
    z = tensor(one["sustained"])[step] if sustained is None else sustained
    return fw.measure.InnerLoop(cell, tensor(matrix), z)


def settle(loop: fw.measure.InnerLoop, states: Tensor, iterations: int) -> Tensor:
    """Iterate the loop."""
    for _ in range(iterations):
        states = loop(states)
    return states


def answer(one: xr.Dataset, states: Tensor) -> np.ndarray:
    """Digit that the readout makes of states `[batch, unit]`."""
    layer = torch.relu(states @ tensor(one["readout_in"]).T + tensor(one["readout_bias"]))
    return (layer @ tensor(one["class_in"]).T + tensor(one["class_bias"])).argmax(-1).numpy()


def tensor(values: xr.DataArray) -> Tensor:
    return torch.as_tensor(values.values, dtype=torch.float64)


EXPLAINED = {
    "before the query": "mean over sequences at the step before the query",
    "query": "the same at the query; in rows on right answers, the fraction of queries, sequences or keys",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "landscape": (
        "As states are stored. Left: eigenvalues of the memory A (median over sequences). Middle: mean "
        "number of stable and unstable fixed points and of slow points of the inner loop. Right: "
        "largest absolute eigenvalue at the end of the loop, and share of starts that end there "
        "(median, 10 to 90 %)."
    ),
    "query": (
        "Left: answers to the query if the memory were that of an earlier step, and overlap with the "
        "end, against the steps since the pair was stored. Right: share of starts that end with the "
        "right answer, and where the loop of the query ends, against noise (means with standard "
        "errors)."
    ),
    "portrait": (
        "Paths of the inner loop of one sequence along the first two principal components, at several "
        "moments: from the state of the query (dots) and from other states (light) to fixed points "
        "(stars). Letters: stored states."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """Make the rows for the terminal: the step before the query, and the query."""
    rows = []
    for name, form in (
        ("stable", ".2f"),
        ("unstable", ".2f"),
        ("slow", ".2f"),
        ("contraction", ".3f"),
        ("share", ".3f"),
    ):
        before, query = (float(result[name].isel(step=step).mean()) for step in (-2, -1))
        rows.append({"": LABELS[name], "before the query": f"{before:{form}}", "query": f"{query:{form}}"})
    seen = result["step"] >= result["presented"]
    for when in WHEN:
        at = result.sel(when=when)
        rights = {
            "right answer from a memory without the pair": at["earlier_right"].where(~seen),
            "right answer from a memory with the pair": at["earlier_right"].where(seen),
            "right answer, averaged over all keys": at["key_right"],
        }
        for label, values in rights.items():
            rows.append(
                {"": f"{label}, {when}", "before the query": "", "query": f"{float(values.mean()):.3f}"}
            )
    return rows


def plot(result: xr.Dataset) -> dict[str, Figure]:
    """Draw the landscape as items are stored, and the query's basins."""
    return {"landscape": plot_steps(result), "query": plot_query(result), "portrait": plot_portrait(result)}


def plot_steps(result: xr.Dataset) -> Figure:
    """Draw spectrum, attractors and contraction over the steps of the sequence."""
    made, (left, middle, right) = figure(1, 3, width="double", aspect=0.9)
    steps = result["step"]
    median = result["eigenvalue"].median("trial")
    for mode in range(result.sizes["mode"]):
        left.plot(steps, median.isel(mode=mode), color=COLOURS["blue"], alpha=1 - 0.07 * mode)
    left.set(xlabel="states stored", ylabel="eigenvalue of A", yscale="symlog", title="spectrum")
    for name, colour, label in (
        ("stable", "blue", "stable"),
        ("unstable", "vermillion", "unstable"),
        ("slow", "green", "slow points"),
    ):
        middle.plot(steps, result[name].mean("trial"), "o-", ms=3, color=COLOURS[colour], label=label)
    middle.set(xlabel="states stored", ylabel="number", ylim=(0, None), title="fixed points")
    middle.legend()
    for name, colour, label in (
        ("contraction", "blue", "largest |eigenvalue| at the end"),
        ("share", "vermillion", "share of starts with that end"),
    ):
        low, mid, high = result[name].quantile([0.1, 0.5, 0.9], "trial")
        right.plot(steps, mid, "o-", ms=3, color=COLOURS[colour], label=label)
        right.fill_between(steps, low, high, color=COLOURS[colour], alpha=0.2, lw=0)
    right.set(xlabel="states stored", ylim=(0, 1.05), title="attraction (median, 10–90 %)")
    right.legend()
    return made


def plot_query(result: xr.Dataset) -> Figure:
    """Draw when the answer appears, and from how far it is reached."""
    made, (left, right) = figure(1, 2, width="double", aspect=0.6)
    since = result["step"] - result["presented"]
    axis = np.unique(since.values)
    curves = {f"right answer, {when}": result["earlier_right"].sel(when=when) for when in WHEN}
    curves["overlap with the end"] = result["earlier_overlap"]
    for label, values in curves.items():
        means = [float(values.astype(float).where(since == one).mean()) for one in axis]
        left.plot(axis, means, "o-", ms=3, label=label)
    left.axvline(0, color=COLOURS["black"], ls=":")
    left.set(
        xlabel="steps since the pair was stored",
        ylabel="fraction",
        ylim=(0, 1.05),
        title="query of an earlier memory",
    )
    left.legend()
    for name, colour, label in (
        ("basin_right", "blue", "right answer"),
        ("basin_same", "vermillion", "ends as $h_0$"),
    ):
        values = result[name]
        right.errorbar(
            result["noise"], values.mean("trial"), standard_error(values, "trial"), fmt="o-", ms=3,
            color=COLOURS[colour], label=label,
        )  # fmt: skip
    right.set(
        xlabel="noise / length of the stored state",
        ylabel="share of starts",
        ylim=(0, 1.05),
        title="basins at the query",
    )
    right.legend()
    return made


def plot_portrait(result: xr.Dataset) -> Figure:
    """Draw paths of the loop in the plane in which stored states and ends differ most, for one sequence."""
    text = str(result["example_text"].values)
    moments = result["moment"].values
    ends = result["path"].isel(iteration=-1, start=0).rename(moment="past")
    points = xr.concat([result["stored"], ends.drop_vars("past")], "past")
    plane = fw.measure.principal_components(points, count=2, dim="past")

    def seen(states: xr.DataArray) -> xr.DataArray:
        return xr.dot(states - plane["mean"], plane["component"], dim="unit").transpose(..., "mode")

    made, grid = figure(1, len(moments), width="double", aspect=0.8, sharex=True, sharey=True)
    stored = seen(result["stored"])
    for axes, moment in zip(grid, moments, strict=True):
        paths = seen(result["path"].sel(moment=moment)).values
        for path in paths[1:]:
            axes.plot(*path.T, "-", color=COLOURS["sky"], lw=0.6, zorder=1)
        axes.plot(*paths[0].T, ".-", color=COLOURS["blue"], lw=1, label="from $h_0$", zorder=2)
        axes.plot(*paths[0, -1], "*", ms=9, color=COLOURS["vermillion"], label="fixed point", zorder=4)
        for step, (x, y) in enumerate(stored.values):
            axes.annotate(text[step], (x, y), ha="center", va="center", fontsize="small", zorder=3)
        axes.set(xlabel="first component", title=f"sequence {text}, {moment}")
    grid[0].set_ylabel("second component")
    grid[0].legend()
    return made
