"""Claim: the form that the planner picks takes at most 1.2 times as long as the best one.

    python benchmarks/engine_planner.py [--quick]

Times every form and chunk over a grid of sizes, forward and training together, on one thread; fits the times of the
planner's operations to them (non-negative least squares of relative errors: the numbers to put into
`fwsim.engine.kernels.numba_cost`, for the kernels of one entry and of a vector of entries); and compares, on the
benchmark's shapes, what the planner picks with the best.
"""

from __future__ import annotations

import itertools
import time
from functools import partial

import numpy as np
import torch
from scipy.optimize import nnls

import fwsim as fw
from engine.report import arguments, publish
from engine.rounds import alternate
from engine.shapes import SHAPES, Shape
from fwsim.engine.kernels.numba_cost import CHUNKS, NANOSECONDS, operations
from fwsim.engine.planner import Plan

CANDIDATES = ("lanes", None, 1, *CHUNKS)
GRID = [
    Shape(batch, time, units, inner_steps)
    for (batch, time), units, inner_steps in itertools.product(
        ((64, 11), (16, 50), (4, 200), (2, 1000)), (20, 50, 100, 200), (1, 3)
    )
]


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    torch.set_num_threads(1)
    grid = GRID[::6] if options.quick else GRID
    counts, times, runs = [], [], []
    for shape, timescales, chunk in itertools.product(grid, (1, 3), CANDIDATES):
        if chunk is None and shape.time > 200:
            continue
        counts.append(list(counted(shape, timescales, chunk).values()))
        times.append(1e9 * measured(shape, timescales, chunk) / shape.batch)
        runs.append(1 / shape.batch)
    # what a run costs whatever its form is fitted too, but of no use to the planner
    matrix, spent = np.column_stack([counts, runs]), np.array(times)
    fitted, _ = nnls(matrix / spent[:, None], np.ones(len(spent)))
    errors = np.abs(matrix @ fitted / spent - 1)
    print({name: float(f"{value:.3g}") for name, value in zip(NANOSECONDS, fitted)})
    rows = [
        compared(shape, timescales, 1 if options.quick else 5) for shape in SHAPES for timescales in (1, 3)
    ]
    publish(
        "engine_planner",
        rows,
        quick=options.quick,
        fitted=dict(zip([*NANOSECONDS, "run"], fitted.tolist())),
        median_error=float(np.median(errors)),
        worst_regret=max(row["picked / best"] for row in rows),
    )


def counted(shape: Shape, timescales: int, chunk: int | None) -> dict[str, float]:
    return operations(
        chunk=chunk,
        time=shape.time,
        units=shape.units,
        inner_steps=shape.inner_steps,
        timescales=timescales,
    )


def measured(shape: Shape, timescales: int, chunk: int | None, repeats: int = 3) -> float:
    """CPU seconds of a run and its gradient, the least of some."""
    net, x = network(shape, timescales), shape.inputs()
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        trained(net, x, chunk)
        times.append(time.thread_time() - began)
    return min(times)


def trained(net: fw.FastWeightNetwork, x: torch.Tensor, chunk: int | None) -> None:
    """Forward and backward."""
    hidden = net.run(x, plan=Plan("", "numba", chunk, ""))[0].hidden
    torch.autograd.grad(hidden, net.W, hidden.detach())


def network(shape: Shape, timescales: int) -> fw.FastWeightNetwork:
    memory = fw.Hebbian(tau=torch.logspace(0, 2, timescales), eta=torch.full((timescales,), 0.2))
    return fw.FastWeightNetwork(shape.units, shape.units, memory, shape.inner_steps)


def compared(shape: Shape, timescales: int, seconds: float) -> dict:
    """What the planner picks for a shape, and the best, in alternating rounds."""
    net, x = network(shape, timescales), shape.inputs()
    plan = net.plan(shape.batch, shape.time)
    chunks = [plan.chunk, *(chunk for chunk in CANDIDATES if chunk is not None or shape.time <= 1000)]
    works = {chunk: partial(trained, net, x, chunk) for chunk in dict.fromkeys(chunks)}
    timings = alternate(works, seconds)
    best = min(timings, key=lambda chunk: timings[chunk].ratio)
    return {
        "shape": str(shape),
        "time scales": timescales,
        "picked": f"{plan.form} {plan.chunk or ''}".strip(),
        "best chunk": best or "none",
        "picked / best": 1 / timings[best].ratio,
    }


if __name__ == "__main__":
    main()
