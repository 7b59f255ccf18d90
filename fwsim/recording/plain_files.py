"""Safe reading of files from unknown sources: only plain files, with a limit of size, and only JSON objects."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from fwsim.errors import RecordingError
from fwsim.paths import LargeFileError, NotPlainFileError, read_plain_file

GUARDED = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
"""Flags for opening files: do not follow links and do not wait for pipes (as far as the system supports it)."""
LARGEST = 2**28  # bytes of a file of metadata or of digests
REMEDY = "restore it from a copy or run again"


def read(path: Path, most: int = LARGEST) -> bytes:
    """Content of a plain file. A pipe, a device or a link is refused before anything is read.

    Raises
    ------
    RecordingError
        The file is missing, no plain file, larger than `most` bytes, or cannot be read.
    """
    try:
        return read_plain_file(path, most=most)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordingError(
            f"{path} is missing: the recording was moved, deleted or damaged; {REMEDY}"
        ) from None
    except (NotPlainFileError, IsADirectoryError):
        raise RecordingError(f"{path} is damaged: it is no plain file; {REMEDY}") from None
    except LargeFileError as error:
        raise RecordingError(
            f"{path} has {error.size} bytes, more than a run writes; do not trust it"
        ) from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}; {REMEDY}") from error


def read_object(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON object in a file, and the content of the file.

    Raises
    ------
    RecordingError
        The file cannot be read, or contains something else.
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
    """Error for a file whose content made a library fail."""
    return RecordingError(f"{path} is damaged: {_reason(error)}; {REMEDY}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
