"""`fwsim analyse`."""

from __future__ import annotations

from pathlib import Path

from fwsim.cli import terminal
from fwsim.cli.completion import RunFolder


def analyse(run: RunFolder, *, analysis: Path | None = None) -> None:
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
