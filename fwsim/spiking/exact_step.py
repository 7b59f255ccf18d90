"""Numbers of one step of a circuit that is exact for constant input (Rotter & Diesmann 1999, Biol. Cybern. 81:381)."""

from __future__ import annotations

import numpy as np

from fwsim.seeds import numpy_generator
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.sources import Source

# A source as the engines see it: neurons that nothing moves. A spike that is due puts them above their threshold.
UNMOVED = {"tau": np.inf, "threshold": 0.5, "reset": 0.0, "refractory": 0.0, "background": 0.0, "noise": 0.0}


def by_population(circuit: Circuit) -> dict[str, np.ndarray]:
    """Numbers of each population, `[population]`.

    `leak`: what is left of a deviation of the potential after one step; `kick`: standard deviation in V of what noise
    adds; `pause`: steps of the refractory period; `threshold`, `reset`, `background` in V.
    """
    tau, noise, refractory = (_of_each(circuit, name) for name in ("tau", "noise", "refractory"))
    return {
        "leak": np.exp(-circuit.dt / tau),
        "kick": noise * np.sqrt(-np.expm1(-2 * circuit.dt / tau)),
        "pause": np.round(refractory / circuit.dt).astype(np.int64),
        **{name: _of_each(circuit, name) for name in ("threshold", "reset", "background")},
    }


def current_decays(circuit: Circuit) -> list[float]:
    """Time constants of synaptic currents, without jumps, in s."""
    return sorted({each.decay for each in circuit.connections if each.decay})


def spread(circuit: Circuit, decay: float) -> np.ndarray:
    """Change of the potential in one step by a current of 1 with this time constant in s, `[population]`."""
    tau, dt = _of_each(circuit, "tau"), circuit.dt
    near = np.abs(tau - decay) < 1e-6 * tau
    apart = np.where(near, 1.0, tau - decay)
    exact = decay / apart * (np.exp(-dt / tau) - np.exp(-dt / decay))
    return np.where(near, dt / tau * np.exp(-dt / tau), exact)


def initial_potentials(circuit: Circuit, trials: int, seed: int) -> np.ndarray:
    """Potentials in V at the beginning, uniform between rest and threshold, 0 of sources, `[trial · neuron]`."""
    most = [0.0 if isinstance(each, Source) else each.threshold for each in circuit.populations]
    theta = np.repeat(most, [each.size for each in circuit.populations])
    theta = np.tile(theta, trials)
    return numpy_generator(seed, 2).uniform(size=len(theta)) * theta


def _of_each(circuit: Circuit, name: str) -> np.ndarray:
    return np.array([getattr(each, name, UNMOVED[name]) for each in circuit.populations])
