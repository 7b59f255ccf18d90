"""What the shell offers when Tab is pressed: experiments and runs that are there now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from cyclopts.completion import CompletionContext


def experiments(context: CompletionContext) -> dict[str, str]:
    """Names of experiments and their questions; nothing after the first word, which is the experiment."""
    from fwsim.study import files

    if context.index:
        return {}
    return {
        name: files.question(files.docstring(path)) for name, path in files.available("experiments").items()
    }


def runs(context: CompletionContext) -> list[str]:
    """Folders of past runs."""
    from fwsim.study.runs import past_runs

    return [str(run.folder) for run in past_runs()]


RunFolder = Annotated[str, Parameter(completer=runs)]
"""Argument of a command that takes a run."""
