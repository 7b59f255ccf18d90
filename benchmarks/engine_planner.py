"""Claim: the form that the planner picks takes at most 1.2 times as long as the best one.

    python benchmarks/engine_planner.py [--quick]

Times every form and chunk over a grid of sizes, forward and training together, on one thread; fits the times of the
planner's operations to them (non-negative least squares of relative errors: the numbers to put into
`fwsim.engine.native.cost`, for the layout of units and that of batch elements); and compares, on the benchmark's
shapes and over the grid, what the planner picks with the best.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from unittest import mock

import numpy as np
import torch
from scipy.optimize import nnls

import fwsim as fw
from engine.report import arguments, publish
from engine.rounds import alternate
from engine.shapes import SHAPES, Shape
from fwsim.engine.native import run as native
from fwsim.engine.native.cost import BATCH_NANOSECONDS, CHUNKS, NANOSECONDS, in_batch_layout, operations
from fwsim.engine.native.library import vector_bytes
from fwsim.engine.planner import Plan
from fwsim.engine.threads import use_threads

Candidate = (
    int | str | None
)  # a chunk, none for the attention form, or that form in the layout of batch elements
Point = tuple[Shape, int, Candidate]  # with a number of time scales
CANDIDATES: tuple[Candidate, ...] = ("batch", None, 1, *CHUNKS)
LANES = vector_bytes() // 4
GRID = [
    Shape(batch, time, units, inner_steps)
    for (batch, time), units, inner_steps in itertools.product(
        ((64, 11), (16, 50), (4, 200), (2, 1000)), (20, 50, 100, 200), (1, 3)
    )
]


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    use_threads(1)
    grid = GRID[::6] if options.quick else GRID
    seconds = {point: measured(*point) for point in itertools.product(grid, (1, 3), CANDIDATES)}
    fits = {
        "units": fitted(seconds, lambda shape, candidate: candidate != "batch", NANOSECONDS),
        "batch": fitted(
            seconds, lambda shape, candidate: candidate == "batch" and shape.batch >= LANES, BATCH_NANOSECONDS
        ),
    }
    rows = [
        compared(shape, timescales, 1 if options.quick else 5) for shape in SHAPES for timescales in (1, 3)
    ]
    lost = regrets(seconds)
    publish(
        "engine_planner",
        rows,
        quick=options.quick,
        fitted={name: nanoseconds for name, (nanoseconds, _) in fits.items()},
        median_error={name: error for name, (_, error) in fits.items()},
        worst_regret=max(row["picked / best"] for row in rows),
        grid={
            "median": statistics.median(lost.values()),
            "worst": max(lost.values()),
            "of": max(lost, key=lost.get),
        },
    )


def fitted(
    seconds: dict[Point, float], chosen: Callable[[Shape, Candidate], bool], wanted: Iterable[str]
) -> tuple[dict, float]:
    """Nanoseconds of each operation, and the median relative error of their sums."""
    counts, times, runs = [], [], []
    for (shape, timescales, candidate), took in seconds.items():
        if not chosen(shape, candidate):
            continue
        vectors = shape.batch / (LANES if candidate == "batch" else 1)
        found = counted(shape, timescales, None if candidate == "batch" else candidate)
        counts.append([found[name] for name in wanted])
        times.append(1e9 * took / vectors)
        runs.append(1 / vectors)
    # what a run costs whatever its form is fitted too, but of no use to the planner
    matrix, spent = np.column_stack([counts, runs]), np.array(times)
    found, _ = nnls(matrix / spent[:, None], np.ones(len(spent)))
    nanoseconds = {name: float(f"{value:.3g}") for name, value in zip([*wanted, "run"], found)}
    print(nanoseconds)
    return nanoseconds, float(np.median(np.abs(matrix @ found / spent - 1)))


def regrets(seconds: dict[Point, float]) -> dict[str, float]:
    """Time of what the planner picks over that of the best, for each shape of the grid."""
    lost = {}
    for shape, timescales in dict.fromkeys((shape, timescales) for shape, timescales, _ in seconds):
        times = {
            each: seconds[shape, timescales, each]
            for each in CANDIDATES
            if (shape, timescales, each) in seconds
        }
        lost[f"{shape}, {timescales} time scales"] = times[picked(network(shape, timescales), shape)] / min(
            times.values()
        )
    return lost


def counted(shape: Shape, timescales: int, chunk: int | None) -> dict[str, float]:
    return operations(
        chunk=chunk,
        time=shape.time,
        units=shape.units,
        inner_steps=shape.inner_steps,
        timescales=timescales,
    )


def measured(shape: Shape, timescales: int, candidate: Candidate, repeats: int = 3) -> float:
    """CPU seconds of a run and its gradient, the least of some."""
    net, x = network(shape, timescales), shape.inputs()
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        trained(net, x, candidate)
        times.append(time.thread_time() - began)
    return min(times)


def trained(net: fw.FastWeightNetwork, x: torch.Tensor, candidate: Candidate) -> None:
    """Forward and backward."""
    with mock.patch.object(native, "in_batch_layout", return_value=candidate == "batch"):
        plan = Plan("", "native", None if candidate == "batch" else candidate, "")
        hidden = net.run(x, plan=plan)[0].hidden
    torch.autograd.grad(hidden, net.W, hidden.detach())


def network(shape: Shape, timescales: int) -> fw.FastWeightNetwork:
    memory = fw.Hebbian(tau=torch.logspace(0, 2, timescales), eta=torch.full((timescales,), 0.2))
    return fw.FastWeightNetwork(shape.units, shape.units, memory, shape.inner_steps)


def compared(shape: Shape, timescales: int, seconds: float) -> dict:
    """What the planner picks for a shape, and the best, in alternating rounds."""
    net, x = network(shape, timescales), shape.inputs()
    first = picked(net, shape)
    others = [each for each in CANDIDATES if each not in (None, "batch") or shape.time <= 1000]
    works = {each: partial(trained, net, x, each) for each in dict.fromkeys([first, *others])}
    timings = alternate(works, seconds)
    best = min(timings, key=lambda each: timings[each].ratio)
    return {
        "shape": str(shape),
        "time scales": timescales,
        "picked": str(first or "none"),
        "best": str(best or "none"),
        "picked / best": 1 / timings[best].ratio,
    }


def picked(net: fw.FastWeightNetwork, shape: Shape) -> Candidate:
    """The planner's choice."""
    chunk = net.plan(shape.batch, shape.time).chunk
    sizes = (shape.batch, shape.time, shape.units, shape.inner_steps)
    return "batch" if chunk is None and in_batch_layout(*sizes, 0, 4) else chunk


if __name__ == "__main__":
    main()
