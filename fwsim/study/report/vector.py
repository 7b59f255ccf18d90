"""Figures as elements of a page: SVG without external references, readable on light and dark, and pixels."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from fwsim.errors import RecordingError
from fwsim.paths import read_plain_file
from fwsim.study.report.svg import Cleaned, written

LARGEST = 2_000_000
"""Size of an SVG in bytes above which its PNG is used: for example rasters of 10⁵ spikes."""
MOST = 100_000_000
"""Largest size of a figure in bytes."""
KINDS = {".gif": (b"GIF87a", b"GIF89a"), ".png": (b"\x89PNG\r\n\x1a\n",)}
SCALE = 1.1, 2.0
"""Smallest and largest width on the page in pixels per point: a phone scrolls instead of shrinking the text."""
POINTS = {"pt": 1.0, "px": 0.75, "": 0.75, "in": 72.0, "mm": 72 / 25.4, "cm": 72 / 2.54, "pc": 12.0}
USUAL = 400.0
"""Width in points of a figure that does not declare one."""
INK = {"#000000": "currentColor", "#ffffff": "var(--paper)"}


def inline(path: Path, prefix: str, label: str) -> str:
    """Element for a figure.

    Parameters
    ----------
    path
        `<name>.svg`, as `save_figure` writes it beside `<name>.png`, or an animation `<name>.gif`.
    prefix
        Prefix of its identifiers, since several figures of a page may have the same ones.
    label
        Description for readers who do not see it, as HTML.

    Raises
    ------
    RecordingError
        It is no plain file, or no figure of its kind; the message does not contain the file's name.
    """
    content = _content(path)
    if path.suffix == ".gif":
        return _pixels(path, content, label)
    if len(content) > LARGEST:
        pixels = path.with_suffix(".png")
        return _pixels(pixels, _content(pixels), label)
    figure = Cleaned(content, prefix)
    inside = figure.inside
    for colour, themed in INK.items():
        inside = re.sub(rf"\b(fill|stroke): {colour}", rf"\1: {themed}", inside)
    return _fluid(figure.root, inside, prefix, label)


def _content(path: Path) -> bytes:
    try:
        return read_plain_file(path, most=MOST)
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else error.strerror or str(error)
        raise RecordingError(f"{path.name} cannot be read: {reason}") from None


def _pixels(path: Path, content: bytes, label: str) -> str:
    if not content.startswith(KINDS[path.suffix]):
        raise RecordingError(f"{path.name} is no {path.suffix[1:].upper()}")
    data = base64.b64encode(content).decode()
    return f'<img alt="{label}" src="data:image/{path.suffix[1:]};base64,{data}">'


def _fluid(root: dict[str, str], inside: str, prefix: str, label: str) -> str:
    """Let the page determine the width, up to a multiple of the printed width."""
    width, height = (_points(root.pop(name, "")) for name in ("width", "height"))
    root.pop("id", None)
    box = root.get("viewBox", "").replace(",", " ").split()
    if width is None:
        width = _points(box[2]) if len(box) == 4 else None
    elif not box and height is not None:
        root["viewBox"] = f"0 0 {width / POINTS['px']:g} {height / POINTS['px']:g}"
    low, high = ((width or USUAL) * scale for scale in SCALE)
    style = f"{root.pop('style', '')}; min-width: {low:.0f}px; max-width: {high:.0f}px".lstrip("; ")
    attributes = {"id": f"{prefix}svg", "xmlns": "http://www.w3.org/2000/svg", **root, "role": "img"}
    return f'<svg{written(attributes)} aria-label="{label}" style="{style}">{inside}</svg>'


def _points(length: str) -> float | None:
    """A length in points, `None` if it is not a length: percentages, empty, 0."""
    found = re.match(r"\s*(\d+\.?\d*|\.\d+)\s*(pt|px|in|mm|cm|pc|)\s*\Z", length)
    value = float(found[1]) * POINTS[found[2]] if found else 0.0
    return value if 0 < value < 1e6 else None
