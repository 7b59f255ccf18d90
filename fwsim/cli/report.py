"""`fwsim report`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.study.arguments import NewPath, RunFolders


def report(
    runs: RunFolders, /, *, to: Annotated[NewPath | None, Parameter(show_default=False)] = None
) -> None:
    """Write one self-contained HTML page about one or several runs.

    Parameters
    ----------
    runs
        Their folders.
    to
        The file; by default report.html in the run's folder, or in this one for several.
    """
    from fwsim import study

    print(study.write_report(runs, to))
