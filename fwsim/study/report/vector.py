"""Figures as SVG that sits in a page: no outside references, and readable on light and dark."""

from __future__ import annotations

import base64
import re
from pathlib import Path

LARGEST = 2_000_000
"""Bytes of an SVG above which its PNG is taken: rasters of 10⁵ spikes."""
PROLOG = re.compile(r"^.*?(?=<svg)", re.S)
METADATA = re.compile(r"<metadata>.*?</metadata>", re.S)
SCALE = 1.1, 2.0
"""Least and largest width on the page in pixels a point: a phone scrolls rather than shrink what is to be read."""
INK = {"#000000": "currentColor", "#ffffff": "var(--paper)"}


def inline(path: Path, prefix: str, label: str) -> str:
    """Element for a figure.

    Parameters
    ----------
    path
        `<name>.svg`, as `save_figure` writes it beside `<name>.png`, or an animation `<name>.gif`.
    prefix
        Put before its identifiers, which several figures of a page share otherwise.
    label
        What it shows, for those who do not see it.
    """
    if path.suffix == ".gif" or path.stat().st_size > LARGEST:
        pixels = path if path.suffix == ".gif" else path.with_suffix(".png")
        data = base64.b64encode(pixels.read_bytes()).decode()
        return f'<img alt="{label}" src="data:image/{pixels.suffix[1:]};base64,{data}">'
    text = METADATA.sub("", PROLOG.sub("", path.read_text("utf-8")))
    text = re.sub(r'\b(id|xlink:href|href)="(#?)(?!data:)', rf'\1="\2{prefix}', text)
    text = text.replace("url(#", f"url(#{prefix}")
    for colour, themed in INK.items():
        text = re.sub(rf"\b(fill|stroke): {colour}", rf"\1: {themed}", text)
    return _fluid(text, label)


def _fluid(text: str, label: str) -> str:
    """Let the page decide the width, up to a multiple of that in print."""
    opening, rest = text.split(">", 1)
    width = float(re.search(r'\bwidth="([\d.]+)pt"', opening)[1])  # type: ignore[index]
    low, high = (width * scale for scale in SCALE)
    opening = re.sub(r'\s(width|height)="[\d.]+pt"', "", opening)
    return f'{opening} role="img" aria-label="{label}" style="min-width: {low:.0f}px; max-width: {high:.0f}px">{rest}'
