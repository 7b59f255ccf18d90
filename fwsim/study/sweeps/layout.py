"""Common layout of the recordings of a sweep's points: names, dimensions and lengths.

Names: the parameters, `seed`, `failed`, `point_seed` and `point_details` belong to the sweep. A variable, coordinate
or dimension of the recordings with one of these names is called `<name>_recorded`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fwsim.study.sweeps.axes import Axis
from fwsim.study.sweeps.records import StoredPoint

CHUNK = 16e6  # bytes of a chunk, unless the values of one point need more
DETAILS = "point_details"
ADDED = ("seed", "failed", "point_seed", DETAILS)
"""Names that a sweep adds to its parameters."""
LAYOUT = "sweep_layout"
"""Attribute of a sweep's dataset with the information to extract a single point."""


@dataclass(frozen=True)
class Grid:
    """One dimension of the recordings, common to all points.

    Parameters
    ----------
    size
        Its length.
    labels
        Its values, if the points agree on them or each has some of them; None if only positions count.
    joined
        Whether each point has some of the values.
    padded
        Whether its length differs between points.
    """

    size: int
    labels: np.ndarray | None = None
    joined: bool = False
    padded: bool = False

    def places(self, stored: StoredPoint, name: str, own: int) -> np.ndarray:
        """Positions of the `own` values of a point along dimension `name`."""
        if self.labels is None or not self.joined or name not in stored.variables:
            return np.arange(own)
        return np.searchsorted(self.labels, stored.values(name))


@dataclass(frozen=True)
class VariableLayout:
    """Layout in the dataset of a variable of all points."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype


def free_names(recorded: Iterable[str], parameters: Iterable[str]) -> dict[str, str]:
    """Names of variables and dimensions that a sweep's own names would hide, and their new names."""
    own, found = {*parameters, *ADDED}, set(recorded)
    names: dict[str, str] = {}
    for name in sorted(found & own):
        names[name] = free_name(name, "recorded", own | found | {*names.values()})
    return names


def free_name(name: str, ending: str, taken: Iterable[str]) -> str:
    """`<name>_<ending>`, with the ending repeated until the name is free."""
    taken = set(taken)
    name = f"{name}_{ending}"
    while name in taken:
        name = f"{name}_{ending}"
    return name


def recorded_names(stored: Iterable[StoredPoint]) -> set[str]:
    """Names of all variables and dimensions of some points."""
    found: set[str] = set()
    for variables in distinct(stored):
        found.update(variables)
        found.update(*(each["dims"] for each in variables.values()))
    return found


def distinct(stored: Iterable[StoredPoint]) -> list[Mapping[str, Any]]:
    """Descriptions of variables, stored once for the many points that share them."""
    return list({id(each.variables): each.variables for each in stored}.values())


def dimensions(stored: Sequence[StoredPoint]) -> dict[str, tuple[str, ...]]:
    """Dimensions of each variable: all that it has at any point, beginning with those of the point with the most."""
    found: dict[str, tuple[str, ...]] = {}
    for variables in distinct(stored):
        for name, each in variables.items():
            known, dims = found.get(name, ()), tuple(each["dims"])
            first, other = (known, dims) if len(known) >= len(dims) else (dims, known)
            found[name] = (*first, *(dim for dim in other if dim not in first))
    return found


def aligned(values: np.ndarray, own: Sequence[str], dims: Sequence[str]) -> np.ndarray:
    """Values over the dimensions `own` as an array over `dims`, of length one along dimensions that the point lacks."""
    order = [own.index(dim) for dim in dims if dim in own]
    lacking = tuple(place for place, dim in enumerate(dims) if dim not in own)
    return np.expand_dims(values.transpose(order), lacking)


def grids(stored: Sequence[StoredPoint]) -> dict[str, Grid]:
    """Every dimension of the recordings."""
    sizes: dict[str, dict[int, list[StoredPoint]]] = {}
    for each in stored:
        shown: dict[str, int] = {}
        for name in each.variables:
            shown.update(zip(each.dims(name), each.shape(name), strict=True))
        for dimension, size in shown.items():
            sizes.setdefault(dimension, {}).setdefault(size, []).append(each)
    return {dimension: _grid(dimension, found) for dimension, found in sizes.items()}


def _grid(dimension: str, found: Mapping[int, Sequence[StoredPoint]]) -> Grid:
    size, padded = max(found), len(found) > 1
    having = [each for several in found.values() for each in several]
    if not all(dimension in each.variables and each.dims(dimension) == (dimension,) for each in having):
        return Grid(size, padded=padded)
    first = having[0].values(dimension)
    if not padded:
        alike = all(np.array_equal(each.values(dimension), first) for each in having[1:])
        return Grid(size, first if alike else None)
    union = np.unique(first)
    for each in having:
        labels = each.values(dimension)
        if (labels.dtype.kind in "UST") != (first.dtype.kind in "UST") or len(np.unique(labels)) < len(
            labels
        ):
            return Grid(size, padded=True)  # the values do not identify positions
        union = np.union1d(union, labels)
    return Grid(len(union), union, joined=True, padded=True)


def layout(
    name: str,
    dims: Sequence[str],
    having: Sequence[StoredPoint],
    found: Mapping[str, Grid],
    space: tuple[int, ...],
    *,
    complete: bool,
) -> VariableLayout:
    """Shape, chunks and type of a variable over the points of a sweep."""
    own = tuple(found[dim].size for dim in dims)
    whole = complete and all(each.dims(name) == dims and each.shape(name) == own for each in having)
    dtype = common([variables[name]["dtype"] for variables in distinct(having)])
    if not whole and dtype.kind in "biu":
        dtype = np.dtype(float)
    shape = (*space, *own)
    return VariableLayout(shape, chunks(shape, dtype.itemsize), dtype)


def common(types: Iterable[str]) -> np.dtype:
    """Type for the values of all points: text if some are texts, or if no other type fits."""
    kinds = {np.dtype(each) for each in types}
    try:
        dtype = np.result_type(*kinds)
    except TypeError:
        return np.dtype(np.dtypes.StringDType())
    texts = any(each.kind in "US" for each in kinds)
    return np.dtype(np.dtypes.StringDType()) if texts else dtype


def chunks(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Chunks of at most `CHUNK` bytes, with the last dimensions complete."""
    room = max(1, int(CHUNK // itemsize))
    sizes = []
    for size in reversed(shape):
        sizes.append(max(1, min(size, room)))
        room = max(1, room // sizes[-1])
    return tuple(reversed(sizes))


def common_layout(
    axes: Sequence[Axis], renamed: Mapping[str, str], valued: Mapping[str, str], types: Mapping[str, str]
) -> str:
    """The attribute `sweep_layout`, JSON: what is needed to take one point out again and is the same for all.

    Parameters
    ----------
    axes
        Their values as the configuration has them.
    renamed
        Names that were changed.
    valued
        By dimension, the variable that holds its values where points differ in them.
    types
        Of variables that became floating-point numbers to have NaN where a point has no value.
    """
    rows = [{"names": axis.names, "rows": axis.rows} for axis in axes]
    return json.dumps({"axes": rows, "renamed": renamed, "valued": valued, "types": types})


def details(
    each: StoredPoint,
    every: Mapping[str, tuple[str, ...]],
    found: Mapping[str, Grid],
    shared: Mapping[str, Any],
) -> dict[str, Any]:
    """What a point has of its own: attributes, places along filled dimensions, variables and dimensions it lacks."""
    sizes = {
        dim: size
        for name in each.variables
        for dim, size in zip(each.dims(name), each.shape(name), strict=True)
    }
    lacking = {
        name: [dim for dim in dims if dim not in each.dims(name)]
        for name, dims in every.items()
        if name in each.variables
    }
    entries = {
        "attributes": {key: value for key, value in each.attributes.items() if key not in shared},
        "places": {
            dim: _span(found[dim].places(each, dim, size)) for dim, size in sizes.items() if found[dim].padded
        },
        "absent": [name for name in every if name not in each.variables],
        "lacking": {name: dims for name, dims in lacking.items() if dims},
    }
    return {key: value for key, value in entries.items() if value}


def _span(places: np.ndarray) -> list[Any]:
    """Places as [first, last + 1] where they follow each other, else as a list of a list."""
    if len(places) and np.array_equal(places, np.arange(places[0], places[0] + len(places))):
        return [int(places[0]), int(places[-1]) + 1]
    return [places.tolist()]
