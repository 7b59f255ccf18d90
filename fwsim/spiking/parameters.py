"""Parameters of presynaptic rules that differ between trials, populations and neurons."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from fwsim.rules.parameters import replaced
from fwsim.rules.rule import PresynapticRule
from fwsim.spiking.circuit import Circuit

R = TypeVar("R", bound=PresynapticRule)


def by_population(rule: R, circuit: Circuit, trials: int) -> R:
    """The rule with every tensor parameter as `[trial, population]`; numbers stay numbers."""
    return _spread(rule, lambda value: value.expand(trials, len(circuit.populations)))


def by_neuron(rule: R, circuit: Circuit, trials: int) -> R:
    """The rule with every tensor parameter as `[trial, neuron]`; numbers stay numbers.

    If the neurons of one population have their own parameters, all others have those of its first neuron: the rule has
    no synapse there.
    """
    source = circuit.source(rule)
    if source is None:
        sizes = torch.tensor([each.size for each in circuit.populations])
        return _spread(by_population(rule, circuit, trials), lambda value: value.repeat_interleave(sizes, -1))
    members = circuit.members[source.name]

    def placed(value: Tensor) -> Tensor:
        own = value.expand(trials, source.size)
        everywhere = own[:, :1].repeat(1, circuit.neurons)
        everywhere[:, members] = own
        return everywhere

    return _spread(rule, placed)


def by_synapse(rule: R, circuit: Circuit, trials: int, pre: Any) -> R:
    """The rule with every tensor parameter as `[trial, synapse]`, by presynaptic neurons; numbers stay numbers."""
    index = torch.as_tensor(pre, dtype=torch.long)
    return _spread(by_neuron(rule, circuit, trials), lambda value: value[:, index])


def _spread(rule: R, change: Any) -> R:
    def spread(name: str, value: Any, spec: Any) -> Any:
        many = isinstance(value, Tensor) and value.ndim
        return change(value.detach().double().cpu()).contiguous() if many else value

    return replaced(rule, spread)
