"""Claim: many time scales cost the same as one in attention form, and little in the others.

    python benchmarks/engine_timescales.py [--quick]

The same network with K = 1 and K = 8 time scales, forward and training, in alternating rounds. In attention form they
only change the weights of ages. Where states are merged into matrices, K matrices have to be added up once a step and
merged into: (K + K) N² products beside the S N² of the reads.
"""

from __future__ import annotations

import torch

import fwsim as fw
from engine.report import arguments, publish
from engine.rivals import torch_works
from engine.rounds import alternate
from engine.shapes import SHAPES, Shape

COUNTS = (1, 8)


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = []
    for shape in SHAPES[1:3]:
        for form in ("attention", "hybrid", "dense"):
            works = {count: works_with(shape, form, count) for count in COUNTS}
            for index, task in enumerate(("forward", "training")):
                timings = alternate(
                    {str(count): work[index] for count, work in works.items()},
                    seconds=1 if options.quick else 8,
                )
                rows.append(
                    {
                        "shape": str(shape),
                        "form": form,
                        "task": task,
                        "K=1 ms": 1e3 * timings["1"].seconds,
                        "K=8 ms": 1e3 * timings["8"].seconds,
                        "ratio": timings["8"].ratio,
                    }
                )
    publish("engine_timescales", rows, quick=options.quick)


def works_with(shape: Shape, form: str, timescales: int) -> tuple:
    torch.manual_seed(0)
    tau = torch.logspace(0, 3, timescales)
    memory = fw.Hebbian(tau=tau, eta=torch.full((timescales,), 0.5 / timescales))
    net = fw.FastWeightNetwork(shape.units, shape.units, memory, shape.inner_steps, form=form)
    return torch_works(lambda x: net(x)[0], net, shape.inputs())


if __name__ == "__main__":
    main()
