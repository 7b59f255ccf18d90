"""A whole sequence in compiled code, one batch entry after the other, its state close to the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from fwsim.engine.kernels.numba_room import (
    Kept,
    Room,
    Sizes,
    Stored,
    copy_rows,
    load_matrix,
    new_cell,
    new_past,
    new_path,
    unload_matrix,
)
from fwsim.engine.kernels.numba_step import Cell, Past, Path, begin, fold, forget, prepare, settle, write
from fwsim.engine.kernels.numba_team import share
from fwsim.engine.kernels.numba_vectors import active, apart, clear, copy, kernel, merged, sum_rows


@apart
def forward_part(
    part: int,
    first: int,
    last: int,
    sizes: Sizes,
    parameters: np.ndarray,
    weights: np.ndarray,
    drive: np.ndarray,
    hidden: np.ndarray,
    stored: Stored,
    room: Room,
    states: np.ndarray,
    inner: np.ndarray,
    kept: Kept,
    final: np.ndarray,
) -> None:
    """Run the batch entries `first … last−1` in the workspace of thread `part`.

    Parameters
    ----------
    parameters
        Of `Cell`, `[5, unit]`, padded.
    weights
        Wᵀ, `[pre, post]`, padded.
    drive, hidden
        C x + b, `[batch, time, unit]`, which `states` or `kept.sustained` may overwrite; the state before the first
        step, `[batch, unit]`.
    states, inner
        Results `[batch, time, unit]` and `[batch, time, inner, unit]`; `inner` is empty if not wanted.
    final
        The matrix after the last step, `[batch, timescale, post, pre]`. Empty if not wanted.
    """
    cell = new_cell(sizes, parameters)
    path = new_path(cell.inner_steps, room, part)
    for entry in range(first, last):
        past = new_past(entry, stored, room, part)
        # what a diverged entry has left behind the last unit would spread to the next
        clear(path.sustained, path.sustained.shape[0])
        load_matrix(stored.matrix, entry, past.matrices, cell.units)
        forget(past)
        for row in range(stored.written.shape[1]):
            write(stored.written[entry, row], past, row, cell, path)
        copy(hidden[entry], path.states[cell.inner_steps], cell.units)
        run_entry(entry, sizes, cell, past, path, weights, drive, stored, states, inner, kept)
        if final.size:
            unload_matrix(past.matrices, final, entry, cell.units)


@merged
def run_entry(
    entry: int,
    sizes: Sizes,
    cell: Cell,
    past: Past,
    path: Path,
    weights: np.ndarray,
    drive: np.ndarray,
    stored: Stored,
    states: np.ndarray,
    inner: np.ndarray,
    kept: Kept,
) -> None:
    """Run one batch entry."""
    before, carried = stored.written.shape[1], stored.matrix.size > 0
    one, state = weights.dtype.type(1), path.states[cell.inner_steps]
    for step in range(drive.shape[1]):
        pending = (before + step) % sizes.chunk
        copy(drive[entry, step], path.sustained, cell.units)
        count = active(state, cell.units, path.listed, path.value)
        sum_rows(path.sustained, one, weights, path.listed, path.value, count, weights.shape[1])
        begin(cell, path)
        settle(past, pending, prepare(past, cell, pending, carried), cell, path)
        copy(state, states[entry, step], cell.units)
        if inner.size:
            copy_rows(path.states[: cell.inner_steps + 1], inner[entry, step], cell.units)
        if kept.sustained.size:
            copy(path.sustained, kept.sustained[entry, step], cell.units)
        if kept.normal.size:
            copy_rows(path.normal, kept.normal[entry, step], cell.units)
            copy(path.scale, kept.scale[entry, step], cell.inner_steps)
        if step < sizes.writes:
            write(state, past, pending, cell, path)
            if pending + 1 == sizes.chunk:
                fold(past, past.matrices, sizes.chunk, cell, path)
                forget(past)
                carried = True
                number = (before + step + 1) // sizes.chunk
                if number % sizes.group == 0 and number // sizes.group <= kept.checkpoints.shape[1]:
                    copy_rows(past.matrices, kept.checkpoints[entry, number // sizes.group - 1], cell.units)


@kernel
def forward(team: int, part: int, parts: int, batch: int, *given: Any) -> None:
    """Share `forward_part` out; see `share`."""
    share(team, part, parts, batch, forward_part, given)
