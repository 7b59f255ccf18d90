"""Progress bar for work that takes more than two seconds, or a function of the user's."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from fwsim.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

DELAY = 2.0  # s; shorter work shows nothing
EVERY = 0.2  # s between two updates of a bar in a notebook
COLUMNS = 100  # width of a bar in a notebook

Progress = Callable[[int, int], None] | bool | None
"""`None` for a bar (on a terminal, in a notebook), `False` for none, or a function `(done, total)`."""


class Advance(Protocol):
    """Yielded by `track`: call it with the number of steps just done, and figures to show."""

    def __call__(self, steps: int = 1, **figures: object) -> None:
        """Advance by `steps`; `figures` (loss=0.1) appear beside the bar."""


@contextmanager
def track(title: str, total: int, *, show: bool | None = None) -> Iterator[Advance]:
    """Show a bar with the remaining time once the work has taken two seconds.

    Parameters
    ----------
    title
        The work, in a few words.
    total
        Number of steps.
    show
        `None`: on a terminal or in a notebook. `False`: never.

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
    if show is None and not (console.is_terminal or console.is_jupyter):
        yield lambda steps=1, **figures: None
        return

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    notebook = console.is_jupyter
    if notebook:
        console = Console(
            file=io.StringIO(), width=COLUMNS, force_jupyter=False, force_terminal=False, color_system=None
        )
    bar = Bar(*columns, console=console, transient=True)
    shown: Any = _Cell(bar) if notebook else bar
    task = bar.add_task(title, total=total, figures="")
    began = time.monotonic()
    started = False

    def advance(steps: int = 1, **figures: object) -> None:
        nonlocal started
        if not started and time.monotonic() - began > DELAY:
            shown.start()
            started = True
        text = "  ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in figures.items()
        )
        bar.advance(task, steps)
        if figures:
            bar.update(task, figures=text)
        if started and notebook:
            shown.refresh()

    try:
        yield advance
    finally:
        if started:
            shown.stop()


class _Cell:
    """A bar below a cell of a notebook, as text that is replaced; rich would need ipywidgets, which few users have."""

    def __init__(self, bar: Bar) -> None:
        self.bar, self.drawn = bar, 0.0
        self.handle: Any = None

    def start(self) -> None:
        from IPython.display import display

        self.handle = display({"text/plain": self._text()}, raw=True, display_id=True)

    def refresh(self) -> None:
        if self.handle is not None and time.monotonic() - self.drawn > EVERY:
            self.drawn = time.monotonic()
            self.handle.update({"text/plain": self._text()}, raw=True)

    def stop(self) -> None:
        if self.handle is not None:
            self.handle.update({"text/plain": ""}, raw=True)

    def _text(self) -> str:
        with self.bar.console.capture() as capture:
            self.bar.console.print(self.bar.get_renderable())
        return capture.get().rstrip()


@contextmanager
def followed(title: str, total: int, progress: Progress, *, done: int = 0) -> Iterator[Callable[[int], None]]:
    """Show progress as `progress` says; call the yielded function with the number of steps just done.

    Parameters
    ----------
    title, total
        As in `track`.
    progress
        The user's argument; see `check_progress`.
    done
        Number of steps that were done before.
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
