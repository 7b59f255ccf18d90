"""`fwsim analyse`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.study.arguments import AnalysisFile, RunFolder


def analyse(
    run: RunFolder,
    /,
    *,
    analysis: Annotated[AnalysisFile | None, Parameter(show_default=False)] = None,
) -> None:
    """Analyse a run: table on the terminal, figures and results in its folder.

    Parameters
    ----------
    run
        Its folder.
    analysis
        Another analysis than the run's own: a path or a name.
    """
    from fwsim import study

    terminal.report(study.analyse(run, analysis))
