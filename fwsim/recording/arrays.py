"""Writing of arrays: the same chunks, codecs and checksums for all recordings."""

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
    """Declare an array. Every chunk will be a file, even a chunk that contains only the fill value."""
    texts = dtype.kind == "T"
    if dtype.kind in "Mm":
        dtype, attributes = np.dtype(np.int64), {**attributes, **_time_attributes(dtype.kind)}
    return group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, chunk) for chunk in chunks),
        dtype=dtype,
        dimension_names=dimensions,
        attributes=plain(attributes),
        fill_value="" if texts else math.nan if dtype.kind == "f" else 0,
        # Texts are not compressed, so that a reader knows their number before it decodes them.
        compressors=[Crc32cCodec()]
        if texts
        else [BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},  # one file a chunk and no folders
        config={"write_empty_chunks": True},
        overwrite=True,
    )


def save(group: zarr.Group, name: str, variable: xr.Variable, chunked: Chunking) -> None:
    """Store a whole variable, chunk by chunk. Replace one that an interrupted run left.

    Parameters
    ----------
    group, name, variable
        The group to write to, the name and the values.
    chunked
        Function of shape, bytes of a value and axis that returns the shape of the chunks.

    Raises
    ------
    RecordingError
        The variable contains neither numbers nor texts.
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
    """Convert a variable to a type that can be stored: numbers unchanged, times as whole nanoseconds.

    Raises
    ------
    RecordingError
        The variable has another type, or times that whole nanoseconds cannot represent.
    """
    variable = variable.to_base_variable()
    attributes, kind = dict(variable.attrs), variable.dtype.kind
    if kind == "O" and all(isinstance(value, str) for value in variable.values.flat):
        kind = "U"
    if kind in "UT":
        texts = np.asarray(variable.values).astype(np.dtypes.StringDType())
        return xr.Variable(variable.dims, texts, attributes)
    if kind in "Mm":
        stored = variable.values.astype(f"{kind}8[ns]").astype(variable.dtype)
        if not np.array_equal(stored, variable.values, equal_nan=True):
            raise RecordingError(
                f"{name} cannot be stored: whole nanoseconds reach from 1677 to 2262, or 292 years; give numbers"
            )
        return xr.Variable(variable.dims, numbers(variable.values), attributes | _time_attributes(kind))
    if variable.dtype.name not in TYPES:
        raise RecordingError(f"{name} cannot be stored: it is {variable.dtype}; give numbers or texts")
    return variable


def numbers(values: np.ndarray) -> np.ndarray:
    """Values in the stored type: dates and time spans as whole nanoseconds, others unchanged."""
    kind = values.dtype.kind
    return values.astype(f"{kind}8[ns]").astype(np.int64) if kind in "Mm" else values


def _time_attributes(kind: str) -> dict[str, str]:
    """Attributes that tell which times the numbers mean, in xarray's form."""
    if kind == "M":
        return {"units": DATES, "calendar": "proleptic_gregorian"}
    return {"units": "nanoseconds", "dtype": SPANS}


def restored(variable: xr.Variable) -> xr.Variable:
    """Convert whole nanoseconds back to dates and time spans; the inverse of `storable`."""
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
    """Attributes as plain JSON values."""
    return {str(name): v.tolist() if hasattr(v, "tolist") else v for name, v in attributes.items()}
