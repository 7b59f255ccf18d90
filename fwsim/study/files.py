"""Experiment and analysis files: search, reading and loading."""

from __future__ import annotations

import ast
import hashlib
import json
import keyword
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import fwsim
from fwsim.errors import ConfigError, FwsimError
from fwsim.names import unknown
from fwsim.paths import home_path, plain_file
from fwsim.study.writing import write_file


class StudyError(FwsimError):
    """An experiment or analysis file that failed while it ran."""


NOUNS = {"experiments": "experiment", "analysis": "analysis"}
MANIFEST = "run.json"  # in a run's folder: its settings and state
EXPERIMENT = "experiment.py"  # its copies of the sources
ANALYSIS = "analysis.py"
PACKAGE = Path(fwsim.__file__).parent
MINIMAL = "_minimal.py"  # comes with fwsim: a pair to start from


def folders(kind: str) -> tuple[Path, ...]:
    """Folders of `"experiments"` or `"analysis"` files in order of search: here, the checkout, the wheel's copies."""
    places = [Path.cwd() / kind]
    if (PACKAGE.parent / "pyproject.toml").is_file():
        places.append(PACKAGE.parent / kind)
    places.append(PACKAGE / "_shipped" / kind)
    return tuple(dict.fromkeys(place for place in places if place.is_dir()))


def available(kind: str) -> dict[str, Path]:
    """All files of a kind by name, as `find` would find them."""
    found: dict[str, Path] = {}
    for folder in folders(kind):
        for path in sorted(folder.glob("*.py")):
            if (
                not path.name.startswith(("_", ".")) and path.is_file()
            ):  # editors and systems leave .#x.py, ._x.py
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find(name: str | Path, kind: str = "experiments") -> Path:
    """Path of an experiment or analysis given as a path or by its name.

    Raises
    ------
    ConfigError
        It does not exist; the message names close matches.
    """
    path = home_path(name, NOUNS[kind])
    if path.suffix == ".py" or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(f"there is no file {path}; give a path, or a name from 'fwsim list'")
        return path.resolve()
    known = available(kind)
    if path.name not in known:
        if path.is_dir():
            raise ConfigError(f"{name} is a folder; give a .py file, or a name from 'fwsim list'")
        raise ConfigError(f"{unknown(NOUNS[kind], path.name, tuple(known))}; see 'fwsim list'")
    return known[path.name]


def find_analysis(experiment: Path) -> Path | None:
    """Analysis of an experiment file: the one in the folder beside it, otherwise by name; None if there is none.

    A run's copy of its experiment belongs to its copy of the analysis.
    """
    if experiment.name == EXPERIMENT and (experiment.parent / MANIFEST).is_file():
        analysis = experiment.with_name(ANALYSIS)
        return analysis if analysis.is_file() else None
    for folder in (experiment.parent.parent / "analysis", experiment.parent / "analysis"):
        if (folder / experiment.name).is_file():
            return folder / experiment.name
    return available("analysis").get(experiment.stem)


def docstring(path: Path) -> str:
    """Docstring of a file, read without running it; empty if the file cannot be parsed."""
    tree = parsed(path)
    return "" if tree is None else ast.get_docstring(tree) or ""


def parsed(path: Path) -> ast.Module | None:
    """A file read without running it; None if it cannot be parsed."""
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):  # the last two: nested too deep
        return None


def question(text: str) -> str:
    """First line of a docstring."""
    return text.strip().partition("\n")[0]


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's source."""
    return sha256(plain_file(path))


def sha256(source: bytes) -> str:
    """SHA-256 of a source."""
    return hashlib.sha256(source).hexdigest()


def sha256_of(content: Any) -> str:
    """SHA-256 of plain data, as JSON with sorted keys."""
    return sha256(json.dumps(content, sort_keys=True).encode())


def load(path: Path, needed: tuple[str, ...], source: bytes | None = None) -> ModuleType:
    """Run a file, or its earlier `source`, as a separate module and return it.

    No cache is written beside the file. The module's name
    contains the hash of the path, so that files with the same name do not replace each other.

    Raises
    ------
    ConfigError
        The file fails, or does not define all `needed` names.
    """
    module = ModuleType(f"fwsim_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # pydantic and dataclasses resolve annotations through it
    try:
        source = path.read_bytes() if source is None else source
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ConfigError(f"{path} does not load: {place_of(error, path)}; correct the file") from error
    missing = [name for name in needed if not hasattr(module, name)]
    if missing:
        raise ConfigError(f"{path} does not define {' and '.join(missing)}; it must have {', '.join(needed)}")
    return module


@contextmanager
def running(path: Path) -> Iterator[None]:
    """Run a function of an analysis file; errors of fwsim are passed on unchanged.

    Raises
    ------
    StudyError
        It raised another error; the message says where in the file.
    """
    try:
        yield
    except FwsimError:
        raise
    except (Exception, SystemExit) as error:
        raise StudyError(f"{path} failed: {place_of(error, path)}; FWSIM_DEBUG=1 shows more") from error


def place_of(error: BaseException, path: Path) -> str:
    """Kind, message and line of an error that was raised in a file, as one line."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
    ]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines = [error.lineno]
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" + (f" (line {lines[-1]})" if lines else "")


def copy_pair(
    name: str, source: str | Path | None = None, *, folder: str | Path | None = None, force: bool = False
) -> list[Path]:
    """Copy an experiment and its analysis to `experiments/<name>.py` and `analysis/<name>.py`.

    Parameters
    ----------
    source
        The experiment, a path or a name; None for a minimal one of thirty lines.
    folder
        Folder in which these folders are, or are made; None for the current one.
    force
        Replace existing files, and allow the name of another experiment, which is then hidden in this folder.

    Raises
    ------
    ConfigError
        The name is no identifier or begins with an underscore, one of the files exists, or another experiment has the
        name.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigError(
            f"{name!r} cannot name an experiment; begin with a letter, use letters, digits and underscores, and no "
            "keyword of Python"
        )
    experiment = folders("experiments")[-1] / MINIMAL if source is None else find(source)
    analysis = find_analysis(experiment)
    place = Path() if folder is None else home_path(folder, "folder")
    pairs = [(experiment, place / "experiments" / f"{name}.py")]
    if analysis is not None:
        pairs.append((analysis, place / "analysis" / f"{name}.py"))
    if not force:
        _check_name(name, [target for _, target in pairs])
    for original, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_file(target, original.read_bytes())
    return [target for _, target in pairs]


def _check_name(name: str, targets: list[Path]) -> None:
    """Refuse a name of existing files, or of an experiment or analysis that the new one would hide."""
    for target in targets:
        if os.path.lexists(target):
            raise ConfigError(f"{target} exists already; choose another name, or replace it with --force")
    for kind, noun in NOUNS.items():
        if name in (known := available(kind)):
            raise ConfigError(
                f"{name} is the name of the {noun} {known[name]}, which would not be found beside yours; "
                "choose another name, or give --force"
            )
