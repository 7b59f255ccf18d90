"""Numbers of one step of a circuit that is exact for constant input (Rotter & Diesmann 1999, Biol. Cybern. 81:381).

Where synapses are conductances no step is exact. Then conductances and currents have their mean over the step, with
which the potential is propagated exactly: an exponential Euler step of second order in dt.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fwsim.seeds import numpy_generator
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.sources import Source

# A source as the engines see it: neurons that nothing moves. A spike that is due puts them above their threshold.
UNMOVED = {"tau": np.inf, "threshold": 0.5, "reset": 0.0, "refractory": 0.0, "background": 0.0, "noise": 0.0}


class SlowInput(NamedTuple):
    """A kind of synaptic input that lasts: time constant in s, and reversal potential in V, `None` of a current."""

    decay: float
    reversal: float | None = None


def numbers(circuit: Circuit) -> dict[str, np.ndarray]:
    """Numbers of each neuron, `[neuron]`.

    `leak`: what is left of a deviation of the potential after one step; `kick`: standard deviation in V of what noise
    adds, at equilibrium if there are conductances; `rate`: dt/τ; `pause`: steps of the refractory period; `threshold`,
    `reset`, `background` in V.
    """
    tau, noise, refractory = (_of_each(circuit, name) for name in ("tau", "noise", "refractory"))
    conducting = by_neuron(circuit, conducts(circuit))
    return {
        "leak": np.exp(-circuit.dt / tau),
        "rate": circuit.dt / tau,
        "kick": noise * np.where(conducting, 1.0, np.sqrt(-np.expm1(-2 * circuit.dt / tau))),
        "pause": np.round(refractory / circuit.dt).astype(np.int64),
        **{name: _of_each(circuit, name) for name in ("threshold", "reset", "background")},
    }


def slow_inputs(circuit: Circuit) -> list[SlowInput]:
    """Kinds of currents, then of conductances; no jumps."""
    found = {SlowInput(each.decay, each.reversal) for each in circuit.connections if each.decay}
    return sorted(found, key=lambda each: (each.reversal is not None, each.decay, each.reversal or 0.0))


def spread(circuit: Circuit, kind: SlowInput) -> np.ndarray:
    """What an input of 1 does in one step, `[neuron]`.

    To populations with conductances its mean over the step, to others the change of the potential (of a current).
    """
    mean = -kind.decay / circuit.dt * np.expm1(-circuit.dt / kind.decay)
    changed = _moved(circuit, kind.decay) if kind.reversal is None else 0.0
    return np.where(by_neuron(circuit, conducts(circuit)), mean, changed)


def _moved(circuit: Circuit, decay: float) -> np.ndarray:
    tau, dt = _of_each(circuit, "tau"), circuit.dt
    near = np.abs(tau - decay) < 1e-6 * tau
    apart = np.where(near, 1.0, tau - decay)
    exact = decay / apart * (np.exp(-dt / tau) - np.exp(-dt / decay))
    return np.where(near, dt / tau * np.exp(-dt / tau), exact)


def initial_potentials(circuit: Circuit, trials: int, seed: int) -> np.ndarray:
    """Potentials in V at the beginning, uniform between rest and threshold, 0 of sources, `[trial · neuron]`."""
    moved = by_neuron(circuit, [not isinstance(each, Source) for each in circuit.populations])
    theta = np.tile(np.where(moved, _of_each(circuit, "threshold"), 0.0), trials)
    return numpy_generator(seed, 2).uniform(size=len(theta)) * theta


def conducts(circuit: Circuit) -> np.ndarray:
    """Whether synapses of each population are conductances, `[population]`."""
    onto = {each.post for each in circuit.connections if each.reversal is not None}
    return np.array([name in onto for name in circuit.names])


def by_neuron(circuit: Circuit, values: Any) -> np.ndarray:
    """Values of populations, each a number or `[neuron]`, as those of all neurons."""
    return np.concatenate(
        [np.broadcast_to(value, each.size) for value, each in zip(values, circuit.populations)]
    )


def _of_each(circuit: Circuit, name: str) -> np.ndarray:
    return by_neuron(circuit, [getattr(each, name, UNMOVED[name]) for each in circuit.populations])
