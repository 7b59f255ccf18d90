"""Matrices of a memory, from and to the order that compiled rate networks keep them in."""

from __future__ import annotations

import numpy as np

from fwsim.engine.kernels.numba_vectors import apart, clear


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
