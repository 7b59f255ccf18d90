"""Notebook display of circuits."""

from __future__ import annotations

import numpy as np

from fwsim import notebook
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.population import NEURON, Population
from fwsim.spiking.sources import Source, SpikeGenerator


def circuit_html(circuit: Circuit) -> str:
    """Equations, populations, connections with their mean strength, and the rules of plastic synapses."""
    populations = [
        (p.name, p.size, *(_typical(p, field) for field in NEURON))
        for p in circuit.populations
        if isinstance(p, Population)
    ]
    sources = [(p.name, p.size, type(p).__name__, _emitted(p)) for p in circuit.sources]
    connections = [
        (
            f"{c.pre} → {c.post}",
            c.efficacy,
            c.probability,
            c.delay,
            c.decay,
            "" if c.reversal is None else c.reversal,
            "static" if c.synapse is None else type(c.synapse).__name__,
        )
        for c in circuit.connections
    ]
    named = ("population", "neurons", "τ (s)", "threshold (V)", "reset (V)", "refractory (s)")
    joined = (
        "connection",
        "efficacy (V, or g)",
        "probability",
        "delay (s)",
        "decay (s)",
        "reversal (V)",
        "synapse",
    )
    return notebook.card(
        circuit,
        notebook.formula(Population),
        f"{circuit.neurons} neurons, dt = {circuit.dt:g} s",
        notebook.table((*named, "background (V)", "noise (V)"), populations),
        *([notebook.table(("source", "neurons", "kind", "spikes"), sources)] if sources else []),
        notebook.table(joined, connections),
        notebook.panels(notebook.heat(strengths(circuit), "V per spike of all pre", "pre", "post")),
        *(notebook.details(type(rule).__name__, rule._repr_html_()) for rule in circuit.rules),
    )


def _typical(population: Population, field: str) -> object:
    """A parameter, in words if neurons differ."""
    value = getattr(population, field)
    return f"{value.min():g} … {value.max():g}" if field in population.varied else value


def _emitted(source: Source) -> str:
    """How many spikes a source emits, in words."""
    if isinstance(source, SpikeGenerator):
        return f"{sum(map(len, source.arrays()))} given"
    return f"{source.rate:g} Hz" if isinstance(source.rate, float) else "rates differ"


def strengths(circuit: Circuit) -> np.ndarray:
    """Mean potential in V that one spike of every neuron of a population adds to a neuron of another, `[post, pre]`.

    That of a conductance depends on the potential; here it is that at rest.
    """
    found = np.zeros((len(circuit.populations),) * 2)
    for each in circuit.connections:
        pre, post = circuit.index(each.pre), circuit.index(each.post)
        inputs = circuit.populations[pre].size * each.probability
        mean = np.mean(each.efficacy)
        if each.reversal is not None:
            target = circuit.populations[post]
            assert isinstance(target, Population)
            mean *= each.reversal * each.decay / np.mean(target.tau)
        found[post, pre] += mean * inputs
    return found
