"""Last messages of a run or a sweep."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fwsim.cli import terminal
from fwsim.paths import typed
from fwsim.training.processes import processes

if TYPE_CHECKING:
    from fwsim.study import Run


def conclude_run(run: Run, analyse: bool, *, trust: bool) -> None:
    """Say where the recording is, and analyse it if requested; of several processes only the first one does."""
    from fwsim import study

    if not processes().first:
        return

    print(f"recorded: {run.folder}")
    if analyse and run.analysis.is_file():
        terminal.report(study.analyse(run, trust=trust))
    elif analyse:
        print(f"no analysis: write analysis/{run.manifest['experiment']}.py to have one")


def conclude_sweep(folder: str | Path) -> None:
    """Say how many points succeeded and failed, and what to do next."""
    from fwsim.study import overview
    from fwsim.study.runs import Run

    run = Run(Path(folder))
    manifest = run.manifest
    points, failed, wall = manifest["points"], manifest["failed"], manifest["wall_time"]
    print(f"{overview.points(points)}: {points - failed} done, {failed} failed, in {wall:.1f} s")
    if failed:
        print(f"errors: {run.folder / 'failed.csv'}; again: fwsim resume {typed(run.folder)} --retry-failed")
    print(f"recorded: {run.folder}")
    if run.analysis.is_file():
        print(f"next: fwsim analyse {typed(run.folder)}")


@contextmanager
def failures_are_concluded() -> Iterator[None]:
    """Suppress the warning of failed points, which `conclude_sweep` reports."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".* points failed", category=UserWarning)
        yield
