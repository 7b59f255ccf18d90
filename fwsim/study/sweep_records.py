"""What a sweep has done so far: one folder a batch, complete or not there at all.

A batch folder holds `record.json`, which says how each point ended, and one `.npy` file a
variable with the points that ended well stacked along its first axis.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fwsim.study.sweep_points import Point


@dataclass(frozen=True)
class Failure:
    """How a point failed.

    Parameters
    ----------
    error
        One line.
    traceback
        All of it, empty where the process died.
    """

    error: str
    traceback: str = ""


@dataclass(frozen=True)
class Stored:
    """Where a point's recording is.

    Parameters
    ----------
    folder
        Of its batch.
    variables
        By name: `dims`, `attrs`, `coordinate` (whether it is one) and `file`.
    attributes
        Of the recording.
    row
        Its place along the first axis of the files.
    """

    folder: Path
    variables: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Any]
    row: int

    def values(self, name: str) -> np.ndarray:
        """Values of a variable, read when they are looked at."""
        return _open(self.folder, self.variables[name]["file"])[self.row]


def write(batches: Path, points: Sequence[Point], ended: Sequence[xr.Dataset | Failure]) -> None:
    """Keep how the points of a batch ended; a reader sees all of it or nothing.

    Where two workers were given the same batch, the first one's folder stays.
    """
    target = batches / _name(points)
    draft = batches / f".{target.name}.{uuid.uuid4().hex}"
    draft.mkdir(parents=True)
    alike: dict[str, list[int]] = {}
    for place, each in enumerate(ended):
        if isinstance(each, xr.Dataset):
            alike.setdefault(_structure(each), []).append(place)
    entries: list[dict[str, Any]] = [{"identity": point.identity} for point in points]
    parts = []
    for number, places in enumerate(alike.values()):
        parts.append(_write_part(draft, number, [ended[place] for place in places]))  # type: ignore[misc]
        for row, place in enumerate(places):
            entries[place].update(part=number, row=row)
    for entry, each in zip(entries, ended, strict=True):
        if isinstance(each, Failure):
            entry.update(error=each.error, traceback=each.traceback)
    (draft / "record.json").write_text(json.dumps({"points": entries, "parts": parts}))
    try:
        os.rename(draft, target)
    except OSError:
        if not (target / "record.json").is_file():
            raise
        shutil.rmtree(draft)


def read(batches: Path) -> dict[str, Stored | Failure]:
    """How each point ended, by its identity; a success stands over a failure."""
    found: dict[str, Stored | Failure] = {}
    for path in sorted(batches.glob("[!.]*/record.json")):
        record = json.loads(path.read_text())
        for entry in record["points"]:
            if "error" in entry:
                found.setdefault(entry["identity"], Failure(entry["error"], entry["traceback"]))
            else:
                part = record["parts"][entry["part"]]
                found[entry["identity"]] = Stored(path.parent, part["variables"], part["attrs"], entry["row"])
    return found


def forget_failures(batches: Path) -> None:
    """Drop how points failed, so that they are redone."""
    for path in batches.glob("[!.]*/record.json"):
        record = json.loads(path.read_text())
        kept = [entry for entry in record["points"] if "error" not in entry]
        if not kept:
            shutil.rmtree(path.parent)
        elif len(kept) < len(record["points"]):
            draft = path.with_suffix(".part")
            draft.write_text(json.dumps({**record, "points": kept}))
            os.replace(draft, path)


def discard_drafts(batches: Path) -> None:
    """Remove what killed workers had begun to write."""
    for draft in batches.glob(".*"):
        shutil.rmtree(draft, ignore_errors=True)


@lru_cache(maxsize=512)
def _open(folder: Path, file: str) -> np.ndarray:
    return np.load(folder / file, mmap_mode="r", allow_pickle=False)


def _name(points: Sequence[Point]) -> str:
    return sha256("".join(point.identity for point in points).encode()).hexdigest()[:24]


def _structure(recording: xr.Dataset) -> str:
    variables = recording.variables.items()
    return repr(
        sorted((str(name), each.dims, each.shape, np.dtype(each.dtype).kind) for name, each in variables)
    )


def _write_part(folder: Path, number: int, recordings: Sequence[xr.Dataset]) -> dict[str, Any]:
    first = recordings[0]
    variables = {}
    for place, (name, variable) in enumerate(first.variables.items()):
        file = f"{number}-{place}.npy"
        np.save(folder / file, _plain(np.stack([each[name].values for each in recordings])))
        variables[str(name)] = {
            "dims": [str(dim) for dim in variable.dims],
            "attrs": {key: _data(value) for key, value in variable.attrs.items()},
            "coordinate": name in first.coords,
            "file": file,
        }
    shared = {
        key: _data(value)
        for key, value in first.attrs.items()
        if all(key in each.attrs and _equal(each.attrs[key], value) for each in recordings)
    }
    return {"variables": variables, "attrs": shared}


def _equal(one: Any, other: Any) -> bool:
    return one is other or np.array_equal(one, other)  # recordings of a batch mostly share theirs


def _plain(values: np.ndarray) -> np.ndarray:
    """Texts of any kind as numpy's own."""
    return values.astype(str) if values.dtype.kind in "OT" else values


def _data(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return value if isinstance(value, (str, int, float, list)) else str(value)
