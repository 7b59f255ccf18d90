"""One progress bar for everything that takes more than two seconds, or a function of the user's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from fwsim.errors import ConfigError

DELAY = 2.0  # s; shorter work shows nothing


Progress = Callable[[int, int], None] | bool | None
"""What users give: `None` for a bar on a terminal, `False` for nothing, or a function `(done, total)`."""


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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

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
    bar = Bar(*columns, console=console, transient=True)
    task = bar.add_task(title, total=total, figures="")
    began = time.monotonic()
    started = False

    def advance(steps: int = 1, **figures: object) -> None:
        nonlocal started
        if not started and time.monotonic() - began > DELAY:
            bar.start()
            started = True
        text = "  ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in figures.items()
        )
        bar.advance(task, steps)
        if figures:
            bar.update(task, figures=text)

    try:
        yield advance
    finally:
        if started:
            bar.stop()


@contextmanager
def followed(title: str, total: int, progress: Progress, *, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show what `progress` asks for; what it yields is called with the number of steps just done.

    Parameters
    ----------
    title, total
        As for `track`.
    progress
        As the user gave it; see `check_progress`.
    done
        Steps that were done before.
    """
    with track(title, total, show=False if progress is False or callable(progress) else None) as advance:
        advance(done)

        def moved(steps: int) -> None:
            nonlocal done
            done += steps
            advance(steps)
            if callable(progress):
                progress(done, total)

        yield moved


def check_progress(progress: object) -> None:
    """Raise `ConfigError` unless it is `None`, a truth value or a function `(done, total)`."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ConfigError(
            f"progress={progress!r} is not allowed; use None, False or a function (done, total)"
        )
