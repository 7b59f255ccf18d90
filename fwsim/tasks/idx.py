"""IDX files: arrays of bytes after a short header, the format of the MNIST digits."""

from __future__ import annotations

import gzip
import struct
import zlib
from io import BytesIO
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from fwsim.errors import ConfigError
from fwsim.names import known_arguments
from fwsim.paths import home_path, plain_file

BYTES = 0x08  # the header's code for unsigned bytes, the only type of the MNIST files
MOST = 2**30
"""Largest number of values of a file, so that no header and no compression can fill the memory."""
DENSEST = 1032
"""Largest compression factor of deflate."""


@known_arguments
def read_idx(path: str | Path) -> Tensor:
    """Read an array of unsigned bytes from an IDX file, compressed by gzip or not.

    The header consists of two zero bytes, the code of the type, the number of dimensions, and the size of each
    dimension as a big-endian 32-bit number. The values follow, the last dimension fastest.

    Parameters
    ----------
    path
        The file; it counts as compressed if it begins like a gzip file, whatever its name.

    Returns
    -------
    Tensor
        Type `uint8`, with the dimensions of the header.

    Raises
    ------
    ConfigError
        The file is missing, or is not a complete IDX file of bytes.
    """
    path = home_path(path, "IDX file")
    content = plain_file(path, "IDX file", most=MOST + 4 + 4 * 255)
    packed = content[:2] == b"\x1f\x8b"
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) if packed else BytesIO(content) as file:
            shape = _shape(path, file)
            # A declared size that is too large is refused before memory is allocated.
            most = DENSEST * len(content) if packed else len(content) - file.tell()
            if prod(shape) > most:
                raise _other_size(path, f"at most {most}" if packed else str(most), shape)
            if prod(shape) > MOST:
                raise ConfigError(f"{path} declares the shape {_said(shape)}; at most {MOST} values are read")
            values = bytearray(prod(shape))
            found = file.readinto(values)
            if found < len(values) or file.read(1):
                raise _other_size(path, str(found) if found < len(values) else "more", shape)
    except (EOFError, OSError, zlib.error) as error:  # gzip's BadGzipFile is an OSError
        raise ConfigError(f"{path} is damaged ({error}); fetch it again") from None
    return torch.frombuffer(values, dtype=torch.uint8).reshape(shape)


def _shape(path: Path, file: gzip.GzipFile | BytesIO) -> tuple[int, ...]:
    """Sizes of the dimensions that the header declares."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise ConfigError(f"{path} is no IDX file; it must begin with two zero bytes")
    kind, dimensions = start[2], start[3]
    if kind != BYTES:
        raise ConfigError(f"{path} holds values of type {kind:#04x}; only unsigned bytes (0x08) are read")
    sizes = file.read(4 * dimensions)
    if dimensions == 0 or len(sizes) < 4 * dimensions:
        raise ConfigError(f"{path} ends within its header of {dimensions} dimensions; fetch it again")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if prod(shape) == 0:
        raise ConfigError(f"{path} is empty: its shape is {_said(shape)}; fetch it again")
    return shape


def _other_size(path: Path, found: str, shape: tuple[int, ...]) -> ConfigError:
    return ConfigError(
        f"{path} has {found} values for the shape {_said(shape)} in its header; fetch it again"
    )


def _said(shape: tuple[int, ...]) -> str:
    return str(list(shape)) if len(shape) <= 8 else f"{[*shape[:8]]} and {len(shape) - 8} more"
