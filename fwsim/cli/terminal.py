"""Tables on the terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

WIDE = 10_000
"""Width of tables for a file or a program: whole cells, one line per row."""


def report(analysed: Any) -> None:
    """Print the table of an analysis, what its columns mean, and the files that it wrote."""
    if analysed.table is not None:
        rows = [[_text(value) for value in row] for row in analysed.table.itertuples(index=False)]
        table("", tuple(map(str, analysed.table.columns)), rows)
    for name, meaning in analysed.columns.items():
        print(f"{name}: {meaning}")
    print("written:", *analysed.files, sep="\n  ")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with a title, or nothing if it is empty."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows or [("(none)",)]:
        shown.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=WIDE)
    console.print(shown, crop=False)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
