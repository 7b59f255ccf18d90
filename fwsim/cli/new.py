"""`fwsim new`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.paths import typed
from fwsim.study.arguments import ExperimentName, FilePath, Force


def new(
    name: str,
    /,
    *,
    from_: Annotated[ExperimentName | None, Parameter(name="--from", show_default=False)] = None,
    to: Annotated[FilePath | None, Parameter(show_default=False)] = None,
    force: Force = False,
) -> None:
    """Write an experiment and its analysis, to start your own.

    Parameters
    ----------
    name
        Name of the new files.
    from_
        Experiment to copy, a name or a path; without it, a minimal pair of thirty lines each.
    to
        Folder for the folders experiments/ and analysis/, instead of the current one.
    force
        Replace files of that name, or hide another experiment of that name.
    """
    from fwsim.study.files import copy_pair

    made = copy_pair(name, from_, folder=to, force=force)
    print(*made, sep="\n")
    print(f"next: fwsim run {typed(name if to is None else made[0])} --help")
