"""Gradients of W and C in lane kernels: sums of outer products over entries and steps.

The way back notes dz of each step, a row for each entry. A block of steps is added up, with the states and inputs that
belong to it, while it lies in the first-level cache: BLAS would fetch it again from another core's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from fwsim.engine.kernels.numba_lane_turns import turn_out
from fwsim.engine.kernels.numba_matrices import add_product
from fwsim.engine.kernels.numba_vectors import copy, merged

STEPS = 3  # of a block; more would be a few percent faster, and take more room than short runs should


class LanePairs(NamedTuple):
    """What each thread has noted.

    Parameters
    ----------
    left
        dz, `[part, row, unit]`; the rows of an entry's steps follow each other.
    right
        The state before the step and the input, `[part, row, column]`, padded to an odd number of whole vectors: rows
        whose distance is a power of 2 would share sets of the cache.
    """

    left: np.ndarray
    right: np.ndarray


def new_lane_pairs(units: int, columns: int, dtype: torch.dtype, lanes: int, parts: int) -> LanePairs:
    """Make room for a block of steps in each of `parts` threads, with `columns` numbers in a row on the right."""
    odd = columns + lanes * (columns // lanes % 2 == 0)
    rooms = (torch.empty(parts, STEPS * lanes, each, dtype=dtype, device="cpu") for each in (units, odd))
    return LanePairs(*(room.numpy() for room in rooms))


@merged
def note_lanes(
    step: int,
    first: int,
    count: int,
    d_sustained: np.ndarray,
    states: np.ndarray,
    hidden: np.ndarray,
    x: np.ndarray,
    noted: LanePairs,
    sums: np.ndarray,
) -> None:
    """Note dz of a step for the entries `first … first + count − 1`; add up if it is the earliest of its block.

    Parameters
    ----------
    d_sustained
        dz, `[unit, lane]`.
    states, hidden, x
        `[batch, time, unit]`, `[batch, unit]`, `[batch, time, input]`.
    noted
        Of this thread alone, without the first axis.
    sums
        To which dz hᵀ and dz xᵀ are added, side by side as on the right, and padded: `[unit, column]`.
    """
    time, units, inputs, lanes = states.shape[1], states.shape[2], x.shape[2], d_sustained.shape[1]
    begin = step // STEPS * STEPS
    left, right = noted.left, noted.right
    length, width = min(STEPS, time - begin), sums.shape[1]
    turn_out(d_sustained, 0, left, (step - begin) * units, length * units, count, units, lanes)
    if step > begin:
        return
    for entry in range(count):
        for other in range(length):
            row = entry * length + other
            at = begin + other
            before = states[first + entry, at - 1] if at > 0 else hidden[first + entry]
            copy(before, right[row], units)
            copy(x[first + entry, at], right[row, units:], inputs)
    rows, apart = count * length, right.shape[1]
    for column in range(0, width, lanes):
        add_product(sums, column, width, left, 0, 1, units, right, column, apart, units, rows)
