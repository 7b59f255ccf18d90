"""Kinds of values on the command line: how each is read, and its candidates for Tab completion."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from fwsim.errors import ConfigError, short
from fwsim.paths import home_path
from fwsim.study import files

if TYPE_CHECKING:
    from cyclopts import Token
    from cyclopts.completion import CompletionContext


def experiments(context: CompletionContext) -> dict[str, str]:
    """Names of experiments with their questions; for a path, folders and Python files."""
    if os.sep in context.incomplete:
        return dict.fromkeys(_below(context.incomplete, lambda path: path.suffix == ".py"), "")
    return {
        name: files.question(files.docstring(path))
        for name, path in files.available("experiments").items()
        if name.startswith(context.incomplete)
    }


def analyses(context: CompletionContext) -> list[str]:
    """Names of analyses; the shell adds files."""
    return list(files.available("analysis"))


def runs(context: CompletionContext) -> list[str]:
    """Runs in `runs/` and in this folder; for a path, the folders that lead to one."""
    if os.sep in context.incomplete:
        return list(_below(context.incomplete, lambda path: (path / files.MANIFEST).is_file()))
    found = [*Path("runs").glob(f"[!.]*/{files.MANIFEST}"), *Path().glob(f"[!.]*/{files.MANIFEST}")]
    return sorted(str(path.parent) for path in found)


def _below(incomplete: str, wanted: Any) -> Iterator[str]:
    """Matching paths that begin like this one, and folders that may contain more, with a slash."""
    stem, name = os.path.split(incomplete)
    for path in sorted(Path(os.path.expanduser(stem or os.sep)).glob(f"{_literal(name)}*")):
        shown = os.path.join(stem, path.name)
        if path.name.startswith(".") and not name:
            continue
        if wanted(path):
            yield shown
        elif path.is_dir():
            yield shown + os.sep


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _offer(*values: str) -> Any:
    return lambda context: values


def _path(kind: Any, tokens: Sequence[Token], *, new: bool = False) -> Path:
    return home_path(tokens[0].value, tokens[0].keyword or "path", new=new)


def _whole(kind: Any, tokens: Sequence[Token]) -> int:
    """A whole number; cyclopts would round 1.5 to 2."""
    token = tokens[0]
    try:
        return int(token.value)
    except ValueError:
        name = token.keyword or "number"
        raise ConfigError(f"{name}={short(token.value)} is not allowed: give a whole number") from None


Whole = Annotated[int, Parameter(converter=_whole)]
"""A whole number."""
FilePath = Annotated[Path, Parameter(converter=_path)]
"""Path of an existing file or folder."""
NewPath = Annotated[Path, Parameter(converter=partial(_path, new=True))]
"""Path of a new file or folder."""
ConfigFile = FilePath
AnalysisFile = Annotated[Path, Parameter(converter=_path, completer=analyses)]
"""Path or name of an analysis."""
ExperimentName = Annotated[str, Parameter(completer=experiments)]
"""Path or name of an experiment."""
RunFolder = Annotated[str, Parameter(completer=runs)]
"""Folder of a run, or its name in `runs/`."""
RunFolders = Annotated[list[str], Parameter(completer=runs)]
Force = Annotated[bool, Parameter(negative="")]
"""Whether something existing may be replaced."""
Device = Annotated[str, Parameter(completer=_offer("auto", "cpu", "cuda"))]
Noise = Annotated[str, Parameter(completer=_offer("gamma", "normal"))]
Gain = Annotated[str, Parameter(completer=_offer("shared", "protocol"))]
RuleName = Annotated[
    str,
    Parameter(
        completer=_offer(
            "tsodyks_markram",
            "varela",
            "enhancement",
            "linear_nonlinear",
            "augmented_release",
            "independent_depression",
            "calcium_recovery",
        )
    ),
]
"""Name of a presynaptic rule."""
Scheduler = Annotated[str, Parameter(completer=_offer("slurm", "tcp://"))]
