"""A whole sequence on a GPU whose memory is too large for registers: one program a batch element, tile by tile.

Written states and matrices lie in global memory, in practice in the caches of the multiprocessor that runs the
element, and pass through registers in tiles of rows. A program's threads read there what others of them wrote, which
nothing orders but a barrier: phases that write are kept apart from phases that read by `tl.debug_barrier`, which
also makes what was written before it visible to all threads of the program.
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
    past: tl.tensor,
    inner: tl.tensor,
    sustained: tl.tensor,
    normal: tl.tensor,
    scale: tl.tensor,
    checkpoints: tl.tensor,
    final: tl.tensor,
    board: tl.tensor,
    steps: int,
    writes: int,
    before: int,
    chunk: int,
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
    MERGES: tl.constexpr,
    INNER: tl.constexpr,
    KEPT: tl.constexpr,
) -> None:
    """Run one batch element; see `triton_function` for the arguments."""
    element = tl.program_id(0).to(tl.int64)
    unit, square = tl.arange(0, WIDTH), UNITS * UNITS
    real = unit < UNITS
    gains, biases = tl.load(gain + unit, real, 0.0), tl.load(bias + unit, real, 0.0)
    state = load(hidden + element * UNITS + unit, real, gains)
    board += element * UNITS
    past += element * (before + steps) * UNITS
    matrices = final + element * SCALES * square
    age_weight += element * TABLES * span
    write_weight += element * TABLES * span * SCALES
    decayed += element * TABLES * (span + 1) * SCALES
    checkpoints += element * ((before + writes) // span) * SCALES * square

    for step in range(steps):
        at = element * steps + step
        pending = (before + step) % chunk
        written = past + (before + step - pending) * UNITS
        published(state, board, real)
        z = load(drive + at * UNITS + unit, real, gains) + sent(board, weights, gains, UNITS, WIDTH, TILE)
        if KEPT:
            tl.store(sustained + at * UNITS + unit, z, real)
        first, _ = normalise(z, real, UNITS, NORMALISATION == ALL)
        state = shaped(first, gains, biases, real, ACTIVATION, NORMALISATION == ALL)
        for s in range(INNER_STEPS):
            if INNER:
                tl.store(inner + (at * (INNER_STEPS + 1) + s) * UNITS + unit, state, real)
            field = z
            if SCALES:
                published(state, board, real)
                for k in range(SCALES):
                    left = tl.load(decayed + pending * SCALES + k)
                    field += left * sent(board, matrices + k * square, gains, UNITS, WIDTH, TILE)
            if ROWS > 1:
                weights_of_age = age_weight + span - pending
                field += attended(state, written, weights_of_age, pending, gains, UNITS, WIDTH, TILE, SELF)
            field, inverse = normalise(field, real, UNITS, NORMALISATION != UNNORMALISED)
            if KEPT:
                tl.store(normal + (at * INNER_STEPS + s) * UNITS + unit, field, real)
                tl.store(scale + at * INNER_STEPS + s, inverse)
            state = shaped(field, gains, biases, real, ACTIVATION, NORMALISATION != UNNORMALISED)
        if INNER:
            tl.store(inner + (at * (INNER_STEPS + 1) + INNER_STEPS) * UNITS + unit, state, real)
        state = state.to(past.dtype.element_ty).to(gains.dtype)  # what is written is what is returned
        tl.store(past + (before + step) * UNITS + unit, state, real)
        if MERGES and step < writes:
            if pending + 1 == chunk:
                merge(
                    matrices, written, write_weight, decayed, chunk, gains, UNITS, WIDTH, TILE, SCALES, SELF
                )
            number = (before + step + 1) // span
            if KEPT and number * span == before + step + 1:
                keep(matrices, checkpoints + (number - 1) * SCALES * square, UNITS, WIDTH, TILE, SCALES)


@triton.jit
def attended(
    state: tl.tensor,
    written: tl.tensor,
    age_weight: tl.tensor,
    pending: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SELF: tl.constexpr,
) -> tl.tensor:
    """Σ_τ κ h(τ) h(τ)·state over the `pending` states written since the last merge."""
    unit, answer = tl.arange(0, WIDTH), tl.zeros_like(like)
    for first in range(0, pending, TILE):
        row = first + tl.arange(0, TILE)
        there = (row < pending)[:, None] & (unit < UNITS)[None, :]
        rows = load(written + row[:, None] * UNITS + unit[None, :], there, like)
        weight = tl.load(age_weight + row, row < pending, 0.0)
        answer += weighted_sum(weight * scored(rows, state), rows)
        if not SELF:
            answer -= weighted_sum(weight, rows * rows) * state
    return answer


@triton.jit
def merge(
    matrices: tl.tensor,
    written: tl.tensor,
    write_weight: tl.tensor,
    decayed: tl.tensor,
    chunk: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SCALES: tl.constexpr,
    SELF: tl.constexpr,
) -> None:
    """A_k ← λ_k^count A_k + Σ η_k λ_k^age h hᵀ over the states of a chunk."""
    unit = tl.arange(0, WIDTH)
    tl.debug_barrier()
    for k in range(SCALES):
        left = tl.load(decayed + chunk * SCALES + k)
        for first in range(0, UNITS, TILE):
            row = first + tl.arange(0, TILE)
            inside = (row < UNITS)[:, None] & (unit < UNITS)[None, :]
            place = matrices + (k * UNITS + row[:, None]) * UNITS + unit[None, :]
            tile = left * tl.load(place, inside, 0.0)
            for number in range(chunk):
                whole = load(written + number * UNITS + unit, unit < UNITS, like)
                part = load(written + number * UNITS + row, row < UNITS, like)
                tile += tl.load(write_weight + (chunk - 1 - number) * SCALES + k) * outer(part, whole)
            if not SELF:
                tile = tl.where(row[:, None] == unit[None, :], 0.0, tile)
            tl.store(place, tile, inside)


@triton.jit
def keep(
    matrices: tl.tensor,
    checkpoint: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
    SCALES: tl.constexpr,
) -> None:
    """Copy the matrices [pre, post] to a checkpoint [post, pre]."""
    unit = tl.arange(0, WIDTH)
    tl.debug_barrier()
    for k in range(SCALES):
        for first in range(0, UNITS, TILE):
            row = first + tl.arange(0, TILE)
            inside = (row < UNITS)[:, None] & (unit < UNITS)[None, :]
            tile = tl.load(matrices + (k * UNITS + row[:, None]) * UNITS + unit[None, :], inside, 0.0)
            tl.store(checkpoint + (k * UNITS + unit[None, :]) * UNITS + row[:, None], tile, inside)
