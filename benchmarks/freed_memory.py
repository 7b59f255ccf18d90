"""Claim: a training step is faster in processes that keep the memory that the step before has freed.

    python benchmarks/freed_memory.py [--quick]

A step of the glimpse network of 200 units, with and without a convolution before it, in three kinds of processes: as
Dask starts its workers; as Python starts; and with what fwsim sets in its own. They take turns, each a new process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import torch

from engine.report import arguments, publish
from fwsim._allocator import keep_freed_memory
from fwsim.engine.threads import use_threads
from fwsim.study import load_experiment
from fwsim.tasks import GlimpseLayout

KINDS = {"Dask's workers": {"MALLOC_TRIM_THRESHOLD_": "65536"}, "Python": {}, "fwsim": {}}
BATCH, STEPS = 128, 20


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "step":
        print(step(sys.argv[2], int(sys.argv[3])))
        return
    options = arguments(__doc__.splitlines()[0])
    use_threads(1)  # as workers do
    rounds = 1 if options.quick else 5
    rows = []
    for maps in (0, 16):
        taken = {kind: [] for kind in KINDS}
        for _ in range(rounds):
            for kind, times in taken.items():
                times.append(apart(kind, maps))
        median = {kind: statistics.median(times) for kind, times in taken.items()}
        row = {"maps": maps} | {f"{kind} ms": 1e3 * seconds for kind, seconds in median.items()}
        rows.append(
            row | {f"against {kind}": median[kind] / median["fwsim"] for kind in ("Dask's workers", "Python")}
        )
    publish("freed_memory", rows, quick=options.quick, rounds=rounds)


def apart(kind: str, maps: int) -> float:
    """Seconds of a step in a new process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, __file__, "step", kind, str(maps)]
    answer = subprocess.run(
        command, env={**inherited, **KINDS[kind]}, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(answer.stdout)


def step(kind: str, maps: int) -> float:
    """Median seconds of a training step in this process."""
    use_threads(1)
    if kind == "fwsim":
        keep_freed_memory()
    experiment = load_experiment("glimpses")
    config = experiment.configure({"units": 200, "embedding": 200, "dropout": 0.5, "maps": maps})
    model = experiment.run.__globals__["build"](config, GlimpseLayout(), 10)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    images, target = torch.randint(256, (BATCH, 28, 28), dtype=torch.uint8), torch.randint(10, (BATCH,))
    taken = []
    for _ in range(STEPS):
        began = time.perf_counter()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(images), target).backward()
        optimiser.step()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[STEPS // 4 :])


if __name__ == "__main__":
    main()
