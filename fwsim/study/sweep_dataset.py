"""The points of a sweep as one labelled dataset, written piece by piece."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fwsim.study.config import unit_of
from fwsim.study.experiment import Experiment
from fwsim.study.sweep_points import Point, Space
from fwsim.study.sweep_records import Failure, Stored

CHUNK = 16e6  # bytes of a chunk, unless one point's values alone are more

Ended = Sequence[tuple[Point, Stored | Failure]]


def assemble(
    path: Path, space: Space, experiment: Experiment, ended: Ended, attributes: Mapping[str, Any]
) -> None:
    """Write the recordings of all points as one Zarr folder that `xarray.open_zarr` reads.

    The parameters are its first dimensions, `seed` last. A dimension of the recordings whose
    coordinate is the same at all points is kept; one that has the same length everywhere but
    other values keeps its positions, and its values become a coordinate over the parameters,
    `<dimension>_value`; one whose length differs holds the union of the values, or without
    values is as long as the longest. What a point lacks is NaN (and empty for texts).
    """
    draft = path.with_name(path.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    group = zarr.open_group(draft, mode="w", zarr_format=3)
    stored = [(point, each) for point, each in ended if isinstance(each, Stored)]
    grids = _grids([each for _, each in stored])
    coordinates = _write_axes(group, space, experiment)
    for name, description in _descriptions(stored).items():
        dims, attrs = tuple(description["dims"]), description["attrs"]
        grid = grids.get(name) if dims == (name,) else None
        if grid is not None and grid.labels is not None:
            _write(group, name, grid.labels, dims, attrs)
            continue
        own = name if grid is None else f"{name}_value"
        having = [each for _, each in stored if name in each.variables]
        if description["coordinate"]:
            coordinates.append(own)
            values = [each.values(name) for each in having]
            if _alike(values):
                _write(group, own, np.asarray(values[0]), dims, attrs)
                continue
        layout = _layout(name, having, grids, space, complete=len(having) == len(ended))
        array = _create(group, own, layout, (*space.dimensions, *dims), attrs)
        for where, block in _blocks(name, dims, stored, grids, space, layout):
            array[where] = block
    _write_points(group, space, ended)
    shared = _shared([each.attributes for _, each in stored])
    group.attrs.update({**shared, **attributes, "coordinates": " ".join(coordinates)})
    os.replace(draft, path)


@dataclass(frozen=True)
class Grid:
    """One dimension of the recordings, common to all points.

    Parameters
    ----------
    size
        Its length.
    labels
        Its values, where the points agree on them or each brings some; None where only positions count.
    joined
        Whether each point brings some of the values.
    """

    size: int
    labels: np.ndarray | None = None
    joined: bool = False

    def places(self, stored: Stored, name: str, own: int) -> np.ndarray:
        """Where the `own` values that a point has along dimension `name` belong."""
        if self.labels is None or not self.joined:
            return np.arange(own)
        return np.searchsorted(self.labels, stored.values(name))


@dataclass(frozen=True)
class Layout:
    """How a variable of all points lies in the dataset."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype


def _grids(stored: Sequence[Stored]) -> dict[str, Grid]:
    sizes: dict[str, dict[int, list[Stored]]] = {}
    for each in stored:
        shown: dict[str, int] = {}
        for name, description in each.variables.items():
            shown.update(zip(description["dims"], _shape(each, name), strict=True))
        for dimension, size in shown.items():
            sizes.setdefault(dimension, {}).setdefault(size, []).append(each)
    return {dimension: _grid(dimension, found) for dimension, found in sizes.items()}


def _grid(dimension: str, found: Mapping[int, Sequence[Stored]]) -> Grid:
    having = [each for several in found.values() for each in several]
    if not all(
        dimension in each.variables and _shape(each, dimension) == (size,)
        for size, several in found.items()
        for each in several
    ):
        return Grid(max(found))
    labels = [each.values(dimension) for each in having]
    if len(found) > 1:
        union = np.unique(np.concatenate(labels))
        return Grid(len(union), union, joined=True)
    return Grid(max(found), np.asarray(labels[0]) if _alike(labels) else None)


def _descriptions(stored: Sequence[tuple[Point, Stored]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for _, each in stored:
        for name, description in each.variables.items():
            found.setdefault(name, description)
    return found


def _layout(
    name: str, having: Sequence[Stored], grids: Mapping[str, Grid], space: Space, *, complete: bool
) -> Layout:
    own = tuple(grids[dim].size for dim in having[0].variables[name]["dims"])
    whole = complete and all(_shape(each, name) == own for each in having)
    dtype = np.result_type(*{each.values(name).dtype for each in having})
    if dtype.kind == "U":
        dtype = np.dtype(np.dtypes.StringDType())
    elif not whole and dtype.kind in "biu":
        dtype = np.dtype(float)
    shape = (*space.shape, *own)
    return Layout(shape, _chunks(shape, dtype.itemsize), dtype)


def _chunks(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    room = max(1, int(CHUNK // itemsize))
    chunks = []
    for size in reversed(shape):
        chunks.append(max(1, min(size, room)))
        room = max(1, room // chunks[-1])
    return tuple(reversed(chunks))


def _blocks(
    name: str,
    dims: Sequence[str],
    stored: Sequence[tuple[Point, Stored]],
    grids: Mapping[str, Grid],
    space: Space,
    layout: Layout,
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Chunk after chunk along the parameters, so that one chunk at a time is in memory."""
    axes = len(space.shape)
    chunks, own = layout.chunks[:axes], layout.shape[axes:]
    inside: dict[tuple[int, ...], list[tuple[Point, Stored]]] = {}
    for point, each in stored:
        if name in each.variables:
            corner = tuple(i // chunk * chunk for i, chunk in zip(point.index, chunks, strict=True))
            inside.setdefault(corner, []).append((point, each))
    starts = (range(0, size, chunk) for size, chunk in zip(space.shape, chunks, strict=True))
    for corner in itertools.product(*starts):
        stops = [min(a + c, n) for a, c, n in zip(corner, chunks, space.shape, strict=True)]
        where = tuple(slice(a, b) for a, b in zip(corner, stops, strict=True))
        values = np.full(
            (*(b - a for a, b in zip(corner, stops, strict=True)), *own), _missing(layout.dtype), layout.dtype
        )
        for point, each in inside.get(corner, ()):
            here = each.values(name)
            index: tuple[Any, ...] = tuple(i - a for i, a in zip(point.index, corner, strict=True))
            target = values[(*index, ...)]
            if here.shape == own and not any(grids[dim].joined for dim in dims):
                target[...] = here
            else:
                target[np.ix_(*(grids[dim].places(each, dim, n) for dim, n in zip(dims, here.shape)))] = here
        yield where, values


def _missing(dtype: np.dtype) -> Any:
    return {"f": np.nan, "c": np.nan, "T": "", "M": "NaT", "m": "NaT"}.get(dtype.kind, 0)


def _write_axes(group: zarr.Group, space: Space, experiment: Experiment) -> list[str]:
    """Write the parameters as coordinates, and return the names of those that change with another."""
    for axis, dimension in zip(space.axes, space.dimensions, strict=False):
        for column, name in enumerate(axis.names):
            field = experiment.config.model_fields[name]
            label = str(field.description).rstrip(".")
            attrs = {"units": unit_of(field) or "1", "long_name": label}
            _write(group, name, _labels([row[column] for row in axis.rows]), (dimension,), attrs)
    _write(group, "seed", np.array(space.seeds), ("seed",), {"units": "1", "long_name": "seed"})
    return [name for axis in space.axes for name in axis.names[1:]]


def _labels(values: Sequence[Any]) -> np.ndarray:
    """Coordinate of a parameter: its values, or their text where they are no single values."""
    single = [value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value for value in values]
    if all(isinstance(value, (bool, int, float, str)) for value in single):
        return np.array(single)
    return np.array([json.dumps(value, default=str) for value in single])


def _write_points(group: zarr.Group, space: Space, ended: Ended) -> None:
    seeds, failed = np.zeros(space.shape, np.int64), np.zeros(space.shape, bool)
    for point, each in ended:
        seeds[point.index], failed[point.index] = point.seed, isinstance(each, Failure)
    _write(group, "point_seed", seeds, space.dimensions, {"units": "1", "long_name": "seed of the point"})
    _write(group, "failed", failed, space.dimensions, {"units": "1", "long_name": "point failed"})


def _write(
    group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...], attrs: Mapping[str, Any]
) -> None:
    dtype = np.dtype(np.dtypes.StringDType()) if values.dtype.kind == "U" else values.dtype
    layout = Layout(values.shape, _chunks(values.shape, dtype.itemsize), dtype)
    _create(group, name, layout, dims, attrs)[...] = values.astype(dtype)


def _create(
    group: zarr.Group, name: str, layout: Layout, dims: tuple[str, ...], attrs: Mapping[str, Any]
) -> zarr.Array:
    return group.create_array(
        name,
        shape=layout.shape,
        dtype=layout.dtype,
        chunks=layout.chunks,
        dimension_names=dims,
        attributes=dict(attrs),
    )


def _shape(stored: Stored, name: str) -> tuple[int, ...]:
    return stored.values(name).shape


def _alike(arrays: Sequence[np.ndarray]) -> bool:
    return all(np.array_equal(each, arrays[0]) for each in arrays)


def _shared(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = attributes[0] if attributes else {}
    return {key: value for key, value in first.items() if all(each.get(key) == value for each in attributes)}
