"""`fwsim compare`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli import terminal
from fwsim.cli.trust import Trust, trusted
from fwsim.study.arguments import AnalysisFile, Force, NewPath, RunFolder


def compare(
    run: RunFolder,
    /,
    *,
    analysis: Annotated[AnalysisFile | None, Parameter(show_default=False)] = None,
    to: Annotated[NewPath | None, Parameter(show_default=False)] = None,
    trust: Trust = False,
    force: Force = False,
) -> None:
    """Compare the spiking and the tensor version of a run's model: errors of trajectories, rates, recall, lifetimes.

    Executes the run's analysis.py.

    Parameters
    ----------
    run
        Folder of the run.
    analysis
        Another analysis than the run's own: a path or a name.
    to
        Another folder for the files, if the run's folder may not be written.
    trust
        Execute the run's own code even if it was changed, or if another user made the run.
    force
        Write into a folder --to that contains something else; files of the same names are replaced.
    """
    from fwsim import study

    trust = trusted(run, trust, "analysis.py") if analysis is None else trust
    terminal.report(study.compare(run, analysis, to=to, trust=trust, force=force))
