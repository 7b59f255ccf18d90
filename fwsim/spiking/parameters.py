"""Parameters and initial states of rules that differ between trials, populations and neurons."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fwsim.errors import ConfigError
from fwsim.rules.initial_state import begun
from fwsim.rules.parameters import replaced
from fwsim.rules.rule import SpikeRule, Values
from fwsim.spiking.circuit import Circuit

R = TypeVar("R", bound=SpikeRule)


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


def initial_states(rule: SpikeRule, circuit: Circuit, trials: int) -> Values | None:
    """State of a rule in every neuron when a run begins, `[trial, neuron]`; `None` if it is at rest everywhere."""
    given = circuit.states(rule)
    if not given:
        return None
    rest = begun(by_neuron(rule, circuit, trials), {}, torch.zeros((), dtype=torch.float64))
    found = {name: value.expand(trials, circuit.neurons).clone() for name, value in rest.items()}
    for name, values in given.items():
        for variable, value in values.items():
            found[variable][:, circuit.members[name]] = (
                torch.as_tensor(value, dtype=torch.float64).detach().cpu()
            )
    return found


def initial_means(rule: SpikeRule, circuit: Circuit, trials: int) -> Values | None:
    """State of a rule in every population when a run begins, `[trial, population]`; `None` if it is at rest everywhere.

    Raises
    ------
    ConfigError
        The neurons of a population have their own.
    """
    for name, values in circuit.states(rule).items():
        for variable, value in values.items():
            if np.shape(value)[-1:] not in ((), (1,)):
                raise ConfigError(
                    f"state of {variable} differs between the neurons of {name}, and the rate version has one unit for "
                    "each population; give typical values"
                )
    found = initial_states(rule, circuit, trials)
    first = [circuit.members[name].start for name in circuit.names]
    return found and {name: value[:, first] for name, value in found.items()}


def _spread(rule: R, change: Any) -> R:
    def spread(name: str, value: Any, spec: Any) -> Any:
        many = isinstance(value, Tensor) and value.ndim
        return change(value.detach().double().cpu()).contiguous() if many else value

    return replaced(rule, spread)
