"""Claim: the native engine runs spiking circuits many times as fast as Brian2 and NEST, and in less memory.

    python benchmarks/spiking.py [--quick]

One circuit of full size, that of Mongillo, Barak & Tsodyks 2008 with 10,000 neurons and 20 million synapses; and a
batch of 64 circuits of 500 neurons. Both for a second of biology (with `--quick` a tenth, and a smaller circuit), in
both engines in turn. Brian2 runs its Cython code; it has the batch as 64 blocks of one network, and as one network
after the other (8 of them, times 8). The time of the steps is half of the difference between runs of one and of three
seconds: times to build vary by more than the native engine needs for a second, and cancel only on average. Time to
build and, for Brian2, to compile is listed apart: it is the time of a run of ten steps. CPU time is given besides wall
time, since it does not depend on what else the machine does. NEST, where it is installed (`pip install '.[nest]'`), has
the circuit of full size with as many threads as `--threads` says; Brian2 and one trial of the native engine have one.

Memory is the most that a process of its own has for the circuit of full size and ten steps; of this, what it has after
importing.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import fwsim as fw
from engine.report import arguments, publish
from fwsim.spiking import Circuit, Connection, Population, simulate
from fwsim.spiking.mongillo import mongillo_circuit
from fwsim.units import ms, mV

ROUNDS = 3
BATCH, TURNS = 64, 8
FEW = 10  # steps of a run that only builds
LONG = 3  # times the steps of a short run that a long one has
RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5, convention="mongillo2008")


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    # First, as the system counts the memory of this process for those that it starts.
    memories = [memory(engine, options.quick) for engine in ("native", "brian2")]
    circuit, small = full(options.quick), small_circuit()
    steps = round((0.1 if options.quick else 1.0) / circuit.dt)
    nest = in_nest(steps, options.threads, options.quick) if find_spec("nest") else None
    if nest is None:
        print("NEST is not installed (pip install '.[nest]'), so its row is left out")

    def batch(engine: str) -> Callable[[int, int], dict[str, float]]:
        return lambda count, seed: taken(small, count, engine, seed, BATCH)

    contenders = {
        (f"{circuit.neurons} neurons", "native"): lambda count, seed: taken(circuit, count, "native", seed),
        (f"{circuit.neurons} neurons", "Brian2"): lambda count, seed: taken(circuit, count, "brian2", seed),
        (f"{BATCH} × {small.neurons} neurons", "native"): batch("native"),
        (f"{BATCH} × {small.neurons} neurons", "Brian2, blocks"): batch("brian2"),
        (f"{BATCH} × {small.neurons} neurons", "Brian2, in turn"): lambda count, seed: in_turn(
            small, count, seed
        ),
    }
    found: dict[tuple[str, str], list[dict[str, dict[str, float]]]] = {name: [] for name in contenders}
    for number in range(ROUNDS):
        for name, run in contenders.items():
            counts = {"build": FEW, "short": steps, "long": LONG * steps}
            found[name].append({part: run(count, number) for part, count in counts.items()})
            print(*name, found[name][-1], flush=True)
    rows = [{"circuit": name[0], "engine": name[1], **times(runs)} for name, runs in found.items()]
    for row, columns in zip(rows, memories):
        row |= columns
    speeds = {"batch_speed": batch_speed(rows[2:])}
    if nest is not None:
        rows.append({"circuit": rows[0]["circuit"], "engine": f"NEST, {options.threads} threads", **nest})
        speeds["nest_speed"] = nest["steps, s of wall"] / rows[0]["steps, s of wall"]
    publish("spiking", rows, quick=options.quick, steps=steps, dt=circuit.dt, **speeds)


def full(quick: bool) -> Circuit:
    """The working-memory circuit, or a fifth of it."""
    return mongillo_circuit(RULE, scale=0.2 if quick else 1.0, background=22.7 * mV)


def small_circuit() -> Circuit:
    """Neurons that excite and inhibit each other and fire at about 10 Hz."""
    populations = [
        Population("E", 400, 15 * ms, 20 * mV, 16 * mV, background=21.5 * mV, noise=1 * mV),
        Population("I", 100, 10 * ms, 20 * mV, 13 * mV, background=20.5 * mV, noise=1 * mV),
    ]
    options = {"probability": 0.2, "delay": (0.1 * ms, 1 * ms)}
    connections = [
        Connection("E", "E", 0.2 * mV, synapse=RULE, **options),
        Connection("E", "I", 0.3 * mV, **options),
        Connection("I", "E", -0.5 * mV, **options),
        Connection("I", "I", -0.4 * mV, **options),
    ]
    return Circuit(populations, connections)


def taken(circuit: Circuit, steps: int, engine: str, seed: int, trials: int = 1) -> dict[str, float]:
    """Seconds of wall and CPU of a run, and its spikes."""
    wall, cpu = time.perf_counter(), time.process_time()
    run = simulate(circuit, steps=steps, seed=seed, trials=trials, engine=engine, progress=False)
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "spikes": run.sizes["spike"],
    }


def in_turn(circuit: Circuit, steps: int, seed: int) -> dict[str, float]:
    """The same of as many circuits as a batch has, one after the other in Brian2."""
    runs = [taken(circuit, steps, "brian2", TURNS * seed + number) for number in range(TURNS)]
    return {name: BATCH / TURNS * sum(run[name] for run in runs) for name in runs[0]}


def times(runs: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """Columns of a contender; its first build may compile."""
    later = runs[1:]

    def step_time(clock: str) -> float:
        return statistics.median((each["long"][clock] - each["short"][clock]) / (LONG - 1) for each in runs)

    return {
        "first build, s": runs[0]["build"]["wall"],
        "build, s": statistics.median(each["build"]["wall"] for each in later),
        "steps, s of wall": step_time("wall"),
        "steps, s of CPU": step_time("cpu"),
        "spikes": statistics.median(each["short"]["spikes"] for each in runs),
    }


def batch_speed(rows: list[dict]) -> float:
    """How many times as fast the native engine builds and runs the batch as the faster way of Brian2."""
    native, *brian2 = (row["build, s"] + row["steps, s of wall"] for row in rows)
    return min(brian2) / native


def in_nest(steps: int, threads: int, quick: bool) -> dict[str, float]:
    """Columns of NEST, from a process of its own."""
    command = [
        sys.executable,
        "-m",
        "nest_simulator.circuit",
        "--steps",
        str(steps),
        "--threads",
        str(threads),
    ]
    done = subprocess.run(
        [*command, *["--quick"] * quick],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def memory(engine: str, quick: bool) -> dict[str, float]:
    """Memory of a process that builds the circuit and runs ten steps."""
    code = f"import spiking; spiking.print_memory({engine!r}, {quick})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True, check=True
    )
    imported, most = map(float, done.stdout.split()[-2:])
    return {"MB imported": imported, "MB at most": most}


def print_memory(engine: str, quick: bool) -> None:
    """Print the MB of this process after importing, and the most after building and running."""
    if engine == "brian2":
        fw.spiking.backend.brian2()
    imported = resident()
    simulate(full(quick), steps=FEW, engine=engine, progress=False)
    print(imported, resident())


def resident() -> float:
    """The most that this process had in memory, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)


if __name__ == "__main__":
    main()
