"""What of a run fits on chip, and what a kernel is told of it.

Blocks are as wide as powers of two. On an NVIDIA H100 a multiprocessor has 65536 registers of 4 bytes; two thirds
may hold memory and weights, the rest is for the arithmetic. What does not fit is streamed through the caches.
"""

from __future__ import annotations

from typing import NamedTuple

HELD = 45056  # registers that a program may fill with memory and weights
PER_THREAD = 64  # of them in a thread, so that a thread has as many left to work with
TILE = 8192  # numbers in a tile of a matrix or of written states that are streamed
SPAN = 16  # steps between two checkpoints of the dense form


class Sizes(NamedTuple):
    """Sizes and conventions of a run.

    `chunk`: states written between two merges, 1 in the dense form; `span`: the same in the backward pass, where the
    dense form merges less often; `scales`: K, or 0 where a run needs no matrix; `writes`: states that are written in
    the run; `before`: states written before; `merged`: how many of all these are merged into the matrix;
    `words`: registers that a number takes.
    """

    units: int
    inner_steps: int
    activation: int
    normalise: int
    self_connections: bool
    chunk: int
    span: int
    scales: int
    writes: int
    before: int
    merged: int
    words: int = 1

    @property
    def width(self) -> int:
        """Units in a block."""
        return power_of_two(max(16, self.units))

    @property
    def square(self) -> int:
        """Numbers in a matrix, as a block."""
        return self.width**2

    @property
    def checkpoints(self) -> int:
        """Matrices that are saved for the backward pass."""
        return (self.before + self.writes) // self.span if self.scales else 0


def power_of_two(number: int) -> int:
    """Smallest power of two that is no less."""
    return 1 << max(0, number - 1).bit_length()


def held_forward(sizes: Sizes) -> int:
    """Registers that the way forward needs for matrices, written states as rows and as columns, and W."""
    rows = power_of_two(sizes.chunk) if sizes.chunk > 1 else 0
    return sizes.words * ((_matrices(sizes) + 1) * sizes.square + 2 * rows * sizes.width)


def held_backward(sizes: Sizes, weights: bool) -> int:
    """Registers that the backward pass needs for matrices and written states with their gradients, and W if wanted."""
    rows = power_of_two(sizes.span)
    return sizes.words * ((2 * _matrices(sizes) + weights) * sizes.square + 3 * rows * sizes.width)


def fits(sizes: Sizes) -> bool:
    """Whether a run can be held on chip in both directions."""
    return max(held_forward(sizes), held_backward(sizes, weights=False)) <= HELD


def span_of(chunk: int) -> int:
    """Steps between two checkpoints of a form that merges after so many writes."""
    return SPAN if chunk == 1 else chunk


def tile(sizes: Sizes) -> int:
    """Rows of a block that a streaming program loads at once."""
    return max(1, TILE // sizes.width)


def warps(numbers: int) -> int:
    """Groups of 32 threads that share so many registers."""
    return max(4, min(16, power_of_two(-(-numbers // (32 * PER_THREAD)))))


def _matrices(sizes: Sizes) -> int:
    return power_of_two(sizes.scales) if sizes.scales else 0
