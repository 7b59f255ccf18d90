"""1,000 points of a rate network with plastic synapses: one sweep against single runs, Brian2 and JAX.

    python benchmarks/sweep.py              all of it but the next; writes docs/results/sweep.json
    python benchmarks/sweep.py --points 64
    python benchmarks/sweep.py --workers    one worker against two, in sweeps of growing length

The same model everywhere: `benchmarks/experiments/plastic_rates.py`, in float64, steps of 1 ms. Brian2 (rk2, compiled,
one point after the other) and single runs are timed on a few points and scaled up; their compilation is left out, as is
that of JAX (Heun, vmap over the points, jit) and of the engine. JAX only computes, as does `fw.simulate`; a sweep also
hashes its points, and writes and assembles a dataset. CPU time is the sum over threads and counts also where the
machine is busy with other things; wall-clock time is what one waits for. JAX takes all cores, a worker of a sweep one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fwsim as fw
from engine.report import publish
from fwsim.engine.threads import use_threads
from fwsim.study import Context, load_experiment

EXPERIMENT = load_experiment(Path(__file__).parent / "experiments" / "plastic_rates.py")
TAU, STEPS, DT, ALPHA, INPUT = 0.01, 1000, 1e-3, 1.5, 5.0


@dataclass(frozen=True)
class Timing:
    """Seconds that all points take, or would take, and the rates at the end of those that were run."""

    name: str
    cpu: float
    wall: float
    rates: np.ndarray


def timed(name: str, work: Callable[[], np.ndarray], scale: float = 1.0, repeats: int = 3) -> Timing:
    """Best of some repeats; `scale` is all points over those that `work` runs."""
    best = None
    for _ in range(repeats):
        cpu, wall = cpu_time(), time.perf_counter()
        rates = work()
        took = Timing(name, scale * (cpu_time() - cpu), scale * (time.perf_counter() - wall), rates)
        best = took if best is None or took.cpu < best.cpu else best
    assert best is not None
    print(f"{best.name:42s} {best.cpu:9.2f} {best.wall:9.2f}", flush=True)
    return best


def cpu_time() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def points(count: int) -> dict[str, list[float]]:
    """Axes of a grid of about `count` points."""
    each = round(count ** (1 / 3))
    spans = {"U": (0.1, 0.6), "tau_rec": (0.05, 1.0), "tau_facil": (0.05, 2.0)}
    return {name: np.geomspace(*span, each).tolist() for name, span in spans.items()}


def sweep(over: dict[str, list[float]], workers: int, **options) -> np.ndarray:
    """A sweep into a folder of its own, by `workers` processes."""
    with tempfile.TemporaryDirectory() as folder:
        recording = fw.sweep(EXPERIMENT, over, workers=workers, folder=Path(folder, "run"), **options)
        return recording["rate"].isel(rate_time=-1, seed=0).values.reshape(-1, recording.sizes["unit"])


def at_once(configs: list, kernel: str = "auto") -> np.ndarray:
    """All points as one batch, nothing written."""
    model = EXPERIMENT.run.__globals__
    net = model["network"](configs)
    net.kernel = kernel
    record = fw.Record("rate", every=STEPS)
    run = fw.simulate(net, model["drive"](configs), steps=STEPS, record=record, progress=False)
    return run["rate"].values[:, -1]


def singly(configs: list) -> np.ndarray:
    runs = [EXPERIMENT.run(config, Context(Path())) for config in configs]
    return np.stack([run["rate"].isel(rate_time=-1).values for run in runs])


def in_brian2(configs: list, weights: np.ndarray) -> np.ndarray:
    import brian2 as b2

    model = """
    dh/dt = (field - h) / tau : 1
    du/dt = (U - u) / tau_facil + U * (1 - u) * rate * Hz : 1
    dx/dt = (1 - x) / tau_rec - u * x * rate * Hz : 1
    rate = alpha * log(1 + exp(h / alpha)) : 1
    field = recurrent + drive : 1
    recurrent : 1
    """
    rates = []
    for config in configs:
        constants = {
            "tau": TAU * b2.second,
            "alpha": ALPHA,
            "drive": INPUT,
            "U": config.U,
            "tau_rec": config.tau_rec * b2.second,
            "tau_facil": config.tau_facil * b2.second,
        }
        b2.defaultclock.dt = DT * b2.second
        units = b2.NeuronGroup(len(weights), model, method="rk2", namespace=constants)
        units.u, units.x = config.U, 1.0
        synapses = b2.Synapses(
            units, units, "w : 1\nrecurrent_post = w * u_pre * x_pre * rate_pre : 1 (summed)"
        )
        synapses.connect()
        synapses.w = weights[synapses.j[:], synapses.i[:]]
        b2.Network(units, synapses).run(STEPS * DT * b2.second, namespace=constants)
        rates.append(np.array(units.rate[:]))
    return np.stack(rates)


def in_jax(configs: list, weights: np.ndarray) -> Callable[[], np.ndarray]:
    """Heun's method, the points as one vmapped and compiled scan."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    W = jnp.asarray(weights)
    constants = [
        jnp.array([getattr(config, name) for config in configs]) for name in ("U", "tau_rec", "tau_facil")
    ]

    def gain(h):
        return ALPHA * jax.nn.softplus(h / ALPHA)

    def one(U, tau_rec, tau_facil):
        def slope(state):
            h, u, x = state
            rate = gain(h)
            return (
                (W @ (u * x * rate) + INPUT - h) / TAU,
                (U - u) / tau_facil + U * (1 - u) * rate,
                (1 - x) / tau_rec - u * x * rate,
            )

        def step(state, _):
            first = slope(state)
            ahead = tuple(y + DT * k for y, k in zip(state, first, strict=True))
            second = slope(ahead)
            new = tuple(y + DT / 2 * (a + b) for y, a, b in zip(state, first, second, strict=True))
            return new, None

        zeros = jnp.zeros(len(W))
        (h, _, _), _ = jax.lax.scan(step, (zeros, zeros + U, zeros + 1), None, length=STEPS)
        return gain(h)

    run = jax.jit(jax.vmap(one))
    np.asarray(run(*constants))  # compile
    return lambda: np.asarray(run(*constants))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=1000, help="about how many (a cube is taken)")
    parser.add_argument("--without", nargs="*", default=[], choices=["brian2", "jax", "reference"])
    parser.add_argument("--workers", action="store_true", help="only one worker against two")
    given = parser.parse_args()
    over = points(given.points)
    use_threads(1)
    at_once([EXPERIMENT.configure({})])  # compile
    if given.workers:
        compare_workers(over)
    else:
        compare_engines(over, given.without)


def compare_workers(over: dict[str, list[float]]) -> None:
    """Where two workers begin to pay for their start."""
    print(f"{'steps a point':42s} {'CPU s':>9s} {'wall s':>9s}")
    for steps in (1_000, 10_000, 20_000):
        for workers in (1, 2):
            config = {"steps": steps}
            timed(f"{steps}, {workers} workers", lambda: sweep(over, workers, config=config), repeats=1)  # noqa: B023


def compare_engines(over: dict[str, list[float]], without: list[str]) -> None:
    """The same points by all contenders."""
    grid = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    configs = [EXPERIMENT.configure(values) for values in grid]
    few = configs[:: max(1, len(configs) // 8)]
    scale = len(configs) / len(few)
    weights = np.asarray(EXPERIMENT.run.__globals__["weights"](configs[0].units))
    print(f"{len(configs)} points, {configs[0].units} units, {STEPS} steps{'':14s} CPU s    wall s")
    ours = timed("fw.sweep, one worker", lambda: sweep(over, 1))
    rows = [timed("fw.simulate, one thread", lambda: at_once(configs))]
    use_threads(cores())
    rows.append(timed("fw.simulate, all cores", lambda: at_once(configs)))
    if "jax" not in without:
        rows.append(timed("JAX, vmap and jit, all cores", in_jax(configs, weights)))
    use_threads(1)
    if "reference" not in without:
        rows.append(timed("fw.simulate, reference kernel", lambda: at_once(configs, "reference")))
    rows.append(timed(f"single runs ({len(few)} timed)", lambda: singly(few), scale))
    if "brian2" not in without:
        in_brian2(few[:1], weights)  # compile
        name = f"Brian2 one by one ({len(few)} timed)"
        rows.append(timed(name, lambda: in_brian2(few, weights), scale, repeats=1))
    places = list(range(len(configs)))[:: max(1, len(configs) // 8)]
    compared = against(ours, rows, places, "largest difference of a rate (Hz)")
    publish(
        "sweep", compared, quick=len(configs) != 1000 or bool(without), points=len(configs), cores=cores()
    )


def cores() -> int:
    """Cores that this process may use: taskset may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def against(ours: Timing, rows: list[Timing], places: list[int], difference: str) -> list[dict]:
    """Each timing beside that of the sweep; results of a few points are those of the sweep's `places`."""
    compared = [{"program": ours.name, "CPU s": ours.cpu, "wall s": ours.wall}]
    for row in rows:
        same = ours.rates if len(row.rates) == len(ours.rates) else ours.rates[places]
        compared.append(
            {
                "program": row.name,
                "CPU s": row.cpu,
                "wall s": row.wall,
                "CPU / that of the sweep": row.cpu / ours.cpu,
                "wall / that of the sweep": row.wall / ours.wall,
                difference: float(np.abs(row.rates - same).max()),
            }
        )
    return compared


if __name__ == "__main__":
    warnings.filterwarnings("ignore", module="brian2")
    main()
