"""Checks of an interrupted recording, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fwsim.errors import RecordingError
from fwsim.recording import checkpoints, digests, plain_files
from fwsim.recording.declared import Declared
from fwsim.recording.layout import ArrayLayout
from fwsim.recording.reading import Head
from fwsim.recording.schema import SCHEMA
from fwsim.recording.stored import StoredArray

AGAIN = "restore it from a copy, or remove the folder and run again"


def check_interrupted(path: Path, layouts: Mapping[str, ArrayLayout], attributes: Mapping[str, Any]) -> Head:
    """Refuse anything that is not an interrupted recording of the run with these attributes.

    Raises
    ------
    RecordingError
        It is finished, damaged, of another run, or no recording.
    """
    head = Head.of(path)
    if head.finished:
        raise RecordingError(f"{path} is finished; open it, or choose another path")
    if head.schema != SCHEMA:
        raise RecordingError(
            f"{path} was begun in schema {head.schema}, and this fwsim writes {SCHEMA}; continue with the version that "
            "began it, or choose another path"
        )
    head.check_same_run(attributes)
    arrays = head.arrays()
    for name, each in layouts.items():
        if name not in arrays:
            raise RecordingError(
                f"{path} was begun with another record of {name}: none; give the same, or another path"
            )
        stored: StoredArray = arrays[name]
        shape = [size for axis, size in enumerate(stored.declared.shape) if axis != each.axis or each.steps]
        expected = [size for axis, size in enumerate(each.shape) if axis != each.axis or each.steps]
        if (stored.dimensions, stored.dtype, shape) != (each.dimensions, each.dtype, expected):
            raise RecordingError(f"{path} was begun with another record of {name}; give the same")
    return head


def kept_of(path: Path, layouts: Mapping[str, ArrayLayout]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Content of the last checkpoint of a recording, and the digests of its files, all of which are read.

    Files that the continued run writes again are left out: later chunks, and without a checkpoint all.

    Raises
    ------
    RecordingError
        The checkpoint is damaged or of another run, or a file that it needs is damaged or missing.
    """
    known = digests.known(path)
    if known is None or known.finished:
        raise RecordingError(f"{path} is finished; open it, or choose another path")
    kept = checkpoints.read(path, known.files.get(checkpoints.FILE, ()))
    with checkpoints.understood(path):
        first = {name: _first_chunk(path, kept, name, each) for name, each in layouts.items()}
    whole = {}
    for name, allowed in known.files.items():
        folder, _, key = name.partition("/")
        if name == checkpoints.FILE:
            continue
        if folder in first and key.startswith("c.") and _place(key, layouts[folder]) >= first[folder]:
            continue
        if name == known.last and not (path / name).exists():
            continue
        one = digests.digest(plain_files.read(path / name))
        if one not in allowed:
            raise RecordingError(
                f"{path / name} is damaged: its checksum is not that of what was written; {AGAIN}"
            )
        whole[name] = one
    return kept, whole


def _place(key: str, each: ArrayLayout) -> int:
    """Index of a chunk along the streamed axis."""
    return int(key.split(".")[1 + each.axis])


def _first_chunk(path: Path, kept: Mapping[str, np.ndarray], name: str, each: ArrayLayout) -> int:
    """Number of the first chunk that is written again; `ValueError` or `KeyError` if the checkpoint does not fit."""
    if not kept:
        return 0
    begin, buffer = int(kept[f"begin/{name}"]), kept[f"buffer/{name}"]
    shape = tuple(buffer.shape[axis] if axis == each.axis else size for axis, size in enumerate(each.shape))
    length = Declared.of(path / name, plain_files.read_object(path / name / "zarr.json")[0]).chunks[each.axis]
    if begin % length or begin < 0 or buffer.shape != shape or buffer.dtype != each.dtype:
        raise ValueError(f"{name} has {buffer.dtype} {list(buffer.shape)} from sample {begin}")
    if shape[each.axis] >= length:
        raise ValueError(f"{name} keeps {shape[each.axis]} samples, more than a chunk")
    return begin // length
