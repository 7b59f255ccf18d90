"""Folders of runs: each appears complete, and a replaced run is kept until the new one is finished."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from fwsim.errors import ConfigError
from fwsim.study import files, locks, manifest, writing

HIDDEN = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{32}\.(?P<kind>draft|gone)")
"""Suffix of folders that are being made or deleted, beside the final folder."""
REPLACED = re.compile(r"(?P<name>.+)\.replaced(-\d+)?")
"""Suffix of runs that an unfinished run will replace."""
SOURCES = (files.EXPERIMENT, files.ANALYSIS)
ERROR = "error.txt"
"""File with the traceback of a run that failed."""
ATTEMPTS = 10


def check_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder in which a run cannot be made.

    Raises
    ------
    ConfigError
        It is a link, the current folder, or a parent of it; or it is not empty, and `force` is not given, it is
        not a run, or it is running.
    """
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link; give the folder itself, or another place with --to")
    if Path(os.path.realpath(folder)) in (here := Path.cwd().resolve(), *here.parents):
        raise ConfigError(f"{folder} is the current folder or above it; choose another place with --to")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        manifest.read(folder)
    except ConfigError as error:
        raise ConfigError(
            f"{folder} exists and is not a run ({error}); choose another place with --to"
        ) from None
    if not force:
        raise writing.existing(folder)
    if locks.is_held(folder):
        raise locks.taken(folder)


@contextmanager
def create(
    folder: Path, entries: Mapping[str, Any], sources: Mapping[str, Path], *, force: bool
) -> Iterator[None]:
    """Make a run's folder with its manifest and copies of its sources in one step, and lock it.

    An existing run is renamed, to the name in `entries["replaces"]`; `drop_replaced` deletes it.

    Parameters
    ----------
    sources
        Files to copy, by their new names.

    Raises
    ------
    ConfigError
        The folder is not free, or cannot be written.
    """
    check_free(folder, force=force)
    with ExitStack() as held:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            clean(folder.parent)
            check_free(folder, force=force)
            draft = _draft(folder, held)
            try:
                for name, source in sources.items():
                    writing.write_file(draft / name, source.read_bytes())
                _publish(draft, folder, entries)
            except BaseException:
                _remove(draft)
                raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(
                f"{folder} cannot be written: {reason}; choose another place with --to"
            ) from error
        yield


def drop_replaced(folder: Path, names: Sequence[str]) -> None:
    """Delete the runs that a finished one has replaced, if they still exist."""
    for old in _replaced(folder, names):
        with suppress(OSError):
            gone = _hidden(folder, "gone")
            os.rename(old, gone)
            _remove(gone)


def withdraw(folder: Path) -> None:
    """Delete a run whose arguments were refused before it kept anything; put back what it was to replace."""
    with suppress(OSError, ConfigError):
        if set(os.listdir(folder)) <= {locks.LOCK, manifest.FILE, ERROR, *SOURCES}:
            draft = _hidden(folder, "draft")
            os.rename(folder, draft)
            _put_back(draft, folder)
            _remove(draft)


def clean(parent: Path) -> None:
    """Delete what killed starts and replacements have left in a folder of runs."""
    for path in sorted(parent.iterdir()):
        with suppress(OSError, ConfigError):
            if match := HIDDEN.fullmatch(path.name):
                _clean_hidden(path, match)
            elif match := REPLACED.fullmatch(path.name):
                folder = path.with_name(match["name"])
                found = manifest.read(folder)
                if found["state"] == "finished" and path.name in found.get("replaces", []):
                    with locks.hold(folder, patience=0):
                        drop_replaced(folder, [path.name])


def _draft(folder: Path, held: ExitStack) -> Path:
    """Folder in which a run is made, with a lock."""
    for _ in range(ATTEMPTS):
        draft = _hidden(folder, "draft")
        draft.mkdir()
        with suppress(ConfigError):  # another start deleted it before it was locked
            held.enter_context(locks.hold(draft))
            return draft
    raise ConfigError(f"{folder} cannot be made: other processes are in the way; try again")


def _publish(draft: Path, folder: Path, entries: Mapping[str, Any]) -> None:
    """Move a draft to its final folder, and the existing one aside."""
    if not folder.is_dir() or not any(folder.iterdir()):
        manifest.write(draft, entries)
        os.rename(draft, folder)
        return
    with locks.hold(folder):
        older = _replaced(folder, manifest.read(folder).get("replaces", []))
        aside = writing.free_path(folder.with_name(f"{folder.name}.replaced"))
        manifest.write(draft, {**entries, "replaces": [path.name for path in (*older, aside)]})
        writing.exchange(draft, folder, aside)


def _hidden(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.{kind}")


def _clean_hidden(path: Path, match: re.Match[str]) -> None:
    """Delete a draft or a folder that was being deleted that no process uses; restore a run that was to be replaced."""
    if not _is_ours(path):
        return
    with locks.hold(path, patience=0):
        if match["kind"] == "draft":
            _put_back(path, path.with_name(match["name"]))
        _remove(path)


def _put_back(draft: Path, folder: Path) -> None:
    with suppress(ConfigError):
        replaced = _replaced(folder, manifest.read(draft).get("replaces", []))
        if replaced and not os.path.lexists(folder):
            os.rename(replaced[-1], folder)


def _replaced(folder: Path, names: Sequence[str]) -> list[Path]:
    """Existing runs with these names that a run in the folder can have replaced."""
    matches = [match for match in map(REPLACED.fullmatch, names) if match and match["name"] == folder.name]
    found = [folder.with_name(match.string) for match in matches]
    return [path for path in found if not path.is_symlink() and _is_run(path)]


def _is_run(folder: Path) -> bool:
    try:
        manifest.read(folder)
    except ConfigError:
        return False
    return True


def _is_ours(folder: Path) -> bool:
    """Whether a hidden folder contains a run, or an early state of one without a manifest."""
    names = {each for each in os.listdir(folder) if not each.endswith(writing.DRAFT)}
    return not folder.is_symlink() and (names <= {locks.LOCK, *SOURCES} or _is_run(folder))


def _remove(folder: Path) -> None:
    """Delete a folder, its manifest last, so that the remains of a kill are recognised."""
    with suppress(OSError):
        last = folder / manifest.FILE
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path != last:
                path.unlink()
        last.unlink(missing_ok=True)
        folder.rmdir()
