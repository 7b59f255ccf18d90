"""What the metadata of a stored array declares, checked against what a run writes before anything is decoded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fwsim.errors import RecordingError

# What a file may declare before anything is allocated; those of fwsim have 1 MiB, those of sweeps 16 MB.
LARGEST_CHUNK = 64 * 2**20  # bytes
MOST_CHUNKS = 2**24
ROOM = 2**16  # bytes that compression may add to a chunk

NUMBERS, TEXTS = ("bytes", "blosc", "crc32c"), ("vlen-utf8", "crc32c")
OLD_NUMBERS, OLD_TEXTS = ("bytes", "zstd"), ("vlen-utf8", "zstd")
"""Codecs of today, and of the recordings of schema 1 that xarray wrote."""

TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
    "complex64",
    "complex128",
)


@dataclass(frozen=True)
class Declared:
    """An array as its metadata describe it.

    Parameters
    ----------
    path
        Its folder.
    shape, chunks
        Of the array, and of each chunk.
    dtype
        `None` of texts.
    dimensions
        A name for each axis.
    codecs
        One of the allowed sequences.
    separator
        Between the places in the names of chunks.
    attributes
        As stored; data, whatever they say.
    """

    path: Path
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype | None
    dimensions: tuple[str, ...]
    codecs: tuple[str, ...]
    separator: str
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, path: Path, metadata: Mapping[str, Any]) -> Declared:
        """Read the metadata of an array.

        Raises
        ------
        RecordingError
            They are no metadata of an array, or declare what no run writes.
        """
        try:
            codecs = tuple(str(codec["name"]) for codec in metadata["codecs"])
            names = metadata.get("dimension_names") or ()
            found = cls(
                path,
                _sizes(metadata["shape"]),
                _sizes(metadata["chunk_grid"]["configuration"]["chunk_shape"]),
                _dtype(metadata["data_type"]),
                tuple(name for name in names if isinstance(name, str)),
                codecs,
                metadata["chunk_key_encoding"]["configuration"]["separator"],
                dict(metadata["attributes"]),
            )
            zarr = (metadata["zarr_format"], metadata["node_type"], metadata["chunk_grid"]["name"])
            keys = metadata["chunk_key_encoding"]["name"]
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(
                f"{path} is damaged: its zarr.json lacks or garbles {error}; restore it from a copy or run again"
            ) from error
        allowed = (NUMBERS, OLD_NUMBERS) if found.dtype is not None else (TEXTS, OLD_TEXTS)
        if (
            codecs not in allowed
            or zarr != (3, "array", "regular")
            or keys != "default"
            or found.separator not in ("/", ".")
            or metadata.get("storage_transformers")
            or not len(found.shape) == len(found.chunks) == len(found.dimensions)
        ):
            raise RecordingError(
                f"{path} was not written by a run (type, dimensions or codecs); open it with xarray"
            )
        found._check_sizes()
        return found

    def _check_sizes(self) -> None:
        if 0 in self.chunks or math.prod(self.chunks) * self.itemsize > LARGEST_CHUNK:
            raise RecordingError(
                f"{self.path} is damaged: it declares chunks of {self.chunks}, more than a run writes"
            )
        if math.prod(self.counts) > MOST_CHUNKS:
            raise RecordingError(
                f"{self.path} is damaged: it declares shape {self.shape}, more than a run writes"
            )

    @property
    def itemsize(self) -> int:
        """Bytes of a value; of a text those of its place in memory."""
        return 16 if self.dtype is None else self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.itemsize

    @property
    def counts(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks))

    @property
    def by_xarray(self) -> bool:
        """Whether xarray wrote it, for fwsim of schema 1."""
        return self.codecs in (OLD_NUMBERS, OLD_TEXTS)

    def key(self, place: tuple[int, ...]) -> str:
        """Name of the file of a chunk."""
        return self.separator.join(("c", *map(str, place)))

    def chunk_names(self) -> Iterator[str]:
        """Names of the files of all chunks."""
        return (self.key(place) for place in itertools.product(*map(range, self.counts)))

    def bounded(self, key: str, content: bytes) -> None:
        """Refuse a chunk that unpacks to another size than that of a chunk.

        Raises
        ------
        RecordingError
            It does, or says nothing of its size.
        """
        if key.endswith("zarr.json"):
            return
        expected = math.prod(self.chunks) * self.itemsize
        if self.codecs == NUMBERS:  # the header of Blosc
            fits = len(content) > 20 and int.from_bytes(content[4:8], "little") == expected
        elif self.codecs == OLD_NUMBERS:
            fits = _zstandard_size(content) == expected
        else:
            fits = self._texts(content) == math.prod(self.chunks)
        if not fits or len(content) > expected + LARGEST_CHUNK * (self.dtype is None) + ROOM:
            raise RecordingError(
                f"{self.path / key} is damaged: it does not unpack to a chunk of {self.chunks}; restore it from a copy "
                "or run again"
            )

    def _texts(self, content: bytes) -> int:
        """Number of texts in a chunk, which stands before them."""
        if self.codecs == OLD_TEXTS:
            if not 0 <= _zstandard_size(content) <= LARGEST_CHUNK:
                return -1
            from numcodecs.zstd import decompress

            content = decompress(content)
        return int.from_bytes(content[:4], "little") if len(content) >= 4 else -1


def _sizes(given: Any) -> tuple[int, ...]:
    sizes = tuple(given)
    if any(type(size) is not int or size < 0 for size in sizes):
        raise ValueError(f"the sizes {sizes!r:.80}")
    return sizes


def _dtype(given: Any) -> np.dtype | None:
    """Type of the values; `None` of texts."""
    if given == "string":
        return None
    if given not in TYPES:
        raise ValueError(f"the type {given!r:.80}")
    return np.dtype(given)


def _zstandard_size(content: bytes) -> int:
    """Bytes to which a frame of Zstandard unpacks, from its header (RFC 8878, 3.1.1.1); −1 where it does not say."""
    if len(content) < 6 or content[:4] != b"\x28\xb5\x2f\xfd":
        return -1
    descriptor = content[4]
    single, code = bool(descriptor & 0x20), descriptor >> 6
    if code == 0 and not single:
        return -1
    begin = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    length = (1, 2, 4, 8)[code]
    return int.from_bytes(content[begin : begin + length], "little") + (256 if code == 1 else 0)
