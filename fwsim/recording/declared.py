"""Metadata of a stored array, checked before anything is decoded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fwsim.errors import RecordingError

# Limits for the sizes that a file may declare. Chunks of fwsim have 1 MiB, those of sweeps 16 MB.
LARGEST_CHUNK = 64 * 2**20  # bytes
MOST_CHUNKS = 2**24
ROOM = 2**16  # bytes by which a compressed chunk may exceed the uncompressed one

NUMBERS, TEXTS = ("bytes", "blosc", "crc32c"), ("vlen-utf8", "crc32c")
OLD_NUMBERS, OLD_TEXTS = ("bytes", "zstd"), ("vlen-utf8", "zstd")
"""Codecs of the present version, and of recordings of schema 1, which xarray wrote."""

TYPES = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
    "complex64",
    "complex128",
)


@dataclass(frozen=True)
class Declared:
    """An array as described by its metadata.

    Parameters
    ----------
    path
        Folder of the array.
    shape, chunks
        Shape of the array, and of each chunk.
    dtype
        `None` for texts.
    dimensions
        One name for each axis.
    codecs
        One of the allowed sequences.
    separator
        Character between the indices in the names of chunks.
    attributes
        Attributes as stored, not interpreted.
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
            They are not metadata of an array, or declare something that no run writes.
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
        """Bytes of a value; for a text, those of its pointer in memory."""
        return 16 if self.dtype is None else self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all values together."""
        return math.prod(self.shape) * self.itemsize

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks))

    @property
    def by_xarray(self) -> bool:
        """Whether xarray wrote the array, for fwsim with schema 1."""
        return self.codecs in (OLD_NUMBERS, OLD_TEXTS)

    def key(self, place: tuple[int, ...]) -> str:
        """File name of a chunk."""
        return self.separator.join(("c", *map(str, place)))

    def chunk_names(self) -> Iterator[str]:
        """File names of all chunks."""
        return (self.key(place) for place in itertools.product(*map(range, self.counts)))

    def bounded(self, key: str, content: bytes) -> None:
        """Refuse a chunk that decodes to another size than declared.

        Raises
        ------
        RecordingError
            The size differs, or the chunk does not declare it.
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
        """Number of texts in a chunk, which is stored before them."""
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
    """Type of the values; `None` for texts."""
    if given == "string":
        return None
    if given not in TYPES:
        raise ValueError(f"the type {given!r:.80}")
    return np.dtype(given)


def _zstandard_size(content: bytes) -> int:
    """Uncompressed bytes of a Zstandard frame, from its header (RFC 8878, 3.1.1.1); −1 if it does not declare them."""
    if len(content) < 6 or content[:4] != b"\x28\xb5\x2f\xfd":
        return -1
    descriptor = content[4]
    single, code = bool(descriptor & 0x20), descriptor >> 6
    if code == 0 and not single:
        return -1
    begin = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    length = (1, 2, 4, 8)[code]
    return int.from_bytes(content[begin : begin + length], "little") + (256 if code == 1 else 0)
