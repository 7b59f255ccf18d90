"""Claim: peak memory of 10⁶ steps is within 10 % of that of 10⁴; and what recording every step costs.

    python benchmarks/recording_length.py [--quick]

Peak memory of the whole process (Linux) for runs of 10⁴ and 10⁶ steps under a drive that is a function, and the time
of the longer one while recording every hidden state to disk against the same run that keeps the last one only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from engine.report import arguments, publish

RUN = """
import sys, time, torch
import fwsim as fw
from fwsim.engine.threads import use_threads
use_threads(1)
steps, every, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.manual_seed(0)
net = fw.FastWeightNetwork(4, 50, fw.Hebbian(tau=20.0, eta=0.1))
def drive(start, stop):
    return torch.randn(1, stop - start, 4, generator=torch.Generator().manual_seed(start))
fw.simulate(net, drive, steps=1000, progress=False)
began = time.perf_counter()
fw.simulate(net, drive, steps=steps, every=every, to=folder, progress=False)
took = time.perf_counter() - began
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak) / 1024, took)
"""


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    short, long = 10_000, 100_000 if options.quick else 1_000_000
    rows = [measured(steps, every) for steps, every in ((short, 1), (long, 1), (long, long))]
    for row in rows:
        row["peak ratio"] = row["peak MB"] / rows[0]["peak MB"]
        row["time ratio"] = row["seconds"] / rows[2]["seconds"] if row["steps"] == long else None
    publish("recording_length", rows, quick=options.quick)


def measured(steps: int, every: int) -> dict:
    """Peak memory and time of one run in a process of its own, the faster of three."""
    found = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", RUN, str(steps), str(every), str(Path(folder) / "run.zarr")]
            peak, seconds = map(float, subprocess.check_output(command, text=True).split())
        found.append((seconds, peak))
    seconds, peak = min(found)
    return {"steps": steps, "recorded": steps // every, "peak MB": peak, "seconds": seconds}


if __name__ == "__main__":
    main()
