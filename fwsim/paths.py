"""Paths and files from users: on this machine, with `~` for the home folder, valid in any current folder."""

from __future__ import annotations

import os
import re
import shlex
import stat
from pathlib import Path
from typing import Any

from fwsim.errors import ConfigError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # s3://…, and pathlib's form s3:/… of it; C:/ is a drive


MOST_TEXT = 2**26  # bytes of a file written by a person


def local_path(given: Any, name: str = "path", *, new: bool = False) -> Path:
    """Absolute path of a file or folder on this machine, which remains valid when the current folder changes.

    Parameters
    ----------
    given
        A text or a path; a leading `~` is the home folder, even if the shell does not replace it (`--to=~/x`).
    name
        Name of the argument or option, for messages.
    new
        The path will be created: the current folder and its parents are refused.

    Raises
    ------
    ConfigError
        It is no path, is empty, is an address of another machine (`s3://…`, `a::b`), or has an unknown user's home.
    """
    return home_path(given, name, new=new).absolute()


def home_path(given: Any, name: str = "path", *, new: bool = False) -> Path:
    """As `local_path`, but a relative path remains relative: for immediate use, shown as it was typed."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(text, str) or not text.strip() or "\0" in text or not _can_be_stored(text):
        raise ConfigError(f"{name}={given!r} is no path; give the name of a file or folder")
    if "::" in text or _URL.match(text):
        raise ConfigError(
            f"{name}={text!r} is not on this machine; give a path without '://' and '::', such as ~/data/x"
        )
    path = Path(os.path.expanduser(text))
    if str(path).startswith("~") and text.startswith("~"):
        raise ConfigError(
            f"{name}={text!r}: there is no home folder {path.parts[0]}; give another path, or ./{text} for such a name"
        )
    if new and Path(os.path.abspath(path)) in (here := Path.cwd(), *here.parents):
        raise ConfigError(
            f"{name}={text!r} is the current folder or one above it; give the name of a new one in it"
        )
    return path


def _can_be_stored(name: str) -> bool:
    """Whether the file system can have such a name; half of a surrogate pair has no bytes."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


class NotPlainFileError(OSError):
    """A pipe, a device or something else that is no plain file."""


class LargeFileError(OSError):
    """A file larger than allowed; `size` in bytes."""

    def __init__(self, path: Path, size: int, most: int) -> None:
        super().__init__(None, f"it has {size} bytes, more than {most}", str(path))
        self.size = size


def read_plain_file(path: Path, *, most: int | None = None, links: bool = False) -> bytes:
    """Content of a plain file; pipes, devices, folders and, unless `links`, links are refused before they are read.

    Raises
    ------
    OSError
        There is no such file, it cannot be read, or it is of another kind or larger than `most` bytes.
    """
    # Without O_NONBLOCK a pipe would wait for somebody to write into it.
    flags = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    handle = os.open(path, os.O_RDONLY | flags | (0 if links else getattr(os, "O_NOFOLLOW", 0)))
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        kind = IsADirectoryError if stat.S_ISDIR(found.st_mode) else NotPlainFileError
        raise kind(None, "it is no plain file", str(path))
    with os.fdopen(handle, "rb") as file:
        if most is not None and found.st_size > most:
            raise LargeFileError(path, found.st_size, most)
        return file.read() if most is None else file.read(found.st_size)


def plain_file(given: Any, name: str = "file", *, most: int | None = None) -> bytes:
    """Content of a user's file; pipes, devices, folders and more than `most` bytes are refused before they are read.

    Raises
    ------
    ConfigError
        There is no such file, it cannot be read, or it is none of this kind.
    """
    path = home_path(given, name)
    try:
        return read_plain_file(path, most=most, links=True)
    except NotPlainFileError:
        raise ConfigError(f"{name} {path} is no file but a pipe or device; give a plain file") from None
    except LargeFileError as error:
        raise ConfigError(f"{name} {path} has {error.size} bytes; it may have {most} at most") from None
    except FileNotFoundError:
        raise ConfigError(
            f"{name} {path} cannot be read: there is no such file; give an existing one"
        ) from None
    except IsADirectoryError:
        raise ConfigError(f"{name} {path} is a folder; give a file") from None
    except OSError as error:
        raise ConfigError(f"{name} {path} cannot be read: {error.strerror}; give an existing file") from None


def plain_text(given: Any, name: str = "file", *, most: int = MOST_TEXT) -> str:
    """Text of a file in UTF-8, with or without a byte order mark; as `plain_file`.

    Raises
    ------
    ConfigError
        As in `plain_file`, or the file is not text in UTF-8.
    """
    content = plain_file(given, name, most=most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name} {given} is no text in UTF-8 (byte {content[error.start]:#04x} at {error.start}); save it as UTF-8"
        ) from None


def typed(path: str | os.PathLike[str]) -> str:
    """A path as it is typed in a command: in quotation marks if it has a space or another character of the shell."""
    return shlex.quote(os.fspath(path))
