"""Files of tensors and plain data: complete or absent, with a digest, and checked before use."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fwsim.errors import RecordingError, type_of

MARK = b"\nfwsim sha256 "
"""Precedes the digest at the end of the file; readers of torch's own files ignore it."""
ENDING = len(MARK) + 64 + 1


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint completely or not at all, also after a loss of power: to a draft on disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    payload = buffer.getbuffer()
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)  # left by a killed run; or a link, through which nothing may be written
    with draft.open("xb") as file:
        file.write(payload)
        file.write(MARK + hashlib.sha256(payload).hexdigest().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def load(path: Path, again: str) -> dict[str, Any]:
    """Read a checkpoint. Only tensors and plain data are loaded, never code, and only unchanged files.

    Parameters
    ----------
    path
        The file.
    again
        What to do without it, for messages: "train again".

    Raises
    ------
    RecordingError
        The file is missing, is no checkpoint, or is damaged.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no plain file")
        whole = path.read_bytes()
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be read as a checkpoint ({error.strerror or error}); give one, or {again}"
        ) from error
    payload, ending = whole[:-ENDING], whole[-ENDING:]
    if not ending.startswith(MARK):
        raise RecordingError(
            f"{path} is no checkpoint: it does not end with a digest; it is damaged or not of this version, "
            f"so delete it and {again}"
        )
    if ending != MARK + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        raise RecordingError(
            f"{path} is damaged: its content is not what its digest is of; delete it and {again}"
        )
    try:
        content = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make torch raise anything
        raise RecordingError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}); delete it"
        ) from error
    if not isinstance(content, dict):
        raise RecordingError(f"{path} is no checkpoint: it holds {type_of(content)}; delete it")
    return content
