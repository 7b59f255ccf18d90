"""Confirmation before code is executed from a run that this user did not make."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from fwsim.errors import ConfigError

Trust = Annotated[bool, Parameter(negative="")]
"""Option of commands that execute code in a run's folder."""


def trusted(run: str, given: bool, *names: str) -> bool:
    """Whether the user takes responsibility for the code of a run, by the option or an answer on a terminal.

    Parameters
    ----------
    names
        Names of the sources to be executed, `experiment.py` and `analysis.py`; by default all.
    """
    from fwsim.study import trust
    from fwsim.study.runs import find_run

    if given or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return given
    try:
        trust.check(find_run(run), *names)
    except trust.UntrustedError as reason:
        print(f"fwsim: {reason}", file=sys.stderr)
        print("Execute it now? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise ConfigError(f"{run}: nothing was executed") from None
    return True
