"""The way back through one step: the adjoint of what `numba_step` does.

The gradient with respect to a matrix is a matrix too. Reads only note down the pairs (dy, h) whose outer
products it is a sum of; `flush` adds them up, many at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fwsim.engine.kernels.numba_step import RELU, TANH, UNNORMALISED, Cell, Past, Path, list_weighted, score
from fwsim.engine.kernels.numba_vectors import (
    active,
    add,
    apart,
    clear,
    copy,
    dot,
    inlined,
    merged,
    sum_rows,
    transpose,
)


class Adjoint(NamedTuple):
    """Gradients of what a step reads and uses.

    Parameters
    ----------
    state, sustained, field, own
        With respect to h, z, the field of an iteration, and the diagonal `Past.own`, `[unit]`.
    gain, bias
        With respect to those of the normalisation, `[unit]`.
    rows
        With respect to the states written since the last folding, `[past, unit]`.
    scores
        h(τ)·dy, `[inner, past]`.
    matrices, turned
        With respect to the matrices, `[timescale·pre, post]`; room for one transposed, `[unit, unit]`.
    reads, read_columns, read_ages
        Pairs noted down: dy `[pair, unit]`, h `[unit, pair]`, and the number of states written before.
    age_weight, write_weight, decayed
        With respect to the tables of `Past`; empty if not wanted.
    """

    state: np.ndarray
    sustained: np.ndarray
    field: np.ndarray
    own: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    rows: np.ndarray
    scores: np.ndarray
    matrices: np.ndarray
    turned: np.ndarray
    reads: np.ndarray
    read_columns: np.ndarray
    read_ages: np.ndarray
    age_weight: np.ndarray
    write_weight: np.ndarray
    decayed: np.ndarray


@inlined
def deactivate(gradient: np.ndarray, state: np.ndarray, activation: int) -> None:
    """Gradient ← gradient · f′, from the state that f gave."""
    zero, one = gradient.dtype.type(0), gradient.dtype.type(1)
    if activation == RELU:
        for i in range(gradient.shape[0]):
            gradient[i] = gradient[i] if state[i] > zero else zero
    elif activation == TANH:
        for i in range(gradient.shape[0]):
            gradient[i] *= one - state[i] * state[i]
    else:
        clear(gradient, gradient.shape[0])


@inlined
def denormalise(gradient: np.ndarray, normal: np.ndarray, scale: float, cell: Cell, adjoint: Adjoint) -> None:
    """Turn the gradient after gain and bias into that before the normalisation."""
    units, width = gradient.dtype.type(cell.units), gradient.shape[0]
    for i in range(width):
        adjoint.gain[i] += gradient[i] * normal[i]
        adjoint.bias[i] += gradient[i]
        gradient[i] *= cell.gain[i]
    mean, slope = dot(gradient, cell.mask, width) / units, dot(gradient, normal, width) / units
    for i in range(width):
        gradient[i] = scale * (gradient[i] - mean - normal[i] * slope) * cell.mask[i]


@merged
def unsettle(
    past: Past,
    pending: int,
    factor: float,
    cell: Cell,
    path: Path,
    adjoint: Adjoint,
    inner: np.ndarray,
    noted: int,
    symmetric: int,
) -> int:
    """Go back through the inner loop, from dh_S to dh_0 in `adjoint.state`; return how many pairs are noted."""
    clear(adjoint.own, adjoint.own.shape[0])
    if factor != 0 and symmetric == 0:
        transpose(past.total, adjoint.turned, cell.units)
    for s in range(cell.inner_steps - 1, -1, -1):
        field, state = path.states[cell.inner_steps + 1 + s], path.states[s]
        copy(adjoint.state, field, field.shape[0])
        deactivate(field, path.states[s + 1], cell.activation)
        if cell.normalise != UNNORMALISED:
            denormalise(field, path.normal[s], path.scale[s], cell, adjoint)
        add(field, adjoint.sustained, field.shape[0])
        clear(adjoint.state, adjoint.state.shape[0])
        if inner.size:
            copy(inner[s], adjoint.state, cell.units)
        if factor != 0:
            through_matrix(field, state, past, pending, factor, cell, path, adjoint, symmetric)
            note(field, state, pending, noted, cell, adjoint)
            noted += 1
        if pending:
            through_rows(s, field, state, past, pending, cell, path, adjoint)
    if pending:
        into_rows(past, pending, cell, path, adjoint)
    return noted


@merged
def through_matrix(
    field: np.ndarray,
    state: np.ndarray,
    past: Past,
    pending: int,
    factor: float,
    cell: Cell,
    path: Path,
    adjoint: Adjoint,
    symmetric: int,
) -> None:
    """Add Aᵀ dy of the folded part to dh."""
    one, width = field.dtype.type(1), field.shape[0]
    for i in range(cell.units):
        path.weight[i] = factor * field[i]
    turned = past.total if symmetric else adjoint.turned
    sum_rows(adjoint.state, one, turned, path.order, path.weight, cell.units, width)
    if adjoint.decayed.size:
        count = active(state, cell.units, path.listed, path.value)
        for k in range(adjoint.decayed.shape[1]):
            clear(adjoint.field, width)
            matrix = past.matrices[k * cell.units : (k + 1) * cell.units]
            sum_rows(adjoint.field, one, matrix, path.listed, path.value, count, width)
            adjoint.decayed[pending, k] += dot(adjoint.field, field, width)


@merged
def note(
    field: np.ndarray, state: np.ndarray, pending: int, noted: int, cell: Cell, adjoint: Adjoint
) -> None:
    """Note a pair (dy, h) down for `flush`."""
    copy(field, adjoint.reads[noted], field.shape[0])
    for i in range(cell.units):
        adjoint.read_columns[i, noted] = state[i]
    adjoint.read_ages[noted] = pending


@apart
def flush(past: Past, noted: int, cell: Cell, path: Path, adjoint: Adjoint) -> None:
    """Add the outer products of the pairs to the gradient of the matrices."""
    width = adjoint.matrices.shape[1]
    for j in range(cell.units):
        listed = active(adjoint.read_columns[j], noted, path.listed, path.value)
        for k in range(past.decayed.shape[1]):
            for c in range(listed):
                path.weight[c] = path.value[c] * past.decayed[adjoint.read_ages[path.listed[c]], k]
            row = adjoint.matrices[k * cell.units + j]
            sum_rows(row, row.dtype.type(1), adjoint.reads, path.listed, path.weight, listed, width)


@merged
def through_rows(
    s: int,
    field: np.ndarray,
    state: np.ndarray,
    past: Past,
    pending: int,
    cell: Cell,
    path: Path,
    adjoint: Adjoint,
) -> None:
    """Add Σ κ h(τ) h(τ)·dy to dh, and leave κ-weighted scores of both kinds for `into_rows`."""
    count = active(field, cell.units, path.listed, path.value)
    pulls, scores = adjoint.scores[s], path.scores[s]
    score(past, pending, path, count, pulls)
    list_weighted(past, pulls, pending, path)
    sum_rows(adjoint.state, field.dtype.type(1), past.rows, path.order, path.weight, pending, field.shape[0])
    weights = past.age_weight[past.age_weight.shape[0] - pending :]
    if adjoint.age_weight.size:
        d_weights = adjoint.age_weight[past.age_weight.shape[0] - pending :]
        for row in range(pending):
            d_weights[row] += scores[row] * pulls[row]
    for row in range(pending):
        scores[row] *= weights[row]
        pulls[row] = path.weight[row]
    if cell.self_connections == 0:
        for i in range(cell.units):
            adjoint.state[i] -= past.own[i] * field[i]
            adjoint.own[i] -= field[i] * state[i]


@merged
def into_rows(past: Past, pending: int, cell: Cell, path: Path, adjoint: Adjoint) -> None:
    """dh(τ) += Σ_s κ (h(τ)·h_s dy_s + h(τ)·dy_s h_s), all iterations at once."""
    steps, width = cell.inner_steps, adjoint.rows.shape[1]
    for s in range(steps):
        path.listed[s] = steps + 1 + s
        path.listed[steps + s] = s
    first = past.age_weight.shape[0] - pending
    for row in range(pending):
        for s in range(steps):
            path.weight[s] = path.scores[s, row]
            path.weight[steps + s] = adjoint.scores[s, row]
        target = adjoint.rows[row]
        sum_rows(target, target.dtype.type(1), path.states, path.listed, path.weight, 2 * steps, width)
        if cell.self_connections == 0:
            factor = 2 * past.age_weight[first + row]
            for i in range(cell.units):
                target[i] += factor * past.rows[row, i] * adjoint.own[i]
                if adjoint.age_weight.size:
                    adjoint.age_weight[first + row] += past.rows[row, i] ** 2 * adjoint.own[i]


@apart
def unfold(past: Past, count: int, cell: Cell, path: Path, adjoint: Adjoint) -> None:
    """Go back through `fold`: from the matrices after it to the states that were folded and the matrices before."""
    units, one, width = cell.units, adjoint.field.dtype.type(1), adjoint.field.shape[0]
    for k in range(past.decayed.shape[1]):
        gradient = adjoint.matrices[k * units : (k + 1) * units]
        if cell.self_connections == 0:
            for j in range(units):
                gradient[j, j] = 0
        transpose(gradient, adjoint.turned, units)
        for j in range(units):
            add(gradient[j], adjoint.turned[j], units)
        for row in range(count):
            clear(adjoint.field, width)
            listed = active(past.rows[row], units, path.listed, path.value)
            sum_rows(adjoint.field, one, adjoint.turned, path.listed, path.value, listed, width)
            age = count - 1 - row
            if adjoint.write_weight.size:
                adjoint.write_weight[age, k] += dot(adjoint.field, past.rows[row], width) / 2
            for i in range(width):
                adjoint.rows[row, i] += past.write_weight[age, k] * adjoint.field[i]
        left = past.decayed[count, k]
        for j in range(units):
            if adjoint.decayed.size:
                adjoint.decayed[count, k] += dot(gradient[j], past.matrices[k * units + j], width)
            for i in range(width):
                gradient[j, i] *= left
