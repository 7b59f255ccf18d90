"""Tab completion: `fwsim __complete WORD…` prints the candidates, and a small script for each shell calls it."""

from __future__ import annotations

import dataclasses
import inspect
import io
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from fwsim.errors import ConfigError
from fwsim.paths import local_path
from fwsim.study import files
from fwsim.study.arguments import ExperimentName
from fwsim.study.declared import Field, declared
from fwsim.study.settings import RunSettings, Settings, SweepSettings

COMMAND = "__complete"
WORDS = "CYCLOPTS_COMPLETION_WORDS"  # variable with the words for cyclopts, each followed by SEPARATOR
SEPARATOR = DIRECTIVE = "\x1f"
SHELLS = ("bash", "zsh", "fish")
SETTINGS: dict[str, type[Settings]] = {"run": RunSettings, "sweep": SweepSettings}


class CommandLine(App):
    """An app whose completion scripts run it at every Tab, so that they know the options of each experiment."""

    def generate_completion(self, *, prog_name: str | None = None, shell: Any = None) -> str:
        """Script for a shell; for PowerShell cyclopts writes it."""
        if shell not in SHELLS:
            return super().generate_completion(prog_name=prog_name, shell=shell)
        script = Path(__file__).with_name(f"completion.{shell}").read_text("utf-8")
        return script.replace("@PROGRAM@", f"{shlex.quote(sys.executable)} -m fwsim.cli")

    def install_completion(
        self, *, shell: Any = None, output: Path | None = None, add_to_startup: bool = True
    ) -> Path:
        """Write the script for a shell, and make the shell load it."""
        place = None if output is None else local_path(output, "--output", new=True)
        return super().install_completion(shell=shell, output=place, add_to_startup=add_to_startup)


def complete(app: App, again: App, words: Sequence[str]) -> int:
    """Print candidates for the last word: one per line, description after a tab, and whether files are allowed.

    Parameters
    ----------
    app, again
        The command line, and that of `fwsim run --again`.
    words
        The words after `fwsim`; the last one may be empty.
    """
    line, rest = _line(app, again, list(words) or [""])
    if line is None:
        return 0
    option, _, _ = rest[-1].partition("=")
    for record in _asked(line, rest).splitlines():
        if record.startswith(DIRECTIVE):
            if record == f"{DIRECTIVE}files":
                print(record)
        elif record:
            # bash splits words at "=", other shells need the whole word
            print(f"{option}={record}" if rest[-1].startswith("--") and "=" in rest[-1] else record)
    return 0


def _asked(app: App, words: Sequence[str]) -> str:
    """Records that cyclopts offers; https://cyclopts.readthedocs.io describes the protocol."""
    os.environ[WORDS] = "".join(word + SEPARATOR for word in words)
    out = io.StringIO()
    try:
        with redirect_stdout(out):
            app([COMMAND])
    finally:
        os.environ.pop(WORDS, None)
    return out.getvalue()


def _line(app: App, again: App, words: list[str]) -> tuple[App | None, list[str]]:
    """The command line to which the last word belongs, and its words."""
    command, *rest = words
    if command not in SETTINGS or not rest:
        return app, words
    if len(rest) == 1:
        return _first(command), rest
    if command == "run" and rest[0] == "--again":
        return again, rest[1:]
    try:
        return _options(files.find(rest[0]), SETTINGS[command]), rest[1:]
    except ConfigError:
        return None, []


def _first(command: str) -> App:
    """The word after `fwsim run` or `fwsim sweep`."""
    app = App(version_flags=[], result_action="return_value")

    def run(experiment: ExperimentName, /, *, again: Annotated[bool, Parameter(negative="")] = False) -> None:
        """Parameters.

        Parameters
        ----------
        again
            Repeat a run, and compare the results.
        """

    def sweep(experiment: ExperimentName, /) -> None: ...

    app.default(run if command == "run" else sweep)
    return app


def _options(experiment: Path, kind: type[Settings]) -> App:
    """Options of an experiment, read without running it."""
    app = App(
        version_flags=[],
        default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
        result_action="return_value",
    )
    taken = {setting.name for setting in dataclasses.fields(kind)}
    annotations = {
        field.name: _annotation(field) for field in declared(experiment) if field.name not in taken
    } | {"settings": Annotated[kind, Parameter(name="*")]}

    def read(**values: Any) -> None: ...

    read.__annotations__ = annotations
    read.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for name, annotation in annotations.items()
        ]
    )
    app.default(read)
    return app


def _annotation(field: Field) -> Any:
    kinds: dict[str, Any] = {"bool": bool, "path": Path, "dict": dict[str, str]}
    kind = Literal[field.choices] if field.choices else kinds.get(field.kind, str)
    return Annotated[list[kind] if field.several else kind, Parameter(help=field.description)]  # type: ignore[valid-type]
