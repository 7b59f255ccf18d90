"""Layout of a record in a recording: dimensions, shape, selection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fwsim.errors import ConfigError
from fwsim.recording.extent import Extent
from fwsim.recording.record import Record
from fwsim.recording.schema import OPTIONAL, STREAMED, Variable

SELECTED_BY = {"trial": "trials", "unit": "units", "post": "units", "pre": "units"}


@dataclass(frozen=True, eq=False)
class StoredAxis:
    """One axis of a stored array.

    Attributes
    ----------
    dimension
        Name in the stored array: that of the run, or its own (`memory_time`) if the record selects.
    basis
        Dimension of the run from which it is taken.
    size
        Length in the stored array; 0 for events, whose number grows.
    """

    dimension: str
    basis: str
    size: int


@dataclass(frozen=True, eq=False)
class ArrayLayout:
    """Layout of one record in a recording.

    Attributes
    ----------
    record
        The record.
    dtype, attributes
        Of the stored array.
    axes
        Axes of the stored array.
    axis
        Number of the streamed axis.
    steps
        Steps of the run that have a sample; `None` for events.
    taken
        Steps of the run that are passed on: those with a sample, or all from which a sample is computed.
    run_shape
        Shape of what is passed on; -1 along `axis`.
    selection
        Axis → indices that are selected.
    """

    record: Record
    dtype: np.dtype
    attributes: dict[str, str]
    axes: tuple[StoredAxis, ...]
    axis: int
    steps: range | None
    taken: range | None
    run_shape: tuple[int, ...]
    selection: dict[int, np.ndarray]

    @property
    def name(self) -> str:
        """Name in the recording."""
        return self.record.called

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Dimensions of the stored array."""
        return tuple(axis.dimension for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the stored array; for events 0 at the start."""
        return tuple(axis.size for axis in self.axes)


def layout(record: Record, variable: Variable, extent: Extent) -> ArrayLayout:
    """Compute the layout of `record` for a `variable` in a run of the given extent.

    Raises
    ------
    ConfigError
        The record selects something that the variable or the run does not have.
    """
    name = record.variable
    dimensions = tuple(d for d in variable.dimensions if d not in OPTIONAL or d in extent.sizes)
    streamed = [i for i, d in enumerate(dimensions) if d in STREAMED]
    if len(streamed) != 1:
        raise ConfigError(f"{name} has dimensions {dimensions}; a recorded variable needs one of {STREAMED}")
    for dimension in dimensions:
        if dimension not in STREAMED and dimension not in extent.sizes:
            raise ConfigError(f"{name} has the dimension {dimension!r}; give its size in the extent")
    axis = streamed[0]
    steps = _steps(record, extent, events=dimensions[axis] == "spike")
    selection = _selection(record, dimensions, extent)
    own = {dimensions[i] for i in selection}
    if steps is not None and steps != extent.kept():
        own.add("time")
    axes = tuple(
        StoredAxis(
            dimension=f"{record.called}_{d}" if d in own else d,
            basis=d,
            size=len(steps or ()) if i == axis else len(selection.get(i, range(extent.sizes[d]))),
        )
        for i, d in enumerate(dimensions)
    )
    dtype = np.dtype(record.dtype or variable.dtype or extent.dtype)
    return ArrayLayout(
        record=record,
        dtype=dtype,
        attributes=_attributes(record, variable, extent),
        axes=axes if record.statistic is None else _of_statistic(record, axes, axis, dtype),
        axis=axis,
        steps=steps,
        taken=_taken(record, steps, extent),
        run_shape=tuple(-1 if i == axis else extent.sizes[d] for i, d in enumerate(dimensions)),
        selection=selection,
    )


def along(axis: int, begin: int, end: int | None) -> tuple[slice, ...]:
    """Index for begin … end−1 along one axis, and everything along the axes before it."""
    return (*(slice(None),) * axis, slice(begin, end))


def _steps(record: Record, extent: Extent, events: bool) -> range | None:
    if events:
        if (record.every, record.start, record.stop, record.statistic, record.reduce) != (None,) * 4 + (
            "last",
        ):
            raise ConfigError(
                f"{record.variable} are events; record all of them (no every, start, stop, statistic or reduce)"
            )
        return None
    steps = extent.kept(record.every, *record.interval)
    if not steps and extent.steps:
        bounded = record.start is not None or record.stop is not None
        between = " between {:g} and {:g} s".format(*record.interval) if bounded else ""
        raise ConfigError(
            f"every={record.every or extent.every}{between} keeps nothing of {record.variable} in {extent.steps} "
            f"steps of {extent.dt:g} s; choose a smaller every{' or another interval' if bounded else ''}"
        )
    return steps


def _taken(record: Record, steps: range | None, extent: Extent) -> range | None:
    """All steps since the previous sample, if they are reduced."""
    if not steps or record.reduce == "last":
        return steps
    return range(max(0, steps[0] + 1 - (record.every or extent.every)), steps[-1] + 1)


def _selection(record: Record, dimensions: tuple[str, ...], extent: Extent) -> dict[int, np.ndarray]:
    selection = {}
    for option in ("trials", "units"):
        indices = getattr(record, option)
        if indices is None:
            continue
        axes = [i for i, d in enumerate(dimensions) if SELECTED_BY.get(d) == option]
        if not axes:
            raise ConfigError(
                f"{option}={list(indices)} selects nothing of {record.variable}, which has {', '.join(dimensions)}; "
                f"leave {option} out"
            )
        for axis in axes:
            size = extent.sizes[dimensions[axis]]
            if max(indices) >= size:
                raise ConfigError(
                    f"{option}={list(indices)} of {record.variable}: there are {size}, counted from 0"
                )
            if indices != tuple(range(size)):
                selection[axis] = np.asarray(indices, dtype=np.int64)
    return selection


def _attributes(record: Record, variable: Variable, extent: Extent) -> dict[str, str]:
    """Unit and name of the recorded values."""
    text = variable.long_name
    if record.statistic is not None:
        function = getattr(record.statistic, "__name__", "statistic")
        text = f"{'statistic' if function == '<lambda>' else function} of {text}"
    if record.reduce != "last":
        text = f"{record.reduce} of {text} over {record.every or extent.every} steps"
    return {**variable.attributes, "long_name": text}


def _of_statistic(
    record: Record, axes: tuple[StoredAxis, ...], axis: int, dtype: np.dtype
) -> tuple[StoredAxis, ...]:
    """Axes after a statistic, found with two samples; new axes are called `<name>_0` …."""
    assert record.statistic is not None
    before = tuple(2 if i == axis else each.size for i, each in enumerate(axes))
    try:
        after = np.shape(record.statistic(np.zeros(before, dtype)))
    except Exception as error:
        raise ConfigError(
            f"the statistic of {record.called} fails on zeros {list(before)}: {type(error).__name__}: {error}"
        ) from error
    if after[: axis + 1] != before[: axis + 1]:
        raise ConfigError(
            f"the statistic of {record.called} makes {list(after)} of {list(before)}; "
            "give a function [trial, sample, …] → [trial, sample, …]"
        )
    if after == before:
        return axes
    own = (f"{record.called}_{k}" for k in range(len(after)))
    return axes[: axis + 1] + tuple(
        StoredAxis(name, name, size) for name, size in zip(own, after[axis + 1 :])
    )
