"""Draws docs/inner_loop.gif, the moving picture of the README: python docs/inner_loop.py."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath
from torch import Tensor

import fwsim as fw
from fwsim.engine.threads import use_threads
from fwsim.study import COLOURS, house_style

LETTERS = {"F": "blue", "A": "vermillion", "S": "green", "T": "purple"}
CUED = "AST"
SIDE = 20
WRONG = 0.35
STEPS = 5


def picture(letter: str) -> Tensor:
    """A letter as an image of ±1, [SIDE · SIDE], that is as wide and as high as the image."""
    path = TextPath((0, 0), letter, prop={"weight": "bold"})
    low, high = path.get_extents().get_points()
    across = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(across, across[::-1])
    places = np.column_stack([x.ravel(), y.ravel()]) * (high - low) + low
    outlines = [Outline(each).contains_points(places) for each in path.to_polygons()]
    inside = np.logical_xor.reduce(outlines)  # a hole lies in two outlines
    return torch.as_tensor(np.where(inside, 1.0, -1.0))


def recalled(patterns: Tensor, cues: Tensor) -> Tensor:
    """States of the inner loop from each cue, [cue, iteration, unit], with all patterns in the fast weights."""
    units = patterns.shape[-1]
    memory = fw.Hebbian(tau=1e6, eta=4 / units)
    net = fw.FastWeightNetwork(1, units, memory, activation="tanh", normalise="none").double()
    state = net.initial_state(len(cues))
    for pattern in patterns:
        state = net.write(state, pattern.expand(len(cues), -1))
    return net.recall(state, cues, steps=STEPS)[1].detach()


def drawn(letters: Sequence[str], patterns: Tensor, path: Tensor, overlap: Tensor) -> tuple[Figure, Callable]:
    """A figure, and a function that shows in it one moment (cue, iteration)."""
    made = plt.figure(figsize=(6.4, 2.5), dpi=100)
    stored, state, course = made.subfigures(1, 3, width_ratios=(0.8, 1, 1.5))
    stored.suptitle("stored in the\nfast weights", fontsize=9)
    for panel, letter, pattern in zip(stored.subplots(2, 2).flat, letters, patterns, strict=True):
        panel.imshow(pattern.reshape(SIDE, SIDE), cmap="Greys", interpolation="nearest")
        for edge in panel.spines.values():
            edge.set(visible=True, color=COLOURS[LETTERS[letter]], lw=2)
        panel.set(xticks=[], yticks=[])
    title = state.suptitle("", fontsize=9)
    panel = state.subplots()
    panel.set_axis_off()
    image = panel.imshow(np.zeros((SIDE, SIDE)), cmap="Greys", vmin=-1, vmax=1, interpolation="nearest")
    axes = course.subplots()
    course.suptitle("overlap of the state with each letter", fontsize=9)
    axes.set(xlim=(0, STEPS + 0.8), ylim=(-0.3, 1.1), xlabel="iteration of the inner loop")
    axes.axhline(0, color="0.8", lw=0.8)
    lines = [axes.plot([], [], "o-", ms=3, color=COLOURS[LETTERS[letter]])[0] for letter in letters]
    names = [
        axes.text(0, 0, letter, va="center", weight="bold", color=COLOURS[LETTERS[letter]])
        for letter in letters
    ]

    def show(moment: tuple[int, int]) -> None:
        cue, step = moment
        image.set_data(path[cue, step].reshape(SIDE, SIDE))
        title.set_text(f"state\n{f'iteration {step}' if step else 'damaged cue'}")
        for line, name, values in zip(lines, names, overlap[cue].T, strict=True):
            line.set_data(range(step + 1), values[: step + 1])
            name.set_position((step + 0.25, values[step]))

    return made, show


def main() -> None:
    """Store four letters, damage three of them, and let the inner loop run."""
    use_threads(1)
    generator = torch.Generator().manual_seed(0)
    letters = list(LETTERS)
    patterns = torch.stack([picture(letter) for letter in letters])
    cues = patterns[[letters.index(letter) for letter in CUED]]
    wrong = torch.rand(cues.shape, generator=generator, dtype=torch.float64) < WRONG
    path = recalled(patterns, torch.where(wrong, -cues, cues))
    overlap = torch.einsum("csn,pn->csp", path, patterns) / path.norm(dim=-1, keepdim=True) / SIDE
    moments = [(cue, step) for cue in range(len(cues)) for step in [0, 0, *range(STEPS + 1), *[STEPS] * 3]]
    with house_style():
        made, show = drawn(letters, patterns, path, overlap)
        FuncAnimation(made, show, moments).save(
            Path(__file__).with_suffix(".gif"), PillowWriter(fps=3), dpi=100
        )
    print(overlap[:, [0, 1, 2, 4, -1]].numpy().round(2))


if __name__ == "__main__":
    main()
