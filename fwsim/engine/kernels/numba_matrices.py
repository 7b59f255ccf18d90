"""Products of matrices whose every element is added up in one order, whatever the number of threads.

BLAS splits sums by the number of threads, so that the last bits of its products depend on it. These are made for few
columns besides: on an AMD EPYC they take about two thirds of the time of MKL for 50 units, and no longer for 500.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor
from torch.nn.functional import pad

from fwsim.engine.kernels.numba_lane_products import multiplier
from fwsim.engine.kernels.numba_lanes import lane_count, put, same, vector_kind
from fwsim.engine.kernels.numba_team import share
from fwsim.engine.kernels.numba_threads import share_out
from fwsim.engine.kernels.numba_vectors import VECTOR_BYTES, kernel, merged, vector_at

PAIRS = 128  # pairs of rows that stay in the first-level cache while all of an outer product passes
ROWS = 64  # rows of a product's left side that stay there while the columns of its right side pass


def product(left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
    """Return `left [row, inner] @ right [inner, column] + bias [column]`; all are contiguous."""
    missing = lane_count(right.element_size()) - right.shape[1]
    if missing > 0:
        return product(left, pad(right, (0, missing)), pad(bias, (0, missing)))[:, :-missing].contiguous()
    out = left.new_empty(left.shape[0], right.shape[1])
    share_out(products, left.shape[0], *(each.numpy() for each in (left, right, bias, out)))
    return out


def outer_products(left: Tensor, right: Tensor, first_left: Tensor, first_right: Tensor) -> Tensor:
    """Return `leftᵀ right + first_leftᵀ first_right`, sums over rows `[row, column]`; all are contiguous."""
    columns, lanes = right.shape[1], lane_count(right.element_size())
    if columns < lanes:
        padding = (0, lanes - columns)
        padded = outer_products(left, pad(right, padding), first_left, pad(first_right, padding))
        return padded[:, :columns].contiguous()
    rows = left.shape[1]
    room = left.new_empty(-(-columns // lanes) * rows, lanes)
    result = left.new_empty(rows, columns)
    given = (left, right, first_left, first_right, room, result)
    share_out(outer_sums, rows, *(each.numpy() for each in given))
    return result


def _add_product(
    typingctx: Any,
    out: Any,
    out_start: Any,
    out_step: Any,
    matrix: Any,
    start: Any,
    row_step: Any,
    column_step: Any,
    vectors: Any,
    vector_start: Any,
    vector_step: Any,
    rows: Any,
    columns: Any,
) -> tuple:
    """out[i] += Σ_j matrix[i, j] · vectors[j] for i < `rows` and j < `columns`.

    All arrays are flat: `out[i]` stands for the vector at `out_start + i·out_step`, `matrix[i, j]` for the number at
    `start + i·row_step + j·column_step`, and so on.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector_kind(signature.args[0].dtype)
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 3, 7)]
        offsets = (args[i] for i in (1, 4, 8))
        pointers = [builder.gep(each, [offset]) for each, offset in zip(data, offsets, strict=True)]
        function = multiplier(builder.module, kind, shared=True, ordered=True)
        builder.call(function, [*pointers, *(args[i] for i in (2, 5, 6, 9, 10, 11))])
        return context.get_dummy_value()

    number = types.int64
    numbers = [number] * 3
    return types.void(out, number, number, matrix, *numbers, vectors, number, number, number, number), codegen


add_product: Any = intrinsic(_add_product)


def _put_rows(
    typingctx: Any,
    out: Any,
    out_start: Any,
    out_step: Any,
    vectors: Any,
    vector_start: Any,
    vector_step: Any,
    rows: Any,
) -> tuple:
    """out[i] = vectors[i] for i < `rows`; see `_add_product`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, align = vector_kind(signature.args[0].dtype), signature.args[0].dtype.bitwidth // 8
        to, given = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 3))
        with cgutils.for_range(builder, args[6]) as loop:
            source, target = (
                builder.add(args[start], builder.mul(loop.index, args[start + 1])) for start in (4, 1)
            )
            value = builder.load(vector_at(builder, given, source, kind), align=align)
            builder.store(value, vector_at(builder, to, target, kind), align=align)
        return context.get_dummy_value()

    number = types.int64
    return types.void(out, number, number, vectors, number, number, number), codegen


put_rows: Any = intrinsic(_put_rows)


@merged
def products_part(
    part: int, first: int, last: int, left: np.ndarray, right: np.ndarray, bias: np.ndarray, out: np.ndarray
) -> None:
    """Compute the rows `first … last − 1` of a product.

    The last block of columns comes first: it overlaps the one before it, which starts afresh.
    """
    inner, columns = right.shape
    lanes = VECTOR_BYTES // out.itemsize
    for start in range(first, last, ROWS):
        rows = min(ROWS, last - start)
        for block in range(-1, columns // lanes):
            column = block * lanes if block >= 0 else columns - lanes
            place, corner = start * columns + column, start * inner
            put_rows(out, place, columns, bias, column, 0, rows)
            add_product(out, place, columns, left, corner, inner, 1, right, column, columns, rows, inner)


@kernel
def products(team: int, part: int, parts: int, rows: int, *given: Any) -> None:
    """Share `products_part` out; see `share`."""
    share(team, part, parts, rows, products_part, given)


@merged
def outer_sums_part(
    part: int,
    first: int,
    last: int,
    left: np.ndarray,
    right: np.ndarray,
    first_left: np.ndarray,
    first_right: np.ndarray,
    room: np.ndarray,
    result: np.ndarray,
) -> None:
    """Compute the rows `first … last − 1` of the sum of outer products.

    The last block of columns overlaps the one before it, so that no load needs a mask; a block has its room for itself.
    """
    rows, columns = result.shape
    lanes, count = room.shape[1], last - first
    blocks = room.shape[0] // rows
    for place in range(blocks):
        for i in range(first, last):
            put(room, place * rows + i, same(room.dtype.type(0)))
    for one, other in ((left, right), (first_left, first_right)):
        for start in range(0, len(one), PAIRS):
            pairs = min(PAIRS, len(one) - start)
            for block in range(blocks):
                column = min(block * lanes, columns - lanes)
                place = (block * rows + first) * lanes
                from_left, from_right = start * rows + first, start * columns + column
                add_product(
                    room, place, lanes, one, from_left, 1, rows, other, from_right, columns, count, pairs
                )
    for block in range(blocks):
        column = min(block * lanes, columns - lanes)
        place = (block * rows + first) * lanes
        put_rows(result, first * columns + column, columns, room, place, lanes, count)


@kernel
def outer_sums(team: int, part: int, parts: int, rows: int, *given: Any) -> None:
    """Share `outer_sums_part` out; see `share`."""
    share(team, part, parts, rows, outer_sums_part, given)
