"""Folders of analyses: complete or absent, with the digests of their files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fwsim.errors import RecordingError
from fwsim.paths import home_path
from fwsim.study import digests, locks, manifest, writing

LOCK = ".results.lock"
PATIENCE = 60.0  # s to wait for another process that draws its figures


@contextmanager
def renewed(folder: Path, of: str | None = None) -> Iterator[Path]:
    """A new folder that replaces `folder` at the end; files that are not from an analysis are copied.

    Parameters
    ----------
    of
        Digest of the list of files of the analysed run.

    Raises
    ------
    ConfigError
        Another process is writing there.
    RecordingError
        It is a link or a file, or cannot be written.
    """
    try:
        writing.make_folder(folder.parent)
        if not os.access(folder.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with locks.hold(folder.parent, LOCK, patience=PATIENCE):
            draft, old = (
                folder.with_name(f".{folder.name}.{what}{writing.DRAFT}") for what in ("new", "old")
            )
            _recover(folder, draft, old)
            draft.mkdir()
            try:
                yield draft
                _publish(folder, draft, old, of)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise RecordingError(
            f"{folder} cannot be written: {error.strerror or error}; free some space, check the permissions, "
            "or give another place with --to"
        ) from error


def place(usual: Path, to: str | Path | None, *, force: bool) -> Path:
    """Folder for an analysis: the usual one, or another that the user gave.

    Raises
    ------
    ConfigError
        The other one is a run, or contains something else than an analysis and `force` is not given.
    """
    if to is None:
        return usual
    folder = home_path(to, "to", new=True)
    if os.path.lexists(folder / manifest.FILE):
        raise manifest.is_a_run(folder)
    empty = not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir()))
    if not (empty or force or (folder / digests.FILE).is_file()):
        raise writing.existing(folder)
    return folder


def damage(folder: Path, of: str | None = None) -> str | None:
    """What is wrong with the folder of an analysis; None if it is complete and belongs to this run."""
    try:
        listed = digests.read(folder)
    except RecordingError as error:
        return str(error)
    missing = [each for each in digests.differences(folder, listed) if not each.endswith(" is extra")]
    if missing:
        return f"{folder / missing[0]}"
    return None if listed.of == of else f"{folder} is of another state of the run"


def _recover(folder: Path, draft: Path, old: Path) -> None:
    """Delete leftovers of a killed process."""
    if old.is_dir() and not os.path.lexists(folder):
        os.rename(old, folder)
    for path in (draft, old):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if folder.is_symlink() or not (folder.is_dir() or not folder.exists()):
        raise RecordingError(f"{folder} is a link or a file; nothing is written through it, remove it")


def _publish(folder: Path, draft: Path, old: Path, of: str | None) -> None:
    digests.write(draft, of)
    if folder.is_dir():
        _take_over(folder, draft)
        writing.exchange(draft, folder, old)
    else:
        os.rename(draft, folder)


def _take_over(folder: Path, draft: Path) -> None:
    """Copy files that no analysis wrote; with a damaged list, all files that the new analysis does not write."""
    try:
        written = set(digests.read(folder).files)
    except RecordingError:
        written = set()
    for path in folder.iterdir():
        if path.name in written or path.name == digests.FILE or os.path.lexists(draft / path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, draft / path.name, symlinks=True)
        else:
            shutil.copy2(path, draft / path.name, follow_symlinks=False)
