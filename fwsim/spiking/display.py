"""Notebook display of circuits."""

from __future__ import annotations

import numpy as np

from fwsim import notebook
from fwsim.spiking.circuit import Circuit


def circuit_html(circuit: Circuit) -> str:
    """Equations, populations, connections with their mean strength, and the rules of plastic synapses."""
    populations = [
        (p.name, p.size, p.tau, p.refractory, p.threshold, p.reset, p.background, p.noise)
        for p in circuit.populations
    ]
    connections = [
        (
            f"{c.pre} → {c.post}",
            c.efficacy,
            c.probability,
            c.delay,
            c.decay,
            "static" if c.synapse is None else type(c.synapse).__name__,
        )
        for c in circuit.connections
    ]
    named = ("population", "neurons", "τ (s)", "refractory (s)", "threshold (V)", "reset (V)")
    joined = ("connection", "efficacy (V)", "probability", "delay (s)", "decay (s)", "synapse")
    return notebook.card(
        circuit,
        notebook.formula(type(circuit.populations[0])),
        f"{circuit.neurons} neurons, dt = {circuit.dt:g} s",
        notebook.table((*named, "background (V)", "noise (V)"), populations),
        notebook.table(joined, connections),
        notebook.panels(notebook.heat(strengths(circuit), "V per spike of all pre", "pre", "post")),
        *(notebook.details(type(rule).__name__, rule._repr_html_()) for rule in circuit.rules),
    )


def strengths(circuit: Circuit) -> np.ndarray:
    """Mean potential in V that one spike of every neuron of a population adds to a neuron of another, `[post, pre]`."""
    found = np.zeros((len(circuit.populations),) * 2)
    for each in circuit.connections:
        pre, post = circuit.index(each.pre), circuit.index(each.post)
        inputs = circuit.populations[pre].size * each.probability
        found[post, pre] += np.mean(each.efficacy) * inputs
    return found
