"""A recording in memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError
from fwsim.recording.layout import ArrayLayout, along


class MemoryStore:
    """Stores everything in arrays that are allocated at the start."""

    def __init__(
        self,
        layouts: Mapping[str, ArrayLayout],
        coordinates: Mapping[str, xr.Variable],
        attributes: Mapping[str, str | int | float],
    ) -> None:
        self._layouts, self._coordinates, self._attributes = layouts, coordinates, attributes
        self._arrays = {name: np.empty(each.shape, each.dtype) for name, each in layouts.items()}
        self._filled = dict.fromkeys(layouts, 0)

    def append(self, name: str, values: np.ndarray) -> None:
        """Add samples along the streamed axis."""
        axis, begin = self._layouts[name].axis, self._filled[name]
        end = self._filled[name] = begin + values.shape[axis]
        array = self._arrays[name]
        if end > array.shape[axis]:  # events: doubling keeps the copies few
            grown = list(array.shape)
            grown[axis] = max(end, 2 * array.shape[axis])
            self._arrays[name] = np.empty(grown, array.dtype)
            self._arrays[name][along(axis, 0, begin)] = array[along(axis, 0, begin)]
        self._arrays[name][along(axis, begin, end)] = values

    def checkpoint(self, content: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Do nothing: data in memory do not survive the process."""

    def wait(self) -> None:
        """Do nothing: nothing is written in the background."""

    def close(self) -> None:
        """Do nothing: there is no lock."""

    def finish(
        self, extra: Mapping[str, xr.Variable], attributes: Mapping[str, str | int | float]
    ) -> xr.Dataset:
        """Add whole variables and the last attributes, and return the recording."""
        variables = {
            name: xr.Variable(
                each.dimensions,
                self._arrays[name][along(each.axis, 0, self._filled[name])],
                each.attributes,
            )
            for name, each in self._layouts.items()
        }
        run = xr.Dataset(
            {**variables, **self._coordinates, **extra}, attrs={**self._attributes, **attributes}
        )
        named = run.attrs.pop("coordinates", "").split()
        return run.set_coords([name for name in named if name in run])


def check_memory(layouts: Iterable[ArrayLayout]) -> None:
    """Raise `RecordingError` if the machine has less memory than the arrays need."""
    needed = sum(math.prod(each.shape) * each.dtype.itemsize for each in layouts)
    present = machine_memory()
    if needed > present:
        raise RecordingError(
            f"the recording needs {needed / 2**30:.0f} GiB and the machine has {present / 2**30:.0f}; "
            "write it to a file (to=...) or record less (every, dtype, units, trials)"
        )


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
