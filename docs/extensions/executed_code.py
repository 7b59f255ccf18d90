"""Code on a page runs when the site is built; a block that fails is a warning, and so stops the build.

Three kinds of blocks, in one namespace and one empty folder for each page:

- `python`: what it prints stands below it, and the figure that its last line names;
- `python` whose first line is a comment with a path: becomes that file;
- `console`: every line after `$` runs, and what it says stands below it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\S+\.(?:py|toml|csv))\n")


class BlockError(Exception):
    """A block that failed: where, and why."""


def executed(page: str, name: str, figures: Path) -> str:
    """Run all blocks of a page, and return it with what they show.

    Parameters
    ----------
    page
        Its text.
    name
        Of the page, in messages and in the names of figures.
    figures
        Folder for figures, which exists.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}
    count = iter(range(1, 1000))

    def run(block: re.Match) -> str:
        language, code = block.groups()
        number = next(count)
        try:
            if language == "console":
                return f"```console\n{''.join(_told(line) for line in code.splitlines())}```"
            if path := FILE.match(code):
                _write(Path(path[1]), code[path.end() :])
                return block[0]
            return block[0] + _shown(code, namespace, figures / f"{name.replace('/', '-')}-{number}.svg")
        except (Exception, SystemExit) as error:
            raise BlockError(f"block {number} of {name}: {type(error).__name__}: {error}") from error

    with _fresh_folder():
        return BLOCK.sub(run, page)


@contextlib.contextmanager
def _fresh_folder() -> Iterator[None]:
    import torch

    torch.manual_seed(0)
    environment = {**os.environ}
    os.environ.update(NO_COLOR="1", MPLBACKEND="agg")
    os.environ.pop("COLUMNS", None)
    logging.disable(logging.INFO)  # the theme imports a package that turns all logs on
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            os.environ.clear()
            os.environ.update(environment)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _shown(code: str, namespace: dict[str, Any], figure: Path) -> str:
    """Run a block; what it printed, and its figure."""
    from matplotlib.figure import Figure

    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(tree, "<block>", "exec"), namespace)
        value = eval(compile(ast.Expression(last.value), "<block>", "eval"), namespace) if last else None
    shown = f"\n\n```text\n{said.getvalue().rstrip()}\n```" if said.getvalue().strip() else ""
    if isinstance(value, Figure):
        value.savefig(figure, facecolor="white")
        shown += f"\n\n![]({figure.as_posix()})"
    return shown


def _told(line: str) -> str:
    """One line of a console block, and what it says."""
    if not line.startswith("$ "):
        return f"{line}\n"
    command = line.removeprefix("$ ")
    code, said = _fwsim(command) if command.startswith("fwsim ") else _shell(command)
    if code:
        raise BlockError(f"{command!r} gave {code}: {said}")
    return f"{line}\n{said}"


def _fwsim(command: str) -> tuple[int, str]:
    """Run the command line in this process, which has loaded what it needs."""
    import shlex

    from fwsim.cli import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(shlex.split(command, comments=True)[1:])
        except SystemExit as end:
            code = end.code
    return int(code or 0), _tidy(said.getvalue())


def _shell(command: str) -> tuple[int, str]:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    return done.returncode, _tidy(done.stdout + done.stderr)


def _tidy(text: str) -> str:
    """Leave out the empty lines around tables, and spaces at the ends of lines."""
    lines = [line.rstrip() for line in text.splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def _read(app: Any, docname: str, source: list[str]) -> None:
    from sphinx.util import logging

    if not docname.startswith(("guide/", "science/", "index")):
        return
    figures = Path(app.srcdir, "_build", "figures")
    figures.mkdir(parents=True, exist_ok=True)
    try:
        source[0] = executed(source[0], docname, figures).replace(figures.as_posix(), "/_build/figures")
    except BlockError as error:
        logging.getLogger(__name__).warning(str(error), location=docname)


def setup(app: Any) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": False}


if (
    __name__ == "__main__"
):  # python docs/extensions/executed_code.py PAGE...: show pages without building the site
    for given in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as place:
            print(executed(Path(given).read_text(), Path(given).stem, Path(place)))
