"""The gradient of the recurrent weights, Σ dz hᵀ with the state before each step: a sum of outer products.

BLAS is made for larger matrices: in a short run of 50 units its product takes as long as the kernel on the way back.
This one takes two thirds of that, and no longer for 500 units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from fwsim.engine.kernels import gradients
from fwsim.engine.kernels.numba_lane_products import multiplier
from fwsim.engine.kernels.numba_lanes import lane_count, put, same, vector_kind
from fwsim.engine.kernels.numba_team import share
from fwsim.engine.kernels.numba_threads import share_out
from fwsim.engine.kernels.numba_vectors import kernel, merged

CHUNK = 128  # pairs of dz and h that stay in the first-level cache while all of the result passes


def of_weights(d_drive: Tensor, states: Tensor, hidden: Tensor) -> Tensor:
    """See `gradients.of_weights`, whose numbers these are."""
    units, lanes = states.shape[2], lane_count(states.element_size())
    if units < lanes:
        return gradients.of_weights(d_drive, states, hidden)
    before = hidden.detach().clone(memory_format=torch.contiguous_format)
    before[1:] -= states[:-1, -1]
    room = states.new_empty(-(-units // lanes) * units, lanes)
    result = states.new_empty(units, units)
    share_out(outer_products, units, *(each.numpy() for each in (d_drive, states, before, room, result)))
    return result


def _add_outer(
    typingctx: Any,
    out: Any,
    row: Any,
    left: Any,
    left_start: Any,
    left_step: Any,
    right: Any,
    right_start: Any,
    right_step: Any,
    rows: Any,
    pairs: Any,
) -> tuple:
    """out[row + i] += Σ_r left[left_start + r·left_step + i] · right[right_start + r·right_step …], as lanes.

    `left` and `right` are flat; i < `rows`, r < `pairs`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector_kind(signature.args[0].dtype)
        lanes = ir.Constant(ir.IntType(64), kind.count)
        one = ir.Constant(ir.IntType(64), 1)
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2, 5)]
        offsets = builder.mul(args[1], lanes), args[3], args[6]
        pointers = [builder.gep(each, [offset]) for each, offset in zip(data, offsets, strict=True)]
        function = multiplier(builder.module, kind, shared=True)
        builder.call(function, [*pointers, lanes, one, args[4], args[7], args[8], args[9]])
        return context.get_dummy_value()

    number = types.int64
    return types.void(out, number, left, number, number, right, number, number, number, number), codegen


add_outer: Any = intrinsic(_add_outer)


@merged
def outer_products_part(
    part: int,
    first: int,
    last: int,
    dz: np.ndarray,
    states: np.ndarray,
    before: np.ndarray,
    room: np.ndarray,
    result: np.ndarray,
) -> None:
    """Compute the rows `first … last − 1` of the gradient.

    Flat states that are shifted by one step pair each entry's first step with the entry before; `before` puts that
    right. The last block of columns overlaps the one before it, so that no load needs a mask.
    """
    batch, time, units = states.shape
    lanes, rows, pairs = room.shape[1], last - first, batch * time - 1
    blocks = room.shape[0] // units
    for block in range(blocks):
        for i in range(first, last):
            put(room, block * units + i, same(room.dtype.type(0)))
    for start in range(0, pairs, CHUNK):
        count = min(CHUNK, pairs - start)
        for block in range(blocks):
            column = min(block * lanes, units - lanes)
            place = block * units + first
            left, right = (start + 1) * units + first, start * units + column
            add_outer(room, place, dz, left, units, states, right, units, rows, count)
    for block in range(blocks):
        column = min(block * lanes, units - lanes)
        place = block * units + first
        add_outer(room, place, dz, first, time * units, before, column, units, rows, batch)
        for i in range(first, last):
            for lane in range(lanes):
                result[i, column + lane] = room[block * units + i, lane]


@kernel
def outer_products(team: int, part: int, parts: int, units: int, *given: Any) -> None:
    """Share `outer_products_part` out; see `share`."""
    share(team, part, parts, units, outer_products_part, given)
