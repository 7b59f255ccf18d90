"""Opening a recording that this or another program left on disk."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr
import zarr

from fwsim.errors import RecordingError
from fwsim.recording import glance  # noqa: F401  # registers what recordings show in a notebook
from fwsim.recording.layout import Layout
from fwsim.recording.older import RENAMED, up_to_date
from fwsim.recording.schema import SCHEMA

CODECS = ("BytesCodec", "BloscCodec", "Crc32cCodec")

# What a file may declare before anything is allocated; ours have chunks of 1 MiB.
LARGEST_CHUNK = 64 * 2**20  # bytes
MOST_CHUNKS = 2**20  # of one sample

OF_THE_PROCESS = ("versions", "commit", "command", "started")
"""Attributes in which a run and its continuation may differ."""


def open_recording(path: str | PathLike[str]) -> xr.Dataset:
    """Open a recorded run lazily.

    Parameters
    ----------
    path
        Folder written with `to=`.

    Returns
    -------
    Dataset
        Variables are read chunk by chunk when needed. Of an interrupted run (no attribute
        `wall_time`, no final state) it holds the first `valid_steps` of `steps` steps, which are
        those whose chunks are all there.

    Raises
    ------
    RecordingError
        Not a recording, one of another schema, or a damaged one. Damage inside a chunk is
        found by its checksum when it is read.
    """
    path = Path(path)
    attributes = _attributes(path)
    _check_schema(path, attributes)
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
        return up_to_date(_dataset(_arrays(path, group, "wall_time" in attributes), attributes))
    except RecordingError:
        raise
    except Exception as error:  # whatever a hostile or broken file makes the libraries raise
        raise _damaged(path, error) from error


def finished(path: str | PathLike[str], attributes: Mapping[str, Any]) -> xr.Dataset | None:
    """Recording of the run with these attributes, if it is there and came to its end.

    Raises
    ------
    RecordingError
        What is there is another run, or no recording.
    """
    path = Path(path)
    if not path.exists():
        return None
    check_same_run(path, attributes)
    return open_recording(path) if "wall_time" in _attributes(path) else None


def check_interrupted(path: Path, layouts: Mapping[str, Layout], attributes: Mapping[str, Any]) -> None:
    """Refuse what is not an interrupted recording of the run with these attributes.

    Raises
    ------
    RecordingError
        It is finished, damaged, of another run, or no recording.
    """
    stored = _attributes(path)
    _check_schema(path, stored)
    if "wall_time" in stored:
        raise RecordingError(f"{path} is finished; open it, or choose another path")
    if stored["fwsim_schema"] != SCHEMA:
        raise RecordingError(
            f"{path} was begun in schema {stored['fwsim_schema']}, and this fwsim writes {SCHEMA}; go on with the "
            "version that began it, or choose another path"
        )
    check_same_run(path, attributes)
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
        for name, each in layouts.items():
            stored = _Stored(path / name, group[name])
            shape = [size for axis, size in enumerate(stored.array.shape) if axis != each.axis or each.steps]
            expected = [size for axis, size in enumerate(each.shape) if axis != each.axis or each.steps]
            if (stored.dimensions, stored.dtype, shape) != (each.dimensions, each.dtype, expected):
                raise RecordingError(f"{path} was begun with another record of {name}; give the same")
    except RecordingError:
        raise
    except KeyError as error:
        raise RecordingError(
            f"{path} was begun with another record of {error.args[0]}: none; give the same, or another path"
        ) from None
    except Exception as error:
        raise _damaged(path, error) from error


def check_same_run(path: Path, attributes: Mapping[str, Any]) -> None:
    """Refuse a recording of a run with other attributes than these.

    Raises
    ------
    RecordingError
        They differ, or there is no recording.
    """
    stored = _attributes(path)
    _check_schema(path, stored)
    for name, value in attributes.items():
        if name not in OF_THE_PROCESS and stored.get(name) != value:
            short = f": {stored.get(name)!r}, now {value!r}" if len(str(value)) < 40 else ""
            raise RecordingError(
                f"{path} was recorded with another {name}{short}; give the same, or another path"
            )


def _attributes(path: Path) -> dict[str, Any]:
    if not (path / "zarr.json").is_file():
        raise RecordingError(
            f"{path} is not a recording; give the folder that a run was written to (an experiment's recording.zarr)"
        )
    try:
        return dict(zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False).attrs)
    except Exception as error:
        raise _damaged(path, error) from error


class _Stored:
    """A Zarr array that is valid along its streamed axis as far as its chunks are there."""

    def __init__(self, path: Path, array: Any) -> None:
        self.name, self.path, self.array = path.name, path, array
        self.dtype, self.ndim, self.chunks = array.dtype, array.ndim, array.chunks
        self.dimensions = tuple(array.metadata.dimension_names or ())
        codecs = tuple(type(codec).__name__ for codec in array.metadata.codecs)
        if self.dtype.kind not in "iuf" or len(self.dimensions) != self.ndim or codecs != CODECS:
            raise RecordingError(
                f"{path} was not written by a run (type, dimensions or codecs); open it with xarray"
            )
        if math.prod(self.chunks) * self.dtype.itemsize > LARGEST_CHUNK:
            raise RecordingError(
                f"{path} declares chunks of {self.chunks}, larger than a run writes; do not trust it"
            )
        self.axis = self._streamed_axis()
        self.shape = self._valid_shape()

    @property
    def streamed(self) -> str | None:
        """The dimension along which it grew."""
        return None if self.axis is None else self.dimensions[self.axis]

    @property
    def complete(self) -> bool:
        return self.shape == self.array.shape

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return self.array[key]
        except Exception as error:
            raise _damaged(self.path, error) from error

    def read(self) -> np.ndarray:
        """All that is valid of one dimension, chunk by chunk, so that it is in memory only once."""
        values, chunk = np.empty(self.shape, self.dtype), self.chunks[0]
        for begin in range(0, len(values), chunk):
            values[begin : begin + chunk] = self[begin : min(begin + chunk, len(values))]
        return values

    def variable(self) -> xr.Variable:
        """The array as a lazy variable; coordinates and single numbers are read at once."""
        attributes = dict(self.array.attrs)
        if self.ndim == 0:
            return xr.Variable((), np.asarray(self[()]), attributes)
        if self.dimensions == (self.name,):
            return xr.Variable(self.dimensions, self.read(), attributes)
        meta = np.empty((0,) * self.ndim, self.dtype)
        data = dask.array.from_array(self, chunks=self.chunks, name=False, meta=meta)
        return xr.Variable(self.dimensions, data, attributes)

    def _streamed_axis(self) -> int | None:
        for axis, dimension in enumerate(self.dimensions):
            if dimension != self.name and dimension in ("time", "spike", f"{self.name}_time"):
                return axis
        return None

    def _valid_shape(self) -> tuple[int, ...]:
        """The shape as far as there are chunks, along the streamed axis or else the first."""
        shape: tuple[int, ...] = self.array.shape
        axis = self.axis or 0
        counts = [math.ceil(size / chunk) for size, chunk in zip(shape, self.chunks)]
        others = counts[:axis] + counts[axis + 1 :]
        if math.prod(others) > MOST_CHUNKS:
            raise RecordingError(
                f"{self.path} declares shape {shape}, larger than a run writes; do not trust it"
            )
        if math.prod(shape) == 0:
            return shape
        present = {entry.name for entry in os.scandir(self.path)}
        if not shape:
            return shape if self._key(()) in present else (0,)

        def there(position: int) -> bool:
            places = itertools.product(*map(range, others))
            return all(self._key((*p[:axis], position, *p[axis:])) in present for p in places)

        chunks = next(position for position in itertools.count() if not there(position))
        valid = min(shape[axis], chunks * self.chunks[axis])
        return (*shape[:axis], valid, *shape[axis + 1 :])

    def _key(self, position: tuple[int, ...]) -> str:
        return self.array.metadata.encode_chunk_key(position)


def _arrays(path: Path, group: zarr.Group, finished: bool) -> dict[str, _Stored]:
    """All arrays; of an unfinished run those that were there from the start, since the others may be half written."""
    folders = [entry.name for entry in os.scandir(path) if entry.is_dir()]
    if finished:
        return {name: _Stored(path / name, group[name]) for name in folders}
    begun = {
        name: _Stored(path / name, group[name]) for name in folders if (path / name / "zarr.json").exists()
    }
    dimensions = {
        dimension for stored in begun.values() if stored.streamed for dimension in stored.dimensions
    }
    return {name: stored for name, stored in begun.items() if stored.streamed or name in dimensions}


def _dataset(kept: dict[str, _Stored], attributes: dict[str, Any]) -> xr.Dataset:
    finished = "wall_time" in attributes
    for stored in kept.values():
        if stored.axis is None and not stored.complete:
            raise RecordingError(
                f"{stored.path} is damaged: chunks are missing; restore it from a copy or run again"
            )
    growing = [stored for stored in kept.values() if stored.streamed]
    limit = min((_first_missing(stored, kept, finished) for stored in growing), default=math.inf)
    valid = {}
    if limit < math.inf:
        for dimension in {stored.streamed for stored in growing}:
            valid[dimension] = slice(0, int(np.searchsorted(_times(dimension, kept), limit)))
    variables = {name: stored.variable().isel(valid, missing_dims="ignore") for name, stored in kept.items()}
    return xr.Dataset(variables, attrs={**attributes, "valid_steps": _steps_before(limit, attributes)})


def _times(dimension: str | None, kept: dict[str, _Stored]) -> np.ndarray:
    """Times of the samples along a streamed dimension, s."""
    stored = kept["spike_time" if dimension == "spike" else str(dimension)]
    return stored.read()


def _first_missing(stored: _Stored, kept: dict[str, _Stored], finished: bool) -> float:
    """Time of the first sample that may be missing, s."""
    length = stored.shape[stored.axis or 0]
    if stored.streamed != "spike":
        return math.inf if stored.complete else float(_times(stored.streamed, kept)[length])
    if finished and stored.complete:
        return math.inf
    # Spikes of an unfinished run end anywhere: the last one that is there may have lost its neighbours.
    times = _times("spike", kept)[:length]
    return float(times[-1]) if len(times) else -math.inf


def _steps_before(limit: float, attributes: dict[str, Any]) -> int:
    if limit == math.inf:
        return int(attributes["steps"])
    steps = math.ceil(max(limit, 0.0) / attributes["dt"] - 1e-6) - 1 - attributes["first_step"]
    return max(0, steps)


def _check_schema(path: Path, attributes: dict[str, Any]) -> None:
    schema = attributes.get("fwsim_schema")
    if schema is None:
        raise RecordingError(
            f"{path} is not a recording by fwsim (no fwsim_schema); open it with xarray instead"
        )
    if type(schema) is not int or schema not in (*RENAMED, SCHEMA):
        raise RecordingError(
            f"{path} has schema {schema!r} and this fwsim reads 1 to {SCHEMA}; use the version that wrote it"
        )


def _damaged(path: Path, error: Exception) -> RecordingError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return RecordingError(f"{path} is damaged: {reason}; restore it from a copy or run again")
