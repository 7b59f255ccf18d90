"""One step in compiled code: the inner loop and the memory that it reads.

As in `fwsim.engine.trace`, a memory is a matrix and the states written since. Both are kept so that every
product runs along rows: the states as `rows [past, unit]` and as `columns [unit, past]`, the matrices by their
presynaptic unit, `[timescale·pre, post]`. The unit axis of all workspace is padded to whole vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fwsim.engine.cell import EPSILON
from fwsim.engine.kernels.codes import ACTIVATIONS, NORMALISATIONS
from fwsim.engine.kernels.numba_vectors import (
    active,
    apart,
    clear,
    copy,
    dot,
    inlined,
    merged,
    sum_rows,
    tanh,
)

RELU, TANH, SIGN = ACTIVATIONS.values()
UNNORMALISED, _, ALL = NORMALISATIONS.values()
EPS = EPSILON


class Cell(NamedTuple):
    """Sizes, conventions and padded parameters of a step.

    h_0 has a gain and bias of its own, 1 and 0 unless all is normalised; `mask` is 1 for a unit and 0 in the
    padding.
    """

    units: int
    inner_steps: int
    activation: int
    normalise: int
    self_connections: int
    gain: np.ndarray
    bias: np.ndarray
    first_gain: np.ndarray
    first_bias: np.ndarray
    mask: np.ndarray


class Past(NamedTuple):
    """The memory.

    Parameters
    ----------
    rows, columns
        The states written since the last folding, `[past, unit]` and `[unit, past]`.
    matrices, total
        `[timescale·pre, post]`; what a read takes from them now, `[pre, post]`, up to a factor. A single
        matrix is its own total.
    own
        The diagonal of the written states' part, `[unit]`.
    age_weight
        κ from the oldest age to age 0, `[past]`.
    write_weight
        What a state of some age counts in a matrix, `[age, timescale]`.
    decayed
        What some number of writes leaves of a matrix, `[write, timescale]`.
    """

    rows: np.ndarray
    columns: np.ndarray
    matrices: np.ndarray
    total: np.ndarray
    own: np.ndarray
    age_weight: np.ndarray
    write_weight: np.ndarray
    decayed: np.ndarray


class Path(NamedTuple):
    """What one step goes through, and lists of weighted rows.

    `states [inner, unit]` is h_s followed by as many rows for the way back, `normal` is (field − mean)/σ and
    `scale` is 1/σ of each iteration, `scores [inner, past]` is h(τ)·h_s.
    """

    sustained: np.ndarray
    first_normal: np.ndarray
    states: np.ndarray
    normal: np.ndarray
    scale: np.ndarray
    scores: np.ndarray
    order: np.ndarray
    listed: np.ndarray
    value: np.ndarray
    weight: np.ndarray


@inlined
def normalise(field: np.ndarray, cell: Cell) -> float:
    """Replace a field by (field − mean)/σ and return 1/σ."""
    units, width = field.dtype.type(cell.units), field.shape[0]
    mean = dot(field, cell.mask, width) / units
    for i in range(width):
        field[i] = (field[i] - mean) * cell.mask[i]
    scale = field.dtype.type(1) / np.sqrt(dot(field, field, width) / units + field.dtype.type(EPS))
    for i in range(width):
        field[i] *= scale
    return scale


@inlined
def activate(
    field: np.ndarray, gain: np.ndarray, bias: np.ndarray, state: np.ndarray, activation: int
) -> None:
    """State ← f(gain·field + bias); NaN stays NaN."""
    if activation == RELU:
        zero = field.dtype.type(0)
        for i in range(field.shape[0]):
            value = gain[i] * field[i] + bias[i]
            state[i] = zero if value <= zero else value
    elif activation == TANH:
        for i in range(field.shape[0]):
            state[i] = gain[i] * field[i] + bias[i]
        tanh(state)
    else:
        for i in range(field.shape[0]):
            state[i] = np.sign(gain[i] * field[i] + bias[i])


@merged
def begin(cell: Cell, path: Path) -> float:
    """Set h_0 from the sustained input; return 1/σ of that (1 if it is not normalised)."""
    copy(path.sustained, path.first_normal, path.sustained.shape[0])
    scale = path.sustained.dtype.type(1)
    if cell.normalise == ALL:
        scale = normalise(path.first_normal, cell)
    activate(path.first_normal, cell.first_gain, cell.first_bias, path.states[0], cell.activation)
    return scale


@merged
def prepare(past: Past, cell: Cell, pending: int, carried: bool) -> float:
    """Sum up what the inner loop reads; return the factor of `past.total`, 0 if there is no matrix."""
    factor = cell.gain.dtype.type(0)
    if carried and past.decayed.shape[1] == 1:
        factor = past.decayed[pending, 0]
    elif carried:
        factor = cell.gain.dtype.type(1)
        add_up(past, pending)
    if cell.self_connections == 0:
        clear(past.own, past.own.shape[0])
        first = past.age_weight.shape[0] - pending
        for row in range(pending):
            for i in range(cell.units):
                past.own[i] += past.age_weight[first + row] * past.rows[row, i] ** 2
    return factor


@inlined
def add_up(past: Past, pending: int) -> None:
    """Total ← Σ_k λ_k^pending A_k."""
    units, width = past.total.shape
    for j in range(units):
        row = past.total[j]
        clear(row, width)
        for k in range(past.decayed.shape[1]):
            left, matrix = past.decayed[pending, k], past.matrices[k * units + j]
            for i in range(width):
                row[i] += left * matrix[i]


@inlined
def list_weighted(past: Past, scores: np.ndarray, pending: int, path: Path) -> None:
    """Weigh scores by their age."""
    weights = past.age_weight[
        past.age_weight.shape[0] - pending :
    ]  # an index that might be negative costs a gather
    for row in range(pending):
        path.weight[row] = scores[row] * weights[row]


@inlined
def score(past: Past, pending: int, path: Path, count: int, scores: np.ndarray) -> None:
    """scores[τ] ← h(τ)·h for the state whose `count` active units are listed in `path`."""
    reach = min(past.columns.shape[1], (pending + 15) // 16 * 16)
    clear(scores, reach)
    sum_rows(scores, scores.dtype.type(1), past.columns, path.listed, path.value, count, reach)


@merged
def answer(
    state: np.ndarray,
    field: np.ndarray,
    past: Past,
    pending: int,
    factor: float,
    cell: Cell,
    path: Path,
    scores: np.ndarray,
) -> None:
    """Add A h to a field, and keep the scores h(τ)·h."""
    one, width = field.dtype.type(1), field.shape[0]
    count = active(state, cell.units, path.listed, path.value)
    if factor != 0:
        for c in range(count):
            path.weight[c] = factor * path.value[c]
        sum_rows(field, one, past.total, path.listed, path.weight, count, width)
    if pending == 0:
        return
    score(past, pending, path, count, scores)
    list_weighted(past, scores, pending, path)
    sum_rows(field, one, past.rows, path.order, path.weight, pending, width)
    if cell.self_connections == 0:
        for i in range(width):
            field[i] -= past.own[i] * state[i]


@merged
def settle(past: Past, pending: int, factor: float, cell: Cell, path: Path) -> None:
    """Run the inner loop from h_0 = `path.states[0]` with the memory held fixed."""
    for s in range(cell.inner_steps):
        field = path.normal[s]
        copy(path.sustained, field, field.shape[0])
        answer(path.states[s], field, past, pending, factor, cell, path, path.scores[s])
        if cell.normalise != UNNORMALISED:
            path.scale[s] = normalise(field, cell)
        activate(field, cell.gain, cell.bias, path.states[s + 1], cell.activation)


@inlined
def write(state: np.ndarray, past: Past, row: int, cell: Cell, path: Path) -> None:
    """Append a state to those written since `forget`."""
    copy(state, past.rows[row], cell.units)
    count = active(past.rows[row], cell.units, path.listed, path.value)
    for c in range(count):
        past.columns[path.listed[c], row] = path.value[c]


@inlined
def forget(past: Past) -> None:
    """Make room for other states."""
    for unit in range(past.columns.shape[0]):
        clear(past.columns[unit], past.columns.shape[1])


@apart
def fold(past: Past, matrices: np.ndarray, count: int, cell: Cell, path: Path) -> None:
    """Fold `count` written states of `past` into `matrices`: A_k ← λ_k^count A_k + Σ η_k λ_k^age h hᵀ."""
    units, width = cell.units, matrices.shape[1]
    for j in range(units):
        listed = active(past.columns[j], count, path.listed, path.value)
        for k in range(past.write_weight.shape[1]):
            for c in range(listed):
                path.weight[c] = path.value[c] * past.write_weight[count - 1 - path.listed[c], k]
            row = matrices[k * units + j]
            sum_rows(row, past.decayed[count, k], past.rows, path.listed, path.weight, listed, width)
            if cell.self_connections == 0:
                row[j] = 0
