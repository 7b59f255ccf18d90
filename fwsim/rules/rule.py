"""The two kinds of spike-driven rule.

A rule is a frozen dataclass of parameters with pure functions of its state. They use
only arithmetic and `fwsim.rules.functions`, so that the same code runs on numbers, on
tensors (to simulate) and on symbols (to derive everything else, once for all rules: `fwsim.rules.derived`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch

from fwsim.names import KnownArguments
from fwsim.rules.derived import Derived
from fwsim.rules.parameters import Parameter, batch_shape, declared, leaves, normalise, replaced

Values = dict[str, Any]
"""State of a rule: name of a variable → number, tensor or symbol."""


@dataclass(frozen=True, eq=False)
class SpikeRule(KnownArguments, Derived, ABC):
    """A synapse that spikes change and that relaxes between them.

    To write a rule, define the four functions below. `drift` must be affine in the state, with `rest` as a fixed
    point; jumps may be any functions. A time constant of 0 is instant relaxation: of simultaneous spikes of one side,
    the later ones find the variable at rest. Simultaneous presynaptic and postsynaptic spikes see each other's
    traces.
    """

    output: ClassVar[str]
    """Name of the value that a presynaptic spike reads: `"release"` or `"weight"`."""
    timescale_axis: ClassVar[bool] = False
    """Whether the last axis of a parameter is the time scale."""
    fractions: ClassVar[tuple[str, ...]] = ()
    """Variables that are fractions; a state that is given outside of [0, 1] is refused."""

    @abstractmethod
    def rest(self) -> Values:
        """State after infinite silence."""

    @abstractmethod
    def drift(self, state: Values) -> Values:
        """Time derivative of every variable between spikes, in 1/s."""

    @abstractmethod
    def at_pre(self, state: Values) -> tuple[Values, Any]:
        """State after a presynaptic spike, and the value that the spike read."""

    def at_post(self, state: Values) -> Values:
        """State after a postsynaptic spike."""
        return state

    def __post_init__(self) -> None:
        for name, spec in declared(self).items():
            value = normalise(
                type(self).__name__, name, getattr(self, name), spec, timescale_axis=self.timescale_axis
            )
            object.__setattr__(self, name, value)
        batch_shape(self)

    def to(self, *, dtype: torch.dtype | None = None, device: Any = None) -> Self:
        """Copy with every tensor parameter moved; numbers stay numbers."""

        def move(name: str, value: Any, spec: Parameter) -> Any:
            return value.to(dtype=dtype, device=device) if isinstance(value, torch.Tensor) else value

        return replaced(self, move)

    def parameters(self) -> Values:
        """Every parameter value by name; components are called `d_1`, `d_2` …"""
        return {name: value for name, value, _ in leaves(self)}


@dataclass(frozen=True, eq=False)
class PresynapticRule(SpikeRule):
    """A rule whose state belongs to the presynaptic neuron: it needs no postsynaptic spikes.

    Parameters are numbers or tensors that broadcast against `times.shape[:-1]`; in a network, `[batch, unit]`.
    """

    output = "release"

    @abstractmethod
    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """State after a spike, and the release that the spike causes."""

    def at_pre(self, state: Values) -> tuple[Values, Any]:
        """See `on_pre`."""
        return self.on_pre(state)

    def full_sites(self, state: Values) -> Any:
        """Fraction of release sites that are full, for a rule of which no variable is that fraction itself."""
        raise NotImplementedError

    def with_full_sites(self, state: Values, share: Any) -> Values:
        """The state with another fraction of full sites, likewise."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class AssociativeRule(SpikeRule):
    """A rule that needs presynaptic and postsynaptic spikes.

    Parameters are numbers, `[timescale]` or `[batch, timescale]`: the last axis of a tensor is always the
    time scale (of length 1 if a rule has only one).
    """

    output = "weight"
    timescale_axis = True

    @abstractmethod
    def on_pre(self, state: Values) -> Values:
        """State after a presynaptic spike."""

    @abstractmethod
    def on_post(self, state: Values) -> Values:
        """State after a postsynaptic spike."""

    @abstractmethod
    def strength(self, state: Values) -> Any:
        """Weight before a presynaptic spike changes anything."""

    def at_pre(self, state: Values) -> tuple[Values, Any]:
        """State after a presynaptic spike, and the weight before it."""
        return self.on_pre(state), self.strength(state)

    def at_post(self, state: Values) -> Values:
        """See `on_post`."""
        return self.on_post(state)
