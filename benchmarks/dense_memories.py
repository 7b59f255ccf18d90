"""Claim: constants by neuron or by synapse cost at most 1.3 times as much as numbers, in the dense form.

    python benchmarks/dense_memories.py [--quick]

The same network with one time constant and strength, and with those by post, by pre and by synapse, forward and
training, in alternating rounds; ratios are to the first. In "constants trained" they are trained too. Then the gated
delta rule: the compiled engine, and the plain torch loop (`kernel="reference"`) over the same equations.
"""

from __future__ import annotations

import torch

import fwsim as fw
from engine.report import arguments, publish
from engine.rivals import torch_works
from engine.rounds import alternate
from engine.shapes import DECAY, STRENGTH, Shape

SHAPES = (Shape(32, 50, 50, 1), Shape(8, 50, 128, 1))
AXES = {"number": (), "post": ("post",), "pre": ("pre",), "synapse": ("post", "pre")}


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    seconds = 0.5 if options.quick else 4
    rows = [
        row for shape in SHAPES for trained in (False, True) for row in of_constants(shape, trained, seconds)
    ]
    rows += [row for shape in SHAPES for row in of_gated_delta(shape, seconds)]
    publish("dense_memories", rows, quick=options.quick)


def of_constants(shape: Shape, trained: bool, seconds: float) -> list[dict]:
    works = {name: works_with(shape, constants(shape, axes), trained) for name, axes in AXES.items()}
    return compared(shape, "constants trained" if trained else "constants", works, seconds)


def constants(shape: Shape, axes: tuple[str, ...]) -> fw.Hebbian:
    torch.manual_seed(0)
    like = torch.rand([shape.units for _ in axes])
    return fw.Hebbian.from_decay(DECAY + 0.04 * like, eta=STRENGTH + 0.1 * like, axes=axes or None)


def of_gated_delta(shape: Shape, seconds: float) -> list[dict]:
    works = {
        kernel: works_with(shape, fw.Delta(), False, gates=("keep", "store"), kernel=kernel)
        for kernel in ("native", "reference")
    }
    return compared(shape, "gated delta", works, seconds)


def works_with(shape: Shape, memory: object, trained: bool, **options: object) -> tuple:
    torch.manual_seed(0)
    learn = ("tau", "eta") if trained else ()
    net = fw.FastWeightNetwork(
        shape.units, shape.units, memory, shape.inner_steps, form="dense", learn=learn, **options
    )
    return torch_works(lambda x: net(x)[0], net, shape.inputs())


def compared(shape: Shape, what: str, works: dict[str, tuple], seconds: float) -> list[dict]:
    rows = []
    for index, task in enumerate(("forward", "training")):
        timings = alternate({name: work[index] for name, work in works.items()}, seconds=seconds)
        for name, timing in timings.items():
            rows.append(
                {
                    "shape": str(shape),
                    "what": what,
                    "case": name,
                    "task": task,
                    "ms": 1e3 * timing.seconds,
                    "ratio": timing.ratio,
                    "cpu_ratio": timing.cpu_ratio,
                }
            )
    return rows


if __name__ == "__main__":
    main()
