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
    dimensions, shape
        Of the stored array; the size along a growing dimension (`"spike"`) is 0 at the start.
    axis
        The streamed one of the dimensions.
    steps
        Steps of the run that are kept; `None` for events.
    selection
        Axis → indices to keep of what is handed over.
    sizes
        Shape of one hand-over, with -1 along `axis`.
    coordinates
        Dimension → values, for the dimensions that only this variable has.
    """

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    dtype: np.dtype
    attributes: dict[str, str]
    axis: int
    steps: range | None
    selection: dict[int, np.ndarray]
    coordinates: dict[str, np.ndarray]


def layout(record: Record, variable: Variable, extent: Extent) -> Layout:
    """Lay out what `record` keeps of `variable` in a run of the given extent.

    Raises
    ------
    ConfigError
        The record selects what the variable or the run does not have.
    """
    dimensions = tuple(d for d in variable.dimensions if d not in OPTIONAL or d in extent.sizes)
    axis = next(i for i, d in enumerate(dimensions) if d in STREAMED)
    selection = _selection(record, dimensions, extent)
    steps = _steps(record, extent) if dimensions[axis] == "time" else None
    if steps is None and (record.every, record.start, record.stop) != (None, None, None):
        raise ConfigError(f"{record.variable} are events; record them whole (no every, start, stop)")

    own: dict[str, np.ndarray] = {dimensions[i]: indices for i, indices in selection.items()}
    if steps is not None and steps != extent.kept():
        own["time"] = extent.times(steps)
    sizes = tuple(-1 if i == axis else extent.sizes[d] for i, d in enumerate(dimensions))
    shape = [len(selection[i]) if i in selection else size for i, size in enumerate(sizes)]
    shape[axis] = 0 if steps is None else len(steps)
    return Layout(
        name=record.variable,
        dimensions=tuple(f"{record.variable}_{d}" if d in own else d for d in dimensions),
        shape=tuple(shape),
        sizes=sizes,
        dtype=np.dtype(record.dtype or variable.dtype or extent.dtype),
        attributes=variable.attributes,
        axis=axis,
        steps=steps,
        selection=selection,
        coordinates={f"{record.variable}_{d}": values for d, values in own.items()},
    )


def _steps(record: Record, extent: Extent) -> range:
    steps = extent.kept(record.every, record.start, record.stop)  # type: ignore[arg-type]
    if not steps and extent.steps:
        raise ConfigError(
            f"{record} keeps nothing of {extent.steps} steps of {extent.dt} s; "
            f"choose every, start and stop within {extent.times(range(extent.steps))[-1]:g} s"
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
                f"{record.variable} has no {option} to select from; it has {', '.join(dimensions)}"
            )
        for axis in axes:
            size = extent.sizes[dimensions[axis]]
            if max(indices) >= size:
                raise ConfigError(f"{option}={list(indices)} of {record.variable}: use indices below {size}")
            if indices != tuple(range(size)):
                selection[axis] = np.asarray(indices, dtype=np.int64)
    return selection
