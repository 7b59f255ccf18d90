"""How long the GPU kernel is expected to take, for the planner to compare the forms of a memory.

Derived from what an NVIDIA H100 can do, not fitted to measured runs: a multiprocessor multiplies and adds 128
numbers of registers in a clock cycle, gets some 24 from its caches, and waits a while for each sum over a block,
since its threads have to meet.
"""

from __future__ import annotations

from math import ceil

from fwsim.engine.kernels.triton_sizes import Sizes, fits, power_of_two, span_of

CHUNKS = (16, 32, 64)  # of the hybrid
NANOSECONDS = 0.57  # a clock cycle
FROM_REGISTERS, FROM_CACHES = 128, 24  # numbers in a cycle
STEP, ITERATION, ROWS, MATRICES = (
    500,
    400,
    150,
    100,
)  # cycles of waiting: of a step, of an iteration, and of its reads


def cost(
    *, chunk: int | None, time: int, units: int, inner_steps: float, timescales: int, past: int = 0
) -> float:
    """Estimate the time in ns that a program takes for its batch element, forward.

    Parameters
    ----------
    chunk
        Writes between two merges; `None` never merges, 1 is the dense form.
    time, units, inner_steps, timescales, past
        Sizes of the run; `past` states were written before.
    """
    capacity = past + time + 1 if chunk is None else chunk
    scales = timescales if past + time >= capacity else 0
    sizes = Sizes(
        units,
        ceil(inner_steps),
        0,
        1,
        True,
        capacity,
        span_of(capacity),
        scales,
        time,
        past,
        time if scales else 0,
    )
    held = fits(sizes)
    # held rows are all gone through
    rows = 0 if capacity == 1 else power_of_two(capacity) if held else capacity // 2
    matrices = power_of_two(scales) if scales else 0
    waiting = STEP + inner_steps * (ITERATION + ROWS * (rows > 0) + MATRICES * (matrices > 0))
    reads = inner_steps * (2 * rows * sizes.width + matrices * sizes.square)
    writes = 2 * rows * sizes.width * held + (1 + (capacity == 1)) * matrices * sizes.square
    rate = FROM_REGISTERS if held else FROM_CACHES
    return NANOSECONDS * time * (waiting + (sizes.square + reads + writes) / rate)
