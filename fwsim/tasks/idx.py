"""IDX files: arrays of bytes behind a short header, the format of the MNIST digits."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from fwsim.errors import ConfigError
from fwsim.paths import plain_file

BYTES = 0x08  # the header's code for unsigned bytes, the only type of the MNIST files


def read_idx(path: str | Path) -> Tensor:
    """Read an array of unsigned bytes from an IDX file, compressed by gzip or not.

    The header is two zero bytes, the code of the type, the number of dimensions, and the size of each dimension as a
    big-endian 32-bit number; the values follow, the last dimension fastest.

    Parameters
    ----------
    path
        The file; it is taken for compressed if it begins as gzip files do, whatever its name.

    Returns
    -------
    Tensor
        Of `uint8`, with the dimensions of the header.

    Raises
    ------
    ConfigError
        No such file, or not a whole IDX file of bytes.
    """
    path = Path(path)
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ConfigError(f"{path} is no IDX file; it must begin with two zero bytes")
    kind, dimensions = content[2], content[3]
    if kind != BYTES:
        raise ConfigError(f"{path} holds values of type {kind:#04x}; only unsigned bytes (0x08) are read")
    start = 4 + 4 * dimensions
    if dimensions == 0 or len(content) < start:
        raise ConfigError(f"{path} ends within its header of {dimensions} dimensions; fetch it again")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != prod(shape):
        raise ConfigError(
            f"{path} has {len(content) - start} values for the shape {list(shape)} in its header; fetch it again"
        )
    if prod(shape) == 0:
        raise ConfigError(f"{path} is empty: its shape is {list(shape)}; fetch it again")
    return torch.frombuffer(bytearray(content[start:]), dtype=torch.uint8).reshape(shape)


def _content(path: Path) -> bytes:
    content = plain_file(path, "IDX file")
    try:
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except OSError as error:  # gzip's BadGzipFile is one
        raise ConfigError(f"{path} cannot be read ({error.strerror or error}); give another path") from None
    except (EOFError, zlib.error) as error:
        raise ConfigError(f"{path} is damaged ({error}); fetch it again") from None
