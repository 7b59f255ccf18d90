"""Files in a run's folder: written in one step and never through a link."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path

from fwsim.errors import ConfigError, RecordingError

DRAFT = ".part"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file in one step: a reader sees the old or the new one, also after a loss of power.

    A link in its place is replaced; the target of the link does not change. A text is stored in UTF-8; half a
    surrogate pair, as in names of files that are not in UTF-8, becomes a backslash and its number.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}{DRAFT}")
    try:
        with os.fdopen(os.open(draft, _NEW, 0o666), "wb") as file:
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def exchange(new: Path, folder: Path, aside: Path) -> None:
    """Put a new folder in the place of another, which is renamed; if that fails, it gets its name back."""
    try:
        os.rename(folder, aside)
        os.rename(new, folder)
    except BaseException:
        if not os.path.lexists(folder):
            os.rename(aside, folder)
        raise


def free_path(path: Path) -> Path:
    """The path, or if it exists the first of `<name>-2`, `<name>-3` … that does not."""
    free, number = path, 2
    while os.path.lexists(free):
        free, number = path.with_name(f"{path.name}-{number}"), number + 1
    return free


def existing(path: Path) -> ConfigError:
    """The error about something that is kept unless the user gives `--force`."""
    return ConfigError(f"{path} exists; choose another place with --to, or replace it with --force")


def check_name(what: str, name: object) -> None:
    """Refuse a name of a file that would lead to another folder, or hide the file.

    Raises
    ------
    ConfigError
        `what` it is the name of, and what is allowed.
    """
    if not isinstance(name, str) or not name or name != Path(name).name or name.startswith("."):
        raise ConfigError(
            f"{what} {name!r} cannot be stored; give a name without '/' that begins with a letter"
        )


def make_folder(path: Path) -> Path:
    """Make a folder inside a run's folder if it does not exist, and return it.

    Raises
    ------
    RecordingError
        A link or a file is in its place.
    """
    if path.is_symlink():
        raise RecordingError(f"{path} is a link; nothing is written through it, remove it")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RecordingError(f"{path} is a file and no folder; remove it") from None
    return path


def remove_drafts(folder: Path) -> None:
    """Delete unfinished files of killed processes from a folder."""
    for draft in folder.glob(f".*{DRAFT}"):
        with suppress(OSError):
            draft.unlink()
