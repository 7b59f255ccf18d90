"""Claim: the native engine runs a working-memory circuit of full size several times as fast as Brian2.

    python benchmarks/spiking.py [--quick]

The circuit of Mongillo, Barak & Tsodyks 2008 with 10,000 neurons and 20 million synapses, for a second of biology (with
`--quick` a tenth of both), in both engines in turn. Brian2 runs its Cython code. Time to build and, for Brian2, to
compile is listed apart: it is the time of a run of ten steps. CPU time is given besides wall time, since it does not
depend on what else the machine does.
"""

from __future__ import annotations

import resource
import statistics
import time

import fwsim as fw
from engine.report import arguments, publish
from fwsim.spiking.mongillo import mongillo_circuit

ROUNDS = 3
RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5, convention="mongillo2008")


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    circuit = mongillo_circuit(RULE, scale=0.2 if options.quick else 1.0, background=22.7e-3)
    steps = round((0.1 if options.quick else 1.0) / circuit.dt)
    found: dict[str, list[dict[str, float]]] = {"native": [], "brian2": []}
    for number in range(ROUNDS):
        for engine, runs in found.items():
            built = taken(circuit, 10, engine, number)
            runs.append({"build": built, "run": taken(circuit, 10 + steps, engine, number)})
            print(engine, runs[-1], flush=True)
    rows = [row(engine, runs) for engine, runs in found.items()]
    publish("spiking", rows, quick=options.quick, neurons=circuit.neurons, steps=steps, dt=circuit.dt)


def taken(circuit: fw.spiking.Circuit, steps: int, engine: str, seed: int) -> dict[str, float]:
    """Seconds of wall and CPU of a run, and its spikes."""
    wall, cpu = time.perf_counter(), time.process_time()
    run = fw.spiking.simulate(circuit, steps=steps, seed=seed, engine=engine, progress=False)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "spikes": run.sizes["spike"],
    }


def row(engine: str, runs: list[dict]) -> dict:
    """One line of the table; the first build may compile."""
    return {
        "engine": engine,
        "first build, s": runs[0]["build"]["wall"],
        "build, s": statistics.median(each["build"]["wall"] for each in runs[1:]),
        "steps, s of wall": statistics.median(
            each["run"]["wall"] - each["build"]["wall"] for each in runs[1:]
        ),
        "steps, s of CPU": statistics.median(each["run"]["cpu"] - each["build"]["cpu"] for each in runs[1:]),
        "spikes": statistics.median(each["run"]["spikes"] for each in runs),
        "GB so far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


if __name__ == "__main__":
    main()
