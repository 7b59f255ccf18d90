"""What the compiled kernels are handed: sizes, the memory, workspace, what the way forward keeps for the way back.

Numba would reallocate and count references; so each thread gets its part of arrays made once per run.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch

from fwsim.engine.kernels.numba_step import Cell, Past, Path
from fwsim.engine.kernels.numba_vectors import apart, clear, copy, merged, padded

PAIRS = (
    48  # noted before they are added up: enough for the matrix to be moved rarely, few enough for the cache
)


class Sizes(NamedTuple):
    """Sizes and conventions of a run.

    `chunk`: states written between two foldings; `writes`: states that are written in the run; `matrices`: K, or 0
    where a run needs none; `group`: chunks between two checkpoints; `symmetric`: whether the matrices are.
    """

    units: int
    inner_steps: int
    activation: int
    normalise: int
    self_connections: bool
    chunk: int
    writes: int
    matrices: int
    group: int
    symmetric: bool


class Stored(NamedTuple):
    """The memory before the first step, and the tables of `Past` with a batch axis that may be 1.

    Parameters
    ----------
    written, matrix
        `[batch, past, unit]` and `[batch, timescale, post, pre]`; the matrix is empty for zero.
    age_weight, write_weight, decayed
        `[batch, age]`, `[batch, age, timescale]`, `[batch, write, timescale]`; the last two are empty if not needed.
    """

    written: np.ndarray
    matrix: np.ndarray
    age_weight: np.ndarray
    write_weight: np.ndarray
    decayed: np.ndarray


class Kept(NamedTuple):
    """What the way forward keeps for the way back; all is empty if there is none.

    Parameters
    ----------
    sustained
        z of all steps, `[batch, time, unit]`.
    normal, scale
        `Path.normal` and `Path.scale` of all steps, empty if the inner loop is to be run again.
    checkpoints
        Matrices at the start of every `group`-th chunk but the first, `[batch, group, timescale·pre, post]`.
    """

    sustained: np.ndarray
    normal: np.ndarray
    scale: np.ndarray
    checkpoints: np.ndarray


class Room(NamedTuple):
    """Workspace of each thread, `[part, …]`: the states, matrices and total of `Past`, and what `Path` is made of.

    `order` counts from 0, for all threads.
    """

    rows: np.ndarray
    columns: np.ndarray
    matrices: np.ndarray
    total: np.ndarray
    vectors: np.ndarray
    scores: np.ndarray
    lists: np.ndarray
    places: np.ndarray
    order: np.ndarray


class AdjointRoom(NamedTuple):
    """Workspace of each thread on the way back, `[part, …]`: the matrices at the start of each chunk of a group, and
    what `Adjoint` is made of.
    """

    group_matrices: np.ndarray
    vectors: np.ndarray
    rows: np.ndarray
    scores: np.ndarray
    matrices: np.ndarray
    turned: np.ndarray
    reads: np.ndarray
    read_columns: np.ndarray
    read_ages: np.ndarray


def new_room(sizes: Sizes, dtype: np.dtype, parts: int) -> Room:
    """Make workspace for `parts` threads."""
    width, reach = padded(sizes.units, dtype.itemsize), padded(sizes.chunk, dtype.itemsize)
    longest = padded(max(width, reach, PAIRS, 2 * sizes.inner_steps), dtype.itemsize)
    shapes = [
        (reach, width),
        (sizes.units, reach),
        (sizes.matrices * sizes.units, width),
        (sizes.units if sizes.matrices > 1 else 0, width),
        (3 * sizes.inner_steps + 4, width),
        (2 * sizes.inner_steps + 1, padded(max(reach, sizes.inner_steps), dtype.itemsize)),
        (2, longest),
        (longest,),
    ]
    *arrays, places = _carve(shapes, dtype, parts)
    return Room._make([*arrays, places.view(np.int32), np.arange(longest, dtype=np.int32)])


def new_adjoint_room(sizes: Sizes, dtype: np.dtype, parts: int) -> AdjointRoom:
    """Make workspace for the way back for `parts` threads."""
    width, reach = padded(sizes.units, dtype.itemsize), padded(sizes.chunk, dtype.itemsize)
    units, matrices = sizes.units, sizes.matrices
    pairs = padded(max(sizes.inner_steps, PAIRS), dtype.itemsize) if matrices else 0
    shapes = [
        (sizes.group * matrices * units, width),
        (4, width),
        (reach, width),
        (sizes.inner_steps, reach),
        (matrices * units, width),
        (units if matrices else 0, width),
        (pairs, width),
        (units, pairs),
        (pairs,),
    ]
    *arrays, ages = _carve(shapes, dtype, parts)
    return AdjointRoom._make([*arrays, ages.view(np.int32)])


def _carve(shapes: list[tuple[int, ...]], dtype: np.dtype, parts: int) -> list[np.ndarray]:
    """Zeros `[part, *shape]` for each shape, all out of one piece that starts on a cache line, as torch's do.

    NumPy fills it on one thread; torch would wake all of its own for that.
    """
    counts = [parts * math.prod(shape) for shape in shapes]
    numbers = torch.empty(sum(counts) * dtype.itemsize, dtype=torch.uint8, device="cpu").numpy().view(dtype)
    numbers.fill(0)
    ends = itertools.accumulate(counts)
    return [
        numbers[end - count : end].reshape(parts, *shape) for end, count, shape in zip(ends, counts, shapes)
    ]


@merged
def new_cell(sizes: Sizes, parameters: np.ndarray) -> Cell:
    """Read sizes and conventions, and the padded parameters in the order of `Cell`."""
    return Cell(
        sizes.units,
        sizes.inner_steps,
        sizes.activation,
        sizes.normalise,
        sizes.self_connections,
        parameters[0],
        parameters[1],
        parameters[2],
        parameters[3],
        parameters[4],
    )


@merged
def new_path(inner_steps: int, room: Room, part: int) -> Path:
    """Divide a thread's vectors, scores and lists up."""
    vectors, scores, lists = room.vectors[part], room.scores[part], room.lists[part]
    states = 2 * inner_steps + 1
    return Path(
        vectors[0],
        vectors[1],
        vectors[3 : 3 + states],
        vectors[3 + states :],
        scores[2 * inner_steps],
        scores[:inner_steps],
        room.order,
        room.places[part],
        lists[0],
        lists[1],
    )


@merged
def new_past(entry: int, stored: Stored, room: Room, part: int) -> Past:
    """Use a thread's room with the tables of a batch entry (one table may serve all)."""
    return Past(
        room.rows[part],
        room.columns[part],
        room.matrices[part],
        room.total[part] if stored.decayed.shape[2] > 1 else room.matrices[part],
        room.vectors[part, 2],
        stored.age_weight[min(entry, stored.age_weight.shape[0] - 1)],
        stored.write_weight[min(entry, stored.write_weight.shape[0] - 1)],
        stored.decayed[min(entry, stored.decayed.shape[0] - 1)],
    )


@apart
def load_matrix(source: np.ndarray, entry: int, target: np.ndarray, units: int) -> None:
    """target[timescale·pre, post] ← source[entry, timescale, post, pre], or zero where the source is empty."""
    for row in range(target.shape[0]):
        clear(target[row], target.shape[1])
    if source.size == 0:
        return
    for k in range(source.shape[1]):
        for i in range(units):
            for j in range(units):
                target[k * units + j, i] = source[entry, k, i, j]


@apart
def unload_matrix(source: np.ndarray, target: np.ndarray, entry: int, units: int) -> None:
    """target[entry, timescale, post, pre] ← source[timescale·pre, post]."""
    for k in range(target.shape[1]):
        for j in range(units):
            for i in range(units):
                target[entry, k, i, j] = source[k * units + j, i]


@apart
def copy_rows(source: np.ndarray, target: np.ndarray, width: int) -> None:
    """Copy the first `width` columns."""
    for row in range(source.shape[0]):
        copy(source[row], target[row], width)
