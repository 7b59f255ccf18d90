"""Claim: a training step needs at most 4·B·T·N numbers beyond inputs, outputs, state and their gradients.

    python benchmarks/engine_memory.py [--quick]

The most that torch has allocated at once during a training step, as its profiler counts it, less one B·T·N each for
the states and their gradient; of a step without the gradient of the inputs, or of one with it and less that, whichever
is more. There are as many inputs as units. The kernels' workspace is torch's too.
"""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, profile

from engine.report import arguments, publish
from engine.shapes import SHAPES, Shape


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = [{"shape": str(shape), "workspace / B·T·N": workspace(shape)} for shape in SHAPES]
    publish("engine_memory", rows, quick=options.quick)


def workspace(shape: Shape) -> float:
    """Numbers over B·T·N."""
    return max(peak(shape, inputs=False) - 2, peak(shape, inputs=True) - 3)


def peak(shape: Shape, *, inputs: bool) -> float:
    """Most numbers at once over B·T·N, with the gradient of the inputs or without."""
    net, x = shape.network(), shape.inputs().requires_grad_(inputs)
    leaves = [*net.parameters(), *([x] if inputs else [])]

    def step() -> None:
        hidden, _ = net(x)
        torch.autograd.grad(hidden, leaves, torch.ones_like(hidden), allow_unused=True)

    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as trace:
        step()
    events = [event for event in trace.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    allocated = most = 0
    for event in events:
        allocated += event.nbytes()
        most = max(most, allocated)
    return most / 4 / x.numel()


if __name__ == "__main__":
    main()
