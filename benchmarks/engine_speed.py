"""Claim: on a CPU, the engine is faster than anything else a user could pick, to simulate and to train.

    python benchmarks/engine_speed.py [--quick]

fwsim as it comes (`form="auto"`, `kernel="auto"`) against a JAX scan (the faster of the dense and the attention form,
jitted), the per-step torch loop, and that loop with its step compiled. All run in one process with as many
threads (JAX on the cores that it finds), in alternating rounds; ratios are medians over rounds. Before, all must
give the same states and gradients.
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import torch

from engine.report import arguments, publish
from engine.rivals import jax_works, torch_loop, torch_step, torch_works
from engine.rounds import Timing, alternate
from engine.shapes import SHAPES, TANH, Shape

SAME = 40  # steps over which single precision keeps rivals together; the dynamics is chaotic


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = []
    for shape in SHAPES[:1] if options.quick else (*SHAPES, TANH):
        check(shape)
        for index, task in enumerate(("forward", "training")):
            works = {name: work[index] for name, work in contenders(shape).items()}
            if task == "training" and shape.time > 1000:
                works.pop("torch.compile", None)  # minutes a step
            timings = alternate(works, seconds=2 if options.quick else 12)
            rows.append(row(shape, task, timings))
            print(rows[-1], flush=True)
    publish("engine_speed", rows, quick=options.quick, **summary(rows))


def contenders(shape: Shape) -> dict[str, tuple[Callable, Callable]]:
    """Forward and training work of each contender; fwsim first."""
    net, x = shape.network(), shape.inputs()
    works = {
        "fwsim": torch_works(lambda x: net(x)[0], net, x),
        "JAX dense": jax_works(shape, "dense", net, x),
    }
    if shape.time <= 1000:  # T² beyond
        works["JAX attention"] = jax_works(shape, "attention", net, x)
    works["torch loop"] = torch_works(lambda x: torch_loop(net, x), net, x)
    if shape.time <= 1000:
        torch.compiler.reset()
        compiled = torch.compile(torch_step, dynamic=False)
        works["torch.compile"] = torch_works(lambda x: torch_loop(net, x, compiled), net, x)
    return works


def check(shape: Shape) -> None:
    """Refuse to time what does not agree."""
    short = Shape(
        min(shape.batch, 4), min(shape.time, SAME), shape.units, shape.inner_steps, shape.activation
    )
    works = contenders(short)
    truth = works["fwsim"][0]()
    leaves = flat(works["fwsim"][1]())
    for name, (forward, gradient) in works.items():
        assert distance(forward(), truth) < 1e-3, f"{name} gives other states for {shape}"
        assert distance(flat(gradient()), leaves) < 1e-2, f"{name} gives other gradients for {shape}"


def flat(gradients: object) -> np.ndarray:
    """All gradients as one vector: W, C, b, gain, bias, x."""
    first, *rest = gradients  # type: ignore[misc]
    parts = [*first, *rest] if isinstance(first, tuple) else [first, *rest]
    return np.concatenate([np.asarray(part).ravel() for part in parts])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def row(shape: Shape, task: str, timings: dict[str, Timing]) -> dict:
    """One line of the table: milliseconds of each, and how many times longer than fwsim."""
    plan = shape.network().plan(shape.batch, shape.time)
    jax = min((timing.ratio, name) for name, timing in timings.items() if name.startswith("JAX"))
    line = {
        "shape": str(shape),
        "task": task,
        "form": plan.form if plan.chunk in (None, 1) else f"{plan.form}/{plan.chunk}",
        "fwsim ms": 1e3 * timings["fwsim"].seconds,
        "JAX ms": 1e3 * timings[jax[1]].seconds,
        "JAX form": jax[1].split()[1],
        "vs JAX": jax[0],
        "vs JAX (CPU)": timings[jax[1]].cpu_ratio,
    }
    for name in ("torch loop", "torch.compile"):
        if name in timings:
            line |= {f"{name} ms": 1e3 * timings[name].seconds, f"vs {name}": timings[name].ratio}
    return line


def summary(rows: list[dict]) -> dict[str, float]:
    """Geometric mean over the shapes with silent units, and the worst."""
    out = {}
    for task in ("forward", "training"):
        ratios = [line["vs JAX"] for line in rows if line["task"] == task and "tanh" not in line["shape"]]
        out[f"{task} vs JAX, geometric mean"] = float(np.exp(np.mean(np.log(ratios))))
        out[f"{task} vs JAX, worst"] = min(ratios)
    return out


if __name__ == "__main__":
    main()
