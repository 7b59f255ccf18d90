"""Files that may be damaged or somebody else's: plain ones alone are read, up to a size, and JSON objects alone."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from fwsim.errors import RecordingError

GUARDED = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""How files are opened: no link is followed, no pipe waited for (as far as the system knows of such things)."""
LARGEST = 2**28  # bytes of a file of metadata or of digests
REMEDY = "restore it from a copy or run again"


def read(path: Path, most: int = LARGEST) -> bytes:
    """Content of a plain file; a pipe, a device or a link in its place is refused before anything is read.

    Raises
    ------
    RecordingError
        The file is not there, is no plain file, is larger than `most` bytes, or cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | GUARDED)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordingError(
            f"{path} is missing: the recording was moved, deleted or damaged; {REMEDY}"
        ) from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}; {REMEDY}") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise RecordingError(f"{path} is damaged: it is no plain file; {REMEDY}")
    with os.fdopen(handle, "rb") as file:
        if status.st_size > most:
            raise RecordingError(
                f"{path} has {status.st_size} bytes, more than a run writes; do not trust it"
            )
        return file.read(status.st_size)


def read_object(path: Path) -> tuple[dict[str, Any], bytes]:
    """JSON object that a file holds, and the file's content.

    Raises
    ------
    RecordingError
        The file cannot be read, or holds something else.
    """
    content = read(path)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path} is damaged: {_reason(error)}; {REMEDY}") from error
    if not isinstance(value, dict):
        raise RecordingError(f"{path} is damaged: it holds no JSON object; {REMEDY}")
    return value, content


def damaged(path: Path, error: Exception) -> RecordingError:
    """Say that what a file holds made a library fail."""
    return RecordingError(f"{path} is damaged: {_reason(error)}; {REMEDY}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
