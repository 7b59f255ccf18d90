"""How fast do agents learn to catch what they no longer see, and what does attention fall on once the screen is blank?

Works on a run and on a sweep over games (`size`), `model` and `seed`. Shown are the learning curves, their mean over
seeds with their 95 % interval (Student's t), between players that need no learning; the return when the state or the
memory is erased at the last frame seen; how often the ball is caught by how far away it was, and how much the hidden
state of the agent still changes from frame to frame; and of fast weights the share of attention that falls on frames
that were seen, beside what falls on them if only the decay counts. An animation shows one episode with the attention of
each step.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.animation import FuncAnimation
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import fwsim as fw
from fwsim.measure import bootstrap
from fwsim.recording import labelled
from fwsim.study import COLOURS, configuration, figure, formatted

LABELS = {
    "fast_weights": "fast weights",
    "no_memory": "RNN + LN, no memory",
    "no_inner_loop": "ReLU RNN",
    "irnn": "ReLU RNN (IRNN)",
    "lstm": "LSTM",
}
SHADES = dict(zip(LABELS, ("blue", "purple", "sky", "vermillion", "green"), strict=True))
PLAYERS = {
    "random": "random player",
    "while seen": "best, moves while it sees",
    "optimal": "best player",
}
AXES = ("size", "model", "seed")
CAUGHT = 0.8  # a return of 0.8 is nine catches in ten
ATTENDING = "fast_weights"
SWEPT = AXES


def analyse(recording: xr.Dataset) -> xr.Dataset:
    """Learning curves and their summaries, returns after erasing, attention after the blank, one episode."""
    config = configuration(recording)
    for name in AXES:
        if name not in recording.coords:
            value = recording.attrs["experiment_seed"] if name == "seed" else config[name]
            recording = recording.assign_coords({name: value})
        if name not in recording.dims:
            recording = recording.expand_dims(name)
    kept = [
        "learned_return",
        "test_return",
        "erased_return",
        "reference_return",
        "parameters",
        "frames_played",
    ]
    result = recording[kept].load()
    curve = result["learned_return"]
    result["curve"] = labelled(interval(curve), "return, mean over seeds")
    result["final"] = labelled(interval(result["test_return"]), "return at the end, mean over seeds")
    result["speed"] = labelled(interval(curve.mean("epoch")), "return, mean over all frames and seeds")
    result["frames_needed"] = labelled(
        frames_needed(curve, result["frames_played"]), f"frames to a return of {CAUGHT}"
    )
    result["after_erasing"] = labelled(
        interval(result["erased_return"]), "return after erasing, mean over seeds"
    )
    players = result["reference_return"].mean(["model", "seed"])
    result["players"] = labelled(players, "return of players that need no learning")
    games = [behaviour(recording, size, config["paddle"]) for size in recording["size"].values]
    result = result.merge(xr.concat(games, "size"))
    if "attention" in recording and ATTENDING in recording["model"]:
        shown = [attending(recording, size) for size in recording["size"].values if len(ran(recording, size))]
        result = result.merge(xr.concat(shown, "size")) if shown else result
    result.attrs = {"experiment_configuration": recording.attrs["experiment_configuration"]}
    return result


def interval(values: xr.DataArray) -> xr.DataArray:
    """Mean over seeds that ran and the ends of its 95 % interval, by `of`; a single seed has no interval."""
    for axis in ("size", "model"):
        if axis in values.dims:
            each = [interval(values.sel({axis: at})) for at in values[axis].values]
            return xr.concat(each, values[axis]).transpose(
                "of", *(dim for dim in values.dims if dim != "seed")
            )
    values = values.transpose("seed", ...)
    ran = values.dropna("seed", how="all")
    values = ran if ran.sizes["seed"] else values
    found = bootstrap(values.values)
    kept = values.isel(seed=0, drop=True)
    return xr.DataArray(found, {"of": ["mean", "low", "high"], **kept.coords}, ("of", *kept.dims))


def frames_needed(curve: xr.DataArray, frames: xr.DataArray) -> xr.DataArray:
    """Frames seen when the curve first reaches `CAUGHT`; infinite if it never does, NaN if the agent failed."""
    needed = frames.where(curve >= CAUGHT).min("epoch").fillna(np.inf)
    return needed.where(curve.notnull().any("epoch"))


def behaviour(recording: xr.Dataset, size: int, paddle: int) -> xr.Dataset:
    """Share of balls caught by the moves they took, and the change of the hidden state from frame to frame."""
    game = recording[["hidden", "ball", "paddle", "return"]].sel(size=size).isel(time=slice(size - 1)).load()
    offset = game["ball"] - game["paddle"].isel(time=0, drop=True)
    moves = (offset - (paddle - 1)).clip(0) + (-offset).clip(0)
    distance = xr.DataArray(np.arange(size), dims="moves", coords={"moves": np.arange(size)})
    caught = (game["return"] > 0).where(moves == distance).mean(["trial", "seed"])
    now, before = game["hidden"], game["hidden"].shift(time=1)
    norm = np.sqrt((now**2).sum("unit") * (before**2).sum("unit"))
    cosine = ((now * before).sum("unit") / norm.where(norm > 0)).mean(["trial", "seed"])
    return xr.Dataset(
        {
            "caught": labelled(caught, "share of balls caught"),
            "similarity": labelled(cosine, "cosine of successive hidden states"),
        }
    ).drop_vars("trial", errors="ignore")


def ran(recording: xr.Dataset, size: int) -> np.ndarray:
    """Places of the seeds at which fast weights ran on one game."""
    played = recording["return"].sel(size=size, model=ATTENDING).notnull().any("trial")
    return np.flatnonzero(played.values)


def attending(recording: xr.Dataset, size: int) -> xr.Dataset:
    """Attention of the trained fast weights on one game: means over trials and seeds, and one episode."""
    config = configuration(recording)
    swept = "visible" in recording.coords
    visible = int(recording["visible"].sel(size=size)) if swept else config["visible"]
    names = ["attention", "ball", "paddle", "return"]
    game = (
        recording[names]
        .sel(size=size, model=ATTENDING)
        .isel(time=slice(size - 1), past=slice(size - 1), seed=ran(recording, size))
        .load()
    )
    weights = [
        fw.measure.attention(game.isel(seed=seed).assign_attrs(dt=recording.attrs["dt"]))["weight"]
        for seed in range(game.sizes["seed"])
    ]
    first = xr.concat(weights, "seed").isel(iteration=0)  # what is read in the step itself
    weight = first.where(first.sum("past") > 0).mean("trial")
    decay = kernel(config["tau"], config["eta"], size - 1)
    example = game.isel(seed=0)
    shown = int((example["return"] > 0).argmax("trial"))
    result = {
        "weight": labelled(weight.mean("seed"), "share of attention"),
        "seen_share": labelled(
            interval(weight.isel(past=slice(visible)).sum("past", skipna=False)), "share on frames seen"
        ),
        "seen_by_decay": labelled(
            decay.isel(past=slice(visible)).sum("past", skipna=False), "the same by the decay alone"
        ),
        "visible": xr.DataArray(visible, attrs={"units": "1", "long_name": "frames seen"}),
        "example_attention": labelled(first.isel(seed=0, trial=shown), "share of attention"),
        "example_ball": labelled(example["ball"][shown], "column of the ball"),
        "example_paddle": labelled(example["paddle"].isel(trial=shown), "column of the paddle"),
    }
    return (
        xr.Dataset(result)
        .drop_vars(["trial", "seed", "model", "iteration"], errors="ignore")
        .assign_coords(size=size)
    )


def kernel(tau: list[float], eta: list[float], steps: int) -> xr.DataArray:
    """Share of each past state in a step's attention if all states were alike, `[time, past]`."""
    lag = np.subtract.outer(np.arange(1, steps + 1), np.arange(1, steps + 1))
    weight = sum(each * np.exp(-(lag - 1) / at) for at, each in zip(tau, eta, strict=True))
    weight = np.where(lag > 0, weight, 0.0)
    total = weight.sum(-1, keepdims=True)
    return xr.DataArray(weight / np.where(total > 0, total, np.nan), dims=("time", "past"))


EXPLAINED = {
    "N": "size of the screen in pixels",
    "return, all frames": "mean of the learning curve: 1 is a catch, −1 a miss",
    "best agent tested": "return of the agent at the best of the curve's points, on other episodes",
    "* erased": "the same test with this set to zero after the last visible frame",
}
"""What the columns of the table mean."""

CAPTIONS = {
    "catch": (
        "Return against frames played, a panel for each size N of the game: mean over seeds with "
        "intervals. Black lines: players that follow simple rules."
    ),
    "catch_behaviour": (
        "For each size N of the game. Left: fraction of balls caught against the number of moves that "
        "they need. Right: cosine of successive hidden states."
    ),
    "catch_attention": (
        "For each size N of the game. Left: attention of each frame to past frames (dotted: the screen "
        "goes blank). Right: share of attention on frames in which the ball was seen, and what the "
        "decay alone would give."
    ),
    "catch_episode": (
        "One episode. Left: the screen, grey where the agent sees nothing. Right: attention of the "
        "present frame to past frames with the ball (blue) and without (orange)."
    ),
}


def table(result: xr.Dataset) -> list[dict[str, object]]:
    """One row for each game and model."""
    rows = []
    for size in result["size"].values:
        for model in result["model"].values:
            at = result.sel(size=size, model=model)
            needed = at["frames_needed"].median("seed")
            never = "never" if np.isinf(needed) else "failed"
            row = {
                "N": int(size),
                "agent": LABELS[str(model)],
                "parameters": formatted(at["parameters"].max("seed"), ",.0f", missing="failed"),
                "return, all frames": with_range(at["speed"]),
                "best agent tested": with_range(at["final"]),
                f"frames to {CAUGHT} (10⁶, median)": formatted(needed, scale=1e-6, missing=never),
            }
            for what in at["erased_return"]["erased"].values[1:]:
                row[f"{what} erased"] = with_range(at["after_erasing"].sel(erased=what))
            rows.append(row)
        for player, value in result["players"].sel(size=size).to_series().items():
            rows.append({"N": int(size), "agent": PLAYERS[str(player)], "best agent tested": f"{value:.2f}"})
    return rows


def with_range(values: xr.DataArray) -> str:
    """Mean and interval as text."""
    return formatted(values.transpose("of", ...), missing="failed", interval="({} – {})")


def plot(result: xr.Dataset) -> dict[str, Figure | FuncAnimation]:
    """Draw learning curves; with fast weights, their attention, and an episode of the largest game."""
    drawn: dict[str, Figure | FuncAnimation] = {
        "catch": plot_learning(result),
        "catch_behaviour": plot_behaviour(result),
    }
    if "weight" in result:
        shown = result.dropna("size", subset=["visible"])
        drawn["catch_attention"] = plot_attention(shown)
        drawn["catch_episode"] = animate(shown.isel(size=-1))
    return drawn


def plot_learning(result: xr.Dataset) -> Figure:
    """Draw return over frames, one panel for each game."""
    games = result.sizes["size"]
    aspect = 0.9 if games > 1 else 0.5
    made, axes = figure(1, games, width="double", aspect=aspect, sharey=True, squeeze=False)
    for panel, size in zip(axes[0], result["size"].values, strict=True):
        for model in result["model"].values:
            at = result.sel(size=size, model=model)
            frames = at["frames_played"].max("seed") / 1e6
            mean, low, high = (at["curve"].sel(of=of) for of in ("mean", "low", "high"))
            colour = COLOURS[SHADES[str(model)]]
            panel.plot(frames, mean, color=colour, label=LABELS[str(model)])
            panel.fill_between(frames, low, high, color=colour, alpha=0.2, lw=0)
        for player, style in zip(result["player"].values, (":", "-.", "--"), strict=True):
            value = float(result["players"].sel(size=size, player=player))
            panel.axhline(value, color=COLOURS["black"], ls=style, lw=0.8, label=PLAYERS[str(player)])
        panel.set(xlabel="frames played (10⁶)", title=f"N = {size}", ylim=(-1.02, 1.02))
    axes[0, 0].set_ylabel("return")
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return made


def plot_behaviour(result: xr.Dataset) -> Figure:
    """Draw what the agents catch, and how their states change, for each game."""
    sizes = result["size"].values
    made, axes = figure(len(sizes), 2, width="double", aspect=0.7, squeeze=False)
    for (left, right), size in zip(axes, sizes, strict=True):
        for model in result["model"].values:
            at = result.sel(size=size, model=model)
            look = {"color": COLOURS[SHADES[str(model)]], "label": LABELS[str(model)]}
            left.plot(at["moves"], at["caught"], **look)
            right.plot(at["time"], at["similarity"], **look)
        left.set(xlabel="moves needed", ylabel="caught", ylim=(-0.02, 1.02), title=f"N = {size}")
        right.set(
            xlabel="frame", ylabel="cosine with the frame before", xlim=(2, size - 1), title=f"N = {size}"
        )
    made.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return made


def plot_attention(result: xr.Dataset) -> Figure:
    """Draw what each step attends to, and how much of that was seen, for each game."""
    sizes = result["size"].values
    made, axes = figure(len(sizes), 2, width="double", aspect=0.75, squeeze=False)
    for (left, right), size in zip(axes, sizes, strict=True):
        at, steps = result.sel(size=size), np.arange(1, size)
        visible = int(at["visible"])
        share = at["weight"].isel(time=slice(size - 1), past=slice(size - 1))
        picture = left.imshow(share, origin="lower", extent=(0.5, size - 0.5, 0.5, size - 0.5), vmin=0)
        left.axvline(visible + 0.5, color="white", ls=":")
        left.set(xlabel="past frame", ylabel="frame", title=f"N = {size}: attention of a step")
        made.colorbar(picture, ax=left, label="share")
        mean, low, high = (
            at["seen_share"].isel(time=slice(size - 1)).sel(of=of) for of in ("mean", "low", "high")
        )
        right.plot(steps, mean, label="attention")
        right.fill_between(steps, low, high, alpha=0.2, lw=0)
        right.plot(steps, at["seen_by_decay"].isel(time=slice(size - 1)), label="decay alone")
        right.set(xlabel="frame", ylabel="share on frames seen", xlim=(visible + 1, size - 1), ylim=(0, 1.02))
        right.legend()
        for axis in (left.xaxis, left.yaxis, right.xaxis):
            axis.get_major_locator().set_params(integer=True)
    return made


def animate(result: xr.Dataset) -> FuncAnimation:
    """Animate one episode: the screen, grey where the agent sees nothing, and the attention of each step."""
    size, visible = int(result["size"]), int(result["visible"])
    width = configuration(result)["paddle"]
    made, (screen, bars) = figure(1, 2, width="double", aspect=0.9)
    picture = screen.imshow(np.zeros((size, size)), cmap="gray", vmin=0, vmax=1)
    screen.set(xticks=[], yticks=[])
    steps = np.arange(1, size)
    shade = [COLOURS["blue" if step <= visible else "orange"] for step in steps]
    drawn = bars.bar(steps, np.zeros(size - 1), color=shade)
    largest = float(result["example_attention"].isel(time=slice(visible, None)).max())
    bars.set(xlabel="past frame (blue: seen, orange: blank)", ylabel="share of attention", ylim=(0, largest))
    bars.xaxis.get_major_locator().set_params(integer=True)

    def show(row: int) -> list[Axes]:
        dark = 0.0 if row < visible else 0.35
        image = np.full((size, size), dark)
        paddle = int(result["example_paddle"][row])
        image[row, int(result["example_ball"])] = image[-1, paddle : paddle + width] = 1 - dark / 2
        picture.set_data(image)
        screen.set_title(f"frame {row + 1}" + ("" if row < visible else ", blank for the agent"))
        for bar, height in zip(drawn, result["example_attention"].isel(time=row).values, strict=False):
            bar.set_height(float(np.nan_to_num(height)))
        return [picture, *drawn]

    return FuncAnimation(made, show, frames=size - 1, interval=400)
