"""`fwsim report`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.cli.trust import Trust, trusted
from fwsim.study.arguments import Force, NewPath, RunFolders


def report(
    runs: RunFolders,
    /,
    *,
    to: Annotated[NewPath | None, Parameter(show_default=False)] = None,
    trust: Trust = False,
    force: Force = False,
) -> None:
    """Write one self-contained HTML page about one or several runs. Executes their experiment.py and analysis.py.

    Parameters
    ----------
    runs
        Folders of the runs.
    to
        The file; by default report.html in the run's folder, or in the current folder for several runs.
    trust
        Execute the runs' own code even if it was changed, or if another user made them.
    force
        Replace an existing file that is not a report.
    """
    from fwsim import study

    trust = all(trusted(run, trust) for run in runs)
    print(study.write_report(runs, to, trust=trust, force=force))
