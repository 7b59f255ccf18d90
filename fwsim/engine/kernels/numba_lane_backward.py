"""The way back through a whole sequence, as many batch entries at once as a vector has lanes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fwsim.engine.kernels.numba_lane_forward import (
    LaneKept,
    LaneRoom,
    LaneStored,
    load_rows,
    new_lane_cell,
    new_lane_past,
    new_lane_path,
)
from fwsim.engine.kernels.numba_lane_pairs import LanePairs, note_lanes
from fwsim.engine.kernels.numba_lane_products import multiply, multiply_shared
from fwsim.engine.kernels.numba_lane_step import (
    LanePast,
    LanePath,
    activate_lanes,
    add_lanes,
    begin_lanes,
    clear_lanes,
    copy_lanes,
    dot_units,
    read_scores,
    score_lanes,
    settle_lanes,
    sum_own,
    sum_units,
    weigh,
)
from fwsim.engine.kernels.numba_lane_turns import turn_in, turn_out
from fwsim.engine.kernels.numba_lanes import Lanes, get, put, same, total, unless_positive
from fwsim.engine.kernels.numba_room import Sizes
from fwsim.engine.kernels.numba_step import ALL, RELU, TANH, UNNORMALISED, Cell
from fwsim.engine.kernels.numba_team import share
from fwsim.engine.kernels.numba_vectors import apart, inlined, kernel, merged


class LaneRun(NamedTuple):
    """What a run was given and went through: `x [batch, time, input]`, h(0), and h and z of all steps."""

    x: np.ndarray
    hidden: np.ndarray
    states: np.ndarray
    sustained: np.ndarray


class LaneAdjoint(NamedTuple):
    """Gradients of what a step reads and uses.

    Parameters
    ----------
    state
        With respect to h and x, `[unit + input]`.
    sustained, given, own
        With respect to z, what a result was given, and `LanePast.own`, `[unit]`.
    gain, bias, b
        With respect to those of the normalisation and of the drive, `[unit]`.
    rows, weight
        With respect to `LanePast.rows` and `LanePast.weight`.
    scores
        h(τ)·dy, `[past]`.
    """

    state: np.ndarray
    sustained: np.ndarray
    given: np.ndarray
    own: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    b: np.ndarray
    rows: np.ndarray
    weight: np.ndarray
    scores: np.ndarray


class LaneGradients(NamedTuple):
    """Gradients of what a run was given; of weights, x and κ empty if not wanted.

    Those of parameters are summed over the groups of a bundle, and start from zero: `vectors` of gain, bias and b,
    `[bundle, 3, unit]`, and `weights` of W and C side by side, padded to whole vectors, `[bundle, unit, column]`.
    """

    vectors: np.ndarray
    weights: np.ndarray
    x: np.ndarray
    hidden: np.ndarray
    written: np.ndarray
    age_weight: np.ndarray


@lru_cache(maxsize=256)
def rows_of_adjoint(sizes: Sizes, inputs: int, written: int, ages: int) -> tuple[int, ...]:
    """Rows of each part of `LaneAdjoint`."""
    units = sizes.units
    own = 0 if sizes.self_connections else units
    return (
        units + inputs,
        units,
        units,
        own,
        units,
        units,
        units,
        (written + sizes.writes) * units,
        ages,
        ages,
    )


@apart
def backward_lanes_part(
    part: int,
    first_bundle: int,
    last_bundle: int,
    sizes: Sizes,
    weights: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
    neutral: np.ndarray,
    run: LaneRun,
    stored: LaneStored,
    kept: LaneKept,
    room: LaneRoom,
    adjoint_room: LaneRoom,
    pairs: LanePairs,
    d_states: np.ndarray,
    d_inner: np.ndarray,
    gradients: LaneGradients,
    together: int,
) -> None:
    """Run the bundles `first_bundle … last_bundle−1`, of `together` groups each, in the workspace of thread `part`.

    Parameters
    ----------
    sizes … neutral, stored, kept, room
        As in `forward_lanes`.
    adjoint_room, pairs
        Workspace of `LaneAdjoint` and of `note_lanes`.
    d_states, d_inner
        Gradients of the results; the latter may be empty.
    gradients
        Results.
    together
        Groups whose sums are one.
    """
    cell, path = new_lane_cell(sizes, gain, bias, neutral), new_lane_path(room, part)
    before, lanes = stored.written.shape[1], path.sustained.shape[1]
    noted = LanePairs(pairs.left[part], pairs.right[part])
    last = min(last_bundle * together, (run.states.shape[0] + lanes - 1) // lanes)
    for group in range(first_bundle * together, last):
        first, bundle = group * lanes, group // together
        count = min(lanes, run.states.shape[0] - first)
        past = new_lane_past(first, stored, room, part)
        adjoint = new_lane_adjoint(adjoint_room, part)
        load_rows(first, count, stored.written, 0, before, past, cell)
        load_rows(first, count, run.states, before, sizes.writes, past, cell)
        go_back_lanes(
            group,
            count,
            sizes,
            cell,
            past,
            path,
            adjoint,
            weights,
            run,
            before,
            kept,
            noted,
            d_states,
            d_inner,
            gradients,
            bundle,
        )
        hand_out(first, count, before, bundle, cell, adjoint, gradients)


@merged
def hand_out(
    first: int,
    count: int,
    before: int,
    bundle: int,
    cell: Cell,
    adjoint: LaneAdjoint,
    gradients: LaneGradients,
) -> None:
    """Give out what the entries from `first` on have been going back to."""
    units, lanes = cell.units, adjoint.state.shape[1]
    turn_out(adjoint.state, 0, gradients.hidden, first * units, units, count, units, lanes)
    for row in range(before):
        start, step = (first * before + row) * units, before * units
        turn_out(adjoint.rows, row * units, gradients.written, start, step, count, units, lanes)
    for i in range(units):
        gradients.vectors[bundle, 0, i] += total(get(adjoint.gain, i), count)
        gradients.vectors[bundle, 1, i] += total(get(adjoint.bias, i), count)
        gradients.vectors[bundle, 2, i] += total(get(adjoint.b, i), count)
    for lane in range(min(count, gradients.age_weight.shape[0] - first)):
        for age in range(gradients.age_weight.shape[1]):
            gradients.age_weight[first + lane, age] = adjoint.weight[age, lane]


@merged
def new_lane_adjoint(room: LaneRoom, part: int) -> LaneAdjoint:
    """Use a thread's room, with zero in what is added to."""
    rows, ends = room.piece[part], room.ends
    adjoint = LaneAdjoint(
        rows[: ends[1]],
        rows[ends[1] : ends[2]],
        rows[ends[2] : ends[3]],
        rows[ends[3] : ends[4]],
        rows[ends[4] : ends[5]],
        rows[ends[5] : ends[6]],
        rows[ends[6] : ends[7]],
        rows[ends[7] : ends[8]],
        rows[ends[8] : ends[9]],
        rows[ends[9] : ends[10]],
    )
    for sums in (adjoint.state, adjoint.gain, adjoint.bias, adjoint.b, adjoint.rows, adjoint.weight):
        clear_lanes(sums, 0, sums.shape[0])
    return adjoint


@merged
def go_back_lanes(
    group: int,
    count: int,
    sizes: Sizes,
    cell: Cell,
    past: LanePast,
    path: LanePath,
    adjoint: LaneAdjoint,
    weights: np.ndarray,
    run: LaneRun,
    before: int,
    kept: LaneKept,
    noted: LanePairs,
    d_states: np.ndarray,
    d_inner: np.ndarray,
    gradients: LaneGradients,
    bundle: int,
) -> None:
    """Go back through the steps of one group."""
    units, steps, time, lanes = cell.units, cell.inner_steps, d_states.shape[1], path.sustained.shape[1]
    for step in range(time - 1, -1, -1):
        pending = before + min(step, sizes.writes)
        start, stride = (group * lanes * time + step) * units, time * units
        turn_in(d_states, start, stride, count, units, adjoint.given, 0, lanes)
        add_lanes(adjoint.given, 0, adjoint.state, 0, units)
        if step < sizes.writes:
            add_lanes(adjoint.rows, pending * units, adjoint.state, 0, units)

        turn_in(run.sustained, start, stride, count, units, path.sustained, 0, lanes)
        first_scale = begin_lanes(cell, path)
        sum_own(past, pending, cell)
        if kept.normal.size:
            recall_lanes(group, step, past, pending, cell, path, kept)
        else:
            settle_lanes(past, pending, cell, path)

        clear_lanes(adjoint.sustained, 0, units)
        clear_lanes(adjoint.own, 0, adjoint.own.shape[0])
        every = (start // units * (steps + 1)) * units
        if d_inner.size:
            turn_in(
                d_inner, every + steps * units, stride * (steps + 1), count, units, adjoint.given, 0, lanes
            )
            add_lanes(adjoint.given, 0, adjoint.state, 0, units)
        for s in range(steps - 1, -1, -1):
            through_field(s, cell, path, adjoint)
            if d_inner.size:
                turn_in(
                    d_inner, every + s * units, stride * (steps + 1), count, units, adjoint.state, 0, lanes
                )
            through_lanes(s, past, pending, cell, path, adjoint)
        into_lanes(past, pending, cell, path, adjoint)

        deactivate_lanes(adjoint.state, 0, path.vectors, steps * units, cell)
        if cell.normalise == ALL:
            denormalise_lanes(adjoint.state, 0, path.first_normal, 0, first_scale, cell, path, adjoint)
        add_lanes(adjoint.state, 0, adjoint.sustained, 0, units)
        into_slow_lanes(step, group * lanes, count, cell, adjoint, weights, run, noted, gradients, bundle)


@merged
def into_slow_lanes(
    step: int,
    first: int,
    count: int,
    cell: Cell,
    adjoint: LaneAdjoint,
    weights: np.ndarray,
    run: LaneRun,
    noted: LanePairs,
    gradients: LaneGradients,
    bundle: int,
) -> None:
    """Go back from dz to b, W and C, to the state before the step, and to x."""
    units, columns, lanes, time = cell.units, weights.shape[1], adjoint.state.shape[1], run.states.shape[1]
    add_lanes(adjoint.sustained, 0, adjoint.b, 0, units)
    if gradients.weights.size:
        sums = gradients.weights[bundle]
        note_lanes(step, first, count, adjoint.sustained, run.states, run.hidden, run.x, noted, sums)
    wanted = columns if gradients.x.size else units
    clear_lanes(adjoint.state, 0, wanted)
    multiply_shared(adjoint.state, 0, weights, 0, 1, columns, adjoint.sustained, 0, 1, wanted, units)
    if gradients.x.size:
        inputs = columns - units
        row = (first * time + step) * inputs
        turn_out(adjoint.state, units, gradients.x, row, time * inputs, count, inputs, lanes)


@merged
def recall_lanes(
    group: int, step: int, past: LanePast, pending: int, cell: Cell, path: LanePath, kept: LaneKept
) -> None:
    """Take the inner loop's fields from the way forward instead of running it again."""
    units, steps = cell.units, cell.inner_steps
    copy_lanes(kept.normal[group], step * steps * units, path.normal, 0, steps * units)
    copy_lanes(kept.scale[group], step * steps, path.scale, 0, steps)
    for s in range(steps):
        activate_lanes(
            path.normal, s * units, cell.gain, cell.bias, path.vectors, (steps + s + 1) * units, cell
        )
        if pending:
            read_scores(s, past, pending, cell, path)


@inlined
def deactivate_lanes(gradient: np.ndarray, row: int, states: np.ndarray, start: int, cell: Cell) -> None:
    """Gradient ← gradient · f′, from the state that f gave."""
    number = gradient.dtype.type
    zero = same(number(0))
    if cell.activation == RELU:
        for i in range(cell.units):
            put(gradient, row + i, unless_positive(get(states, start + i), zero, get(gradient, row + i)))
    elif cell.activation == TANH:
        for i in range(cell.units):
            state = get(states, start + i)
            put(gradient, row + i, get(gradient, row + i) * (number(1) - state * state))
    else:
        clear_lanes(gradient, row, cell.units)


@inlined
def denormalise_lanes(
    gradient: np.ndarray,
    row: int,
    normal: np.ndarray,
    start: int,
    scale: Lanes,
    cell: Cell,
    path: LanePath,
    adjoint: LaneAdjoint,
) -> None:
    """Turn the gradient after gain and bias into that before the normalisation."""
    number = gradient.dtype.type
    share = number(1) / number(cell.units)
    for i in range(cell.units):
        value = get(gradient, row + i)
        put(adjoint.gain, i, get(adjoint.gain, i) + value * get(normal, start + i))
        put(adjoint.bias, i, get(adjoint.bias, i) + value)
        put(gradient, row + i, cell.gain[i] * value)
    mean = sum_units(gradient, row, cell, path) * share
    slope = dot_units(gradient, row, normal, start, cell, path) * share
    for i in range(cell.units):
        put(gradient, row + i, scale * (get(gradient, row + i) - mean - get(normal, start + i) * slope))


@merged
def through_field(s: int, cell: Cell, path: LanePath, adjoint: LaneAdjoint) -> None:
    """Go back from dh_{s+1} to dy_s, the gradient of iteration s's field, and clear the room for dh_s."""
    units = cell.units
    copy_lanes(adjoint.state, 0, path.vectors, s * units, units)
    deactivate_lanes(path.vectors, s * units, path.vectors, (cell.inner_steps + s + 1) * units, cell)
    if cell.normalise != UNNORMALISED:
        scale = get(path.scale, s)
        denormalise_lanes(path.vectors, s * units, path.normal, s * units, scale, cell, path, adjoint)
    add_lanes(path.vectors, s * units, adjoint.sustained, 0, units)
    clear_lanes(adjoint.state, 0, units)


@merged
def through_lanes(
    s: int, past: LanePast, pending: int, cell: Cell, path: LanePath, adjoint: LaneAdjoint
) -> None:
    """Add Σ κ h(τ) h(τ)·dy to dh_s."""
    if pending == 0:
        return
    units, steps, reach = cell.units, cell.inner_steps, past.weight.shape[0]
    row, first = (steps + s) * reach, reach - pending
    score_lanes(past, pending, path.vectors, s * units, cell, adjoint.scores, 0)
    weigh(past, pending, adjoint.scores, 0, path.weighted, row)
    multiply(adjoint.state, 0, past.rows, 0, 1, units, path.weighted, row, 1, units, pending)
    for t in range(pending):
        product = get(path.scores, s * reach + t) * get(adjoint.scores, t)
        put(adjoint.weight, first + t, get(adjoint.weight, first + t) + product)
    if cell.self_connections == 0:
        for i in range(units):
            field, state = get(path.vectors, s * units + i), get(path.vectors, (steps + s) * units + i)
            put(adjoint.state, i, get(adjoint.state, i) - get(past.own, i) * field)
            put(adjoint.own, i, get(adjoint.own, i) - field * state)


@merged
def into_lanes(past: LanePast, pending: int, cell: Cell, path: LanePath, adjoint: LaneAdjoint) -> None:
    """dh(τ) += Σ_s κ (h(τ)·h_s dy_s + h(τ)·dy_s h_s), all iterations at once."""
    units, steps, reach = cell.units, cell.inner_steps, past.weight.shape[0]
    for t in range(pending):
        multiply(
            adjoint.rows, t * units, path.vectors, 0, 1, units, path.weighted, t, reach, units, 2 * steps
        )
    if cell.self_connections == 0:
        two, first = past.rows.dtype.type(2), reach - pending
        for t in range(pending):
            weight = get(past.weight, first + t)
            slope = get(adjoint.weight, first + t)
            for i in range(units):
                value, own = get(past.rows, t * units + i), get(adjoint.own, i)
                place = t * units + i
                put(adjoint.rows, place, get(adjoint.rows, place) + two * weight * value * own)
                slope = slope + value * value * own
            put(adjoint.weight, first + t, slope)


@kernel
def backward_lanes(team: int, part: int, parts: int, batch: int, *given: Any) -> None:
    """Share `backward_lanes_part` out; see `share`."""
    share(team, part, parts, batch, backward_lanes_part, given)
