"""Description of a circuit, from which a spiking network and a rate network are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, choice, instance, number, type_of
from fwsim.names import KnownArguments
from fwsim.rules.parameters import batch_shape
from fwsim.rules.rule import AssociativeRule, SpikeRule, Values
from fwsim.spiking.connection import Connection
from fwsim.spiking.population import Population
from fwsim.spiking.sources import PoissonGenerator, Source, SpikeGenerator
from fwsim.units import checked

COARSEST = 0.02  # s; steps above are probably meant in ms


@dataclass(frozen=True, eq=False)
class Circuit(KnownArguments):
    """Populations and their connections: one description for a spiking and for a rate network.

    Parameters
    ----------
    populations
        In the order in which neurons are counted: `Population`, or a `SpikeGenerator` or `PoissonGenerator`, to which
        nothing connects. In the rate version each population is a unit.
    connections
        Connections between populations; several from one population to another add up.
    dt
        Time step in s.

    Raises
    ------
    ConfigError, ShapeError
        Unknown or repeated names, or parameters that do not fit.

    Examples
    --------
    >>> noisy = Population("E", 100, background=0.018, noise=0.003)
    >>> circuit = Circuit([noisy], [Connection("E", "E", 0.0002, probability=0.1)])
    >>> circuit.neurons
    100
    """

    populations: Sequence[Population | Source]
    connections: Sequence[Connection] = ()
    dt: float = 1e-4

    def __post_init__(self) -> None:
        kinds = {"populations": (Population, SpikeGenerator, PoissonGenerator), "connections": (Connection,)}
        for field, allowed in kinds.items():
            given = getattr(self, field)
            parts = tuple(given) if isinstance(given, Iterable) else (given,)
            if not all(isinstance(each, allowed) for each in parts):
                raise ConfigError(f"{field}={given!r} is not allowed; give a list of {allowed[0].__name__}s")
            object.__setattr__(self, field, parts)
        if not self.populations or len(set(self.names)) < len(self.names):
            raise ConfigError(
                f"populations are named {list(self.names)}; give one or more, with different names"
            )
        object.__setattr__(self, "dt", checked("dt", self.dt, "time", above=0, usual=COARSEST))
        for source in self.sources:
            source.check(self.dt)
        for each in self.connections:
            choice("pre", each.pre, self.names)
            choice("post", each.post, self.names)
            if isinstance(post := self.populations[self.index(each.post)], Source):
                raise ConfigError(
                    f"{each.pre}→{each.post}: {each.post} is {type_of(post)}, which receives nothing; "
                    "connect to a Population"
                )
            self._check_sizes(each)
            self._check_state(each)
        _ = self.trials

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the populations."""
        return tuple(each.name for each in self.populations)

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return sum(each.size for each in self.populations)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Populations whose spikes are given or random."""
        return tuple(each for each in self.populations if isinstance(each, Source))

    def index(self, name: str) -> int:
        """Index of a population."""
        choice("population", name, self.names)
        return self.names.index(name)

    @cached_property
    def members(self) -> dict[str, slice]:
        """Indices of the neurons of every population."""
        ends = np.cumsum([each.size for each in self.populations]).tolist()
        return {each.name: slice(end - each.size, end) for each, end in zip(self.populations, ends)}

    @cached_property
    def rules(self) -> tuple[SpikeRule, ...]:
        """Rules of the plastic connections, each instance once, in order of first use."""
        return tuple({id(each.synapse): each.synapse for each in self.connections if each.synapse}.values())

    @cached_property
    def trials(self) -> int | None:
        """Number of trials that have their own rules, states or sources, `None` if they are the same for all."""
        shapes = [batch_shape(rule) for rule in self.rules]
        shapes += [torch.as_tensor(v).shape for each in self.connections for v in (each.state or {}).values()]
        found = {shape[0] for shape in shapes if len(shape) == 2 and shape[0] > 1}
        found |= {each.trials for each in self.sources if each.trials}
        if len(found) > 1:
            raise ShapeError(
                f"rules have parameters or states, or sources spikes or rates, for {sorted(found)} trials; give one "
                "number for all"
            )
        return found.pop() if found else None

    def source(self, rule: SpikeRule) -> Population | Source | None:
        """The population whose neurons each have their own parameters of a rule, `None` if they do not."""
        instance("rule", rule, SpikeRule, "one of the rules of this circuit")
        if batch_shape(rule)[-1:] in (torch.Size(), (1,), (len(self.populations),)):
            return None
        for each in self.connections:
            if each.synapse is rule:
                return self.populations[self.index(each.pre)]
        raise ConfigError(
            f"{type(rule).__name__} is the rule of no connection of this circuit; give one of its rules"
        )

    def states(self, rule: SpikeRule) -> dict[str, Values]:
        """Given initial values of a rule's variables, by the name of the presynaptic population."""
        return {
            each.pre: dict(each.state) for each in self.connections if each.synapse is rule and each.state
        }

    def scaled(self, factor: float) -> Circuit:
        """The circuit with `factor` times as many neurons, each with as many inputs as before.

        Mean and variance of every input stay the same, since efficacies and numbers of inputs do. Two neurons share
        more of their inputs, and population rates fluctuate more (as 1/√size). Fewer inputs with
        larger efficacies would preserve only the mean.

        Raises
        ------
        ConfigError
            Neurons would need more inputs than there are neurons, or connections are given as matrices, or rules,
            states, spikes or rates by neuron.
        """
        number("factor", factor, above=0)
        densest = max((each.probability for each in self.connections), default=0.0)
        if factor < densest:
            raise ConfigError(
                f"scaled by {factor} is not allowed: neurons keep their inputs, so connection probabilities of "
                f"{densest} leave no factor below {densest}"
            )
        for each in self.populations:
            if isinstance(each, Population) and each.varied:
                raise ConfigError(
                    f"a circuit whose neurons differ ({each.name}: {each.varied[0]}) cannot be scaled; draw them anew"
                )
        if any(np.ndim(each.efficacy) for each in self.connections):
            raise ConfigError("a circuit with efficacy matrices cannot be scaled; make the matrices anew")
        for each in self.sources:
            if (
                isinstance(each, SpikeGenerator)
                or callable(each.rate)
                or np.shape(each.rate)[-1:] not in ((), (1,))
            ):
                raise ConfigError(
                    f"a circuit with {each.name}, whose neurons have their own spikes or rates, cannot be scaled; make "
                    "it anew"
                )
        own = [np.shape(v)[-1:] for each in self.connections for v in (each.state or {}).values()]
        if any(self.source(rule) for rule in self.rules) or any(size not in ((), (1,)) for size in own):
            raise ConfigError(
                "a circuit whose neurons have their own parameters or states of a rule cannot be scaled; draw them anew"
            )
        return replace(
            self,
            populations=[
                replace(p, size=max(1, round(p.size * factor)))
                for p in self.populations
                if not isinstance(p, SpikeGenerator)  # refused above
            ],
            connections=[replace(c, probability=c.probability / factor) for c in self.connections],
        )

    def _repr_html_(self) -> str:
        from fwsim.spiking.display import circuit_html

        return circuit_html(self)

    def configuration(self) -> dict[str, Any]:
        """The circuit as plain data; matrices are replaced by their shape."""
        return {"network": "Circuit", **_plain(self)}

    def _check_sizes(self, each: Connection) -> None:
        where = f"{each.pre}→{each.post}"
        expected = tuple(self.populations[self.index(name)].size for name in (each.post, each.pre))
        if np.ndim(each.efficacy) and each.efficacy.shape != expected:
            raise ShapeError(
                f"{where}: efficacy has shape {list(each.efficacy.shape)}; give [post, pre] = {list(expected)}"
            )
        if each.synapse is None:
            return
        shape = batch_shape(each.synapse)
        last = {1, len(self.populations), expected[1]}
        if isinstance(each.synapse, AssociativeRule) and shape:
            raise ShapeError(
                f"{where}: parameters of {type(each.synapse).__name__} must be scalars in a circuit"
            )
        if len(shape) > 2 or (shape and shape[-1] not in last):
            raise ShapeError(
                f"{where}: parameters of {type(each.synapse).__name__} have shape {list(shape)}; give scalars, "
                f"[trial, 1], [unit] or [trial, unit] with unit={len(self.populations)} populations or {expected[1]} "
                f"neurons of {each.pre}"
            )
        if shape and 1 < shape[-1] == len(self.populations) == expected[1]:
            raise ConfigError(
                f"{where}: {shape[-1]} values of {type(each.synapse).__name__} may be those of the populations or of "
                f"the neurons of {each.pre}; give each connection a rule of its own with one value, or {each.pre} "
                "another number of neurons"
            )
        if (source := self.source(each.synapse)) and source.name != each.pre:
            raise ConfigError(
                f"{where} and {source.name} share {type(each.synapse).__name__} with parameters for each neuron; give "
                "each presynaptic population its own rule"
            )

    def _check_state(self, each: Connection) -> None:
        where = f"{each.pre}→{each.post}"
        size = self.populations[self.index(each.pre)].size
        for name, value in (each.state or {}).items():
            shape = torch.as_tensor(value).shape
            if isinstance(each.synapse, AssociativeRule) and shape:
                raise ShapeError(
                    f"{where}: state of {name} has shape {list(shape)}; {type(each.synapse).__name__} takes numbers"
                )
            if len(shape) > 2 or (shape and shape[-1] not in (1, size)):
                raise ShapeError(
                    f"{where}: state of {name} has shape {list(shape)}; give a number, [unit], [trial, 1] or "
                    f"[trial, unit] with unit={size} neurons of {each.pre}"
                )
        same = [c for c in self.connections if c.synapse is each.synapse and c.pre == each.pre and c.state]
        if len(same) > 1:
            raise ConfigError(
                f"{' and '.join(f'{c.pre}→{c.post}' for c in same)} share {type(each.synapse).__name__} and its state; "
                "give the state to one of them"
            )


def check_circuit(given: object) -> None:
    """Raise `ConfigError` unless this is a circuit."""
    instance("circuit", given, Circuit, "a circuit: fwsim.spiking.Circuit(...)")


def _plain(value: Any) -> Any:
    if isinstance(value, Source):
        return value.configuration()
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape)}
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if is_dataclass(value):
        kind = {"rule": type(value).__name__} if isinstance(value, SpikeRule) else {}
        return kind | {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
