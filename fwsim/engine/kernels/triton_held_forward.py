"""A whole sequence on a GPU, its memory in registers: one program a batch element, all steps and iterations in it.

The states written since the last merge are a block `[row, unit]`, the matrices one `[timescale, pre, post]`.
Registers cannot be indexed by a number that is only known at run time, so a state is written by a select over the
rows. All sums run over the first axis of a block, where a thread adds up what it holds before threads have to meet.
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
    weighted_sum,
)


@triton.jit(do_not_specialize=["steps", "writes", "before", "chunk", "span"])
def forward(
    drive: tl.tensor,
    hidden: tl.tensor,
    weights: tl.tensor,
    gain: tl.tensor,
    bias: tl.tensor,
    age_weight: tl.tensor,
    write_weight: tl.tensor,
    decayed: tl.tensor,
    past_columns: tl.tensor,
    past: tl.tensor,
    inner: tl.tensor,
    sustained: tl.tensor,
    normal: tl.tensor,
    scale: tl.tensor,
    checkpoints: tl.tensor,
    final: tl.tensor,
    steps: int,
    writes: int,
    before: int,
    chunk: int,
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
    KEPT: tl.constexpr,
) -> None:
    """Run one batch element; see `triton_function` for the arguments."""
    element = tl.program_id(0).to(tl.int64)
    unit, row, timescale = tl.arange(0, WIDTH), tl.arange(0, ROWS), tl.arange(0, SCALES_WIDTH)
    real = unit < UNITS
    square = unit[:, None] * UNITS + unit[None, :]
    inside = real[:, None] & real[None, :]
    gains, biases = tl.load(gain + unit, real, 0.0), tl.load(bias + unit, real, 0.0)
    W = load(weights + square, inside, gains)
    state = load(hidden + element * UNITS + unit, real, gains)
    past_columns += element * before * UNITS
    past += element * (before + steps) * UNITS
    age_weight += element * TABLES * span
    write_weight += element * TABLES * span * SCALES
    decayed += element * TABLES * (span + 1) * SCALES

    rows = load(past + row[:, None] * UNITS + unit[None, :], (row < before)[:, None] & real[None, :], gains)
    columns = load(
        past_columns + unit[:, None] * before + row[None, :], (row < before)[None, :] & real[:, None], gains
    )
    matrices = tl.zeros([SCALES_WIDTH, WIDTH, WIDTH], gains.dtype)
    of_matrices = timescale[:, None, None] * UNITS * UNITS + square[None]
    in_matrices = (timescale < SCALES)[:, None, None] & inside[None]
    if GIVEN:
        matrices = tl.load(final + element * SCALES * UNITS * UNITS + of_matrices, in_matrices, 0.0)

    for step in range(steps):
        at = element * steps + step
        pending = (before + step) % chunk
        z = load(drive + at * UNITS + unit, real, gains) + weighted_sum(state, W)
        if KEPT:
            tl.store(sustained + at * UNITS + unit, z, real)
        first, _ = normalise(z, real, UNITS, NORMALISATION == ALL)
        state = shaped(first, gains, biases, real, ACTIVATION, NORMALISATION == ALL)
        if SCALES:
            left = tl.load(decayed + pending * SCALES + timescale, timescale < SCALES, 0.0)
        if ROWS > 1:
            weight = tl.load(age_weight + span - pending + row, row < pending, 0.0)
            if not SELF:
                own = weighted_sum(weight, rows * rows)
        for s in range(INNER_STEPS):
            if INNER:
                tl.store(inner + (at * (INNER_STEPS + 1) + s) * UNITS + unit, state, real)
            field = z
            if SCALES:
                field += tl.sum(left[:, None] * tl.sum(matrices * state[None, :, None], 1), 0)
            if ROWS > 1:
                field += weighted_sum(weight * weighted_sum(state, columns), rows)
                if not SELF:
                    field -= own * state
            field, inverse = normalise(field, real, UNITS, NORMALISATION != UNNORMALISED)
            if KEPT:
                tl.store(normal + (at * INNER_STEPS + s) * UNITS + unit, field, real)
                tl.store(scale + at * INNER_STEPS + s, inverse)
            state = shaped(field, gains, biases, real, ACTIVATION, NORMALISATION != UNNORMALISED)
        if INNER:
            tl.store(inner + (at * (INNER_STEPS + 1) + INNER_STEPS) * UNITS + unit, state, real)
        state = state.to(past.dtype.element_ty).to(gains.dtype)  # what is written is what is returned
        tl.store(past + (before + step) * UNITS + unit, state, real)
        if step < writes:
            if ROWS > 1:
                rows = tl.where((row == pending)[:, None], state[None, :], rows)
                columns = tl.where((row == pending)[None, :], state[:, None], columns)
            if MERGES:
                if pending + 1 == chunk:
                    matrices = merged(matrices, rows, state, write_weight, decayed, chunk, SELF, SCALES)
                number = (before + step + 1) // span
                if KEPT and number * span == before + step + 1:
                    target = (
                        checkpoints
                        + (element * ((before + writes) // span) + number - 1) * SCALES * UNITS * UNITS
                    )
                    tl.store(target + of_matrices, tl.permute(matrices, (0, 2, 1)), in_matrices)
    if MERGES:
        tl.store(final + element * SCALES * UNITS * UNITS + of_matrices, matrices, in_matrices)


@triton.jit
def merged(
    matrices: tl.tensor,
    rows: tl.tensor,
    state: tl.tensor,
    write_weight: tl.tensor,
    decayed: tl.tensor,
    chunk: tl.tensor,
    SELF: tl.constexpr,
    SCALES: tl.constexpr,
) -> tl.tensor:
    """A_k ← λ_k^count A_k + Σ η_k λ_k^age h hᵀ over the rows of a chunk, the last of them `state`."""
    timescale, unit = tl.arange(0, matrices.shape[0]), tl.arange(0, matrices.shape[1])
    there = timescale < SCALES
    result = tl.load(decayed + chunk * SCALES + timescale, there, 0.0)[:, None, None] * matrices
    result += tl.load(write_weight + timescale, there, 0.0)[:, None, None] * outer(state, state)[None]
    for number in range(chunk - 1):
        written = picked(rows, number)
        weight = tl.load(write_weight + (chunk - 1 - number) * SCALES + timescale, there, 0.0)
        result += weight[:, None, None] * outer(written, written)[None]
    return result if SELF else tl.where((unit[:, None] == unit[None, :])[None], 0.0, result)
