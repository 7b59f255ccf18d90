"""Claim: on a GPU, a training step is 50 times faster than the per-step loop, 10 times than that loop as a CUDA graph.

    python benchmarks/gpu_engine.py [--quick]

fwsim as it comes, and recorded as a CUDA graph, against the per-step torch loop; against that loop with its step
compiled and the whole run recorded as one CUDA graph; a JAX scan, if JAX sees the GPU; and, for reads that do not feed
back, a chunked linear attention, if flash-linear-attention is installed. All must give the same states and gradients
before they are timed. What is moved on chip is set against what shared memory can deliver; docs/results/gpu.md derives
that limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable
from importlib.util import find_spec

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import numpy as np
import torch
from torch import Tensor

import fwsim as fw
from engine.report import arguments, publish
from engine.rivals import jax_works, torch_loop, torch_step
from engine.shapes import DECAY, Shape
from fwsim.engine.kernels.triton_sizes import power_of_two, span_of

SHAPES = (
    Shape(128, 11, 50, 1),
    Shape(1024, 50, 100, 3),
    Shape(256, 1000, 100, 3),
    Shape(4096, 50, 50, 1),
)
SAME = 40  # steps over which single precision keeps rivals together; the dynamics is chaotic
ROUNDS = 7
Work = Callable[[], object]


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    if not torch.cuda.is_available():
        print("no CUDA device here: nothing is timed; run this on a machine with one")
        return
    torch.backends.cuda.matmul.allow_tf32 = False
    limits = ceilings()
    rows = []
    for shape in SHAPES[:1] if options.quick else SHAPES:
        check(shape)
        for task, index in (("forward", 0), ("training", 1)):
            times = {name: milliseconds(works[index]) for name, works in contenders(shape).items()}
            rows.append(row(shape, task, times, limits))
            print(rows[-1], flush=True)
    device = torch.cuda.get_device_properties(0)
    publish("gpu_engine", rows, quick=options.quick, device=device.name, cuda=torch.version.cuda, **limits)


def contenders(shape: Shape) -> dict[str, tuple[Work, Work]]:
    """Forward and training work of each contender; fwsim first."""
    net, x = shape.network().cuda(), shape.inputs().cuda()
    compiled = torch.compile(torch_step, dynamic=False)
    works = {
        "fwsim": torch_works(lambda x: net(x)[0], net, x),
        "fwsim CUDA graph": graphed(*torch_works(lambda x: net(x)[0], net, x)),
        "torch loop": torch_works(lambda x: torch_loop(net, x), net, x),
        "loop CUDA graph": graphed(*torch_works(lambda x: torch_loop(net, x, compiled), net, x)),
    }
    if jax_sees_gpu():
        works["JAX"] = jax_works(shape, "dense", shape.network(), shape.inputs())
    if find_spec("fla"):
        works["linear attention"] = open_loop(shape)
    return works


def torch_works(run: Callable[[Tensor], Tensor], net: fw.FastWeightNetwork, x: Tensor) -> tuple[Work, Work]:
    """Forward without gradients, and the gradient of Σ states² for parameters and inputs."""
    inputs = x.clone().requires_grad_()
    leaves = (net.W, net.C, net.b, net.gain, net.bias, inputs)

    def forward() -> Tensor:
        with torch.no_grad():
            return run(x)

    return forward, lambda: torch.autograd.grad(run(inputs).square().sum(), leaves)


def graphed(*works: Work) -> tuple[Work, ...]:
    """Record each work once as a CUDA graph, to be launched as one."""

    def recorded(work: Work) -> Work:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = work()

        def replay() -> object:
            graph.replay()
            return result

        return replay

    return tuple(recorded(work) for work in works)


def open_loop(shape: Shape) -> tuple[Work, Work]:
    """Reads of a memory by states that are known beforehand, which can be done in parallel over time."""
    from fla.ops.simple_gla import chunk_simple_gla

    states = torch.randn(shape.batch, shape.time, 1, shape.units, device="cuda", requires_grad=True)
    decay = torch.full(states.shape[:3], DECAY, device="cuda").log()

    def run() -> Tensor:
        return chunk_simple_gla(states, states, states, decay, scale=1.0)[0]

    def forward() -> Tensor:
        with torch.no_grad():
            return run()

    lag = torch.arange(shape.time, device="cuda")
    lag = lag[:, None] - lag
    weight = torch.where(lag >= 0, DECAY ** lag.clamp_min(0), 0.0)
    truth = ((states[:, :, 0] @ states[:, :, 0].mT) * weight) @ states[:, :, 0]
    assert distance(forward()[:, :, 0], truth.detach()) < 1e-2, "linear attention gives other reads"
    return forward, lambda: torch.autograd.grad(run().square().sum(), states)


def check(shape: Shape) -> None:
    """Refuse to time what does not agree."""
    short = Shape(min(shape.batch, 4), min(shape.time, SAME), shape.units, shape.inner_steps)
    works = {name: work for name, work in contenders(short).items() if name != "linear attention"}
    states, gradients = (work() for work in works["fwsim"])
    for name, (forward, gradient) in works.items():
        assert distance(flat(forward()), flat(states)) < 1e-3, f"{name} gives other states for {shape}"
        assert distance(flat(gradient()), flat(gradients)) < 1e-2, f"{name} gives other gradients for {shape}"


def flat(given: object) -> Tensor:
    """States, or all gradients in the order W, C, b, gain, bias, x, as one vector."""
    if not isinstance(given, tuple):
        return _on_cpu(given).flatten()
    first, *rest = given
    parts = [*first, *rest] if isinstance(first, tuple) else [first, *rest]
    return torch.cat([_on_cpu(part).flatten() for part in parts])


def _on_cpu(values: object) -> Tensor:
    return values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def milliseconds(work: Work) -> float:
    """Median time of a run, by the device's clock."""
    times = []
    for _ in range(ROUNDS + 2):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop))
    return statistics.median(times[2:])


def row(shape: Shape, task: str, times: dict[str, float], limits: dict[str, float]) -> dict:
    """One line of the table."""
    plan, seconds = shape.network().cuda().plan(shape.batch, shape.time), times["fwsim"] / 1e3
    moved = 4 * on_chip(shape, plan.chunk, training=task == "training")
    products = 2 * shape.batch * shape.time * shape.units**2 * (1 if task == "forward" else 3)  # C x
    line = {"shape": str(shape), "task": task, "form": plan.form, "fwsim ms": times["fwsim"]}
    for name, time in times.items():
        if name != "fwsim":
            line |= {f"{name} ms": time, f"vs {name}": time / times["fwsim"]}
    return line | {
        "Tflop/s": (moved / 2 + products) / seconds / 1e12,
        "of matrix product": (moved / 2 + products) / seconds / 1e12 / limits["matrix product, Tflop/s"],
        "on-chip TB/s": moved / seconds / 1e12,
        "of shared memory": moved / seconds / 1e12 / limits["shared memory, TB/s"],
    }


def on_chip(shape: Shape, chunk: int | None, training: bool) -> float:
    """Numbers of W and of the memory that take part in arithmetic, each a product and a sum."""
    units, inner_steps = shape.units, shape.inner_steps
    square, capacity = units**2, shape.time + 1 if chunk is None else chunk
    rows = units * (0 if capacity == 1 else power_of_two(capacity))
    matrices = shape.time >= capacity
    numbers = square * (1 + matrices * (inner_steps + 2)) + rows * (2 * inner_steps + 2)
    if training:
        rows = units * power_of_two(span_of(capacity))
        numbers += square * (1 + matrices * (3 * inner_steps + 3)) + rows * 5 * inner_steps
    return shape.batch * shape.time * numbers


def ceilings() -> dict[str, float]:
    """Rates of a matrix product in float32 and of a copy, measured; of shared memory, from clock and width."""
    matrix, source = torch.randn(8192, 8192, device="cuda"), torch.empty(500_000_000, device="cuda")
    target = torch.empty_like(source)
    product = milliseconds(lambda: matrix @ matrix) / 1e3
    copy = milliseconds(lambda: target.copy_(source)) / 1e3
    query = ["nvidia-smi", "--query-gpu=clocks.max.sm", "--format=csv,noheader,nounits", "--id=0"]
    clock = 1e6 * float(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    return {
        "matrix product, Tflop/s": 2 * 8192**3 / product / 1e12,
        "copy, TB/s": 8 * source.numel() / copy / 1e12,
        "shared memory, TB/s": processors * 128 * clock / 1e12,
    }


def jax_sees_gpu() -> bool:
    """Whether JAX is installed and sees the GPU."""
    if find_spec("jax") is None:
        return False
    import jax

    return jax.default_backend() == "gpu"


if __name__ == "__main__":
    main()
