"""A whole sequence in compiled code, one batch entry after the other, its state close to the arithmetic."""

from __future__ import annotations

import numpy as np

from fwsim.engine.kernels.numba_room import (
    copy_rows,
    load_matrix,
    new_cell,
    new_past,
    new_path,
    unload_matrix,
)
from fwsim.engine.kernels.numba_step import Cell, Past, Path, begin, fold, forget, prepare, settle, write
from fwsim.engine.kernels.numba_vectors import active, copy, kernel, merged, sum_rows


@kernel
def forward(
    part: int,
    first: int,
    last: int,
    sizes: np.ndarray,
    parameters: np.ndarray,
    weights: np.ndarray,
    drive: np.ndarray,
    hidden: np.ndarray,
    written: np.ndarray,
    matrix: np.ndarray,
    age_weight: np.ndarray,
    write_weight: np.ndarray,
    decayed: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    matrices: np.ndarray,
    total: np.ndarray,
    vectors: np.ndarray,
    scores: np.ndarray,
    lists: np.ndarray,
    places: np.ndarray,
    order: np.ndarray,
    states: np.ndarray,
    inner: np.ndarray,
    sustained: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
    checkpoints: np.ndarray,
    final: np.ndarray,
) -> None:
    """Run the batch entries `first … last−1` in the workspace of thread `part`.

    Parameters
    ----------
    sizes, parameters
        See `Sizes` and `Cell`.
    weights
        Wᵀ, `[pre, post]`, padded.
    drive, hidden
        C x + b, `[batch, time, unit]`, which `states` or `sustained` may overwrite; the state before the first step,
        `[batch, unit]`.
    written, matrix
        The memory before the first step: `[batch, past, unit]` and `[batch, timescale, post, pre]`.
    age_weight, write_weight, decayed
        The tables of `Past`, with a batch axis that may be 1.
    rows … order
        See `workspace`.
    states, inner
        Results `[batch, time, unit]` and `[batch, time, inner, unit]`; `inner` is empty if not wanted.
    sustained, normal, scale
        Kept for the way back: z, `Path.normal` and `Path.scale` of all steps. Empty if not wanted.
    checkpoints, final
        Matrices at the start of every `group`-th chunk but the first, `[batch, group, timescale·pre, post]`, and
        after the last step. Empty if not wanted.
    """
    cell = new_cell(sizes, parameters)
    path = new_path(cell.inner_steps, vectors[part], scores[part], lists[part], places[part], order)
    for entry in range(first, last):
        past = new_past(
            entry,
            rows[part],
            columns[part],
            matrices[part],
            total[part],
            vectors[part],
            age_weight,
            write_weight,
            decayed,
        )
        load_matrix(matrix, entry, past.matrices, cell.units)
        forget(past)
        for row in range(written.shape[1]):
            write(written[entry, row], past, row, cell, path)
        copy(hidden[entry], path.states[cell.inner_steps], cell.units)
        run_entry(
            entry,
            sizes,
            cell,
            past,
            path,
            weights,
            drive,
            matrix.size > 0,
            written.shape[1],
            states,
            inner,
            sustained,
            normal,
            scale,
            checkpoints,
        )
        if final.size:
            unload_matrix(past.matrices, final, entry, cell.units)


@merged
def run_entry(
    entry: int,
    sizes: np.ndarray,
    cell: Cell,
    past: Past,
    path: Path,
    weights: np.ndarray,
    drive: np.ndarray,
    carried: bool,
    before: int,
    states: np.ndarray,
    inner: np.ndarray,
    sustained: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
    checkpoints: np.ndarray,
) -> None:
    """Run one batch entry; `before` states were written before the first step."""
    chunk, writes, group = sizes[5], sizes[6], sizes[8]
    one, state = weights.dtype.type(1), path.states[cell.inner_steps]
    for step in range(drive.shape[1]):
        pending = (before + step) % chunk
        copy(drive[entry, step], path.sustained, cell.units)
        count = active(state, cell.units, path.listed, path.value)
        sum_rows(path.sustained, one, weights, path.listed, path.value, count, weights.shape[1])
        begin(cell, path)
        settle(past, pending, prepare(past, cell, pending, carried), cell, path)
        copy(state, states[entry, step], cell.units)
        if inner.size:
            copy_rows(path.states[: cell.inner_steps + 1], inner[entry, step], cell.units)
        if sustained.size:
            copy(path.sustained, sustained[entry, step], cell.units)
        if normal.size:
            copy_rows(path.normal, normal[entry, step], cell.units)
            copy(path.scale, scale[entry, step], cell.inner_steps)
        if step < writes:
            write(state, past, pending, cell, path)
            if pending + 1 == chunk:
                fold(past, past.matrices, chunk, cell, path)
                forget(past)
                carried = True
                number = (before + step + 1) // chunk
                if number % group == 0 and number // group <= checkpoints.shape[1]:
                    copy_rows(past.matrices, checkpoints[entry, number // group - 1], cell.units)
