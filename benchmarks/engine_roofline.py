"""How far the engine is from the machine's limits.

    python benchmarks/engine_roofline.py [--quick]

Arithmetic and bytes that a forward run needs (only active units count: their share is measured), over its time, as
fractions of a matrix product's rate and of the bandwidth of a copy, all on the same threads. Bytes are those of what
goes in and out; matrices and past states are meant to stay in the caches.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from engine.report import arguments, publish
from engine.shapes import SHAPES, TANH, Shape
from fwsim.engine.native.cost import operations
from fwsim.engine.planner import Plan


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    seconds = 0.5 if options.quick else 5.0
    matrix, result = torch.randn(2048, 2048), torch.empty(2048, 2048)
    rate = 2 * 2048**3 / timed(lambda: torch.mm(matrix, matrix, out=result), seconds)
    source, target = torch.empty(64_000_000).fill_(1.0), torch.empty(64_000_000).fill_(0.0)
    bandwidth = 8 * source.numel() / timed(lambda: target.copy_(source), seconds)
    rows = [measured(shape, seconds, rate, bandwidth) for shape in (*SHAPES, TANH)]
    publish(
        "engine_roofline",
        rows,
        quick=options.quick,
        **{"matrix product, Gflop/s": rate / 1e9, "copy, GB/s": bandwidth / 1e9},
    )


def measured(shape: Shape, seconds: float, rate: float, bandwidth: float) -> dict:
    """One line of the table."""
    net, x = shape.network(), shape.inputs()
    plan = net.plan(shape.batch, shape.time)
    with torch.no_grad():
        active = (net(x)[0] != 0).double().mean().item()
        took = timed(lambda: net(x), seconds)
    numbers = shape.batch * shape.time * shape.units
    products = arithmetic(shape, plan, active)
    return {
        "shape": str(shape),
        "active units": active,
        "ms": 1e3 * took,
        "Mflop": 2e-6 * products,
        "of matrix product": 2 * products / took / rate,
        "MB": 4e-6 * 2 * numbers,
        "of copy": 4 * 2 * numbers / took / bandwidth,
    }


def arithmetic(shape: Shape, plan: Plan, active: float) -> float:
    """Products of a run with this share of active units, those of C x included."""
    counts = operations(
        chunk=plan.chunk, time=shape.time, units=shape.units, inner_steps=shape.inner_steps, timescales=1
    )
    inputs = shape.time * shape.units**2
    reads = active * (counts["recurrent"] + counts["matrix"]) + (1 + active) * counts["history"]
    return shape.batch * (inputs + reads + active * counts["merge"])


def timed(work: Callable[[], object], seconds: float) -> float:
    """Median seconds of a call."""
    work()
    times, began = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
