"""`fwsim compare`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.cli.trust import Trust, trusted
from fwsim.study.arguments import AnalysisFile, RunFolder


def compare(
    run: RunFolder,
    /,
    *,
    analysis: Annotated[AnalysisFile | None, Parameter(show_default=False)] = None,
    trust: Trust = False,
) -> None:
    """Compare the spiking and the tensor version of a run's model: errors of trajectories, rates, recall, lifetimes.

    Executes the run's analysis.py.

    Parameters
    ----------
    run
        Its folder.
    analysis
        Another analysis than the run's own: a path or a name.
    trust
        Execute the run's own code also if it was changed, or if another user made the run.
    """
    from fwsim import study

    trust = trusted(run, trust, "analysis.py") if analysis is None else trust
    terminal.report(study.compare(run, analysis, trust=trust))
