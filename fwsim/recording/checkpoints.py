"""What an interrupted recording needs to go on, in one file of its folder: plain arrays, never code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fwsim.errors import RecordingError

FILE = "checkpoint.npz"


def write(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace the checkpoint of a recording, in one step."""
    draft = folder / f"{FILE}.partial"
    with draft.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
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
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # whatever a hostile or broken file makes the libraries raise
        raise RecordingError(
            f"{path} is damaged ({type(error).__name__}); delete it, and the run starts over"
        ) from error


def remove(folder: Path) -> None:
    """Drop the checkpoint of a recording that is finished."""
    (folder / FILE).unlink(missing_ok=True)
