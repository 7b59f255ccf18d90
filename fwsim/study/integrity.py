"""Whether all that lies in a run's folder is as the run and its analyses left it."""

from __future__ import annotations

from pathlib import Path

from fwsim.errors import RecordingError
from fwsim.study import digests
from fwsim.study.runs import Run


def damage(run: Run) -> list[str]:
    """What is other than it was, file by file, of a finished run and of its analyses; nothing is executed."""
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
