"""Claim: on a CPU, a rate network with plastic synapses trains faster than in a JAX scan or a torch loop.

    python benchmarks/rate_training.py [--quick]

A network whose recurrent synapses all follow Tsodyks & Markram, in the sizes in which such networks are trained, with
rectified rates, τ = 100 ms and a step of 10 ms (Masse et al. 2019). fwsim as it comes, its plain torch loop
(`kernel="reference"`) and a jitted JAX scan compute the same second-order scheme and the gradients for the weights and
the input, in alternating rounds; before, all must give the same numbers. `error` is the largest difference of the rates
from a run at a tenth of the step, over the largest rate.
"""

from __future__ import annotations

import os
from collections.abc import Callable

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import torch
from torch import nn

import fwsim as fw
from engine.report import arguments, publish
from engine.rounds import Timing, alternate

SHAPES = ((128, 250, 100), (1024, 100, 100), (32, 2000, 50))  # batch, time, units
SYNAPSE = {"U": 0.15, "tau_rec": 0.2, "tau_facil": 1.5}
TAU, DT = 0.1, 0.01
HELD = 5  # steps for which an input is the same


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    rows = []
    for shape in SHAPES[:1] if options.quick else SHAPES:
        check((4, 30, shape[2]))
        works, error = contenders(shape), step_error(shape)
        for index, task in enumerate(("forward", "training step")):
            timed = {name: work[index] for name, work in works.items()}
            timings = alternate(timed, seconds=2 if options.quick else 30)
            rows.append(row(shape, task, timings, error))
            print(rows[-1], flush=True)
    publish("rate_training", rows, quick=options.quick)


def network(units: int, kernel: str = "auto", dt: float = DT) -> fw.RateNetwork:
    torch.manual_seed(0)
    weights = nn.Parameter(torch.randn(units, units) / units**0.5)
    synapse = fw.TsodyksMarkram(**SYNAPSE)
    return fw.RateNetwork(fw.Projection(weights, synapse=synapse), tau=TAU, dt=dt, kernel=kernel)


def inputs(batch: int, time: int, units: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(batch, -(-time // HELD), units, generator=generator)
    return values.repeat_interleave(HELD, 1)[:, :time].contiguous()


def contenders(shape: tuple[int, int, int]) -> dict[str, tuple[Callable, Callable]]:
    """Forward work, and a gradient of the mean square rate, of each contender; fwsim first."""
    x = inputs(*shape)
    return {
        "fwsim": torch_works(network(shape[2]), x),
        "JAX": jax_works(network(shape[2]), x),
        "torch loop": torch_works(network(shape[2], "reference"), x),
    }


def torch_works(net: fw.RateNetwork, x: torch.Tensor) -> tuple[Callable, Callable]:
    leaves = (*net.parameters(), x.clone().requires_grad_())

    def forward() -> np.ndarray:
        with torch.no_grad():
            return net(x)[0].numpy()

    return forward, lambda: torch.autograd.grad(net(leaves[-1])[0].square().mean(), leaves)


def jax_works(net: fw.RateNetwork, x: torch.Tensor) -> tuple[Callable, Callable]:
    import jax
    import jax.numpy as jnp

    batch, _, units = x.shape
    U = SYNAPSE["U"]
    leak, rec, facil = (weights(tau) for tau in (TAU, SYNAPSE["tau_rec"], SYNAPSE["tau_facil"]))
    keep, first, second = leak[0], leak[1] / TAU, leak[2] / TAU

    def act(u: object, y: object, rate: object) -> tuple:
        return U * (1 - u) * rate, -u * y * rate, u * y * rate

    def step(W: object, carry: tuple, drive: object) -> tuple:
        h, u, y = carry
        du, dy, sent = act(u, y, jax.nn.relu(h))
        field = drive + sent @ W.T
        h = keep * h + first * field
        u = U + facil[0] * (u - U) + facil[1] * du
        y = 1 + rec[0] * (y - 1) + rec[1] * dy
        du_ahead, dy_ahead, sent = act(u, y, jax.nn.relu(h))
        h = h + second * (drive + sent @ W.T - field)
        u = u + facil[2] * (du_ahead - du)
        y = y + rec[2] * (dy_ahead - dy)
        return (h, u, y), jax.nn.relu(h)

    def rates(W: object, x: object) -> object:
        rest = jnp.zeros((batch, units))
        carry = (rest, rest + U, rest + 1)
        return jax.lax.scan(lambda carry, d: step(W, carry, d), carry, x.swapaxes(0, 1))[1].swapaxes(0, 1)

    forward = jax.jit(rates)
    gradient = jax.jit(jax.grad(lambda W, x: (rates(W, x) ** 2).mean(), argnums=(0, 1)))
    W, given = (jnp.asarray(each.detach().numpy()) for each in (net.weights[0], x))
    return (
        lambda: np.asarray(jax.block_until_ready(forward(W, given))),
        lambda: jax.block_until_ready(gradient(W, given)),
    )


def weights(tau: float) -> tuple[float, float, float]:
    """What carries a decay with a forcing over a step: e^{−z}, dt φ₁(−z) and dt φ₂(−z), z = dt/τ."""
    z = DT / tau
    return np.exp(-z), DT * -np.expm1(-z) / z, DT * (np.expm1(-z) + z) / z**2


def check(shape: tuple[int, int, int]) -> None:
    """Refuse to time what does not agree."""
    works = contenders(shape)
    truth, slopes = works["fwsim"][0](), flat(works["fwsim"][1]())
    for name, (forward, gradient) in works.items():
        assert distance(forward(), truth) < 1e-4, f"{name} gives other rates"
        assert distance(flat(gradient()), slopes) < 1e-4, f"{name} gives other gradients"


def flat(gradients: object) -> np.ndarray:
    return np.concatenate([np.asarray(each).ravel() for each in gradients])  # type: ignore[attr-defined]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def step_error(shape: tuple[int, int, int]) -> float:
    """Of a network of this size, over at most 250 steps of four batch elements, in double precision."""
    x = inputs(min(shape[0], 4), min(shape[1], 250), shape[2]).double()
    with torch.no_grad():
        coarse = network(shape[2]).double()(x)[0]
        fine = network(shape[2], dt=DT / 10).double()(x.repeat_interleave(10, 1))[0][:, 9::10]
    return float((coarse - fine).abs().max() / fine.abs().max())


def row(shape: tuple[int, int, int], task: str, timings: dict[str, Timing], error: float) -> dict:
    line: dict = {"batch, time, units": str(shape), "task": task, "error": error}
    for name, timing in timings.items():
        line[f"{name} ms"] = 1e3 * timing.seconds
        if name != "fwsim":
            line |= {f"{name} / fwsim": timing.ratio, f"{name} / fwsim (CPU)": timing.cpu_ratio}
    return line


if __name__ == "__main__":
    main()
