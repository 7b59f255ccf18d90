"""The points of a sweep as one labelled dataset, written piece by piece."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import zarr

from fwsim.recording import arrays
from fwsim.recording.whole import writing
from fwsim.study.config import unit_of
from fwsim.study.experiment import Experiment
from fwsim.study.sweeps import layout as layouts
from fwsim.study.sweeps.layout import DETAILS, LAYOUT, Grid, VariableLayout, aligned, chunks, free_name
from fwsim.study.sweeps.points import Point, Space
from fwsim.study.sweeps.records import Failure, StoredPoint
from fwsim.study.sweeps.take import single

Ended = Sequence[tuple[Point, StoredPoint | Failure]]
Described = Mapping[str, Mapping[str, Any]]
"""Attributes of the coordinate of each parameter."""


def assemble(
    path: Path, space: Space, described: Described, ended: Ended, attributes: Mapping[str, Any]
) -> None:
    """Write the recordings of all points as one Zarr folder that `xarray.open_zarr` reads.

    The parameters are the first dimensions, and `seed` is the last of these. If the recordings use the name of a
    parameter, or another name that the sweep needs, this variable is called `<name>_recorded`. A dimension whose
    coordinate is the same at all points is kept. If it has the same length everywhere but
    other values, it keeps its positions, and its values become a coordinate over the parameters,
    `<dimension>_value`. If its length differs, it has the union of the values, or without
    values the greatest length. A variable has all dimensions that it has at any point, with length one along those
    that a point lacks. Values that a point lacks are NaN (and empty for texts).
    """
    with writing(path) as group:
        _assemble(group, space, described, ended, attributes)


def _assemble(
    group: zarr.Group, space: Space, described: Described, ended: Ended, attributes: Mapping[str, Any]
) -> None:
    stored = [(point, each) for point, each in ended if isinstance(each, StoredPoint)]
    recorded = layouts.recorded_names(each for _, each in stored)
    renamed = layouts.free_names(recorded, space.parameters)
    if renamed:
        stored = [(point, each.renamed(renamed)) for point, each in stored]
    taken = {renamed.get(name, name) for name in recorded} | {*space.parameters, *layouts.ADDED}
    recordings = [each for _, each in stored]
    grids, every = layouts.grids(recordings), layouts.dimensions(recordings)
    coordinates, valued, types = _write_axes(group, space, described), {}, {}
    for name, dims in every.items():
        having = [each for each in recordings if name in each.variables]
        attrs, coordinate = (having[0].variables[name][key] for key in ("attrs", "coordinate"))
        grid = grids.get(name) if dims == (name,) else None
        if grid is not None and grid.labels is not None:
            _write(group, name, grid.labels, dims, attrs)
            continue
        own = name if grid is None else free_name(name, "value", taken)
        if grid is not None:
            valued[name] = own
        if coordinate:
            coordinates.append(own)
            same = _same(name, having)
            if same is not None:
                _write(group, own, same, dims, attrs)
                continue
        layout = layouts.layout(name, dims, having, grids, space.shape, complete=len(having) == len(ended))
        recorded_type = layouts.common(each.variables[name]["dtype"] for each in having)
        if recorded_type != layout.dtype:
            types[own] = recorded_type.str
        array = _create(group, own, layout, (*space.dimensions, *dims), attrs)
        for where, block in _blocks(name, dims, stored, grids, space, layout):
            array[where] = arrays.numbers(block)
    shared = _shared([each.attributes for each in recordings])
    details = [layouts.details(each, every, grids, shared) for each in recordings]
    _write_points(group, space, ended)
    if any(details):
        _write_details(
            group, space, [(point, each) for (point, _), each in zip(stored, details, strict=True)]
        )
    layout_of_all = layouts.common_layout(space.axes, renamed, valued, types)
    group.attrs.update(
        {**arrays.plain(shared), **attributes, LAYOUT: layout_of_all, "coordinates": " ".join(coordinates)}
    )


def _same(name: str, having: Sequence[StoredPoint]) -> np.ndarray | None:
    """Values of a coordinate if all points agree on them."""
    first, dims = having[0].values(name), having[0].dims(name)
    alike = all(each.dims(name) == dims and np.array_equal(each.values(name), first) for each in having[1:])
    return first if alike else None


def _blocks(
    name: str,
    dims: Sequence[str],
    stored: Sequence[tuple[Point, StoredPoint]],
    grids: Mapping[str, Grid],
    space: Space,
    layout: VariableLayout,
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Chunk after chunk along the parameters, so that only one chunk is in memory at a time."""
    axes = len(space.shape)
    chunks, own = layout.chunks[:axes], layout.shape[axes:]
    inside: dict[tuple[int, ...], list[tuple[Point, StoredPoint]]] = {}
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
            here = aligned(each.values(name), each.dims(name), dims)
            index: tuple[Any, ...] = tuple(i - a for i, a in zip(point.index, corner, strict=True))
            target = values[(*index, ...)]
            if here.shape == own and not any(grids[dim].joined for dim in dims):
                target[...] = here
            else:
                target[np.ix_(*(grids[dim].places(each, dim, n) for dim, n in zip(dims, here.shape)))] = here
        yield where, values


def _missing(dtype: np.dtype) -> Any:
    return {"f": np.nan, "c": np.nan, "T": "", "M": "NaT", "m": "NaT"}.get(dtype.kind, 0)


def describe(experiment: Experiment, space: Space) -> Described:
    """Unit and name of each parameter."""
    fields = {name: experiment.config.model_fields[name] for name in space.parameters}
    return {
        name: {"units": unit_of(field) or "1", "long_name": str(field.description).rstrip(".")}
        for name, field in fields.items()
    }


def _write_axes(group: zarr.Group, space: Space, described: Described) -> list[str]:
    """Write the parameters as coordinates, and return the names of those that change together with another."""
    for axis, dimension in zip(space.axes, space.dimensions, strict=False):
        for column, name in enumerate(axis.names):
            _write(group, name, _labels([row[column] for row in axis.rows]), (dimension,), described[name])
    _write(group, "seed", _labels(space.seeds), ("seed",), {"units": "1", "long_name": "seed"})
    return [name for axis in space.axes for name in axis.names[1:]]


def _labels(values: Sequence[Any]) -> np.ndarray:
    """Coordinate of a parameter: its values, or their text if they are not single values of one kind.

    None is NaN among numbers, otherwise the text `none`.
    """
    alone = [single(value) for value in values]
    kinds = {type(value) for value in alone}
    if kinds <= {int, float, NoneType} and kinds != {NoneType}:
        numbers = np.array([np.nan if value is None else value for value in alone])
        return numbers if numbers.dtype.kind != "O" else np.array([_typed(value) for value in alone])
    return np.array(alone) if kinds in ({bool}, {str}) else np.array([_typed(value) for value in alone])


def _typed(value: Any) -> str:
    """A value in the form in which a user would write it."""
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def _write_points(group: zarr.Group, space: Space, ended: Ended) -> None:
    seeds, failed = np.zeros(space.shape, np.int64), np.zeros(space.shape, bool)
    for point, each in ended:
        seeds[point.index], failed[point.index] = point.seed, isinstance(each, Failure)
    _write(group, "point_seed", seeds, space.dimensions, {"units": "1", "long_name": "seed of the point"})
    _write(group, "failed", failed, space.dimensions, {"units": "1", "long_name": "point failed"})


def _write_details(
    group: zarr.Group, space: Space, details: Sequence[tuple[Point, Mapping[str, Any]]]
) -> None:
    texts = np.full(space.shape, "", dtype=np.dtypes.StringDType())
    for point, each in details:
        texts[point.index] = json.dumps(each) if each else ""
    _write(
        group, DETAILS, texts, space.dimensions, {"units": "1", "long_name": "what the point has of its own"}
    )


def _write(
    group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...], attrs: Mapping[str, Any]
) -> None:
    dtype = np.dtype(np.dtypes.StringDType()) if values.dtype.kind in "UT" else values.dtype
    layout = VariableLayout(values.shape, chunks(values.shape, dtype.itemsize), dtype)
    _create(group, name, layout, dims, attrs)[...] = arrays.numbers(values.astype(dtype))


def _create(
    group: zarr.Group, name: str, layout: VariableLayout, dims: tuple[str, ...], attrs: Mapping[str, Any]
) -> zarr.Array:
    return arrays.create(group, name, layout.shape, layout.chunks, layout.dtype, dims, attrs)


def _shared(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = attributes[0] if attributes else {}
    return {key: value for key, value in first.items() if all(each.get(key) == value for each in attributes)}
