"""`fwsim compare`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.study.arguments import AnalysisFile, RunFolder


def compare(
    run: RunFolder,
    /,
    *,
    analysis: Annotated[AnalysisFile | None, Parameter(show_default=False)] = None,
) -> None:
    """Compare the spiking and the tensor version of a run's model: errors of trajectories, rates, recall, lifetimes.

    Parameters
    ----------
    run
        Its folder.
    analysis
        Another analysis than the run's own: a path or a name.
    """
    from fwsim import study

    terminal.report(study.compare(run, analysis))
