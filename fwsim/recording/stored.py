"""An array of a recording: valid as far as its chunks exist, with every chunk checked when it is read."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr
import zarr

from fwsim.errors import RecordingError
from fwsim.recording.declared import Declared
from fwsim.recording.plain_files import REMEDY, damaged, read_object
from fwsim.recording.stores import CheckedStore

SMALL, DENSEST = 2**26, 1000
"""Bytes that may be read at once when a recording is opened, and how many times its files they may decode to."""


class StoredArray:
    """A Zarr array that is valid along its streamed axis as far as its chunks exist.

    Parameters
    ----------
    path
        Folder of the array.
    files
        Name → digests that the content of each file may have; `None` if nothing is known (schema 1).
    finished
        Whether all known files have to exist.
    last
        Folder, "/" and name of the file that was announced last; it may not have been written.

    Raises
    ------
    RecordingError
        No run writes such an array, or one of its files is missing.
    """

    def __init__(
        self,
        path: Path,
        files: Mapping[str, tuple[str, ...]] | None,
        *,
        finished: bool = False,
        last: tuple[str, str, str] | None = None,
    ) -> None:
        self.name, self.path = path.name, path
        self.declared = Declared.of(path, read_object(path / "zarr.json")[0])
        self._present = _listing(path)
        files = dict.fromkeys(self._present, ()) if files is None else files
        lost = [key for key in files if key not in self._present]
        if not finished and last is not None and last[0] == self.name:
            lost = [key for key in lost if key != last[2]]
        if lost:
            raise self._lost(lost)
        self._files = files
        store = CheckedStore(path, files, self.declared.bounded)
        try:
            self._array: Any = zarr.open_array(store, mode="r", zarr_format=3)
        except (TypeError, ValueError, KeyError) as error:  # unknown options of codecs
            raise damaged(path, error) from error
        self.ndim, self.chunks, self.dimensions = (
            len(self.declared.shape),
            self.declared.chunks,
            self.declared.dimensions,
        )
        self.dtype = self._array.dtype
        self.axis = self._streamed_axis()
        self.shape = self._valid_shape()

    @property
    def streamed(self) -> str | None:
        """The dimension along which the array was recorded."""
        return None if self.axis is None else self.dimensions[self.axis]

    @property
    def complete(self) -> bool:
        """Whether all chunks exist."""
        return self.shape == self.declared.shape and all(
            key in self._files and key in self._present for key in self.declared.chunk_names()
        )

    def check_complete(self) -> None:
        """Raise `RecordingError` if a chunk is missing."""
        lost = [
            key for key in self.declared.chunk_names() if key not in self._files or key not in self._present
        ]
        if lost:
            raise self._lost(lost)

    def __getitem__(self, key: Any) -> np.ndarray:
        try:
            return self._array[key]
        except RecordingError:
            raise
        except Exception as error:
            raise damaged(self.path, error) from error

    def read(self) -> np.ndarray:
        """All valid values of one dimension, read chunk by chunk, so that they are in memory only once."""
        self._check_size()
        values, chunk = np.empty(self.shape, self.dtype), self.chunks[0]
        for begin in range(0, len(values), chunk):
            values[begin : begin + chunk] = self[begin : min(begin + chunk, len(values))]
        return values

    def variable(self) -> xr.Variable:
        """The array as a lazy variable; coordinates, texts and single numbers are read at once."""
        attributes = dict(self.declared.attributes)
        if self.dimensions == (self.name,):
            return xr.Variable(self.dimensions, self.read(), attributes)
        if self.ndim == 0 or self.declared.dtype is None:
            self._check_size()
            return xr.Variable(self.dimensions, np.asarray(self[...], self.dtype), attributes)
        meta = np.empty((0,) * self.ndim, self.dtype)
        data = dask.array.from_array(self, chunks=self.chunks, name=False, meta=meta)
        return xr.Variable(self.dimensions, data, attributes)

    def _check_size(self) -> None:
        packed = sum(self._present.values())
        if self.declared.nbytes > max(SMALL, DENSEST * packed):
            raise RecordingError(
                f"{self.path} is damaged: it declares shape {self.declared.shape}, more than a run writes"
            )

    def _streamed_axis(self) -> int | None:
        for axis, dimension in enumerate(self.dimensions):
            if dimension != self.name and dimension in ("time", "spike", f"{self.name}_time"):
                return axis
        return None

    def _valid_shape(self) -> tuple[int, ...]:
        """The shape with the valid length along the streamed axis, or the whole shape of an array without one."""
        shape, axis = self.declared.shape, self.axis
        if axis is None or 0 in shape:
            return shape
        counts = self.declared.counts
        others = counts[:axis] + counts[axis + 1 :]

        def there(position: int) -> bool:
            for place in itertools.product(*map(range, others)):
                key = self.declared.key((*place[:axis], position, *place[axis:]))
                if key not in self._present or key not in self._files:
                    return False
            return True

        chunks = next(position for position in itertools.count() if not there(position))
        valid = min(shape[axis], chunks * self.chunks[axis])
        return (*shape[:axis], valid, *shape[axis + 1 :])

    def _lost(self, keys: Iterable[str]) -> RecordingError:
        lost = list(keys)
        return RecordingError(
            f"{self.path} is damaged: {len(lost)} of its files are missing or no plain files ({lost[0]}); {REMEDY}"
        )


def _listing(path: Path) -> dict[str, int]:
    """Plain files below a folder and their bytes, without following links."""
    found: dict[str, int] = {}
    folders = [""]
    while folders:
        prefix = folders.pop()
        for entry in os.scandir(path / prefix):
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{prefix}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                found[f"{prefix}{entry.name}"] = entry.stat(follow_symlinks=False).st_size
    return found
