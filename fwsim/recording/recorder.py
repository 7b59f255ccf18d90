"""The streaming recorder that a simulation hands its samples to."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError, ShapeError, choice
from fwsim.recording.extent import Extent
from fwsim.recording.layout import Layout, layout
from fwsim.recording.memory import MemoryStore, check_memory
from fwsim.recording.record import Record, as_records
from fwsim.recording.schema import COORDINATES, SCHEMA, STREAMED, VARIABLES, Variable

if TYPE_CHECKING:
    from fwsim.recording.folder import ZarrStore


class Recorder:
    """Takes blocks of samples in order and becomes a Dataset.

    Parameters
    ----------
    records
        What to keep (see `as_records`).
    extent
        Size of the run.
    coordinates
        Dimension → values, where they are not 0, 1, 2 …; e.g. `{"timescale": tau}` in s.
    attributes
        Strings and numbers about the run (see `provenance`).
    variables
        Variables beside those of the schema, or in place of them.
    to
        Folder to write, which must not exist yet. `None`: keep in memory.

    Raises
    ------
    ConfigError
        A record that does not fit the run, an unknown variable, an attribute that is no string or number.
    RecordingError
        The path exists or cannot be written; the memory does not suffice.

    Examples
    --------
    >>> extent = Extent(steps=4, dt=0.5, sizes={"trial": 2, "unit": 3})
    >>> recorder = Recorder([Record("hidden", every=2)], extent)
    >>> list(recorder.wanted("hidden", 0, 4))
    [1, 3]
    >>> recorder.write("hidden", np.zeros((2, 2, 3)))
    >>> run = recorder.finish({"hidden": np.zeros((2, 3)), "step": 4})
    >>> run.hidden_time.values
    array([1., 2.])
    """

    def __init__(
        self,
        records: Sequence[str | Record],
        extent: Extent,
        *,
        coordinates: Mapping[str, np.ndarray] | None = None,
        attributes: Mapping[str, str | int | float] | None = None,
        variables: Mapping[str, Variable] | None = None,
        to: str | PathLike[str] | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._extent = extent
        self._variables = {**VARIABLES, **(variables or {})}
        self._values = dict(coordinates or {})
        self._layouts: dict[str, Layout] = {}
        for record in as_records(records, self._variables):
            self._layouts[record.variable] = layout(record, self._variables[record.variable], extent)
        self._counts = dict.fromkeys(self._layouts, 0)
        if to is None:
            check_memory(self._layouts.values())
        axes = self._recorded_coordinates()
        self._with_coordinate = set(axes)
        described = {
            "fwsim_schema": SCHEMA,
            **_checked(attributes or {}),
            "dt": extent.dt,
            "steps": extent.steps,
            "first_step": extent.first_step,
        }
        self._store: MemoryStore | ZarrStore
        if to is None:
            self._store = MemoryStore(self._layouts, axes, described)
        else:
            from fwsim.recording.folder import ZarrStore

            self._store = ZarrStore(Path(to), self._layouts, axes, described)

    def wanted(self, variable: str, start: int, stop: int) -> range:
        """Those of the steps start … stop−1 of this run whose `variable` is recorded."""
        if variable not in self._layouts:
            return range(0)
        steps = self._layouts[variable].steps
        if steps is None:
            raise RecordingError(f"{variable} are events; write all of them")
        return steps[bisect_left(steps, start) : bisect_left(steps, stop)]

    def write(self, variable: str, values: np.ndarray) -> None:
        """Add the next samples of a variable.

        Parameters
        ----------
        variable
            A recorded variable.
        values
            All trials and units at the wanted steps, e.g. `[trial, sample, unit]`; events `[spike]`.

        Raises
        ------
        ShapeError
            The array has another shape, or more samples than are wanted.
        RecordingError
            The disk refuses, or a finite number does not fit the recorded dtype.
        """
        choice("variable", variable, tuple(self._layouts))
        each = self._layouts[variable]
        _check_shape(values, each)
        self._counts[variable] += values.shape[each.axis]
        if each.steps is not None and self._counts[variable] > len(each.steps):
            raise ShapeError(f"{variable} got {self._counts[variable]} samples; give {len(each.steps)}")
        for axis, indices in each.selection.items():
            values = values.take(indices, axis)
        try:
            with np.errstate(over="raise"):
                stored = values.astype(each.dtype, copy=False)
        except FloatingPointError as error:
            raise RecordingError(
                f"{variable} has values too large for dtype={each.dtype.name!r}; record it in a wider type"
            ) from error
        self._store.append(variable, stored)

    def finish(self, state: Mapping[str, np.ndarray | int] | None = None) -> xr.Dataset:
        """Store the final state and give the recording.

        Parameters
        ----------
        state
            Variable of the schema → final value without the time axis, e.g. `hidden [trial, unit]`;
            stored as `final_<variable>`.

        Raises
        ------
        RecordingError
            A variable did not get all of its samples, or the disk refuses.
        """
        for name, each in self._layouts.items():
            if each.steps is not None and self._counts[name] != len(each.steps):
                raise RecordingError(
                    f"{name} got {self._counts[name]} of {len(each.steps)} samples; write them all"
                )
        final = {f"final_{name}": self._final(name, value) for name, value in (state or {}).items()}
        extra = dict(final)
        for variable in final.values():
            for dimension, size in variable.sizes.items():
                if dimension not in self._with_coordinate and self._has_coordinate(str(dimension)):
                    extra[str(dimension)] = self._coordinate(str(dimension), size)
        finished = {"valid_steps": self._extent.steps, "wall_time": time.monotonic() - self._began}
        return self._store.finish(extra, finished)

    def _recorded_coordinates(self) -> dict[str, xr.Variable]:
        coordinates = {}
        for each in self._layouts.values():
            for axis, (dimension, basis) in enumerate(zip(each.dimensions, each.run_dimensions)):
                if axis == each.axis and each.steps is not None:
                    times = self._extent.times(each.steps)
                    coordinates[dimension] = xr.Variable(dimension, times, COORDINATES["time"].attributes)
                elif self._has_coordinate(basis):
                    whole = self._coordinate(basis, each.run_shape[axis])
                    values = whole.values[each.selection.get(axis, slice(None))]
                    coordinates[dimension] = xr.Variable(dimension, values, whole.attrs)
        return coordinates

    def _has_coordinate(self, dimension: str) -> bool:
        """A recorded `inner` lies along the dimension `inner`, which leaves no name for its 0 … S."""
        return dimension not in STREAMED and dimension not in self._layouts

    def _coordinate(self, dimension: str, size: int) -> xr.Variable:
        meaning = COORDINATES.get(dimension, Variable((dimension,), "1", dimension.replace("_", " ")))
        values = np.asarray(self._values.get(dimension, np.arange(size)), dtype=meaning.dtype)
        if values.shape != (size,):
            raise ShapeError(f"coordinate {dimension} has shape {list(values.shape)}; give {[size]}")
        return xr.Variable(dimension, values, meaning.attributes)

    def _final(self, name: str, value: np.ndarray | int) -> xr.Variable:
        choice("state", name, tuple(self._variables))
        variable, values = self._variables[name], np.asarray(value)
        dimensions = tuple(d for d in variable.dimensions if d not in STREAMED)
        if values.ndim != len(dimensions):
            raise ShapeError(f"final {name} has shape {list(values.shape)}; give [{', '.join(dimensions)}]")
        attributes = {**variable.attributes, "long_name": f"final {variable.long_name}"}
        return xr.Variable(dimensions, values, attributes)


def _check_shape(values: np.ndarray, each: Layout) -> None:
    fits = values.ndim == len(each.run_shape) and all(
        size in (-1, given) for size, given in zip(each.run_shape, values.shape)
    )
    if not fits:
        pattern = ", ".join("sample" if size == -1 else str(size) for size in each.run_shape)
        raise ShapeError(f"{each.name} has shape {list(values.shape)}; give [{pattern}]")


def _checked(attributes: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in attributes.items()}
    for name, value in plain.items():
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise ConfigError(f"attribute {name}={value!r} is not allowed; give a string or a number")
    return plain
