"""Writing of a recording to a Zarr folder, chunk by chunk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from fwsim.errors import RecordingError
from fwsim.recording import arrays, checkpoints
from fwsim.recording.digests import Journal
from fwsim.recording.interrupted import check_interrupted, kept_of
from fwsim.recording.layout import ArrayLayout, along
from fwsim.recording.places import Place, draft_of, publish
from fwsim.recording.reading import open_recording
from fwsim.recording.stores import JournalStore

CHUNK_BYTES = 2**20
CHUNK_EVENTS = 2**14
PAUSE = 20  # times as long as the last checkpoint took


class ZarrStore:
    """Writes a Zarr folder (format 3) through one buffer of a chunk for each variable.

    Arrays are declared in full at the start, and chunks appear in order, each by an atomic
    rename. So the existing chunks show what is valid after a kill. The folder
    itself appears when all arrays are declared. The list of digests appears last; without it the run
    was interrupted. A checkpoint contains what is not in chunks yet, and is deleted when the run ends. A
    recording that replaces another one is written beside it until it is complete.

    Parameters
    ----------
    place
        The folder of the recording, and the one in which it is written.
    journal
        Journal of that folder, open in this writer only.
    layouts
        Layouts of the recorded variables.
    """

    def __init__(self, place: Place, journal: Journal, layouts: Mapping[str, ArrayLayout]) -> None:
        self._place, self._journal = place, journal
        self._group = zarr.open_group(
            JournalStore(place.written, journal), mode="r+", zarr_format=3, use_consolidated=False
        )
        self._buffers = {
            name: _Buffer(_array(self._group, name), each.axis) for name, each in layouts.items()
        }
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fwsim-recording")
        self._pending: Future[None] | None = None
        self._due = time.monotonic()
        self._closed = False

    @classmethod
    def create(
        cls,
        place: Place,
        layouts: Mapping[str, ArrayLayout],
        coordinates: Mapping[str, xr.Variable],
        attributes: Mapping[str, str | int | float],
    ) -> ZarrStore:
        """Create the folder completely or not at all.

        Raises
        ------
        RecordingError
            The path exists, or cannot be written.
        """
        with _one_line(place.path), draft_of(place.path) as draft:
            journal = Journal(draft)
            group = zarr.create_group(JournalStore(draft, journal), zarr_format=3)
            for name, each in layouts.items():
                _declare(group, name, each)
            for name, coordinate in coordinates.items():
                arrays.save(group, name, coordinate, chunk_shape)
            group.attrs.update(attributes)
            publish(draft, place)
            journal.folder = place.written
            return cls(place, journal, layouts)

    @classmethod
    def resume(
        cls, place: Place, layouts: Mapping[str, ArrayLayout], attributes: Mapping[str, str | int | float]
    ) -> tuple[ZarrStore, dict[str, np.ndarray]]:
        """Continue an interrupted recording. Return it with the content of its last checkpoint, empty if there is none.

        Raises
        ------
        RecordingError
            The recording is finished, damaged, of another run, no recording, or being written by another run.
        """
        path = place.path
        check_interrupted(path, layouts, attributes)
        with _one_line(path):
            journal = Journal(path, new=False)
            try:
                kept, whole = kept_of(path, layouts)
                journal.take_up(whole)
                for partial in path.rglob("*.partial"):
                    partial.unlink()
                store = cls(place, journal, layouts)
                for name, buffer in store._buffers.items() if kept else ():
                    buffer.restore(int(kept[f"begin/{name}"]), kept[f"buffer/{name}"])
            except BaseException:
                journal.close()
                raise
        return store, kept

    def append(self, name: str, values: np.ndarray) -> None:
        """Add samples along the streamed axis. Complete chunks are written in the background."""
        buffer = self._buffers[name]
        while values.shape[buffer.axis]:
            values = buffer.fill(values)
            if buffer.full:
                self._write(buffer)

    def checkpoint(self, content: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Write `content` and the buffers as a checkpoint after all earlier chunks, but not too often."""
        if time.monotonic() < self._due:
            return
        self.wait()
        began = time.monotonic()
        kept = dict(content())
        for name, buffer in self._buffers.items():
            kept[f"begin/{name}"], kept[f"buffer/{name}"] = np.array(buffer.begin), buffer.filled()

        def write() -> None:
            checkpoints.write(self._place.written, kept, self._journal)
            now = time.monotonic()
            self._due = now + PAUSE * (now - began)

        self._pending = self._writer.submit(write)

    def finish(
        self, extra: Mapping[str, xr.Variable], attributes: Mapping[str, str | int | float]
    ) -> xr.Dataset:
        """Add whole variables and the last attributes, and open the recording."""
        for buffer in self._buffers.values():
            self._write(buffer)
        self.wait()
        self._writer.shutdown()
        with _one_line(self._place.path):
            for name, variable in extra.items():
                arrays.save(self._group, name, variable, chunk_shape)
            self._group.attrs.update(attributes)
            self._journal.files.pop(checkpoints.FILE, None)
            self._journal.finish()
            checkpoints.remove(self._place.written)
            self._place.settle()
        self._closed = True
        return open_recording(self._place.path)

    def close(self) -> None:
        """Allow another run to continue here after this one was stopped; an unfinished replacement is deleted."""
        if self._closed:
            return
        self._closed = True
        try:
            self.wait()
        finally:
            self._writer.shutdown()
            self._journal.close()
            self._place.abandon()

    def _write(self, buffer: _Buffer) -> None:
        """Write the buffer in the background. At most one chunk waits, so that memory is bounded."""
        self.wait()
        self._pending = self._writer.submit(buffer.take())

    def wait(self) -> None:
        """Wait until everything is written in the background."""
        if self._pending is not None:
            with _one_line(self._place.path):
                self._pending.result()


class _Buffer:
    """One chunk of an array, filled along the streamed axis."""

    def __init__(self, array: zarr.Array, axis: int) -> None:
        self.array, self.axis = array, axis
        self._length = array.chunks[axis]
        self.begin = 0
        self._renew()

    def restore(self, begin: int, values: np.ndarray) -> None:
        """Continue with a chunk that was partly filled."""
        self.begin = begin
        self.fill(values)

    def filled(self) -> np.ndarray:
        """Return a copy of the samples that do not fill a chunk yet."""
        return self._values[along(self.axis, 0, self._filled)].copy()

    def _renew(self) -> None:
        shape = list(self.array.shape)
        shape[self.axis] = self._length
        self._values = np.empty(shape, self.array.dtype)
        self._filled = 0

    @property
    def full(self) -> bool:
        return self._filled == self._length

    def fill(self, values: np.ndarray) -> np.ndarray:
        """Take as many samples as fit, and return the others."""
        count = min(self._length - self._filled, values.shape[self.axis])
        self._values[along(self.axis, self._filled, self._filled + count)] = values[
            along(self.axis, 0, count)
        ]
        self._filled += count
        return values[along(self.axis, count, None)]

    def take(self) -> Callable[[], None]:
        """Start a new chunk and return the function that writes the old one."""
        begin, end = self.begin, self.begin + self._filled
        values = self._values[along(self.axis, 0, self._filled)]
        array, axis = self.array, self.axis
        self.begin = end
        self._renew()

        def write() -> None:
            if end > array.shape[axis]:  # events
                array.resize((*array.shape[:axis], end, *array.shape[axis + 1 :]))
            if values.size:
                array[along(axis, begin, end)] = values

        return write


def chunk_shape(shape: tuple[int, ...], itemsize: int, axis: int) -> tuple[int, ...]:
    """Chunks of at most `CHUNK_BYTES`: whole samples if they fit, otherwise parts of a single one."""
    chunk = [max(1, size) for size in shape]
    chunk[axis] = 1
    for i in range(len(chunk)):
        excess = math.ceil(math.prod(chunk) * itemsize / CHUNK_BYTES)
        chunk[i] = math.ceil(chunk[i] / excess)
    chunk[axis] = max(1, min(shape[axis], CHUNK_BYTES // (math.prod(chunk) * itemsize)))
    return tuple(chunk)


def _declare(group: zarr.Group, name: str, each: ArrayLayout) -> zarr.Array:
    chunks = chunk_shape(each.shape, each.dtype.itemsize, each.axis)
    if each.steps is None:
        chunks = (*chunks[: each.axis], CHUNK_EVENTS, *chunks[each.axis + 1 :])
    return arrays.create(group, name, each.shape, chunks, each.dtype, each.dimensions, each.attributes)


def _array(group: zarr.Group, name: str) -> zarr.Array:
    """Array to write to. A chunk with only the fill value must exist too, since its presence marks it as valid."""
    array: Any = group[name]
    return array.with_config({"write_empty_chunks": True})


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be written: {error.strerror or error}; free some space or choose another folder"
        ) from error
