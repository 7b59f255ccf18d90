"""Claim: recording the hidden states costs at most 1.3 times the simulation without.

    python benchmarks/engine_recording.py [--quick]

`simulate` with the hidden states, with the inner states and with attention as well, against `simulate` that records
nothing but the final state; and the network alone against it, which leaves out the dataset, its provenance and checks,
and the memory at the end as a matrix.
"""

from __future__ import annotations

import torch

import fwsim as fw
from engine.report import arguments, publish
from engine.rounds import alternate
from engine.shapes import SHAPES, Shape

RECORDS = (("hidden",), ("hidden", "inner"), ("hidden", "attention"))


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = []
    for shape in SHAPES:
        timings = alternate(works(shape), seconds=2 if options.quick else 10)
        rows.append(
            {"shape": str(shape), "nothing ms": 1e3 * timings["nothing"].seconds}
            | {name: timing.ratio for name, timing in timings.items() if name != "nothing"}
        )
    publish("engine_recording", rows, quick=options.quick)


def works(shape: Shape) -> dict:
    """A simulation that records nothing, those that record, and the network alone."""
    net, x = shape.network(), shape.inputs()

    def alone() -> None:
        with torch.no_grad():
            net(x)

    def recorder(record: tuple[str, ...]) -> object:
        return lambda: fw.simulate(net, x, record=record, progress=False)

    chosen = [record for record in RECORDS if shape.time <= 100 or "attention" not in record]
    recorders = {" + ".join(record): recorder(record) for record in chosen}
    return {"nothing": recorder(()), **recorders, "network alone": alone}


if __name__ == "__main__":
    main()
