"""Backward pass of a sequence whose memory is too large for registers, tile by tile.

In spans, as `triton_held_backward`, and in phases between barriers, as `triton_streamed_forward`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fwsim.engine.kernels.triton_cell import (
    ALL,
    UNNORMALISED,
    load,
    normalise,
    outer,
    published,
    scored,
    sent,
    shaped,
    shaped_backward,
    weighted_sum,
)


@triton.jit(do_not_specialize=["steps", "writes", "before", "merged", "span"])
def backward(
    weights: tl.tensor,
    gain: tl.tensor,
    bias: tl.tensor,
    matrix: tl.tensor,
    age_weight: tl.tensor,
    write_weight: tl.tensor,
    decayed: tl.tensor,
    past: tl.tensor,
    sustained: tl.tensor,
    normal: tl.tensor,
    scale: tl.tensor,
    checkpoints: tl.tensor,
    board: tl.tensor,
    d_states: tl.tensor,
    d_inner: tl.tensor,
    d_drive: tl.tensor,
    d_hidden: tl.tensor,
    d_past: tl.tensor,
    d_matrix: tl.tensor,
    d_parameters: tl.tensor,
    d_age_weight: tl.tensor,
    d_write_weight: tl.tensor,
    d_decayed: tl.tensor,
    steps: int,
    writes: int,
    before: int,
    merged: int,
    span: int,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    INNER_STEPS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    NORMALISATION: tl.constexpr,
    SELF: tl.constexpr,
    ROWS: tl.constexpr,
    SCALES: tl.constexpr,
    TABLES: tl.constexpr,
    GIVEN: tl.constexpr,
    INNER: tl.constexpr,
    RATES: tl.constexpr,
) -> None:
    """Backward pass of one batch element; see `triton_function` for the arguments."""
    element = tl.program_id(0).to(tl.int64)
    unit, size = tl.arange(0, WIDTH), SCALES * UNITS * UNITS
    real = unit < UNITS
    gains, biases = tl.load(gain + unit, real, 0.0), tl.load(bias + unit, real, 0.0)
    total = before + steps
    board += element * UNITS
    past += element * total * UNITS
    d_past += element * total * UNITS
    matrix += element * size
    d_matrix += element * size
    age_weight += element * TABLES * span
    write_weight += element * TABLES * span * SCALES
    decayed += element * TABLES * (span + 1) * SCALES
    d_age_weight += element * span
    d_write_weight += element * span * SCALES
    d_decayed += element * (span + 1) * SCALES
    checkpoints += element * ((before + writes) // span) * size

    d_gain, d_bias, d_state = tl.zeros_like(gains), tl.zeros_like(gains), tl.zeros_like(gains)
    newest = (total - 1) // span
    for back in range(newest + 1):
        number = newest - back
        start = number * span
        written, d_written = past + start * UNITS, d_past + start * UNITS
        matrices, carried = matrix, (number > 0) | GIVEN
        if number > 0:
            matrices = checkpoints + (number - 1) * size
        if SCALES:
            count = tl.minimum(span, merged - start)
            if count > 0:
                merge_rows_backward(
                    written, d_written, d_matrix, count, write_weight, d_write_weight, board, gains,
                    UNITS, WIDTH, TILE, SCALES, SELF, RATES,
                )  # fmt: skip
                merge_matrices_backward(
                    matrices, d_matrix, carried, count, decayed, d_decayed, UNITS, WIDTH, TILE, SCALES, RATES
                )
        last = tl.minimum(span, total - start)
        for ago in range(last - tl.maximum(0, before - start)):
            pending = last - 1 - ago
            at = element * steps + start + pending - before
            tl.debug_barrier()
            d_state += load(d_states + at * UNITS + unit, real, gains)
            d_state += tl.load(d_written + pending * UNITS + unit, real, 0.0)
            if INNER:
                d_state += load(d_inner + (at * (INNER_STEPS + 1) + INNER_STEPS) * UNITS + unit, real, gains)
            z = tl.load(sustained + at * UNITS + unit, real, 0.0)
            first, first_scale = normalise(z, real, UNITS, NORMALISATION == ALL)
            initial = shaped(first, gains, biases, real, ACTIVATION, NORMALISATION == ALL)
            d_own, d_z = tl.zeros_like(gains), tl.zeros_like(gains)
            for ahead in range(INNER_STEPS):
                s = INNER_STEPS - 1 - ahead
                here = at * INNER_STEPS + s
                field, inverse = tl.load(normal + here * UNITS + unit, real, 0.0), tl.load(scale + here)
                earlier = tl.load(normal + (here - 1) * UNITS + unit, real & (s > 0), 0.0)
                reached = shaped(field, gains, biases, real, ACTIVATION, NORMALISATION != UNNORMALISED)
                state = shaped(earlier, gains, biases, real, ACTIVATION, NORMALISATION != UNNORMALISED)
                state = tl.where(s > 0, state, initial)
                d_field, more_gain, more_bias = shaped_backward(
                    d_state, reached, field, inverse, gains, real,
                    UNITS, ACTIVATION, NORMALISATION != UNNORMALISED,
                )  # fmt: skip
                d_gain += more_gain
                d_bias += more_bias
                d_z += d_field
                d_state = tl.zeros_like(gains)
                if INNER:
                    d_state += load(d_inner + (at * (INNER_STEPS + 1) + s) * UNITS + unit, real, gains)
                if SCALES:
                    published(d_field, board, real)
                    d_state += through_matrices(
                        state, board, matrices, d_matrix, carried, decayed + pending * SCALES,
                        d_decayed + pending * SCALES, gains, UNITS, WIDTH, TILE, SCALES, RATES,
                    )  # fmt: skip
                if ROWS > 1:
                    place = span - pending
                    d_state += through_rows(
                        state, d_field, written, d_written, age_weight + place, d_age_weight + place, pending,
                        gains, UNITS, WIDTH, TILE, SELF, RATES,
                    )  # fmt: skip
                    if not SELF:
                        d_own -= d_field * state
            if ROWS > 1 and not SELF:
                place = span - pending
                through_own(
                    d_own, written, d_written, age_weight + place, d_age_weight + place, pending,
                    gains, UNITS, WIDTH, TILE, RATES,
                )  # fmt: skip
            d_first, more_gain, more_bias = shaped_backward(
                d_state, initial, first, first_scale, gains, real, UNITS, ACTIVATION, NORMALISATION == ALL
            )
            d_gain += more_gain
            d_bias += more_bias
            d_z += d_first
            tl.store(d_drive + at * UNITS + unit, d_z, real)
            published(d_z, board, real)
            d_state = sent(board, weights, gains, UNITS, WIDTH, TILE)
    tl.store(d_hidden + element * UNITS + unit, d_state, real)
    tl.store(d_parameters + element * 2 * UNITS + unit, d_gain, real)
    tl.store(d_parameters + (element * 2 + 1) * UNITS + unit, d_bias, real)


@triton.jit
def through_matrices(
    state: tl.tensor,
    board: tl.tensor,
    matrices: tl.tensor,
    d_matrices: tl.tensor,
    carried: tl.tensor,
    left: tl.tensor,
    d_left: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SCALES: tl.constexpr,
    RATES: tl.constexpr,
) -> tl.tensor:
    """Backward pass of Σ_k left_k A_k state, with the gradient of this on the board: return that of the state."""
    unit, d_state = tl.arange(0, WIDTH), tl.zeros_like(like)
    for k in range(SCALES):
        back, factor = tl.zeros_like(like), tl.load(left + k)
        for first in range(0, UNITS, TILE):
            row = first + tl.arange(0, TILE)
            inside = (row < UNITS)[:, None] & (unit < UNITS)[None, :]
            place = (k * UNITS + row[:, None]) * UNITS + unit[None, :]
            part = tl.load(board + row, row < UNITS, 0.0)
            back += weighted_sum(part, tl.load(matrices + place, inside & carried, 0.0))
            tile = tl.load(d_matrices + place, inside, 0.0) + factor * outer(part, state)
            tl.store(d_matrices + place, tile, inside)
        d_state += factor * back
        if RATES:
            tl.atomic_add(d_left + k, tl.sum(back * state, 0), sem="relaxed")
    return d_state


@triton.jit
def through_rows(
    state: tl.tensor,
    d_field: tl.tensor,
    written: tl.tensor,
    d_written: tl.tensor,
    age_weight: tl.tensor,
    d_age_weight: tl.tensor,
    pending: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SELF: tl.constexpr,
    RATES: tl.constexpr,
) -> tl.tensor:
    """Backward pass of Σ_τ κ h(τ) h(τ)·state: return the gradient of the state, add those of h(τ) and κ to theirs."""
    unit, d_state = tl.arange(0, WIDTH), tl.zeros_like(like)
    tl.debug_barrier()
    for first in range(0, pending, TILE):
        row = first + tl.arange(0, TILE)
        there = (row < pending)[:, None] & (unit < UNITS)[None, :]
        place = row[:, None] * UNITS + unit[None, :]
        rows = load(written + place, there, like)
        weight = tl.load(age_weight + row, row < pending, 0.0)
        scores, pulls = scored(rows, state), scored(rows, d_field)
        d_state += weighted_sum(weight * pulls, rows)
        d_rows = outer(weight * scores, d_field) + outer(weight * pulls, state)
        tl.store(d_written + place, tl.load(d_written + place, there, 0.0) + d_rows, there)
        if RATES:
            tl.atomic_add(d_age_weight + row, scores * pulls, row < pending, sem="relaxed")
        if not SELF:
            d_state -= weighted_sum(weight, rows * rows) * d_field
    return d_state


@triton.jit
def through_own(
    d_own: tl.tensor,
    written: tl.tensor,
    d_written: tl.tensor,
    age_weight: tl.tensor,
    d_age_weight: tl.tensor,
    pending: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    RATES: tl.constexpr,
) -> None:
    """Backward pass of Σ_τ κ h(τ)², what units without connections to themselves leave out."""
    unit = tl.arange(0, WIDTH)
    tl.debug_barrier()
    for first in range(0, pending, TILE):
        row = first + tl.arange(0, TILE)
        there = (row < pending)[:, None] & (unit < UNITS)[None, :]
        place = row[:, None] * UNITS + unit[None, :]
        rows = load(written + place, there, like)
        weight = tl.load(age_weight + row, row < pending, 0.0)
        d_rows = 2 * weight[:, None] * rows * d_own[None, :]
        tl.store(d_written + place, tl.load(d_written + place, there, 0.0) + d_rows, there)
        if RATES:
            tl.atomic_add(d_age_weight + row, scored(rows * rows, d_own), row < pending, sem="relaxed")


@triton.jit
def merge_rows_backward(
    written: tl.tensor,
    d_written: tl.tensor,
    d_matrices: tl.tensor,
    count: tl.tensor,
    write_weight: tl.tensor,
    d_write_weight: tl.tensor,
    board: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SCALES: tl.constexpr,
    SELF: tl.constexpr,
    RATES: tl.constexpr,
) -> None:
    """Backward pass of the merge of `count` states, from the gradient of the matrices after it to theirs."""
    unit = tl.arange(0, WIDTH)
    real = unit < UNITS
    if not SELF:
        tl.debug_barrier()
        for k in range(SCALES):
            tl.store(d_matrices + k * UNITS * UNITS + unit * (UNITS + 1), tl.zeros_like(like), real)
    for number in range(count):
        state, d_state = load(written + number * UNITS + unit, real, like), tl.zeros_like(like)
        for k in range(SCALES):
            change = tl.zeros_like(like)
            tl.debug_barrier()
            for first in range(0, UNITS, TILE):
                row = first + tl.arange(0, TILE)
                inside = (row < UNITS)[:, None] & real[None, :]
                tile = tl.load(d_matrices + (k * UNITS + row[:, None]) * UNITS + unit[None, :], inside, 0.0)
                change += weighted_sum(load(written + number * UNITS + row, row < UNITS, like), tile)
                tl.store(board + row, scored(tile, state), row < UNITS)
            tl.debug_barrier()
            change += tl.load(board + unit, real, 0.0)
            age = (count - 1 - number) * SCALES + k
            d_state += tl.load(write_weight + age) * change
            if RATES:
                tl.atomic_add(d_write_weight + age, tl.sum(change * state, 0) / 2, sem="relaxed")
        d_state += tl.load(d_written + number * UNITS + unit, real, 0.0)
        tl.store(d_written + number * UNITS + unit, d_state, real)


@triton.jit
def merge_matrices_backward(
    matrices: tl.tensor,
    d_matrices: tl.tensor,
    carried: tl.tensor,
    count: tl.tensor,
    decayed: tl.tensor,
    d_decayed: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SCALES: tl.constexpr,
    RATES: tl.constexpr,
) -> None:
    """Gradient of the matrices before a merge, from that of the matrices after it."""
    unit = tl.arange(0, WIDTH)
    tl.debug_barrier()
    for k in range(SCALES):
        left = tl.load(decayed + count * SCALES + k)
        for first in range(0, UNITS, TILE):
            row = first + tl.arange(0, TILE)
            inside = (row < UNITS)[:, None] & (unit < UNITS)[None, :]
            place = (k * UNITS + row[:, None]) * UNITS + unit[None, :]
            tile = tl.load(d_matrices + place, inside, 0.0)
            if RATES:
                kept = tl.load(matrices + place, inside & carried, 0.0)
                tl.atomic_add(
                    d_decayed + count * SCALES + k, tl.sum(tl.sum(tile * kept, 1), 0), sem="relaxed"
                )
            tl.store(d_matrices + place, left * tile, inside)
