"""One step in every lane: the inner loop and the written states that it reads.

Only the attention form: a matrix for each lane would not fit the cache. Vectors over units are rows `[row, lane]`
of an array, that of iteration s beginning at row s·N, the written state τ at row τ·N.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fwsim.engine.kernels.numba_lane_products import multiply, multiply_shared
from fwsim.engine.kernels.numba_lanes import Lanes, get, put, root, same, unless_positive
from fwsim.engine.kernels.numba_step import ALL, EPS, RELU, TANH, UNNORMALISED, Cell
from fwsim.engine.kernels.numba_vectors import inlined, merged, tanh_within


class LanePast(NamedTuple):
    """The written states.

    Parameters
    ----------
    rows
        `[past·unit]`.
    weight
        Their weight κ, from the oldest age to age 0, `[age]`.
    own
        The diagonal of their memory, `[unit]`; empty where units connect to themselves.
    """

    rows: np.ndarray
    weight: np.ndarray
    own: np.ndarray


class LanePath(NamedTuple):
    """What one step goes through.

    Parameters
    ----------
    sustained, first_normal
        z, and z normalised where h_0 is (else empty), `[unit]`.
    vectors
        `[(2 S + 1)·unit + input]`: room for the gradients of the fields, then the states h_0 … h_S, then x.
    normal, scale
        (field − mean)/σ and 1/σ of each iteration, `[inner·unit]` and `[inner]`.
    scores
        h(τ)·h_s, `[inner·past]`.
    weighted
        `[2·inner·past]`: κ times the scores, then room for the same on the way back.
    sums
        Two rows, for sums over units.
    """

    sustained: np.ndarray
    first_normal: np.ndarray
    vectors: np.ndarray
    normal: np.ndarray
    scale: np.ndarray
    scores: np.ndarray
    weighted: np.ndarray
    sums: np.ndarray


@inlined
def copy_lanes(source: np.ndarray, start: int, target: np.ndarray, row: int, count: int) -> None:
    """target[row + i] ← source[start + i] for i < count."""
    for i in range(count):
        put(target, row + i, get(source, start + i))


@inlined
def add_lanes(source: np.ndarray, start: int, target: np.ndarray, row: int, count: int) -> None:
    """target[row + i] += source[start + i] for i < count."""
    for i in range(count):
        put(target, row + i, get(target, row + i) + get(source, start + i))


@inlined
def clear_lanes(target: np.ndarray, row: int, count: int) -> None:
    """Set `count` rows to zero."""
    zero = same(target.dtype.type(0))
    for i in range(count):
        put(target, row + i, zero)


@inlined
def sum_units(field: np.ndarray, row: int, cell: Cell, path: LanePath) -> Lanes:
    """Σ_i field[row + i]."""
    clear_lanes(path.sums, 0, 1)
    multiply_shared(path.sums, 0, cell.mask, 0, 0, 1, field, row, 1, 1, cell.units)
    return get(path.sums, 0)


@inlined
def dot_units(one: np.ndarray, start: int, other: np.ndarray, row: int, cell: Cell, path: LanePath) -> Lanes:
    """Σ_i one[start + i]·other[row + i]."""
    clear_lanes(path.sums, 1, 1)
    multiply(path.sums, 1, one, start, 0, 1, other, row, 1, 1, cell.units)
    return get(path.sums, 1)


@inlined
def normalise_lanes(field: np.ndarray, row: int, cell: Cell, path: LanePath) -> Lanes:
    """Replace a field by (field − mean)/σ and return 1/σ."""
    number = field.dtype.type
    share = number(1) / number(cell.units)
    mean = sum_units(field, row, cell, path) * share
    for i in range(cell.units):
        put(field, row + i, get(field, row + i) - mean)
    scale = number(1) / root(dot_units(field, row, field, row, cell, path) * share + number(EPS))
    for i in range(cell.units):
        put(field, row + i, get(field, row + i) * scale)
    return scale


@inlined
def bounded(x: Any, top: Any) -> Any:
    """Lanes within ±top; NaN stays NaN."""
    x = unless_positive(top - x, top, x)
    return unless_positive(x + top, top - top - top, x)


@inlined
def activate_lanes(
    field: np.ndarray,
    start: int,
    gain: np.ndarray,
    bias: np.ndarray,
    state: np.ndarray,
    row: int,
    cell: Cell,
) -> None:
    """State ← f(gain·field + bias); NaN stays NaN."""
    number = field.dtype.type
    zero, one = same(number(0)), same(number(1))
    if cell.activation == RELU:
        for i in range(cell.units):
            value = gain[i] * get(field, start + i) + bias[i]
            put(state, row + i, unless_positive(value, zero, value))
    elif cell.activation == TANH:
        for i in range(cell.units):
            value = gain[i] * get(field, start + i) + bias[i]
            put(state, row + i, tanh_within(bounded(value, same(number(20))), number))
    else:
        for i in range(cell.units):
            value = gain[i] * get(field, start + i) + bias[i]
            sign = unless_positive(value, zero, one) - unless_positive(zero - value, zero, one)
            put(state, row + i, sign + bounded(value, one) * zero)


@merged
def begin_lanes(cell: Cell, path: LanePath) -> Lanes:
    """Set h_0 from the sustained input; return 1/σ of that (1 if it is not normalised)."""
    scale, field = same(path.sustained.dtype.type(1)), path.sustained
    if cell.normalise == ALL:
        copy_lanes(path.sustained, 0, path.first_normal, 0, cell.units)
        scale, field = normalise_lanes(path.first_normal, 0, cell, path), path.first_normal
    first = cell.inner_steps * cell.units
    activate_lanes(field, 0, cell.first_gain, cell.first_bias, path.vectors, first, cell)
    return scale


@merged
def sum_own(past: LanePast, pending: int, cell: Cell) -> None:
    """Sum the diagonal of the written states' memory up, where reads leave it out."""
    if cell.self_connections == 0:
        clear_lanes(past.own, 0, cell.units)
        first = past.weight.shape[0] - pending
        for t in range(pending):
            weight = get(past.weight, first + t)
            for i in range(cell.units):
                value = get(past.rows, t * cell.units + i)
                put(past.own, i, get(past.own, i) + weight * value * value)


@inlined
def score_lanes(
    past: LanePast, pending: int, state: np.ndarray, row: int, cell: Cell, scores: np.ndarray, start: int
) -> None:
    """scores[start + τ] ← h(τ)·state."""
    clear_lanes(scores, start, pending)
    multiply(scores, start, past.rows, 0, cell.units, 1, state, row, 1, pending, cell.units)


@inlined
def weigh(
    past: LanePast, pending: int, scores: np.ndarray, start: int, weighted: np.ndarray, row: int
) -> None:
    """weighted[row + τ] ← κ scores[start + τ]."""
    first = past.weight.shape[0] - pending
    for t in range(pending):
        put(weighted, row + t, get(scores, start + t) * get(past.weight, first + t))


@merged
def read_scores(s: int, past: LanePast, pending: int, cell: Cell, path: LanePath) -> None:
    """Score and weigh the written states with h_s."""
    reach = past.weight.shape[0]
    score_lanes(
        past, pending, path.vectors, (cell.inner_steps + s) * cell.units, cell, path.scores, s * reach
    )
    weigh(past, pending, path.scores, s * reach, path.weighted, s * reach)


@merged
def settle_lanes(past: LanePast, pending: int, cell: Cell, path: LanePath) -> None:
    """Run the inner loop from h_0 with the memory held fixed."""
    units, steps, reach = cell.units, cell.inner_steps, past.weight.shape[0]
    for s in range(steps):
        copy_lanes(path.sustained, 0, path.normal, s * units, units)
        if pending:
            read_scores(s, past, pending, cell, path)
            multiply(
                path.normal, s * units, past.rows, 0, 1, units, path.weighted, s * reach, 1, units, pending
            )
            if cell.self_connections == 0:
                for i in range(units):
                    own = get(past.own, i) * get(path.vectors, (steps + s) * units + i)
                    put(path.normal, s * units + i, get(path.normal, s * units + i) - own)
        if cell.normalise != UNNORMALISED:
            put(path.scale, s, normalise_lanes(path.normal, s * units, cell, path))
        activate_lanes(
            path.normal, s * units, cell.gain, cell.bias, path.vectors, (steps + s + 1) * units, cell
        )
