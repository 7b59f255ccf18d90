"""Results of a sweep so far: one folder for each batch, complete or absent.

A batch folder contains `record.json`, which says how each point ended and which attributes it has of its own, and
one `.npy` file for each variable, with the successful points stacked along its first axis. The record has the
digest of every file and of itself. A batch that differs from what was written counts as missing.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fwsim.study.files import sha256_of
from fwsim.study.sweeps.points import Point
from fwsim.study.writing import write_file

log = logging.getLogger(__name__)

RECORD = "record.json"
OPEN = 16  # open files of batches at a time; a process may have 64 or more in total
LONGEST = 2**30  # bytes of a record


@dataclass(frozen=True)
class Failure:
    """Failure of a point.

    Parameters
    ----------
    error
        One line.
    traceback
        The whole traceback, empty if the process died.
    """

    error: str
    traceback: str = ""


@dataclass(frozen=True)
class StoredPoint:
    """Place of a point's recording.

    Parameters
    ----------
    folder
        Folder of its batch.
    variables
        By name: `dims`, `shape`, `dtype`, `attrs`, `coordinate` (whether it is one) and `file`.
    attributes
        Attributes of the recording.
    row
        Its index along the first axis of the files.
    """

    folder: Path
    variables: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Any]
    row: int

    def values(self, name: str) -> np.ndarray:
        """Values of a variable, read when used; the file is closed afterwards."""
        return np.array(_open(self.folder, self.variables[name]["file"])[self.row])

    def dims(self, name: str) -> tuple[str, ...]:
        """Dimensions of a variable."""
        return tuple(self.variables[name]["dims"])

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a variable, known without reading its file."""
        return tuple(self.variables[name]["shape"])

    def renamed(self, names: Mapping[str, str]) -> StoredPoint:
        """The same point with other names of variables and dimensions."""
        variables = {
            names.get(name, name): {**each, "dims": [names.get(dim, dim) for dim in each["dims"]]}
            for name, each in self.variables.items()
        }
        return replace(self, variables=variables)


def write(batches: Path, points: Sequence[Point], ended: Sequence[xr.Dataset | Failure]) -> None:
    """Store how the points of a batch ended; a reader sees all of it or nothing.

    If two workers had the same batch, the folder of the first one is kept.
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
        recordings: list[Any] = [ended[place] for place in places]
        parts.append(_write_part(draft, number, recordings))
        for row, (place, each) in enumerate(zip(places, recordings, strict=True)):
            own = {key: _data(value) for key, value in each.attrs.items() if key not in parts[-1]["attrs"]}
            entries[place].update(part=number, row=row, attrs=own)
    for entry, each in zip(entries, ended, strict=True):
        if isinstance(each, Failure):
            entry.update(error=each.error, traceback=each.traceback)
    files = {path.name: _digest(path) for path in sorted(draft.iterdir())}
    (draft / RECORD).write_text(_text({"points": entries, "parts": parts, "files": files}))
    try:
        os.rename(draft, target)
    except OSError:
        if _whole(target):
            shutil.rmtree(draft)
            return
        _remove(target)
        os.rename(draft, target)


def read(batches: Path) -> dict[str, StoredPoint | Failure]:
    """How each point ended, by its identity; a success overrides a failure. Damaged batches are ignored."""
    found: dict[str, StoredPoint | Failure] = {}
    for folder in _folders(batches):
        record = _record(folder)
        if record is None:
            continue
        for entry in record["points"]:
            if "error" in entry:
                found.setdefault(entry["identity"], Failure(entry["error"], entry["traceback"]))
            else:
                part = record["parts"][entry["part"]]
                attributes = part["attrs"] | entry["attrs"]
                found[entry["identity"]] = StoredPoint(folder, part["variables"], attributes, entry["row"])
    return found


def discard_damaged(batches: Path) -> int:
    """Delete batches that differ from what was written, so that they are run again, and return their number."""
    damaged = [path for path in batches.glob("[!.]*") if not _whole(path)]
    for path in damaged:
        log.warning("%s is damaged; its points are run again", path)
        _remove(path)
    _open.cache_clear()
    return len(damaged)


def forget_failures(batches: Path) -> None:
    """Delete the failures, so that these points are run again."""
    for folder in _folders(batches):
        record = _record(folder) or {"points": []}
        kept = [entry for entry in record["points"] if "error" not in entry]
        if not kept:
            shutil.rmtree(folder)
        elif len(kept) < len(record["points"]):
            write_file(folder / RECORD, _text({**record, "points": kept}))


def discard_drafts(batches: Path) -> None:
    """Delete unfinished files of killed workers."""
    for draft in batches.glob(".*"):
        shutil.rmtree(draft, ignore_errors=True)


def _folders(batches: Path) -> Iterator[Path]:
    return (path for path in sorted(batches.glob("[!.]*")) if path.is_dir() and not path.is_symlink())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _text(content: Mapping[str, Any]) -> str:
    """A record in its stored form, with its digest."""
    entries = {key: value for key, value in content.items() if key != "digest"}
    return json.dumps({**entries, "digest": sha256_of(entries)})


def _record(folder: Path) -> dict[str, Any] | None:
    """Content of the record of a batch; None if it differs from what was written."""
    try:
        if not _is_file(folder / RECORD, most=LONGEST):
            return None
        record = json.loads((folder / RECORD).read_bytes())
        entries = {key: value for key, value in record.items() if key != "digest"}
        return record if record["digest"] == sha256_of(entries) else None
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _whole(folder: Path) -> bool:
    """Whether record and files of a batch are unchanged."""
    record = None if folder.is_symlink() else _record(folder)
    try:
        return record is not None and all(
            _is_file(folder / name) and _digest(folder / name) == digest
            for name, digest in record["files"].items()
        )
    except (OSError, AttributeError, KeyError):
        return False


def _is_file(path: Path, most: float = float("inf")) -> bool:
    """Whether it is a plain file: reading a pipe or a device would not end."""
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size <= most


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=OPEN)
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
        values = _plain(np.stack([each[name].values for each in recordings]))
        np.save(folder / file, values)
        variables[str(name)] = {
            "dims": [str(dim) for dim in variable.dims],
            "shape": list(values.shape[1:]),
            "dtype": values.dtype.str,
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
    return one is other or np.array_equal(one, other)  # recordings of a batch usually share theirs


def _plain(values: np.ndarray) -> np.ndarray:
    """Convert texts of any kind to numpy's own type."""
    return values.astype(object).astype(str) if values.dtype.kind in "OT" else values


def _data(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return value if isinstance(value, (str, int, float, list)) else str(value)
