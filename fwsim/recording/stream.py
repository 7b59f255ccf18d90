"""Conversion of the steps of a run to the samples of a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fwsim.errors import RecordingError, ShapeError
from fwsim.recording.layout import ArrayLayout, along

FOLDS: dict[str, Any] = {"mean": np.add, "max": np.maximum, "min": np.minimum}


class Stream:
    """Applies one record to the steps of a run: selects, computes a statistic, reduces, converts.

    Parameters
    ----------
    layout
        Layout of the record.
    """

    def __init__(self, layout: ArrayLayout) -> None:
        self.layout = layout
        self._open: np.ndarray | None = None  # the reduced steps since the last sample, one long in time
        self._steps_open = 0

    def keep(self, values: np.ndarray, steps: range | None) -> np.ndarray:
        """Samples that end with these values.

        Parameters
        ----------
        values
            Values of the run's variable at `steps`, `[trial, step, …]`; for events `[spike]`.
        steps
            Includes all steps of the record up to the last of `steps`.

        Raises
        ------
        RecordingError
            A finite number does not fit the recorded dtype.
        ShapeError
            The statistic returns another shape than for zeros.
        """
        each = self.layout
        if steps is not None:
            values, steps = self._taken(values, steps)
        for axis, indices in each.selection.items():
            values = values.take(indices, axis)
        if each.record.statistic is not None:
            values = self._statistic(values)
        if steps is not None and each.record.reduce != "last":
            values = self._reduced(values, steps)
        try:
            with np.errstate(over="raise"):
                return values.astype(each.dtype, copy=False)
        except FloatingPointError as error:
            raise RecordingError(
                f"{each.name} has values too large for dtype={each.dtype.name!r}; record it in a wider type"
            ) from error

    def unfinished(self) -> dict[str, np.ndarray]:
        """State that `resume` needs."""
        return {} if self._open is None else {"open": self._open, "steps_open": np.array(self._steps_open)}

    def resume(self, unfinished: Mapping[str, np.ndarray]) -> None:
        """Continue with the unfinished sample of another stream."""
        if unfinished:
            self._open, self._steps_open = unfinished["open"], int(unfinished["steps_open"])

    def _taken(self, values: np.ndarray, steps: range) -> tuple[np.ndarray, range]:
        """Those of the steps that the record uses."""
        taken = between(self.layout.taken or range(0), steps.start, steps.stop)
        if taken == steps or not len(steps):
            return values, taken
        first = (taken.start - steps.start) // steps.step if taken else len(steps)
        stride = max(1, taken.step // steps.step)
        index = slice(first, first + stride * len(taken), stride)
        return values[(*(slice(None),) * self.layout.axis, index)], taken

    def _statistic(self, values: np.ndarray) -> np.ndarray:
        assert self.layout.record.statistic is not None
        result = np.asarray(self.layout.record.statistic(values))
        expected = [*values.shape[: self.layout.axis + 1], *self.layout.shape[self.layout.axis + 1 :]]
        if list(result.shape) != expected:
            raise ShapeError(
                f"the statistic of {self.layout.name} gives {list(result.shape)}; it gave {expected} of zeros"
            )
        return result

    def _reduced(self, values: np.ndarray, steps: range) -> np.ndarray:
        """One value for each sample that ends within the steps. Later steps wait for the next call."""
        axis, how = self.layout.axis, self.layout.record.reduce
        if not len(steps):
            return values
        kept = between(self.layout.steps or range(0), steps.start, steps.stop)
        ends = np.array([step - steps.start + 1 for step in kept], dtype=np.int64)
        starts = np.concatenate([[0], ends])
        counts = np.diff([*starts, len(steps)])
        if counts[-1] == 0:
            starts, counts = starts[:-1], counts[:-1]
        dtype = np.float64 if how == "mean" else values.dtype
        folded = FOLDS[how].reduceat(values, starts, axis=axis, dtype=dtype)
        if self._open is not None:
            first = along(axis, 0, 1)
            folded[first] = FOLDS[how](self._open, folded[first])
            counts[0] += self._steps_open
        self._open, self._steps_open = None, 0
        if len(counts) > len(ends):
            self._open, self._steps_open = folded[along(axis, len(ends), None)].copy(), int(counts[-1])
        whole = folded[along(axis, 0, len(ends))]
        if how == "mean":
            whole = whole / counts[: len(ends)].reshape((-1,) + (1,) * (values.ndim - axis - 1))
        return whole


def between(steps: range, start: int, stop: int) -> range:
    """Those of the steps from `start` to `stop` − 1."""
    first = max(0, -(-(start - steps.start) // steps.step))
    last = max(first, -(-(stop - steps.start) // steps.step))
    return steps[first:last]
