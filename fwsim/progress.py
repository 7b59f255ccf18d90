"""One progress bar for everything that takes more than two seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

DELAY = 2.0  # s; shorter work shows nothing


class Advance(Protocol):
    """What `track` yields: call it with the number of steps just done and figures to show."""

    def __call__(self, steps: int = 1, **figures: object) -> None:
        """Advance by `steps`; `figures` (loss=0.1) are shown beside the bar."""


@contextmanager
def track(title: str, total: int, *, show: bool | None = None) -> Iterator[Advance]:
    """Show a bar with the remaining time once the work has taken two seconds.

    Parameters
    ----------
    title
        What is being done, in a few words.
    total
        Number of steps.
    show
        `None`: on a terminal only. `False`: never.

    Examples
    --------
    >>> with track("simulating", 3) as advance:
    ...     for _ in range(3):
    ...         advance()
    """
    if show is False:
        yield lambda steps=1, **figures: None
        return

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if show is None and not console.is_terminal:
        yield lambda steps=1, **figures: None
        return

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(title, total=total, figures="")
    began = time.monotonic()
    started = False

    def advance(steps: int = 1, **figures: object) -> None:
        nonlocal started
        if not started and time.monotonic() - began > DELAY:
            progress.start()
            started = True
        text = "  ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in figures.items()
        )
        progress.advance(task, steps)
        if figures:
            progress.update(task, figures=text)

    try:
        yield advance
    finally:
        if started:
            progress.stop()
