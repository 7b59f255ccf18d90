"""Comparison of all files in a run's folder with the lists that the run and its analyses left."""

from __future__ import annotations

from pathlib import Path

from fwsim.errors import RecordingError
from fwsim.study import digests
from fwsim.study.runs import Run


def damage(run: Run) -> list[str]:
    """All changes of a finished run and its analyses, file by file; nothing is executed."""
    found = run.differences(deep=True)
    analyses = [
        run.folder / "agreement",
        *sorted(run.folder.glob("results")),
        *sorted(run.folder.glob("results-*")),
    ]
    for folder in analyses:
        if folder.is_dir():
            found += [f"{folder.name}/{each}" for each in _damage(folder)]
    return found


def _damage(folder: Path) -> list[str]:
    try:
        return list(digests.differences(folder, digests.read(folder)))
    except RecordingError:
        return [f"{digests.FILE} is damaged or missing; analyse again"]
