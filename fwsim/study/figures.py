"""The house style of figures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.animation import Animation
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fwsim.errors import choice, instance, number, whole
from fwsim.measure import bootstrap
from fwsim.notebook import STYLE

WIDTHS: Mapping[str, float] = MappingProxyType({"single": 3.5, "double": 7.0})  # inches, one or two columns

# Okabe & Ito 2008, distinguishable with every kind of colour vision; the style cycles through them.
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "blue": "#0072B2",
        "vermillion": "#D55E00",
        "green": "#009E73",
        "purple": "#CC79A7",
        "orange": "#E69F00",
        "sky": "#56B4E9",
        "yellow": "#F0E442",
        "black": "#000000",
    }
)

# Line styles that accompany the colours if nothing else distinguishes the lines.
DASHES: Mapping[str, Any] = MappingProxyType(
    dict(
        zip(COLOURS.values(), ("-", (0, (5, 2)), "-.", ":", (0, (8, 2, 2, 2)), (0, (3, 1)), (0, (1, 2)), "-"))
    )
)
MARKERS: Mapping[str, str] = MappingProxyType(dict(zip(COLOURS.values(), "osD^vPX*")))
NOTHING = {"None", "none", " ", ""}
FORMATS = ("png", "pdf", "svg")


def house_style() -> AbstractContextManager[None]:
    """Context in which matplotlib draws with the fonts, colours and sizes of fwsim's figures."""
    return mpl.rc_context(fname=STYLE)


def figure(
    rows: int = 1, columns: int = 1, *, width: str = "single", aspect: float = 0.75, **options: Any
) -> tuple[Figure, Any]:
    """Figure with the fonts, colours and sizes of fwsim's figures, and a grid of axes.

    Parameters
    ----------
    rows, columns
        Grid of axes.
    width
        `"single"` (3.5 inches) or `"double"` (7 inches).
    aspect
        Height over width of one panel.
    options
        Passed to `Figure.subplots`: `sharex`, `width_ratios`, `squeeze` …

    Returns
    -------
    tuple
        The figure and its axes, with the shape that `Figure.subplots` returns.
    """
    choice("width", width, tuple(WIDTHS))
    whole("rows", rows, least=1)
    whole("columns", columns, least=1)
    number("aspect", aspect, above=0)
    inches = WIDTHS[width]
    with house_style():
        made = Figure(figsize=(inches, inches / columns * aspect * rows))
        return made, made.subplots(rows, columns, **options)


def errorbars(axes: Axes, x: ArrayLike, values: xr.DataArray, over: str = "network", **look: Any) -> None:
    """Draw means over repetitions as points with their 95 % intervals (Student's t).

    Parameters
    ----------
    axes
        Where.
    x
        Place of each mean on the horizontal axis, `[x]`.
    values
        `over` and one more dimension, which has the order of `x`.
    over
        Dimension of the repetitions.
    look
        Passed to `Axes.errorbar`: `fmt`, `color`, `label` …
    """
    instance("values", values, xr.DataArray, "one variable of a dataset (xarray.DataArray)")
    mean, low, high = bootstrap(values.transpose(over, ...).values)
    axes.errorbar(np.asarray(x), mean, [mean - low, high - mean], **look)


def save_figure(made: Figure, folder: Path, name: str) -> list[Path]:
    """Write `<name>.png`, `<name>.pdf` and `<name>.svg`, and return their paths."""
    paths = [folder / f"{name}.{kind}" for kind in FORMATS]
    tell_apart(made)
    with house_style():
        layout = made.get_layout_engine()
        made.savefig(paths[0])
        with mpl.rc_context({"figure.constrained_layout.use": False, "figure.autolayout": False}):
            made.set_layout_engine(None)  # it is the same for all formats, and would draw each once more
            for path in paths[1:]:
                made.savefig(path)
        made.set_layout_engine(layout)
    return paths


def save_animation(made: Animation, folder: Path, name: str) -> list[Path]:
    """Write `<name>.gif`, and return its path."""
    path = folder / f"{name}.gif"
    with house_style():
        made.save(path, writer="pillow", dpi=100)
    return [path]


def tell_apart(made: Figure) -> None:
    """Give dashes or markers to lines that differ only in colour, for print in black and white.

    Axes in which styles differ already are not changed: there the styles have a meaning.
    """
    of_figure = [line for legend in made.legends for line in legend.get_lines()]
    for axes in made.axes:
        legend = axes.get_legend()
        drawn = [line for line in axes.lines if line.get_color() in DASHES]
        of_axes = legend.get_lines() if legend else []
        handles = [line for line in (*of_axes, *of_figure) if line.get_color() in DASHES]
        for kind, look in (("linestyle", DASHES), ("marker", MARKERS)):
            used = {str(getattr(line, f"get_{kind}")()) for line in drawn} - NOTHING
            colours = {line.get_color() for line in drawn if str(getattr(line, f"get_{kind}")()) in used}
            if len(used) == 1 and len(colours) > 1:
                for line in (*drawn, *handles):
                    if str(getattr(line, f"get_{kind}")()) in used:
                        line.set(**{kind: look[str(line.get_color())]})
