"""Comparison of two recordings, and fingerprints to compare copies."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from fwsim.errors import instance
from fwsim.names import known_arguments
from fwsim.recording.schema import STREAMED

BLOCK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Difference:
    """The first difference between two recordings.

    Parameters
    ----------
    variable
        Name of the variable.
    said
        The difference in a few words.
    step
        Sample along the streamed dimension, counted from 0; `None` if there is none, or if the whole variable differs.
    time
        Time of that sample in s; `None` if it has none.
    """

    variable: str
    said: str
    step: int | None = None
    time: float | None = None

    def __str__(self) -> str:
        """The difference in one line."""
        at = "" if self.step is None else f" at step {self.step}"
        return f"{self.variable} differs first{at}{'' if self.time is None else f' ({self.time:g} s)'}: {self.said}"


@known_arguments
def first_difference(one: xr.Dataset, other: xr.Dataset) -> Difference | None:
    """Find the first value in which two recordings differ; `None` if they are equal.

    NaN equals NaN, and a missing date (NaT) another. Attributes and variables with measured wall times (by their
    `long_name`) are not compared. Both recordings are read block by block.
    """
    for which, run in (("one", one), ("other", other)):
        instance(which, run, xr.Dataset, "a recording (xarray.Dataset)")
    found = []
    for name in dict.fromkeys([*one.variables, *other.variables]):
        if name not in one.variables or name not in other.variables:
            found.append(Difference(str(name), "it is in one of the two only"))
        elif not _is_wall_time(one[name]):
            found += _difference(str(name), one, other)
    return min(found, key=lambda each: -math.inf if each.time is None else each.time, default=None)


@known_arguments
def checksums(run: xr.Dataset) -> dict[str, str]:
    """SHA-256 of every variable: type, shape, and values with the streamed dimension first, read block by block.

    Variables with measured wall times (by their `long_name`) are left out, because they differ between repetitions.
    """
    found = {}
    for name, variable in run.variables.items():
        if _is_wall_time(variable):
            continue
        digest = hashlib.sha256(f"{variable.dtype} {variable.shape}".encode())
        for _, block in _blocks(variable):
            digest.update(
                np.ascontiguousarray(block).data
                if block.dtype.kind in "biuf"
                else repr(block.tolist()).encode()
            )
        found[str(name)] = digest.hexdigest()
    return found


def _is_wall_time(variable: xr.DataArray | xr.Variable) -> bool:
    return str(variable.attrs.get("long_name", "")).startswith("wall time")


def _difference(name: str, one: xr.Dataset, other: xr.Dataset) -> list[Difference]:
    """Return the first difference in a variable, if there is any."""
    mine, theirs = one[name].variable, other[name].variable
    if (mine.dims, mine.shape, mine.dtype) != (theirs.dims, theirs.shape, theirs.dtype):
        said = " and ".join(f"{each.dtype} {dict(each.sizes)}" for each in (mine, theirs))
        return [Difference(name, said)]
    axis = _streamed(mine)
    for (begin, block), (_, its) in zip(_blocks(mine), _blocks(theirs)):
        missing = (block != block) & (its != its)  # only NaN and NaT are unequal to themselves
        unequal = (block != its) & ~missing
        if unequal.any():
            place = tuple(int(each[0]) for each in np.nonzero(unequal)) if unequal.ndim else ()
            said = _said(mine, axis, place, block[place], its[place])
            if axis is None:
                return [Difference(name, said)]
            step = begin + place[0]
            times = one.get("spike_time" if mine.dims[axis] == "spike" else mine.dims[axis])
            return [Difference(name, said, step, None if times is None else float(times[step]))]
    return []


def _said(variable: xr.Variable, axis: int | None, place: tuple[int, ...], mine: object, its: object) -> str:
    """Both values, and their position along the other dimensions."""
    dims = list(variable.dims)
    if axis is not None:
        dims, place = dims[:axis] + dims[axis + 1 :], place[1:]
    where = ", ".join(f"{dim} {index}" for dim, index in zip(dims, place))
    return f"{mine} and {its}" + (f" in {where}" if where else "")


def _streamed(variable: xr.Variable) -> int | None:
    """Axis along which the variable was recorded."""
    for axis, dimension in enumerate(variable.dims):
        if dimension in STREAMED or str(dimension).endswith("_time"):
            return axis
    return None


def _blocks(variable: xr.Variable) -> Iterator[tuple[int, np.ndarray]]:
    """Yield parts of a variable, and where they begin along the streamed dimension, which comes first."""
    axis = _streamed(variable)
    if axis is None or not variable.size:
        yield 0, np.asarray(variable.values)
        return
    length = max(1, BLOCK_BYTES * variable.shape[axis] // variable.nbytes)
    for begin in range(0, variable.shape[axis], length):
        part = variable.isel({variable.dims[axis]: slice(begin, begin + length)})
        yield begin, np.moveaxis(np.asarray(part.values), axis, 0)
