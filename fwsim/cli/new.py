"""`fwsim new`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.errors import ConfigError
from fwsim.study.arguments import ExperimentName


def new(
    name: str,
    /,
    *,
    from_: Annotated[ExperimentName | None, Parameter(name="--from", show_default=False)] = None,
) -> None:
    """Copy an experiment and its analysis, to start your own.

    Parameters
    ----------
    name
        Of the new files.
    from_
        Experiment to copy, a name or a path; needed.
    """
    from fwsim.study.files import available, copy_pair

    if from_ is None:
        known = ", ".join(available("experiments"))
        raise ConfigError(f"new needs an experiment to copy: --from with a path or one of {known}")
    for path in copy_pair(name, from_):
        print(path)
    print(f"next: fwsim run {name} --help")
