"""Opening a recording that this or another program left on disk."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr
import zarr

from fwsim.errors import RecordingError
from fwsim.recording.schema import SCHEMA

LARGEST_CHUNK = 64 * 2**20  # bytes; ours are at most 4 MiB
CODECS = {"BytesCodec", "BloscCodec", "Crc32cCodec", "ZstdCodec", "GzipCodec"}


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
        Not a recording, one of another schema, or a damaged one. A damaged chunk is found
        when it is read.
    """
    path = Path(path)
    if not path.is_dir():
        raise RecordingError(f"{path} is not a recording; give the folder that a run was written to")
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3, use_consolidated=False)
        attributes = dict(group.attrs)
        _check_schema(path, attributes)
        arrays = {name: _Stored(path / name, array) for name, array in group.arrays()}
        return _dataset(path, arrays, attributes)
    except RecordingError:
        raise
    except Exception as error:  # whatever a hostile or broken file makes the libraries raise
        raise _damaged(path, error) from error


class _Stored:
    """A Zarr array on disk, seen as dask wants it, that knows which of its chunks are there."""

    def __init__(self, path: Path, array: Any) -> None:
        self.path, self.array = path, array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.dimensions = array.metadata.dimension_names or ()
        codecs = {type(codec).__name__ for codec in array.metadata.codecs}
        if self.dtype.kind not in "iuf" or len(self.dimensions) != self.ndim or codecs - CODECS:
            raise RecordingError(
                f"{path} is not an array of numbers that fwsim wrote; open it with xarray instead"
            )
        if math.prod(array.chunks) * self.dtype.itemsize > LARGEST_CHUNK:
            raise RecordingError(f"{path} declares chunks of {array.chunks}, too large to be one of fwsim's")

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return self.array[key]
        except Exception as error:
            raise _damaged(self.path, error) from error

    def length(self, axis: int) -> int:
        """Entries along `axis` up to the first missing chunk."""
        others = math.prod(
            math.ceil(size / chunk)
            for i, (size, chunk) in enumerate(zip(self.shape, self.array.chunks))
            if i != axis
        )
        if others == 0:
            return self.shape[axis]
        present: dict[int, int] = {}
        for file in (self.path / "c").rglob("*"):
            index = file.relative_to(self.path / "c").parts
            if len(index) == self.ndim and all(part.isdecimal() for part in index):
                present[int(index[axis])] = present.get(int(index[axis]), 0) + 1
        chunks = 0
        while present.get(chunks, 0) == others:
            chunks += 1
        return min(self.shape[axis], chunks * self.array.chunks[axis])

    def variable(self) -> xr.Variable:
        """The array as a lazy variable; a damaged or missing chunk is an error when read."""
        data = dask.array.from_array(
            self, chunks=self.array.chunks, meta=np.empty((0,) * self.ndim, self.dtype)
        )
        return xr.Variable(self.dimensions, data, dict(self.array.attrs))


def _check_schema(path: Path, attributes: dict[str, Any]) -> None:
    schema = attributes.get("fwsim_schema")
    if schema is None:
        raise RecordingError(
            f"{path} is not a recording by fwsim (no fwsim_schema); open it with xarray instead"
        )
    if schema != SCHEMA:
        raise RecordingError(
            f"{path} has schema {schema!r} and this fwsim reads {SCHEMA}; use the version that wrote it"
        )


def _damaged(path: Path, error: Exception) -> RecordingError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return RecordingError(f"{path} is damaged: {reason}; restore it from a copy or run again")


def _dataset(path: Path, arrays: dict[str, _Stored], attributes: dict[str, Any]) -> xr.Dataset:
    finished = "wall_time" in attributes
    kept = {name: stored for name, stored in arrays.items() if finished or not name.startswith("final_")}
    streamed = {
        name: axis for name, stored in kept.items() if (axis := _streamed_axis(name, stored)) is not None
    }
    variables = {}
    for name, stored in kept.items():
        if name not in streamed and stored.ndim and stored.length(0) < stored.shape[0]:
            raise RecordingError(
                f"{path} is damaged: chunks of {name} are missing; restore it from a copy or run again"
            )
        small = stored.ndim == 0 or stored.dimensions == (name,)
        variables[name] = stored.variable().load() if small else stored.variable()

    lengths: dict[str, int] = {}
    for name, axis in streamed.items():
        dimension = kept[name].dimensions[axis]
        lengths[dimension] = min(lengths.get(dimension, kept[name].shape[axis]), kept[name].length(axis))
    run = xr.Dataset(variables, attrs=attributes)
    limits = [_first_missing(run, dimension, length, finished) for dimension, length in lengths.items()]
    return _valid_part(run, tuple(lengths), min(limits, default=math.inf))


def _streamed_axis(name: str, stored: _Stored) -> int | None:
    for axis, dimension in enumerate(stored.dimensions):
        if dimension != name and dimension in ("time", "spike", f"{name}_time"):
            return axis
    return None


def _first_missing(run: xr.Dataset, dimension: str, length: int, finished: bool) -> float:
    """Time of the first sample that may be missing, s."""
    if dimension != "spike":
        return float(run[dimension][length]) if length < run.sizes[dimension] else math.inf
    if finished and length == run.sizes["spike"]:
        return math.inf
    return float(run["spike_time"][length - 1]) if length else -math.inf


def _valid_part(run: xr.Dataset, dimensions: tuple[str, ...], limit: float) -> xr.Dataset:
    """The samples before `limit`, and how many steps of the run that makes."""
    if limit == math.inf:
        return run.assign_attrs(valid_steps=run.attrs["steps"])
    before = {}
    for dimension in dimensions:
        times = run["spike_time"] if dimension == "spike" else run[dimension]
        before[dimension] = slice(0, int(np.searchsorted(times.values, limit)))
    done = math.ceil(max(limit, 0) / run.attrs["dt"] - 1e-6) - 1 - run.attrs["first_step"]
    return run.isel(before).assign_attrs(valid_steps=max(0, done))
