"""Arrays of a recording as they are written, whatever they belong to: the same chunks, codecs and checksums."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from fwsim.errors import RecordingError
from fwsim.recording.declared import TYPES

Chunking = Callable[[tuple[int, ...], int, int], tuple[int, ...]]

DATES, SPANS = "nanoseconds since 1970-01-01", "timedelta64[ns]"


def create(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype,
    dimensions: tuple[str, ...],
    attributes: Mapping[str, Any],
) -> zarr.Array:
    """Declare an array; every chunk of it is going to be a file, also one of nothing but the fill value."""
    texts = dtype.kind == "T"
    if dtype.kind in "Mm":
        dtype, attributes = np.dtype(np.int64), {**attributes, **_told(dtype.kind)}
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, chunk) for chunk in chunks),
        dtype=dtype,
        dimension_names=dimensions,
        attributes=plain(attributes),
        fill_value="" if texts else math.nan if dtype.kind == "f" else 0,
        # Texts are not compressed, so that a reader sees their number before it unpacks them.
        compressors=[Crc32cCodec()]
        if texts
        else [BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},  # one file a chunk and no folders
        config={"write_empty_chunks": True},
        overwrite=True,
    )


def save(group: zarr.Group, name: str, variable: xr.Variable, chunked: Chunking) -> None:
    """Store a whole variable, chunk by chunk; one that an interrupted end left there is replaced.

    Parameters
    ----------
    group, name, variable
        What is stored, and where.
    chunked
        Shape, bytes of a value and axis → shape of the chunks.

    Raises
    ------
    RecordingError
        It holds neither numbers nor texts.
    """
    if not name or name.startswith((".", "__")) or "/" in name:
        raise RecordingError(f"a variable cannot be stored under the name {name!r}; use letters and digits")
    variable = storable(name, variable)
    chunks = chunked(variable.shape, variable.dtype.itemsize, 0) if variable.ndim else ()
    array = create(
        group, name, variable.shape, chunks, variable.dtype, tuple(map(str, variable.dims)), variable.attrs
    )
    if not variable.ndim:
        array[...] = variable.values
        return
    for begin in range(0, variable.shape[0] if variable.size else 0, chunks[0]):
        part = variable[begin : begin + chunks[0]]
        array[begin : begin + chunks[0]] = np.asarray(part.values, variable.dtype)


def storable(name: str, variable: xr.Variable) -> xr.Variable:
    """Numbers as they are, texts of any length, moments and spans of time as whole nanoseconds.

    Raises
    ------
    RecordingError
        It holds something else.
    """
    variable = variable.to_base_variable()
    attributes, kind = dict(variable.attrs), variable.dtype.kind
    if kind == "O" and all(isinstance(value, str) for value in variable.values.flat):
        kind = "U"
    if kind in "UT":
        texts = np.asarray(variable.values).astype(np.dtypes.StringDType())
        return xr.Variable(variable.dims, texts, attributes)
    if kind in "Mm":
        return xr.Variable(variable.dims, numbers(variable.values), attributes | _told(kind))
    if variable.dtype.name not in TYPES:
        raise RecordingError(f"{name} cannot be stored: it is {variable.dtype}; give numbers or texts")
    return variable


def numbers(values: np.ndarray) -> np.ndarray:
    """Values as an array holds them: moments and spans of time as whole nanoseconds, others as they are."""
    kind = values.dtype.kind
    return values.astype(f"{kind}8[ns]").astype(np.int64) if kind in "Mm" else values


def _told(kind: str) -> dict[str, str]:
    """Attributes that say which times numbers are, as xarray reads them too."""
    if kind == "M":
        return {"units": DATES, "calendar": "proleptic_gregorian"}
    return {"units": "nanoseconds", "dtype": SPANS}


def restored(variable: xr.Variable) -> xr.Variable:
    """Moments and spans of time of what `storable` made whole numbers of."""
    attributes = dict(variable.attrs)
    if variable.dtype != np.int64:
        return variable
    if attributes.get("units") == DATES:
        for name in ("units", "calendar"):
            attributes.pop(name, None)
        return xr.Variable(variable.dims, variable.data.view("M8[ns]"), attributes)
    if (attributes.get("units"), attributes.get("dtype")) == ("nanoseconds", SPANS):
        for name in ("units", "dtype"):
            attributes.pop(name, None)
        return xr.Variable(variable.dims, variable.data.view("m8[ns]"), attributes)
    return variable


def plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON has them."""
    return {str(name): v.tolist() if hasattr(v, "tolist") else v for name, v in attributes.items()}
