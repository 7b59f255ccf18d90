"""The streaming recorder, which receives the samples of a simulation."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, RecordingError, ShapeError, choice, truth
from fwsim.names import KnownArguments
from fwsim.paths import local_path
from fwsim.recording.extent import Extent
from fwsim.recording.in_memory import MemoryStore, check_memory
from fwsim.recording.layout import ArrayLayout, layout
from fwsim.recording.record import Record, as_records
from fwsim.recording.schema import (
    BY_NEURON,
    COORDINATES,
    SCHEMA,
    STREAMED,
    VARIABLES,
    Variable,
    population_of,
)
from fwsim.recording.stream import Stream, between

if TYPE_CHECKING:
    from fwsim.recording.folder import ZarrStore


class Recorder(KnownArguments):
    """Takes blocks of samples in order, and returns a Dataset at the end.

    Parameters
    ----------
    records
        What to record (see `as_records`).
    extent
        Size of the run.
    coordinates
        Dimension → values, if they are not 0, 1, 2 …; e.g. `{"timescale": tau}` in s.
    populations
        Name of the population of each unit, if there are populations: the coordinate `population` along `unit`.
    attributes
        Strings and numbers about the run (see `provenance`).
    variables
        Variables in addition to those of the schema, or instead of them.
    to
        Folder to write, which must not exist. `None`: record in memory.
    resume
        Continue an interrupted recording of the same run in `to`, if there is one.
    overwrite
        Replace a recording in `to`, after the new one is complete.

    Attributes
    ----------
    resumed
        Content of the last `checkpoint` of a continued recording; otherwise empty.

    Raises
    ------
    ConfigError
        A record does not fit the run, a variable is unknown, an attribute is neither a string nor a number, or there
        is nothing to resume.
    RecordingError
        The path exists, is not an interrupted recording of this run, or cannot be written; or the memory is too small.

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
        populations: Sequence[str] | None = None,
        attributes: Mapping[str, str | int | float] | None = None,
        variables: Mapping[str, Variable] | None = None,
        to: str | PathLike[str] | None = None,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        path = self._path = destination(to, resume=resume, overwrite=overwrite)
        self._began = time.monotonic()
        self._extent = extent
        self._variables = {**VARIABLES, **(variables or {})}
        self._values = dict(coordinates or {})
        self._populations = None if populations is None else np.array(populations, dtype=object)
        self._streams: dict[str, Stream] = {}
        for record in as_records(records, self._variables):
            self._streams[record.called] = Stream(layout(record, self._variables[record.variable], extent))
        labels: set[str] = set()
        if populations is not None:
            own = [axis for each in self._layouts for axis in each.axes if axis.basis in BY_NEURON]
            labels = {population_of(name) for name in (*BY_NEURON, *(axis.dimension for axis in own))}
        _check_names(self._layouts, labels)
        self._given = {
            each.record.variable: self._steps_given(each.record.variable) for each in self._layouts
        }
        self._counts = dict.fromkeys(self._given, 0)
        if to is None:
            check_memory(self._layouts)
        axes = self._recorded_coordinates()
        labels |= {name for name, each in axes.items() if name not in each.dims}
        self._with_coordinate = set(axes)
        described = {
            "fwsim_schema": SCHEMA,
            **_checked(attributes or {}),
            "dt": extent.dt,
            "steps": extent.steps,
            "first_step": extent.first_step,
        }
        if populations is not None:
            described["coordinates"] = " ".join(sorted(labels))
        self.resumed: dict[str, np.ndarray] = {}
        self._store = self._opened(path, resume, overwrite, axes, described)

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of the run that are recorded, each once."""
        return tuple(self._given)

    def wanted(self, variable: str, start: int, stop: int) -> range:
        """Steps of this run, from start to stop−1, at which `variable` has to be written."""
        if variable not in self._given:
            return range(0)
        steps = self._given[variable]
        if steps is None:
            raise RecordingError(f"{variable} are events; write all of them")
        return between(steps, start, stop)

    def write(self, variable: str, values: np.ndarray) -> None:
        """Add the next samples of a variable.

        Parameters
        ----------
        variable
            A recorded variable.
        values
            All trials and units at the required steps, e.g. `[trial, sample, unit]`; for events `[spike]`.

        Raises
        ------
        ShapeError
            The array has another shape, or more samples than required.
        RecordingError
            The disk cannot be written, or a finite number does not fit the recorded dtype.
        """
        choice("variable", variable, tuple(self._given))
        streams = [each for each in self._streams.values() if each.layout.record.variable == variable]
        _check_shape(values, streams[0].layout)
        begin, given = self._counts[variable], self._given[variable]
        self._counts[variable] += values.shape[streams[0].layout.axis]
        if given is not None and self._counts[variable] > len(given):
            raise ShapeError(f"{variable} got {self._counts[variable]} samples; give {len(given)}")
        steps = None if given is None else given[begin : self._counts[variable]]
        for stream in streams:
            self._store.append(stream.layout.name, stream.keep(values, steps))

    def checkpoint(self, state: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Offer the state for a checkpoint. It is written as often as costs little, and never in memory."""
        self._store.checkpoint(lambda: {**_prefixed("state", state()), **self._unfinished()})

    def wait(self) -> None:
        """Wait until everything is written in the background, also after a run was stopped."""
        self._store.wait()

    def close(self) -> None:
        """Release the folder after a run was stopped, so that another one can continue; `finish` does this too."""
        self._store.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take_up(self, resume: Callable[[Mapping[str, np.ndarray]], None]) -> None:
        """Pass the state of the last checkpoint to a continued run.

        Raises
        ------
        RecordingError
            The checkpoint is of another version and does not fit.
        """
        from fwsim.recording import checkpoints

        assert self._path is not None
        with checkpoints.understood(self._path):
            resume(self.resumed)

    def finish(self, state: Mapping[str, np.ndarray | int] | None = None) -> xr.Dataset:
        """Store the final state and return the recording.

        Parameters
        ----------
        state
            Variable of the schema → final value without the time axis, e.g. `hidden [trial, unit]`;
            stored as `final_<variable>`.

        Raises
        ------
        RecordingError
            Samples of a variable are missing, or the disk cannot be written.
        """
        for name, given in self._given.items():
            if given is not None and self._counts[name] != len(given):
                raise RecordingError(
                    f"{name} got {self._counts[name]} of {len(given)} samples; write them all"
                )
        final = {f"final_{name}": self._final(name, value) for name, value in (state or {}).items()}
        extra = dict(final)
        for variable in final.values():
            for dimension, size in variable.sizes.items():
                if dimension not in self._with_coordinate and dimension not in STREAMED:
                    extra |= self._along(str(dimension), self._coordinate(str(dimension), size), None)
        finished = {"valid_steps": self._extent.steps, "wall_time": time.monotonic() - self._began}
        return self._store.finish(extra, finished)

    @property
    def _layouts(self) -> list[ArrayLayout]:
        return [stream.layout for stream in self._streams.values()]

    def _opened(
        self,
        path: Path | None,
        resume: bool,
        overwrite: bool,
        axes: dict[str, xr.Variable],
        described: dict[str, str | int | float],
    ) -> MemoryStore | ZarrStore:
        layouts = {each.name: each for each in self._layouts}
        if path is None:
            return MemoryStore(layouts, axes, described)
        from fwsim.recording import checkpoints
        from fwsim.recording.folder import ZarrStore
        from fwsim.recording.places import Place

        if not (resume and os.path.lexists(path)):
            return ZarrStore.create(Place.of(path, overwrite=overwrite), layouts, axes, described)
        store, kept = ZarrStore.resume(Place(path, path), layouts, described)
        if not kept:
            return store
        try:
            with checkpoints.understood(path):
                self._take_up(kept)
        except BaseException:
            store.close()
            raise
        return store

    def _take_up(self, kept: Mapping[str, np.ndarray]) -> None:
        """Continue from the content of a checkpoint."""
        counts = {name: int(count) for name, count in _under("count", kept).items()}
        if counts.keys() != self._given.keys():
            raise ValueError(f"it counts samples of {', '.join(counts) or 'nothing'}")
        self.resumed = _under("state", kept)
        self._began -= float(kept["elapsed"])
        self._counts = counts
        for name, stream in self._streams.items():
            stream.resume(_under(f"open/{name}", kept))

    def _unfinished(self) -> dict[str, np.ndarray]:
        """State that a resumed recorder needs in addition to the store's buffers."""
        found = {"elapsed": np.array(time.monotonic() - self._began)}
        found |= {f"count/{name}": np.array(count) for name, count in self._counts.items()}
        for name, stream in self._streams.items():
            found |= _prefixed(f"open/{name}", stream.unfinished())
        return found

    def _steps_given(self, variable: str) -> range | None:
        """Steps at which a variable is written: those of its only record, or all steps if there are several records."""
        taken = [each.taken for each in self._layouts if each.record.variable == variable]
        if len(taken) == 1 or taken[0] is None or all(each == taken[0] for each in taken):
            return taken[0]
        used = [each for each in taken if each]
        return range(min(each[0] for each in used), max(each[-1] for each in used) + 1) if used else range(0)

    def _recorded_coordinates(self) -> dict[str, xr.Variable]:
        coordinates = {}
        for each in self._layouts:
            for number, axis in enumerate(each.axes):
                if number == each.axis and each.steps is not None:
                    times = self._extent.times(each.steps)
                    coordinates[axis.dimension] = xr.Variable(
                        axis.dimension, times, COORDINATES["time"].attributes
                    )
                elif axis.basis not in STREAMED:
                    whole = self._coordinate(axis.basis, self._extent.sizes.get(axis.basis, axis.size))
                    selected = each.selection.get(number) if axis.basis in self._extent.sizes else None
                    coordinates |= self._along(axis.dimension, whole, selected)
        return coordinates

    def _along(
        self, dimension: str, whole: xr.Variable, selected: np.ndarray | None
    ) -> dict[str, xr.Variable]:
        """Coordinates of a dimension: its values, and the populations of its units if there are populations."""
        chosen = slice(None) if selected is None else selected
        found = {dimension: xr.Variable(dimension, whole.values[chosen], whole.attrs)}
        if self._populations is not None and whole.dims[0] in BY_NEURON:
            names = xr.Variable(dimension, self._populations[chosen], {"long_name": "population"})
            found[population_of(dimension)] = names
        return found

    def _coordinate(self, dimension: str, size: int) -> xr.Variable:
        meaning = COORDINATES.get(dimension, Variable((dimension,), "1", dimension.replace("_", " ")))
        values = np.array(self._values.get(dimension, np.arange(size)), dtype=meaning.dtype)
        if values.shape != (size,):
            raise ShapeError(f"coordinate {dimension} has shape {list(values.shape)}; give {[size]}")
        return xr.Variable(dimension, values, meaning.attributes)

    def _final(self, name: str, value: np.ndarray | int) -> xr.Variable:
        choice("state", name, tuple(self._variables))
        variable, values = self._variables[name], np.array(value)
        dimensions = tuple(d for d in variable.dimensions if d not in STREAMED)
        if values.ndim != len(dimensions):
            raise ShapeError(f"final {name} has shape {list(values.shape)}; give [{', '.join(dimensions)}]")
        attributes = {**variable.attributes, "long_name": f"final {variable.long_name}"}
        return xr.Variable(dimensions, values, attributes)


def destination(to: str | PathLike[str] | None, *, resume: bool, overwrite: bool) -> Path | None:
    """Absolute path of the folder to write, checked before any work is done; `None` for a recording in memory.

    Raises
    ------
    ConfigError
        It is no path on this machine, or the options contradict each other.
    RecordingError
        The path exists already.
    """
    truth(resume=resume, overwrite=overwrite)
    if resume and overwrite:
        raise ConfigError(
            "resume=True continues what exists and overwrite=True replaces it; give one of them"
        )
    if to is None:
        if resume or overwrite:
            raise ConfigError(
                "resume=True has nothing to continue; give to=, the folder of the interrupted run"
                if resume
                else "overwrite=True has nothing to replace; give to=, the folder of a recording"
            )
        return None
    path = local_path(to, "to", new=True)
    if not resume:
        from fwsim.recording.places import Place

        Place.of(path, overwrite=overwrite)
    return path


def _check_names(layouts: Sequence[ArrayLayout], labels: set[str]) -> None:
    """Refuse a variable with the name of a dimension or coordinate, since xarray would take it for a coordinate."""
    dimensions = labels | {dimension for each in layouts for dimension in each.dimensions}
    for each in layouts:
        if each.name in dimensions:
            raise ConfigError(
                f"record={each.name!r} is also the name of a dimension or coordinate of the recording; give it "
                f"another: Record({each.record.variable!r}, name=...)"
            )


def _check_shape(values: np.ndarray, each: ArrayLayout) -> None:
    fits = values.ndim == len(each.run_shape) and all(
        size in (-1, given) for size, given in zip(each.run_shape, values.shape)
    )
    if not fits:
        pattern = ", ".join("sample" if size == -1 else str(size) for size in each.run_shape)
        raise ShapeError(f"{each.record.variable} has shape {list(values.shape)}; give [{pattern}]")


def _checked(attributes: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    plain = {name: v.item() if isinstance(v, np.generic) else v for name, v in attributes.items()}
    for name, value in plain.items():
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise ConfigError(f"attribute {name}={value!r} is not allowed; give a string or a number")
    return plain


def _prefixed(prefix: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _under(prefix: str, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(f"{prefix}/"): value
        for name, value in values.items()
        if name.startswith(f"{prefix}/")
    }
