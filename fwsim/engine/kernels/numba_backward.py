"""The way back through a whole sequence, one batch entry after the other.

Nothing of size N² is kept a step: chunks of the sequence are gone through from the last to the first, the matrix
at the start of each is folded anew from the last checkpoint before it, and inside a chunk the states are known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fwsim.engine.kernels.numba_adjoint import Adjoint, deactivate, denormalise, flush, unfold, unsettle
from fwsim.engine.kernels.numba_room import (
    AdjointRoom,
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
from fwsim.engine.kernels.numba_team import share
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


class Gradients(NamedTuple):
    """Gradients of what a run was given, for each batch entry.

    `parameters` of gain and bias, `[batch, 2, unit]`, is padded and zero on entry, as are the last three, those of the
    tables; the last four are not computed if empty. `drive` is that of C x + b.
    """

    parameters: np.ndarray
    drive: np.ndarray
    hidden: np.ndarray
    written: np.ndarray
    matrix: np.ndarray
    age_weight: np.ndarray
    write_weight: np.ndarray
    decayed: np.ndarray


@apart
def backward_part(
    part: int,
    first: int,
    last: int,
    sizes: Sizes,
    parameters: np.ndarray,
    weights: np.ndarray,
    states: np.ndarray,
    stored: Stored,
    kept: Kept,
    room: Room,
    adjoint_room: AdjointRoom,
    d_states: np.ndarray,
    d_inner: np.ndarray,
    d_final: np.ndarray,
    gradients: Gradients,
) -> None:
    """Run the batch entries `first … last−1` in the workspace of thread `part`.

    Parameters
    ----------
    sizes … kept
        As in `forward`, but `weights` is W `[post, pre]`; the inner loop is run again if `kept.normal` is empty.
    d_states, d_inner, d_final
        Gradients of the results; the last two may be empty.
    gradients
        Results.
    """
    cell = new_cell(sizes, parameters)
    path = new_path(cell.inner_steps, room, part)
    for entry in range(first, last):
        past = new_past(entry, stored, room, part)
        adjoint = new_adjoint(entry, adjoint_room, gradients, part)
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
            stored,
            kept,
            adjoint_room.group_matrices[part],
            d_states,
            d_inner,
            gradients,
        )
        copy(adjoint.state, gradients.hidden[entry], cell.units)
        if gradients.matrix.size:
            unload_matrix(adjoint.matrices, gradients.matrix, entry, cell.units)


@merged
def new_adjoint(entry: int, room: AdjointRoom, gradients: Gradients, part: int) -> Adjoint:
    """Use a thread's room with the gradients of a batch entry."""
    return Adjoint(
        room.vectors[part, 0],
        room.vectors[part, 1],
        room.vectors[part, 2],
        room.vectors[part, 3],
        gradients.parameters[entry, 0],
        gradients.parameters[entry, 1],
        room.rows[part],
        room.scores[part],
        room.matrices[part],
        room.turned[part],
        room.reads[part],
        room.read_columns[part],
        room.read_ages[part],
        gradients.age_weight[min(entry, gradients.age_weight.shape[0] - 1)],
        gradients.write_weight[min(entry, gradients.write_weight.shape[0] - 1)],
        gradients.decayed[min(entry, gradients.decayed.shape[0] - 1)],
    )


@merged
def go_back(
    entry: int,
    sizes: Sizes,
    cell: Cell,
    past: Past,
    path: Path,
    adjoint: Adjoint,
    weights: np.ndarray,
    states: np.ndarray,
    stored: Stored,
    kept: Kept,
    group_matrices: np.ndarray,
    d_states: np.ndarray,
    d_inner: np.ndarray,
    gradients: Gradients,
) -> None:
    """Go back through the chunks of a batch entry."""
    chunk, group = sizes.chunk, sizes.group
    before, steps = stored.written.shape[1], states.shape[1]
    newest = (before + steps - 1) // chunk
    for number in range(newest, -1, -1):
        carried = sizes.matrices > 0 and (number > 0 or stored.matrix.size > 0)
        if sizes.matrices and (number == newest or number % group == group - 1):
            refold(entry, number, chunk, group, cell, past, path, stored, states, kept, group_matrices)
        load_chunk(entry, number, chunk, before + sizes.writes, cell, past, path, stored.written, states)
        if sizes.matrices:
            place = number % group * past.matrices.shape[0]
            copy_rows(
                group_matrices[place : place + past.matrices.shape[0]], past.matrices, past.matrices.shape[1]
            )
        for row in range(adjoint.rows.shape[0]):
            clear(adjoint.rows[row], adjoint.rows.shape[1])
        if (number + 1) * chunk <= before + sizes.writes:
            unfold(past, chunk, cell, path, adjoint)
        noted = np.int64(0)  # not a literal, for which all would be compiled once more
        for row in range(
            min(chunk, before + steps - number * chunk) - 1, max(0, before - number * chunk) - 1, -1
        ):
            step = number * chunk + row - before
            if sizes.matrices and noted + cell.inner_steps > adjoint.reads.shape[0]:
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
                sizes.symmetric,
                cell,
                past,
                path,
                adjoint,
                weights,
                kept,
                d_inner,
                gradients.drive,
            )
        if sizes.matrices:
            flush(past, noted, cell, path, adjoint)
        if number == 0:
            copy_rows(adjoint.rows[:before], gradients.written[entry], cell.units)


@apart
def step_back(
    entry: int,
    step: int,
    pending: int,
    carried: bool,
    noted: int,
    symmetric: bool,
    cell: Cell,
    past: Past,
    path: Path,
    adjoint: Adjoint,
    weights: np.ndarray,
    kept: Kept,
    d_inner: np.ndarray,
    d_drive: np.ndarray,
) -> int:
    """Go back through a step, from dh(t+1) to dh(t) in `adjoint.state`; return how many pairs are noted."""
    width, steps = weights.shape[1], cell.inner_steps
    copy(kept.sustained[entry, step], path.sustained, cell.units)
    first_scale = begin(cell, path)
    factor = prepare(past, cell, pending, carried)
    if kept.normal.size:
        recall(entry, step, pending, cell, past, path, kept)
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
    kept: Kept,
) -> None:
    """Take the inner loop's fields from the way forward instead of running it again."""
    for s in range(cell.inner_steps):
        copy(kept.normal[entry, step, s], path.normal[s], cell.units)
        path.scale[s] = kept.scale[entry, step, s]
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
    stored: Stored,
    states: np.ndarray,
    kept: Kept,
    group_matrices: np.ndarray,
) -> None:
    """Fold anew the matrices at the start of the chunks of a group up to chunk `number`."""
    size, width = past.matrices.shape
    start = number // group * group
    if start == 0:
        load_matrix(stored.matrix, entry, group_matrices[:size], cell.units)
    else:
        copy_rows(kept.checkpoints[entry, start // group - 1], group_matrices[:size], cell.units)
    for place in range(1, number - start + 1):
        load_chunk(
            entry, start + place - 1, chunk, (start + place) * chunk, cell, past, path, stored.written, states
        )
        target = group_matrices[place * size : (place + 1) * size]
        copy_rows(group_matrices[(place - 1) * size : place * size], target, width)
        fold(past, target, chunk, cell, path)


@kernel
def backward(team: int, part: int, parts: int, batch: int, *given: Any) -> None:
    """Share `backward_part` out; see `share`."""
    share(team, part, parts, batch, backward_part, given)
