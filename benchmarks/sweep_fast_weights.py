"""1,000 points of the paper's fast-weight network over decay and strength: one sweep against JAX and single runs.

    python benchmarks/sweep_fast_weights.py      writes docs/results/sweep_fast_weights.json

JAX: one scan over time, vmapped over the points and compiled, in float32 as here. Compilation is left out on both
sides.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fwsim as fw
from engine.report import publish
from fwsim.engine.threads import use_threads
from fwsim.study import Context, load_experiment
from sweep import against, timed

EXPERIMENT = load_experiment(Path(__file__).parent / "experiments" / "fast_weights.py")
OVER = {"tau": np.geomspace(2.0, 100.0, 40).tolist(), "eta": np.geomspace(0.02, 0.5, 25).tolist()}
EPSILON = 1e-5  # of layer normalisation


def sweep(**options) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        recording = fw.sweep(EXPERIMENT, OVER, workers=1, folder=Path(folder, "run"), **options)
        return recording["hidden"].values.reshape(1000, -1)


def in_jax(configs: list) -> Callable[[], np.ndarray]:
    import jax
    import jax.numpy as jnp

    net, x = EXPERIMENT.run.__globals__["parts"](configs[0])
    W, C, b, gain, bias = (
        jnp.asarray(each.detach().numpy()) for each in (net.W, net.C, net.b, net.gain, net.bias)
    )
    drive = jnp.asarray(x.numpy()) @ C.T + b
    decay = jnp.array([np.exp(-1 / config.tau) for config in configs], dtype=jnp.float32)
    eta = jnp.array([config.eta for config in configs], dtype=jnp.float32)

    def one(decay, eta):
        def step(state, z):
            h, A = state
            field = W @ h + z
            inner = jax.nn.relu(field)
            total = field + A @ inner
            normal = (total - total.mean()) / jnp.sqrt(total.var() + EPSILON)
            h = jax.nn.relu(gain * normal + bias)
            return (h, decay * A + eta * jnp.outer(h, h)), None

        N = len(W)
        (h, _), _ = jax.lax.scan(step, (jnp.zeros(N), jnp.zeros((N, N))), drive)
        return h

    run = jax.jit(jax.vmap(one))
    np.asarray(run(decay, eta))  # compile
    return lambda: np.asarray(run(decay, eta))


def main() -> None:
    use_threads(1)
    configs = [EXPERIMENT.configure({"tau": tau, "eta": eta}) for tau in OVER["tau"] for eta in OVER["eta"]]
    few = configs[::50]
    EXPERIMENT.run(configs[0], Context(Path()))  # compile
    print(f"1,000 points, {configs[0].units} units, {configs[0].steps} steps{'':10s} CPU s    wall s")
    rows = [
        timed("fw.sweep, one worker", sweep),
        timed("fw.sweep, one worker, one batch", lambda: sweep(batch_size=1000)),
        timed(f"single runs ({len(few)} timed)", lambda: singly(few), len(configs) / len(few)),
        timed("JAX, vmap and jit", in_jax(configs)),
    ]
    places = list(range(0, len(configs), 50))
    compared = against(rows[0], rows[1:], places, "largest difference of a state")
    publish("sweep_fast_weights", compared, quick=False, points=len(configs))


def singly(configs: list) -> np.ndarray:
    return np.stack([EXPERIMENT.run(config, Context(Path()))["hidden"].values for config in configs])


if __name__ == "__main__":
    main()
