"""Checkpoint of an interrupted recording: one file of plain arrays, which is never executed."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fwsim.errors import RecordingError
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.recording import plain_files
from fwsim.recording.digests import LIST, Journal, digest

FILE = "checkpoint.npz"
LARGEST = 2**40  # bytes; as large as a state may be


def write(folder: Path, arrays: Mapping[str, np.ndarray], journal: Journal) -> None:
    """Replace the checkpoint of a recording in one step, after the journal has recorded its digest."""
    draft = folder / f"{FILE}.partial"
    with draft.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    with draft.open("rb") as file:
        journal.announce(FILE, hashlib.file_digest(file, "sha256").hexdigest())
    os.replace(draft, folder / FILE)


def read(folder: Path, allowed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Arrays of a recording's checkpoint; an empty dictionary if there is none.

    Parameters
    ----------
    folder
        Folder of the recording.
    allowed
        Digests that the content of the file may have.

    Raises
    ------
    RecordingError
        The file is damaged, or the run did not write it.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return {}
    content = plain_files.read(path, LARGEST)
    with understood(folder):
        if digest(content) not in allowed:
            raise ValueError("its checksum is not that of what was written")
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise ValueError("it is compressed")
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """Convert any error that a damaged checkpoint, or one of another version, raises into one line."""
    try:
        yield
    except RecordingError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or "empty"
        raise RecordingError(
            f"{folder / FILE} is damaged or of another version ({type(error).__name__}: {reason}); delete it, and the "
            "run starts over"
        ) from error


@known_arguments
def can_resume(folder: str | os.PathLike[str]) -> bool:
    """Whether a recording was interrupted and has a checkpoint from which it can continue."""
    path = local_path(folder)
    return (path / FILE).is_file() and not (path / LIST).exists()


def remove(folder: Path) -> None:
    """Delete the checkpoint of a finished recording."""
    (folder / FILE).unlink(missing_ok=True)
