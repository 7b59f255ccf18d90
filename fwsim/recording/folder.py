"""A recording that is written to a Zarr folder, chunk by chunk."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from fwsim.errors import RecordingError
from fwsim.recording.layout import Layout, along
from fwsim.recording.reading import open_recording

CHUNK_BYTES = 2 * 2**20
CHUNK_EVENTS = 2**14


class ZarrStore:
    """Writes a Zarr folder (format 3) through one buffer of a chunk for each variable.

    Arrays are declared in full at the start and chunks appear in order, each by an atomic
    rename, so what is valid after a kill can be read off the chunks that are there. The
    attributes come last at the start and `wall_time` last at the end: without the first the
    folder is no recording, without the second it was interrupted.

    Raises
    ------
    RecordingError
        The path exists, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        layouts: Mapping[str, Layout],
        coordinates: Mapping[str, xr.Variable],
        attributes: Mapping[str, str | int | float],
    ) -> None:
        self.path = path
        with _one_line(path):
            if os.path.lexists(path):
                raise RecordingError(f"{path} exists already; choose another path or remove it")
            path.mkdir(parents=True)
            self._group = zarr.create_group(path, zarr_format=3)
            self._buffers = {
                name: _Buffer(_declare(self._group, name, each), each.axis) for name, each in layouts.items()
            }
            for name, coordinate in coordinates.items():
                _save(self._group, name, coordinate)
            self._group.attrs.update(attributes)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fwsim-recording")
        self._pending: Future[None] | None = None

    def append(self, name: str, values: np.ndarray) -> None:
        """Add samples along the streamed axis; whole chunks are written in the background."""
        buffer = self._buffers[name]
        while values.shape[buffer.axis]:
            values = buffer.fill(values)
            if buffer.full:
                self._write(buffer)

    def finish(
        self, extra: Mapping[str, xr.Variable], attributes: Mapping[str, str | int | float]
    ) -> xr.Dataset:
        """Add whole variables and last attributes, and open the recording."""
        for buffer in self._buffers.values():
            self._write(buffer)
        self._wait()
        self._writer.shutdown()
        with _one_line(self.path):
            for name, variable in extra.items():
                _save(self._group, name, variable)
            self._group.attrs.update(attributes)
        return open_recording(self.path)

    def _write(self, buffer: _Buffer) -> None:
        """Hand the buffer over; at most one chunk waits, so that memory stays bounded."""
        self._wait()
        self._pending = self._writer.submit(buffer.take())

    def _wait(self) -> None:
        if self._pending is not None:
            with _one_line(self.path):
                self._pending.result()


class _Buffer:
    """One chunk of an array, filled along the streamed axis."""

    def __init__(self, array: zarr.Array, axis: int) -> None:
        self.array, self.axis = array, axis
        self._length = array.chunks[axis]
        self._begin = 0
        self._renew()

    def _renew(self) -> None:
        shape = list(self.array.shape)
        shape[self.axis] = self._length
        self._values = np.empty(shape, self.array.dtype)
        self._filled = 0

    @property
    def full(self) -> bool:
        return self._filled == self._length

    def fill(self, values: np.ndarray) -> np.ndarray:
        """Take as many samples as fit and return the others."""
        count = min(self._length - self._filled, values.shape[self.axis])
        self._values[along(self.axis, self._filled, self._filled + count)] = values[
            along(self.axis, 0, count)
        ]
        self._filled += count
        return values[along(self.axis, count, None)]

    def take(self) -> Callable[[], None]:
        """Start a new chunk and return the function that writes the old one."""
        begin, end = self._begin, self._begin + self._filled
        values = self._values[along(self.axis, 0, self._filled)]
        array, axis = self.array, self.axis
        self._begin = end
        self._renew()

        def write() -> None:
            if end > array.shape[axis]:  # events
                array.resize((*array.shape[:axis], end, *array.shape[axis + 1 :]))
            if values.size:
                array[along(axis, begin, end)] = values

        return write


def chunk_shape(shape: tuple[int, ...], itemsize: int, axis: int) -> tuple[int, ...]:
    """Chunks of at most `CHUNK_BYTES`: whole samples if they fit, else parts of a single one."""
    chunk = [max(1, size) for size in shape]
    chunk[axis] = 1
    for i in range(len(chunk)):
        excess = math.ceil(math.prod(chunk) * itemsize / CHUNK_BYTES)
        chunk[i] = math.ceil(chunk[i] / excess)
    chunk[axis] = max(1, min(shape[axis], CHUNK_BYTES // (math.prod(chunk) * itemsize)))
    return tuple(chunk)


def _declare(group: zarr.Group, name: str, each: Layout) -> zarr.Array:
    chunks = chunk_shape(each.shape, each.dtype.itemsize, each.axis)
    if each.steps is None:
        chunks = (*chunks[: each.axis], CHUNK_EVENTS, *chunks[each.axis + 1 :])
    return _create(group, name, each.shape, chunks, each.dtype, each.dimensions, each.attributes)


def _save(group: zarr.Group, name: str, variable: xr.Variable) -> None:
    chunks = chunk_shape(variable.shape, variable.dtype.itemsize, 0) if variable.ndim else ()
    array = _create(
        group, name, variable.shape, chunks, variable.dtype, tuple(map(str, variable.dims)), variable.attrs
    )
    if variable.size:
        array[...] = variable.values


def _create(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype,
    dimensions: tuple[str, ...],
    attributes: Mapping[str, Any],
) -> zarr.Array:
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        dimension_names=dimensions,
        attributes=dict(attributes),
        fill_value=math.nan if dtype.kind == "f" else 0,
        compressors=[BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},  # one file a chunk and no folders
        # A chunk that holds only the fill value must exist, since its presence says that it is valid.
        config={"write_empty_chunks": True},
    )


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be written: {error.strerror or error}; free some space or choose another folder"
        ) from error
