"""Parameters of presynaptic rules that differ between trials and populations."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from fwsim.rules.parameters import replaced
from fwsim.rules.rule import PresynapticRule
from fwsim.spiking.circuit import Circuit

R = TypeVar("R", bound=PresynapticRule)


def by_population(rule: R, circuit: Circuit, trials: int) -> R:
    """The rule with every tensor parameter as `[trial, population]`; numbers stay numbers."""
    shape = (trials, len(circuit.populations))

    def spread(name: str, value: Any, spec: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not value.ndim:
            return value
        return value.detach().double().cpu().expand(shape).contiguous()

    return replaced(rule, spread)


def by_neuron(rule: R, circuit: Circuit, trials: int) -> R:
    """The rule with every tensor parameter as `[trial, neuron]`; numbers stay numbers."""
    sizes = torch.tensor([each.size for each in circuit.populations])

    def spread(name: str, value: Any, spec: Any) -> Any:
        many = isinstance(value, torch.Tensor) and value.ndim
        return value.repeat_interleave(sizes, -1) if many else value

    return replaced(by_population(rule, circuit, trials), spread)
