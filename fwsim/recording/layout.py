"""How what a record keeps lies in a recording: dimensions, shape, selection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fwsim.errors import ConfigError
from fwsim.recording.extent import Extent
from fwsim.recording.record import Record
from fwsim.recording.schema import OPTIONAL, STREAMED, Variable

SELECTED_BY = {"trial": "trials", "unit": "units", "post": "units", "pre": "units"}


@dataclass(frozen=True, eq=False)
class Layout:
    """How one variable lies in a recording.

    Attributes
    ----------
    name, dtype, attributes
        Of the stored array.
    dimensions
        Of the stored array: those of the run, or its own (`memory_time`) where the record selects.
    run_dimensions, run_shape
        Of what is handed over, before selection; -1 along `axis`.
    axis
        The streamed one of the dimensions.
    steps
        Steps of the run that are kept; `None` for events.
    selection
        Axis → indices to keep of what is handed over.
    """

    name: str
    dtype: np.dtype
    attributes: dict[str, str]
    dimensions: tuple[str, ...]
    run_dimensions: tuple[str, ...]
    run_shape: tuple[int, ...]
    axis: int
    steps: range | None
    selection: dict[int, np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the stored array; events start with none."""
        shape = [len(self.selection.get(i, range(size))) for i, size in enumerate(self.run_shape)]
        shape[self.axis] = len(self.steps or ())
        return tuple(shape)


def layout(record: Record, variable: Variable, extent: Extent) -> Layout:
    """Lay out what `record` keeps of `variable` in a run of the given extent.

    Raises
    ------
    ConfigError
        The record selects what the variable or the run does not have.
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
    return Layout(
        name=name,
        dtype=np.dtype(record.dtype or variable.dtype or extent.dtype),
        attributes=variable.attributes,
        dimensions=tuple(f"{name}_{d}" if d in own else d for d in dimensions),
        run_dimensions=dimensions,
        run_shape=tuple(-1 if i == axis else extent.sizes[d] for i, d in enumerate(dimensions)),
        axis=axis,
        steps=steps,
        selection=selection,
    )


def along(axis: int, begin: int, end: int | None) -> tuple[slice, ...]:
    """Index that takes begin … end−1 along one axis and everything along those before it."""
    return (*(slice(None),) * axis, slice(begin, end))


def _steps(record: Record, extent: Extent, events: bool) -> range | None:
    if events:
        if (record.every, record.start, record.stop) != (None, None, None):
            raise ConfigError(f"{record.variable} are events; record all of them (no every, start or stop)")
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
