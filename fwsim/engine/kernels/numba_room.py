"""Workspace of the compiled kernels, and how they find their way in it.

Numba would reallocate and count references; so each thread gets its part of tensors made once per run.
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
    """Sizes and conventions of a run, handed to the kernels as one array of integers.

    `chunk`: states written between two foldings; `writes`: states that are written in the run; `matrices`: K, or 0
    where a run needs none; `group`: chunks between two checkpoints; `symmetric`: whether the matrices are.
    """

    units: int
    inner_steps: int
    activation: int
    normalise: int
    self_connections: int
    chunk: int
    writes: int
    matrices: int
    group: int
    symmetric: int


def workspace(sizes: Sizes, dtype: np.dtype, parts: int) -> list[np.ndarray]:
    """Rows, columns, matrices, their total, vectors, scores, and lists of numbers and of places: see `new_past`."""
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
    return [*arrays, places.view(np.int32), np.arange(longest, dtype=np.int32)]


def adjoint_workspace(sizes: Sizes, dtype: np.dtype, parts: int) -> list[np.ndarray]:
    """Matrices of a group, and vectors, rows, scores, matrices, noted pairs and their ages of an `Adjoint`."""
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
    return [*arrays, ages.view(np.int32)]


def _carve(shapes: list[tuple[int, ...]], dtype: np.dtype, parts: int) -> list[np.ndarray]:
    """Zeros `[part, *shape]` for each shape, all out of one piece that starts on a cache line, as torch's do.

    NumPy fills it on one thread; torch would wake all of its own for that.
    """
    counts = [parts * math.prod(shape) for shape in shapes]
    numbers = torch.empty(sum(counts) * dtype.itemsize, dtype=torch.uint8).numpy().view(dtype)
    numbers.fill(0)
    ends = itertools.accumulate(counts)
    return [
        numbers[end - count : end].reshape(parts, *shape) for end, count, shape in zip(ends, counts, shapes)
    ]


@merged
def new_cell(sizes: np.ndarray, parameters: np.ndarray) -> Cell:
    """Read sizes and conventions, and the padded parameters in the order of `Cell`."""
    return Cell(
        sizes[0],
        sizes[1],
        sizes[2],
        sizes[3],
        sizes[4],
        parameters[0],
        parameters[1],
        parameters[2],
        parameters[3],
        parameters[4],
    )


@merged
def new_path(
    inner_steps: int,
    vectors: np.ndarray,
    scores: np.ndarray,
    lists: np.ndarray,
    places: np.ndarray,
    order: np.ndarray,
) -> Path:
    """Divide a thread's vectors, scores and lists up."""
    states = 2 * inner_steps + 1
    return Path(
        vectors[0],
        vectors[1],
        vectors[3 : 3 + states],
        vectors[3 + states :],
        scores[2 * inner_steps],
        scores[:inner_steps],
        order,
        places,
        lists[0],
        lists[1],
    )


@merged
def new_past(
    entry: int,
    rows: np.ndarray,
    columns: np.ndarray,
    matrices: np.ndarray,
    total: np.ndarray,
    vectors: np.ndarray,
    age_weight: np.ndarray,
    write_weight: np.ndarray,
    decayed: np.ndarray,
) -> Past:
    """Use a thread's room with the tables of a batch entry (one table may serve all)."""
    return Past(
        rows,
        columns,
        matrices,
        total if decayed.shape[2] > 1 else matrices,
        vectors[2],
        age_weight[min(entry, age_weight.shape[0] - 1)],
        write_weight[min(entry, write_weight.shape[0] - 1)],
        decayed[min(entry, decayed.shape[0] - 1)],
    )


@apart
def load_matrix(source: np.ndarray, entry: int, target: np.ndarray, units: int) -> None:
    """target[timescale·pre, post] ← source[entry, timescale, post, pre], or zero where the source is empty."""
    if source.size == 0:
        for row in range(target.shape[0]):
            clear(target[row], target.shape[1])
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
