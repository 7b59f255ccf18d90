"""The way back through a whole sequence, one batch entry after the other.

Nothing of size N² is kept a step: chunks of the sequence are gone through from the last to the first, the matrix
at the start of each is folded anew from the last checkpoint before it, and inside a chunk the states are known.
"""

from __future__ import annotations

import numpy as np

from fwsim.engine.kernels.numba_adjoint import Adjoint, deactivate, denormalise, flush, unfold, unsettle
from fwsim.engine.kernels.numba_room import (
    copy_rows,
    load_matrix,
    new_cell,
    new_past,
    new_path,
    unload_matrix,
)
from fwsim.engine.kernels.numba_step import (
    ALL,
    Cell,
    Past,
    Path,
    activate,
    begin,
    fold,
    forget,
    prepare,
    score,
    settle,
    write,
)
from fwsim.engine.kernels.numba_vectors import (
    active,
    add,
    apart,
    clear,
    copy,
    kernel,
    merged,
    sum_rows,
)


@kernel
def backward(
    part: int,
    first: int,
    last: int,
    sizes: np.ndarray,
    parameters: np.ndarray,
    weights: np.ndarray,
    states: np.ndarray,
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
    sustained: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
    checkpoints: np.ndarray,
    group_matrices: np.ndarray,
    adjoint_vectors: np.ndarray,
    adjoint_rows: np.ndarray,
    adjoint_scores: np.ndarray,
    adjoint_matrices: np.ndarray,
    turned: np.ndarray,
    reads: np.ndarray,
    read_columns: np.ndarray,
    read_ages: np.ndarray,
    d_states: np.ndarray,
    d_inner: np.ndarray,
    d_final: np.ndarray,
    d_parameters: np.ndarray,
    d_drive: np.ndarray,
    d_hidden: np.ndarray,
    d_written: np.ndarray,
    d_matrix: np.ndarray,
    d_age_weight: np.ndarray,
    d_write_weight: np.ndarray,
    d_decayed: np.ndarray,
) -> None:
    """Run the batch entries `first … last−1` in the workspace of thread `part`.

    Parameters
    ----------
    sizes … checkpoints
        As in `forward`, but `weights` is W `[post, pre]`; `normal` and `scale` are computed anew if empty.
    group_matrices … read_ages
        Workspace: the matrices at the start of each chunk of a group, and `Adjoint`.
    d_states, d_inner, d_final
        Gradients of the results; the last two may be empty.
    d_parameters … d_decayed
        Gradients for each batch entry; `d_parameters` of gain and bias, `[batch, 2, unit]`, padded, zero on entry, as
        are the last three. The last four are not computed if empty.
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
        adjoint = Adjoint(
            adjoint_vectors[part, 0],
            adjoint_vectors[part, 1],
            adjoint_vectors[part, 2],
            adjoint_vectors[part, 3],
            d_parameters[entry, 0],
            d_parameters[entry, 1],
            adjoint_rows[part],
            adjoint_scores[part],
            adjoint_matrices[part],
            turned[part],
            reads[part],
            read_columns[part],
            read_ages[part],
            d_age_weight[min(entry, d_age_weight.shape[0] - 1)],
            d_write_weight[min(entry, d_write_weight.shape[0] - 1)],
            d_decayed[min(entry, d_decayed.shape[0] - 1)],
        )
        load_matrix(d_final, entry, adjoint.matrices, cell.units)
        clear(adjoint.state, adjoint.state.shape[0])
        go_back(
            entry,
            sizes,
            cell,
            past,
            path,
            adjoint,
            weights,
            states,
            written,
            matrix,
            sustained,
            normal,
            scale,
            checkpoints,
            group_matrices[part],
            d_states,
            d_inner,
            d_drive,
            d_written,
        )
        copy(adjoint.state, d_hidden[entry], cell.units)
        if d_matrix.size:
            unload_matrix(adjoint.matrices, d_matrix, entry, cell.units)


@merged
def go_back(
    entry: int,
    sizes: np.ndarray,
    cell: Cell,
    past: Past,
    path: Path,
    adjoint: Adjoint,
    weights: np.ndarray,
    states: np.ndarray,
    written: np.ndarray,
    matrix: np.ndarray,
    sustained: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
    checkpoints: np.ndarray,
    group_matrices: np.ndarray,
    d_states: np.ndarray,
    d_inner: np.ndarray,
    d_drive: np.ndarray,
    d_written: np.ndarray,
) -> None:
    """Go back through the chunks of a batch entry."""
    chunk, writes, matrix_count, group, symmetric = sizes[5], sizes[6], sizes[7], sizes[8], sizes[9]
    before, steps = written.shape[1], states.shape[1]
    newest = (before + steps - 1) // chunk
    for number in range(newest, -1, -1):
        carried = matrix_count > 0 and (number > 0 or matrix.size > 0)
        if matrix_count and (number == newest or number % group == group - 1):
            refold(
                entry,
                number,
                chunk,
                group,
                cell,
                past,
                path,
                written,
                states,
                matrix,
                checkpoints,
                group_matrices,
            )
        load_chunk(entry, number, chunk, before + writes, cell, past, path, written, states)
        if matrix_count:
            place = number % group * past.matrices.shape[0]
            copy_rows(
                group_matrices[place : place + past.matrices.shape[0]], past.matrices, past.matrices.shape[1]
            )
        for row in range(adjoint.rows.shape[0]):
            clear(adjoint.rows[row], adjoint.rows.shape[1])
        if (number + 1) * chunk <= before + writes:
            unfold(past, chunk, cell, path, adjoint)
        noted = np.int64(0)  # not a literal, for which all would be compiled once more
        for row in range(
            min(chunk, before + steps - number * chunk) - 1, max(0, before - number * chunk) - 1, -1
        ):
            step = number * chunk + row - before
            if matrix_count and noted + cell.inner_steps > adjoint.reads.shape[0]:
                flush(past, noted, cell, path, adjoint)
                noted = np.int64(0)
            add(d_states[entry, step], adjoint.state, cell.units)
            add(adjoint.rows[row], adjoint.state, cell.units)
            noted = step_back(
                entry,
                step,
                row,
                carried,
                noted,
                symmetric,
                cell,
                past,
                path,
                adjoint,
                weights,
                sustained,
                normal,
                scale,
                d_inner,
                d_drive,
            )
        if matrix_count:
            flush(past, noted, cell, path, adjoint)
        if number == 0:
            copy_rows(adjoint.rows[:before], d_written[entry], cell.units)


@apart
def step_back(
    entry: int,
    step: int,
    pending: int,
    carried: bool,
    noted: int,
    symmetric: int,
    cell: Cell,
    past: Past,
    path: Path,
    adjoint: Adjoint,
    weights: np.ndarray,
    sustained: np.ndarray,
    normal: np.ndarray,
    scale: np.ndarray,
    d_inner: np.ndarray,
    d_drive: np.ndarray,
) -> int:
    """Go back through a step, from dh(t+1) to dh(t) in `adjoint.state`; return how many pairs are noted."""
    width, steps = weights.shape[1], cell.inner_steps
    copy(sustained[entry, step], path.sustained, cell.units)
    first_scale = begin(cell, path)
    factor = prepare(past, cell, pending, carried)
    if normal.size:
        recall(entry, step, pending, cell, past, path, normal, scale)
    else:
        settle(past, pending, factor, cell, path)

    inner = d_inner[min(entry, d_inner.shape[0] - 1), min(step, d_inner.shape[1] - 1)]
    if inner.size:
        add(inner[steps], adjoint.state, cell.units)
    clear(adjoint.sustained, width)
    noted = unsettle(past, pending, factor, cell, path, adjoint, inner, noted, symmetric)
    deactivate(adjoint.state, path.states[0], cell.activation)
    if cell.normalise == ALL:
        denormalise(adjoint.state, path.first_normal, first_scale, cell, adjoint)
    add(adjoint.state, adjoint.sustained, width)
    copy(adjoint.sustained, d_drive[entry, step], cell.units)
    clear(adjoint.state, width)
    one = adjoint.state.dtype.type(1)
    sum_rows(adjoint.state, one, weights, path.order, adjoint.sustained, cell.units, width)
    return noted


@merged
def recall(
    entry: int,
    step: int,
    pending: int,
    cell: Cell,
    past: Past,
    path: Path,
    normal: np.ndarray,
    scale: np.ndarray,
) -> None:
    """Take the inner loop's fields from the way forward instead of running it again."""
    for s in range(cell.inner_steps):
        copy(normal[entry, step, s], path.normal[s], cell.units)
        path.scale[s] = scale[entry, step, s]
        activate(path.normal[s], cell.gain, cell.bias, path.states[s + 1], cell.activation)
        if pending:
            count = active(path.states[s], cell.units, path.listed, path.value)
            score(past, pending, path, count, path.scores[s])


@apart
def load_chunk(
    entry: int,
    number: int,
    chunk: int,
    total: int,
    cell: Cell,
    past: Past,
    path: Path,
    written: np.ndarray,
    states: np.ndarray,
) -> None:
    """Bring back the states that were written in a chunk; `total` were written in all."""
    before = written.shape[1]
    forget(past)
    for row in range(min(chunk, total - number * chunk)):
        place = number * chunk + row
        write(
            written[entry, place] if place < before else states[entry, place - before], past, row, cell, path
        )


@apart
def refold(
    entry: int,
    number: int,
    chunk: int,
    group: int,
    cell: Cell,
    past: Past,
    path: Path,
    written: np.ndarray,
    states: np.ndarray,
    matrix: np.ndarray,
    checkpoints: np.ndarray,
    group_matrices: np.ndarray,
) -> None:
    """Fold anew the matrices at the start of the chunks of a group up to chunk `number`."""
    size, width = past.matrices.shape
    start = number // group * group
    if start == 0:
        load_matrix(matrix, entry, group_matrices[:size], cell.units)
    else:
        copy_rows(checkpoints[entry, start // group - 1], group_matrices[:size], cell.units)
    for place in range(1, number - start + 1):
        load_chunk(
            entry, start + place - 1, chunk, (start + place) * chunk, cell, past, path, written, states
        )
        target = group_matrices[place * size : (place + 1) * size]
        copy_rows(group_matrices[(place - 1) * size : place * size], target, width)
        fold(past, target, chunk, cell, path)
