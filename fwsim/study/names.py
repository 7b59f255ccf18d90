"""Unknown names, with suggestions."""

from __future__ import annotations

import difflib


def unknown(kind: str, given: str, known: tuple[str, ...]) -> str:
    """One line for an unknown name, with the closest known ones."""
    close = difflib.get_close_matches(given, known, n=3)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known) or 'none'}"
    )
    return f"unknown {kind} {given!r}; {hint}"
