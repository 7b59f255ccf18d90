"""A whole sequence in compiled code, as many batch entries at once as a vector has lanes."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from fwsim.engine.kernels.numba_lane_products import multiply_shared
from fwsim.engine.kernels.numba_lane_step import (
    LanePast,
    LanePath,
    begin_lanes,
    copy_lanes,
    settle_lanes,
    sum_own,
)
from fwsim.engine.kernels.numba_lane_turns import turn_in, turn_out
from fwsim.engine.kernels.numba_lanes import put, same
from fwsim.engine.kernels.numba_room import Sizes
from fwsim.engine.kernels.numba_step import ALL, UNNORMALISED, Cell
from fwsim.engine.kernels.numba_team import share
from fwsim.engine.kernels.numba_vectors import apart, kernel, merged


class LaneRoom(NamedTuple):
    """Workspace of each thread, `[part, row, lane]`, and the rows at which its divisions end, from 0 on."""

    piece: np.ndarray
    ends: tuple[int, ...]


class LaneKept(NamedTuple):
    """What the way forward keeps for the way back; empty if there is none, or if the inner loop is to be run again.

    `LanePath.normal` and `LanePath.scale` of all steps, `[group, time·inner·unit, lane]` and
    `[group, time·inner, lane]`.
    """

    normal: np.ndarray
    scale: np.ndarray


class LaneStored(NamedTuple):
    """The memory before the first step.

    `written [batch, past, unit]`, and κ `age_weight [batch, age]`, whose batch may be 1.
    """

    written: np.ndarray
    age_weight: np.ndarray


def new_lane_room(rows: tuple[int, ...], dtype: torch.dtype, lanes: int, parts: int) -> LaneRoom:
    """Make workspace for `parts` threads, each divided up into parts of so many rows."""
    ends = _ends(rows)
    return LaneRoom(
        torch.empty(parts, ends[-1], lanes, dtype=dtype, device="cpu").numpy(), ends
    )  # on a cache line


@lru_cache(maxsize=256)
def _ends(rows: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *itertools.accumulate(rows))


@lru_cache(maxsize=256)
def rows_of_run(sizes: Sizes, inputs: int, written: int, ages: int) -> tuple[int, ...]:
    """Rows of each part of `LanePast` and `LanePath`; `written` states are in the memory before the run."""
    units, steps = sizes.units, sizes.inner_steps
    own, first = (0 if sizes.self_connections else units), (units if sizes.normalise == ALL else 0)
    vectors, scores = (2 * steps + 1) * units + inputs, steps * ages
    past = ((written + sizes.writes) * units, ages, own)
    return *past, units, first, vectors, steps * units, steps, scores, 2 * scores, 2


@merged
def new_lane_cell(sizes: Sizes, gain: np.ndarray, bias: np.ndarray, neutral: np.ndarray) -> Cell:
    """Take the gain and bias of the normalisations that there are, else 1 and 0: the rows of `neutral`."""
    ones, zeros = neutral[0], neutral[1]
    inner, first = sizes.normalise != UNNORMALISED, sizes.normalise == ALL
    return Cell(
        sizes.units,
        sizes.inner_steps,
        sizes.activation,
        sizes.normalise,
        sizes.self_connections,
        gain if inner else ones,
        bias if inner else zeros,
        gain if first else ones,
        bias if first else zeros,
        ones,
    )


@merged
def new_lane_past(first: int, stored: LaneStored, room: LaneRoom, part: int) -> LanePast:
    """Use a thread's room with the weights of the entries from `first` on."""
    rows, ends, given = room.piece[part], room.ends, stored.age_weight
    weight = rows[ends[1] : ends[2]]
    for age in range(weight.shape[0]):
        for lane in range(weight.shape[1]):
            weight[age, lane] = given[min(first + lane, given.shape[0] - 1), age]
    return LanePast(rows[: ends[1]], weight, rows[ends[2] : ends[3]])


@merged
def new_lane_path(room: LaneRoom, part: int) -> LanePath:
    """Use a thread's room."""
    rows, ends = room.piece[part], room.ends
    return LanePath(
        rows[ends[3] : ends[4]],
        rows[ends[4] : ends[5]],
        rows[ends[5] : ends[6]],
        rows[ends[6] : ends[7]],
        rows[ends[7] : ends[8]],
        rows[ends[8] : ends[9]],
        rows[ends[9] : ends[10]],
        rows[ends[10] : ends[11]],
    )


@apart
def forward_lanes_part(
    part: int,
    first_group: int,
    last_group: int,
    sizes: Sizes,
    weights: np.ndarray,
    gain: np.ndarray,
    bias: np.ndarray,
    neutral: np.ndarray,
    x: np.ndarray,
    b: np.ndarray,
    hidden: np.ndarray,
    stored: LaneStored,
    room: LaneRoom,
    states: np.ndarray,
    inner: np.ndarray,
    sustained: np.ndarray,
    kept: LaneKept,
) -> None:
    """Run the groups `first_group … last_group−1` of entries in the workspace of thread `part`.

    Parameters
    ----------
    weights
        W and C side by side, `[unit, unit + input]`.
    gain, bias, neutral
        See `new_lane_cell`.
    x, b, hidden
        `[batch, time, input]`; `[unit]`; the state before the first step, `[batch, unit]`.
    states, inner, sustained
        Results `[batch, time, unit]`, `[batch, time, inner, unit]`, and z `[batch, time, unit]`; empty if not wanted.
    """
    cell, path = new_lane_cell(sizes, gain, bias, neutral), new_lane_path(room, part)
    lanes = path.sustained.shape[1]
    for group in range(first_group, last_group):
        first = group * lanes
        count = min(lanes, hidden.shape[0] - first)
        past = new_lane_past(first, stored, room, part)
        load_rows(first, count, stored.written, 0, stored.written.shape[1], past, cell)
        turn_in(
            hidden,
            first * cell.units,
            cell.units,
            count,
            cell.units,
            path.vectors,
            2 * cell.inner_steps * cell.units,
            lanes,
        )
        run_group(
            group, count, sizes, cell, past, path, weights, x, b, stored, states, inner, sustained, kept
        )


@merged
def load_rows(
    first: int, count: int, states: np.ndarray, row: int, number: int, past: LanePast, cell: Cell
) -> None:
    """Bring in the first `number` states of `states [batch, time, unit]`, as written states from `row` on."""
    units, stride = cell.units, states.shape[1] * cell.units
    for step in range(number):
        start = first * stride + step * units
        turn_in(states, start, stride, count, units, past.rows, (row + step) * units, past.rows.shape[1])


@merged
def run_group(
    group: int,
    count: int,
    sizes: Sizes,
    cell: Cell,
    past: LanePast,
    path: LanePath,
    weights: np.ndarray,
    x: np.ndarray,
    b: np.ndarray,
    stored: LaneStored,
    states: np.ndarray,
    inner: np.ndarray,
    sustained: np.ndarray,
    kept: LaneKept,
) -> None:
    """Run the entries of one group."""
    units, steps, time, lanes = cell.units, cell.inner_steps, states.shape[1], path.sustained.shape[1]
    inputs, every = x.shape[2], weights.shape[1]
    before, state, all_steps = (
        stored.written.shape[1],
        2 * cell.inner_steps * cell.units,
        cell.inner_steps + 1,
    )
    for step in range(time):
        pending = before + min(step, sizes.writes)
        start, stride = (group * lanes * time + step) * units, time * units
        row = (group * lanes * time + step) * inputs
        turn_in(x, row, time * inputs, count, inputs, path.vectors, state + units, lanes)
        for i in range(units):
            put(path.sustained, i, same(b[i]))
        multiply_shared(path.sustained, 0, weights, 0, every, 1, path.vectors, state, 1, units, every)
        begin_lanes(cell, path)
        sum_own(past, pending, cell)
        settle_lanes(past, pending, cell, path)
        turn_out(path.vectors, state, states, start, stride, count, units, lanes)
        if inner.size:
            for s in range(all_steps):
                turn_out(
                    path.vectors,
                    (steps + s) * units,
                    inner,
                    (start // units * all_steps + s) * units,
                    stride * all_steps,
                    count,
                    units,
                    lanes,
                )
        if sustained.size:
            turn_out(path.sustained, 0, sustained, start, stride, count, units, lanes)
        if kept.normal.size:
            copy_lanes(path.normal, 0, kept.normal[group], step * steps * units, steps * units)
            copy_lanes(path.scale, 0, kept.scale[group], step * steps, steps)
        if step < sizes.writes:
            copy_lanes(path.vectors, state, past.rows, pending * units, units)


@kernel
def forward_lanes(team: int, part: int, parts: int, batch: int, *given: Any) -> None:
    """Share `forward_lanes_part` out; see `share`."""
    share(team, part, parts, batch, forward_lanes_part, given)
