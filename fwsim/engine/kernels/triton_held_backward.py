"""Backward pass of a whole sequence on a GPU, in registers: one program a batch element.

As on the way forward, but in spans: the matrices at the start of a span are a checkpoint, and within the span the
memory is read in its attention form. The states are known, so nothing is computed anew but activations.
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
    picked,
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
    past_columns: tl.tensor,
    sustained: tl.tensor,
    normal: tl.tensor,
    scale: tl.tensor,
    checkpoints: tl.tensor,
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
    INNER_STEPS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    NORMALISATION: tl.constexpr,
    SELF: tl.constexpr,
    ROWS: tl.constexpr,
    SCALES: tl.constexpr,
    SCALES_WIDTH: tl.constexpr,
    TABLES: tl.constexpr,
    GIVEN: tl.constexpr,
    MERGES: tl.constexpr,
    INNER: tl.constexpr,
    RATES: tl.constexpr,
    W_HELD: tl.constexpr,
) -> None:
    """Backward pass of one batch element; see `triton_function` for the arguments."""
    element = tl.program_id(0).to(tl.int64)
    unit, row, timescale = tl.arange(0, WIDTH), tl.arange(0, ROWS), tl.arange(0, SCALES_WIDTH)
    real = unit < UNITS
    square, inside = unit[:, None] * UNITS + unit[None, :], real[:, None] & real[None, :]
    of_matrices = timescale[:, None, None] * UNITS * UNITS + square[None]
    in_matrices = (timescale < SCALES)[:, None, None] & inside[None]
    size = SCALES * UNITS * UNITS
    gains, biases = tl.load(gain + unit, real, 0.0), tl.load(bias + unit, real, 0.0)
    if W_HELD:
        W = load(weights + square, inside, gains)
    total = before + steps
    past += element * total * UNITS
    past_columns += element * total * UNITS
    age_weight += element * TABLES * span
    write_weight += element * TABLES * span * SCALES
    decayed += element * TABLES * (span + 1) * SCALES
    d_age_weight += element * span
    d_write_weight += element * span * SCALES
    d_decayed += element * (span + 1) * SCALES
    checkpoints += element * ((before + writes) // span) * size

    d_gain, d_bias, d_state = tl.zeros_like(gains), tl.zeros_like(gains), tl.zeros_like(gains)
    d_rows = tl.zeros([ROWS, WIDTH], gains.dtype)
    d_matrices = tl.zeros([SCALES_WIDTH, WIDTH, WIDTH], gains.dtype)
    matrices = d_matrices
    if MERGES:
        d_matrices = tl.load(d_matrix + element * size + of_matrices, in_matrices, 0.0)
    newest = (total - 1) // span
    for back in range(newest + 1):
        number = newest - back
        start = number * span
        there = row < tl.minimum(span, before + writes - start)
        rows = load(
            past + (start + row[:, None]) * UNITS + unit[None, :], there[:, None] & real[None, :], gains
        )
        columns = load(
            past_columns + unit[:, None] * total + start + row[None, :], there[None, :] & real[:, None], gains
        )
        d_rows = tl.zeros_like(rows)
        if SCALES:
            count = tl.minimum(span, merged - start)
            if count > 0:
                if not SELF:
                    d_matrices = tl.where((unit[:, None] == unit[None, :])[None], 0.0, d_matrices)
                d_rows = unmerged(d_matrices, rows, count, write_weight, d_write_weight, SCALES, RATES)
            source = checkpoints + (number - 1) * size + of_matrices
            matrices = tl.load(source, in_matrices & (number > 0), 0.0)
            if GIVEN:
                matrices += tl.load(matrix + element * size + of_matrices, in_matrices & (number == 0), 0.0)
            if count > 0:
                place = count * SCALES + timescale
                if RATES:
                    kept = tl.sum(tl.sum(d_matrices * matrices, 2), 1)
                    tl.atomic_add(d_decayed + place, kept, timescale < SCALES, sem="relaxed")
                d_matrices *= tl.load(decayed + place, timescale < SCALES, 0.0)[:, None, None]
        last = tl.minimum(span, total - start)
        for ago in range(last - tl.maximum(0, before - start)):
            pending = last - 1 - ago
            at = element * steps + start + pending - before
            d_state += load(d_states + at * UNITS + unit, real, gains) + picked(d_rows, pending)
            if INNER:
                d_state += load(d_inner + (at * (INNER_STEPS + 1) + INNER_STEPS) * UNITS + unit, real, gains)
            z = tl.load(sustained + at * UNITS + unit, real, 0.0)
            first, first_scale = normalise(z, real, UNITS, NORMALISATION == ALL)
            initial = shaped(first, gains, biases, real, ACTIVATION, NORMALISATION == ALL)
            if SCALES:
                left = tl.load(decayed + pending * SCALES + timescale, timescale < SCALES, 0.0)
                d_left = tl.zeros_like(left)
            weight = tl.load(age_weight + span - pending + row, row < pending, 0.0)
            d_weight, d_own, d_z = tl.zeros_like(weight), tl.zeros_like(gains), tl.zeros_like(gains)
            if not SELF:
                own = weighted_sum(weight, rows * rows)
            for ahead in range(INNER_STEPS):
                s = INNER_STEPS - 1 - ahead
                here = at * INNER_STEPS + s
                field, inverse = tl.load(normal + here * UNITS + unit, real, 0.0), tl.load(scale + here)
                earlier = tl.load(normal + (here - 1) * UNITS + unit, real & (s > 0), 0.0)
                reached = shaped(field, gains, biases, real, ACTIVATION, NORMALISATION != UNNORMALISED)
                state = shaped(earlier, gains, biases, real, ACTIVATION, NORMALISATION != UNNORMALISED)
                state = tl.where(s > 0, state, initial)
                d_field, more_gain, more_bias = shaped_backward(
                    d_state,
                    reached,
                    field,
                    inverse,
                    gains,
                    real,
                    UNITS,
                    ACTIVATION,
                    NORMALISATION != UNNORMALISED,
                )
                d_gain += more_gain
                d_bias += more_bias
                d_z += d_field
                d_state = tl.zeros_like(gains)
                if INNER:
                    d_state += load(d_inner + (at * (INNER_STEPS + 1) + s) * UNITS + unit, real, gains)
                if SCALES:
                    sent = tl.sum(matrices * d_field[None, :, None], 1)
                    d_state += tl.sum(left[:, None] * sent, 0)
                    d_matrices += left[:, None, None] * outer(d_field, state)[None]
                    if RATES:
                        d_left += tl.sum(sent * state[None, :], 1)
                scores, pulls = weighted_sum(state, columns), weighted_sum(d_field, columns)
                d_state += weighted_sum(weight * pulls, rows)
                d_rows += outer(weight * scores, d_field) + outer(weight * pulls, state)
                if RATES:
                    d_weight += scores * pulls
                if not SELF:
                    d_state -= own * d_field
                    d_own -= d_field * state
            if not SELF:
                d_rows += 2 * weight[:, None] * rows * d_own[None, :]
                d_weight += weighted_sum(d_own, columns * columns)
            if RATES:
                tl.atomic_add(d_age_weight + span - pending + row, d_weight, row < pending, sem="relaxed")
                if SCALES:
                    target = d_decayed + pending * SCALES + timescale
                    tl.atomic_add(target, d_left, timescale < SCALES, sem="relaxed")
            d_first, more_gain, more_bias = shaped_backward(
                d_state, initial, first, first_scale, gains, real, UNITS, ACTIVATION, NORMALISATION == ALL
            )
            d_gain += more_gain
            d_bias += more_bias
            d_z += d_first
            tl.store(d_drive + at * UNITS + unit, d_z, real)
            if W_HELD:
                d_state = weighted_sum(d_z, W)
            else:
                d_state = weighted_sum(d_z, load(weights + square, inside, gains))
    tl.store(d_hidden + element * UNITS + unit, d_state, real)
    tl.store(d_parameters + element * 2 * UNITS + unit, d_gain, real)
    tl.store(d_parameters + (element * 2 + 1) * UNITS + unit, d_bias, real)
    given = (row < before)[:, None] & real[None, :]
    tl.store(d_past + (element * total + row[:, None]) * UNITS + unit[None, :], d_rows, given)
    if GIVEN:
        tl.store(d_matrix + element * size + of_matrices, d_matrices, in_matrices)


@triton.jit
def unmerged(
    d_matrices: tl.tensor,
    rows: tl.tensor,
    count: tl.tensor,
    write_weight: tl.tensor,
    d_write_weight: tl.tensor,
    SCALES: tl.constexpr,
    RATES: tl.constexpr,
) -> tl.tensor:
    """Backward pass of the merge of `count` rows: their gradients, from those of the matrices after it."""
    row, timescale = tl.arange(0, rows.shape[0]), tl.arange(0, d_matrices.shape[0])
    d_rows = tl.zeros_like(rows)
    both = d_matrices + tl.permute(d_matrices, (0, 2, 1))
    for number in range(count):
        written, age = picked(rows, number), (count - 1 - number) * SCALES + timescale
        weight = tl.load(write_weight + age, timescale < SCALES, 0.0)
        change = tl.sum(both * written[None, :, None], 1)
        d_written = tl.sum(weight[:, None] * change, 0)
        d_rows += tl.where((row == number)[:, None], d_written[None, :], 0.0)
        if RATES:
            slope = tl.sum(change * written[None, :], 1) / 2
            tl.atomic_add(d_write_weight + age, slope, timescale < SCALES, sem="relaxed")
    return d_rows
