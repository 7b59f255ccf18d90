"""`fwsim report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fwsim.cli.completion import RunFolder


def report(*runs: RunFolder, to: Annotated[Path | None, Parameter(show_default=False)] = None) -> None:
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
