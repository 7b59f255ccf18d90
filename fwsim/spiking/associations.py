"""Associative rules in the native engine: a state for each synapse, as `associations.hpp` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sympy
import torch

from fwsim.engine.native import spikes
from fwsim.engine.native.program import compile_programs
from fwsim.rules.derive.propagate import transition
from fwsim.rules.derive.symbols import structure
from fwsim.rules.parameters import as_tensors, leaves
from fwsim.rules.rule import AssociativeRule, SpikeRule
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.parameters import initial_states

BITS = 40  # an interval has fewer than 2^40 steps
WEIGHT = sympy.Symbol("weight of a spike", real=True)


class Association:
    """An associative rule, and its state in each of some synapses.

    Parameters
    ----------
    rule, circuit, trials
        The rule, whose parameters are numbers, the circuit, and the number of trials.
    arranged
        Its synapses, ordered by presynaptic neurons: `segments`, `begins` and `target` of `SpikeSynapses`.
    """

    def __init__(
        self, rule: AssociativeRule, circuit: Circuit, trials: int, arranged: Mapping[str, np.ndarray]
    ) -> None:
        self.rule = rule
        kind, numeric = structure(rule), as_tensors(rule)
        self._names = names = kind.names
        parameters = zip(leaves(kind.rule), leaves(numeric))
        values = {symbol: float(value) for (_, symbol, _), (_, value, _) in parameters}

        def changes(after: Mapping[str, Any]) -> list[tuple[sympy.Symbol, Any]]:
            states = ((kind.state[name], after[name].subs(values)) for name in names)
            return [(before, now) for before, now in states if before != now]

        on_pre = (*changes(kind.pre[0]), (WEIGHT, kind.pre[1].subs(values)))
        on_post = tuple(changes(kind.post))
        rows = (*(kind.state[name] for name in names), WEIGHT)
        self._program = compile_programs((on_pre, on_post) if on_post else (on_pre,), rows, ())
        self._code = [np.ascontiguousarray(each) for each in self._program.instructions]
        self._literals = np.array(self._program.literals or [0.0])
        matrices = powers(rule, names, circuit.dt, ())
        self._to, self._from = (each.astype(np.int32) for each in np.nonzero((matrices != 0).any(0)))
        self._powers = np.ascontiguousarray(matrices[:, self._to, self._from])
        rest = numeric.rest()
        self._rest = np.array([float(rest[name]) for name in names])
        self.pre = _presynaptic(arranged, circuit.neurons)
        target = arranged["target"]
        self._incoming = np.argsort(target, kind="stable").astype(np.int32)
        self._begins = np.searchsorted(target[self._incoming], np.arange(circuit.neurons + 1)).astype(
            np.int64
        )
        self.state = np.tile(self._rest, (trials, len(target), 1))
        self.last = np.zeros((trials, len(target)), np.int64)
        begin = initial_states(rule, circuit, trials)
        if begin is not None:
            self.state = np.stack([begin[name].numpy()[:, self.pre] for name in names], -1)
            self.last -= 1  # time 0 is the end of the step before the first

    def structure(self) -> Any:
        """What `associations.hpp` calls an association."""
        pre, post = (*self._code, self._code[0][:0])[:2]
        return spikes.filled(
            spikes.Association,
            {
                "variables": len(self._names),
                "entries": len(self._to),
                "bits": BITS,
                "numbers": len(self._program.literals),
                "temporaries": self._program.temporaries,
                "pre_count": len(pre),
                "post_count": len(post),
                "pre": pre,
                "post": post,
                "literals": self._literals,
                "rest": self._rest,
                "to": self._to,
                "from": self._from,
                "powers": self._powers,
                "begins": self._begins,
                "incoming": self._incoming,
                "state": self.state,
                "last": self.last,
            },
        )

    def strength(self, done: int, dt: float) -> np.ndarray:
        """Weight of each synapse after `done` steps, `[trial, synapse]`."""
        state = {name: torch.from_numpy(self.state[..., k].copy()) for k, name in enumerate(self._names)}
        now = self.rule.propagate(state, torch.from_numpy((done - 1 - self.last) * dt))
        return np.broadcast_to(torch.as_tensor(self.rule.strength(now)).numpy(), self.last.shape)


def powers(rule: SpikeRule, names: list[str], dt: float, shape: tuple[int, ...]) -> np.ndarray:
    """exp(J 2^bit dt) for parameters of this shape, `[bit, …, to, from]`."""
    interval = (dt * 2.0 ** torch.arange(BITS, dtype=torch.float64)).reshape(BITS, *[1] * len(shape))
    found = transition(rule, interval)
    result = torch.zeros(BITS, *shape, len(names), len(names), dtype=torch.float64)
    for (i, j), entry in found.entries.items():
        result[..., names.index(i), names.index(j)] = entry.detach()
    for block, matrix in found.blocks:
        places = torch.tensor([names.index(name) for name in block])
        result[..., places[:, None], places[None, :]] = matrix.detach()
    return result.numpy()


def _presynaptic(arranged: Mapping[str, np.ndarray], neurons: int) -> np.ndarray:
    """Presynaptic neuron of every synapse."""
    first = arranged["begins"][arranged["segments"]]
    return np.repeat(np.arange(neurons), np.diff(first))
