"""Names that do not exist, and the ones that were meant."""

from __future__ import annotations

import difflib


def unknown(kind: str, given: str, known: tuple[str, ...]) -> str:
    """One line for a name that does not exist, with the closest ones that do."""
    close = difflib.get_close_matches(given, known, n=3)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(known) or 'none'}"
    )
    return f"unknown {kind} {given!r}; {hint}"
