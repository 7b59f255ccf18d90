"""HTML for notebook displays, with MathML and SVG inside, readable without a network."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Panel = Callable[[Axes], object]

STYLE = Path(__file__).with_name("style.mplstyle")
PANEL = (2.3, 1.5)  # inches
SHOWN = 6  # arrays with at most this many numbers are shown completely
BOX = "border:1px solid #8886;border-radius:4px;padding:.6em 1em;margin:.3em 0;max-width:64em;overflow-x:auto"
ROW = "display:flex;flex-wrap:wrap;gap:.2em 2.5em;align-items:flex-start"
CELL = "text-align:left;padding:.1em .8em .1em 0;vertical-align:top"


def card(thing: object, *parts: str) -> str:
    """HTML of an object: its class, the first sentence of its docstring, and parts made by the functions below."""
    summary, _ = described(type(thing))
    head = (
        f"<p style='margin:0 0 .4em'><strong>{escape(type(thing).__name__)}</strong> — {marked(summary)}</p>"
    )
    return f"<div class='fwsim' style='{BOX}'>{head}<div style='{ROW}'>{''.join(parts)}</div></div>"


def described(kind: type) -> tuple[str, str]:
    """First paragraph of a class's docstring, and its first indented block, which contains the equations."""
    text = inspect.getdoc(kind) or ""
    before = text.split("\nParameters\n")[0]
    block = re.search(r"(?:^    .*\n?)+", before, re.MULTILINE)
    summary = " ".join(text.split("\n\n")[0].split())
    return summary, inspect.cleandoc(block.group()) if block else ""


def marked(text: str) -> str:
    """Text with `names` formatted as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def formula(kind: type) -> str:
    """The equations in a class's docstring."""
    return f"<pre style='margin:.4em 0;line-height:1.4'>{escape(described(kind)[1])}</pre>"


def equations(lines: Iterable[tuple[str, str, str]]) -> str:
    """Equations in MathML, one per line, aligned: left side, sign and right side, each as presentation markup."""
    sides = ("right", "center", "left")
    rows = "".join(
        "<mtr>"
        + "".join(f"<mtd style='text-align:{side}'>{part}</mtd>" for side, part in zip(sides, line))
        + "</mtr>"
        for line in lines
    )
    return f"<math style='margin:.4em 0'><mtable displaystyle='true'>{rows}</mtable></math>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Table of texts and numbers."""
    top = "".join(f"<th style='{CELL}'>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td style='{CELL}'>{marked(quantity(each))}</td>" for each in row) + "</tr>"
        for row in rows
    )
    return f"<table style='border-collapse:collapse;margin:.4em 0'><tr>{top}</tr>{body}</table>"


def details(title: str, content: str) -> str:
    """Content behind a title, to be unfolded."""
    return f"<details style='flex-basis:100%'><summary>{escape(title)}</summary>{content}</details>"


def quantity(value: Any) -> str:
    """A text, a number, a few numbers, or the shape and range of many."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "shape") and value.size > SHOWN:
        return f"{list(value.shape)} from {value.min():.4g} to {value.max():.4g}"
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return quantity(value[0]) if len(value) == 1 else ", ".join(map(quantity, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def panels(*draw: Panel) -> str:
    """Small inline SVG figure with a panel for each function, which draws into its axes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(fname=STYLE):
        made = Figure(figsize=(PANEL[0] * len(draw), PANEL[1]))
        for each, axes in zip(draw, made.subplots(1, len(draw), squeeze=False)[0]):
            each(axes)
        file = io.StringIO()
        made.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    return f"<div style='background:white;width:fit-content'>{text[text.index('<svg') :]}</div>"


def heat(values: Any, title: str, x: str, y: str) -> Panel:
    """Panel of a matrix `[y, x]` with colours symmetric about 0."""

    def draw(axes: Axes) -> None:
        import numpy as np

        matrix = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, float)
        top = float(np.nanmax(np.abs(matrix), initial=0.0)) or 1.0
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-top, vmax=top, aspect="auto")
        axes.figure.colorbar(image, ax=axes)
        axes.set(title=title, xlabel=x, ylabel=y)

    return draw
