"""What an interrupted recording needs to go on, in one file of its folder: plain arrays, never code."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fwsim.errors import RecordingError

FILE = "checkpoint.npz"
DIGEST = "sha256"


def write(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace the checkpoint of a recording, in one step."""
    draft = folder / f"{FILE}.partial"
    with draft.open("wb") as file:
        np.savez(file, **arrays, **{DIGEST: _digest(arrays)})  # type: ignore[arg-type]
    os.replace(draft, folder / FILE)


def read(folder: Path) -> dict[str, np.ndarray]:
    """Arrays of a recording's checkpoint; none where there is no checkpoint.

    Raises
    ------
    RecordingError
        The file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if not np.array_equal(arrays.pop(DIGEST), _digest(arrays)):
            raise ValueError("its checksum is another")
        return arrays
    except Exception as error:  # whatever a hostile or broken file makes the libraries raise
        raise RecordingError(
            f"{path} is damaged ({type(error).__name__}); delete it, and the run starts over"
        ) from error


def can_resume(folder: str | os.PathLike[str]) -> bool:
    """Whether a recording was interrupted and has a checkpoint to go on from."""
    return (Path(folder) / FILE).is_file()


def remove(folder: Path) -> None:
    """Drop the checkpoint of a recording that is finished."""
    (folder / FILE).unlink(missing_ok=True)


def _digest(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """SHA-256 of names, types, shapes and values, so that what is read is what was written."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {np.shape(arrays[name])}".encode())
        digest.update(array.data)
    return np.frombuffer(digest.digest(), np.uint8)
