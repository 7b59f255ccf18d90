"""Presynaptic rules in the native engine: a state for each neuron, as `spikes.hpp` takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy
import torch

from fwsim.engine.native import spikes
from fwsim.engine.native.program import compile_programs
from fwsim.rules.derive.sites import resource_of
from fwsim.rules.derive.symbols import structure
from fwsim.rules.parameters import as_tensors, leaves
from fwsim.rules.rule import PresynapticRule, Values
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.spiking.associations import BITS, powers
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.parameters import by_neuron, by_population, initial_states

RELEASE = sympy.Symbol("release", real=True)


class Presynaptic:
    """A presynaptic rule, and its state in every neuron.

    Parameters
    ----------
    rule, circuit, trials
        One of the circuit's rules, the circuit, and the number of trials.

    Attributes
    ----------
    by_neuron
        The rule with parameters `[trial, neuron]`, where they are no numbers.
    sites
        Release sites of a synapse, 0 without random release.
    depletes
        Whether sites stay empty after a release, so that each synapse has a state too: how many are full.
    state, last
        State after the last spike `[trial, neuron, variable]`, and the step of this spike `[trial, neuron]`.
    """

    def __init__(self, rule: PresynapticRule, circuit: Circuit, trials: int) -> None:
        self.by_neuron = by_neuron(rule, circuit, trials)
        begin = initial_states(rule, circuit, trials)
        alike = circuit.source(rule) is None
        rule = by_population(rule, circuit, trials) if alike else self.by_neuron
        units = len(circuit.populations) if alike else circuit.neurons
        kind, numeric, shape = structure(rule), as_tensors(rule), (trials, units)
        names = kind.names
        random = rule if isinstance(rule, StochasticRelease) else None
        resource = resource_of(structure(random.rule)) if random and random.depletion == "site" else None
        release = kind.pre[1]
        if resource is not None:
            release = release.subs(kind.state[resource], 1)  # of a full site
        symbols = [symbol for _, symbol, _ in leaves(kind.rule)]
        self._program = compile_programs(
            (((*((kind.state[n], kind.pre[0][n]) for n in names), (RELEASE, release))),),
            (*(kind.state[n] for n in names), *symbols, RELEASE),
            (),
        )
        rest = numeric.rest()
        self._names = names
        self.sites, self._variation = (random.sites, float(random.cv)) if random else (0, 0.0)
        self.depletes = resource is not None
        self._resource = -1 if resource is None else names.index(resource)
        self._rest = _stacked([rest[name] for name in names], shape)
        self._values = _stacked([value for _, value, _ in leaves(numeric)], shape)
        self._powers = np.ascontiguousarray(np.moveaxis(powers(rule, names, circuit.dt, shape), 0, 2))
        self._code = np.ascontiguousarray(self._program.instructions[0])
        self._literals = np.array(self._program.literals or [0.0])
        sizes = [each.size for each in circuit.populations] if alike else 1
        self.state = np.repeat(self._rest, sizes, axis=1)
        self._each = int(not alike)
        self.last = np.zeros((trials, circuit.neurons), np.int64)
        if begin is not None:
            self.state = np.stack([begin[name].numpy() for name in names], -1)
            self.last -= 1  # time 0 is the end of the step before the first

    def structure(self) -> Any:
        """What `spikes.hpp` calls a rule."""
        return spikes.filled(
            spikes.Rule,
            {
                "variables": len(self._names),
                "parameters": self._values.shape[-1],
                "bits": BITS,
                "count": len(self._code),
                "numbers": len(self._program.literals),
                "temporaries": self._program.temporaries,
                "each": self._each,
                "sites": self.sites,
                "resource": self._resource,
                "variation": self._variation,
                "instructions": self._code,
                "literals": self._literals,
                "rest": self._rest,
                "values": self._values,
                "powers": self._powers,
                "state": self.state,
                "last": self.last,
            },
        )

    def now(self, done: int, dt: float) -> Values:
        """State of every neuron after `done` steps, `[trial, unit]`."""
        state = {name: torch.from_numpy(self.state[..., k].copy()) for k, name in enumerate(self._names)}
        elapsed = np.maximum(done - 1 - self.last, 0)  # before the first step all is at its start
        return self.by_neuron.propagate(state, torch.from_numpy(elapsed * dt))


def _stacked(values: list[Any], shape: tuple[int, int]) -> np.ndarray:
    """Values as `[trial, unit, value]`, with populations or neurons as units."""
    if not values:
        return np.zeros((*shape, 0))
    parts = [torch.as_tensor(value, dtype=torch.float64).detach().expand(shape) for value in values]
    return torch.stack(parts, -1).numpy().copy()
