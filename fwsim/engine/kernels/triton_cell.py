"""One step on a GPU: normalisation and activation, forward and backward, and reads of states and matrices.

A vector is a block of `WIDTH` units, a power of two; what lies beyond `UNITS` is zero. All arithmetic is in the
type of its operands: loads widen narrow inputs to float32 (`load`), float64 stays as it is.
"""

from __future__ import annotations

import triton
import triton.language as tl

from fwsim.engine.cell import EPSILON
from fwsim.engine.kernels.codes import ACTIVATIONS, NORMALISATIONS

RELU = tl.constexpr(ACTIVATIONS["relu"])
TANH = tl.constexpr(ACTIVATIONS["tanh"])
UNNORMALISED = tl.constexpr(NORMALISATIONS["none"])
ALL = tl.constexpr(NORMALISATIONS["all"])
EPS = tl.constexpr(EPSILON)
SMALL = tl.constexpr(0.0625)  # below, 1 − exp(−2x) has lost digits, and five terms of tanh's series are exact


@triton.jit
def load(pointer: tl.tensor, mask: tl.tensor, like: tl.tensor) -> tl.tensor:
    """Load numbers in the type of `like`, zero where masked."""
    return tl.load(pointer, mask=mask, other=0.0).to(like.dtype)


@triton.jit
def activate(field: tl.tensor, real: tl.tensor, ACTIVATION: tl.constexpr) -> tl.tensor:
    """f(field), zero in the padding; NaN stays NaN."""
    if ACTIVATION == RELU:
        state = tl.where(field <= 0, 0.0, field)
    elif ACTIVATION == TANH:
        state = tanh(field)
    else:
        state = tl.where(field > 0, 1.0, tl.where(field < 0, -1.0, field))
    return tl.where(real, state, 0.0).to(field.dtype)


@triton.jit
def tanh(x: tl.tensor) -> tl.tensor:
    """As exact as its precision (the language has none of its own)."""
    left = tl.exp(-2 * tl.abs(x))
    large = (1 - left) / (1 + left)
    square = x * x
    series = x * (1 + square * (-1 / 3 + square * (2 / 15 + square * (-17 / 315 + square * (62 / 2835)))))
    return tl.where(tl.abs(x) < SMALL, series, tl.where(x < 0, -large, large))


@triton.jit
def deactivate(gradient: tl.tensor, state: tl.tensor, ACTIVATION: tl.constexpr) -> tl.tensor:
    """Gradient · f′, from the state that f gave."""
    if ACTIVATION == RELU:
        result = tl.where(state > 0, gradient, 0.0)
    elif ACTIVATION == TANH:
        result = gradient * (1 - state * state)
    else:
        result = tl.zeros_like(gradient)
    return result.to(gradient.dtype)


@triton.jit
def normalise(
    field: tl.tensor, real: tl.tensor, UNITS: tl.constexpr, APPLIES: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """(field − mean)/σ and 1/σ; the field itself and 1 if no normalisation applies."""
    if APPLIES:
        centred = tl.where(real, field - tl.sum(field, 0) / UNITS, 0.0)
        scale = 1 / tl.sqrt(tl.sum(centred * centred, 0) / UNITS + EPS)
        normal = centred * scale
    else:
        normal = field
        scale = tl.full([], 1.0, field.dtype)
    return normal, scale


@triton.jit
def shaped(
    normal: tl.tensor,
    gain: tl.tensor,
    bias: tl.tensor,
    real: tl.tensor,
    ACTIVATION: tl.constexpr,
    APPLIES: tl.constexpr,
) -> tl.tensor:
    """f(gain·normal + bias), or f(normal) if no normalisation applies."""
    if APPLIES:
        normal = normal * gain + bias
    return activate(normal, real, ACTIVATION)


@triton.jit
def shaped_backward(
    gradient: tl.tensor,
    state: tl.tensor,
    normal: tl.tensor,
    scale: tl.tensor,
    gain: tl.tensor,
    real: tl.tensor,
    UNITS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    APPLIES: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Backward pass of `shaped` and `normalise`: gradients of the field, of the gain and of the bias."""
    d_bias = deactivate(gradient, state, ACTIVATION)
    if APPLIES:
        d_gain = d_bias * normal
        weighted = d_bias * gain
        mean = tl.sum(weighted, 0) / UNITS
        slope = tl.sum(weighted * normal, 0) / UNITS
        d_field = tl.where(real, scale * (weighted - mean - normal * slope), 0.0)
    else:
        d_field = d_bias
        d_gain = tl.zeros_like(d_bias)
        d_bias = tl.zeros_like(d_bias)
    return d_field, d_gain, d_bias


@triton.jit
def weighted_sum(vector: tl.tensor, rows: tl.tensor) -> tl.tensor:
    """Σ_i vector_i rows[…, i, :]: with rows [pre, post] what units send, with [post, pre] its transpose."""
    return tl.sum(vector[:, None] * rows, axis=0)


@triton.jit
def outer(post: tl.tensor, pre: tl.tensor) -> tl.tensor:
    """Post preᵀ."""
    return post[:, None] * pre[None, :]


@triton.jit
def picked(rows: tl.tensor, number: tl.tensor) -> tl.tensor:
    """One row of a block, whose number is only known at run time."""
    return tl.sum(tl.where((tl.arange(0, rows.shape[0]) == number)[:, None], rows, 0.0), axis=0)


@triton.jit
def scored(rows: tl.tensor, state: tl.tensor) -> tl.tensor:
    """h(τ)·state for each row h(τ)."""
    return tl.sum(rows * state[None, :], axis=1)


@triton.jit
def published(vector: tl.tensor, board: tl.tensor, real: tl.tensor) -> None:
    """Show a vector to all threads of the program, once they have read what was shown before."""
    tl.debug_barrier()
    tl.store(board + tl.arange(0, vector.shape[0]), vector, real)
    tl.debug_barrier()


@triton.jit
def sent(
    vector: tl.tensor,
    matrix: tl.tensor,
    like: tl.tensor,
    UNITS: tl.constexpr,
    WIDTH: tl.constexpr,
    TILE: tl.constexpr,
) -> tl.tensor:
    """Σ_i vector_i matrix[i, :], both in global memory, by tiles of rows."""
    unit, result = tl.arange(0, WIDTH), tl.zeros_like(like)
    for first in range(0, UNITS, TILE):
        row = first + tl.arange(0, TILE)
        inside = (row < UNITS)[:, None] & (unit < UNITS)[None, :]
        part = load(vector + row, row < UNITS, like)
        result += weighted_sum(part, load(matrix + row[:, None] * UNITS + unit[None, :], inside, like))
    return result
