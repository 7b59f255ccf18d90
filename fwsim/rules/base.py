"""The two kinds of spike-driven rule, and what every rule can do.

A rule is a frozen dataclass of parameters with pure functions of its state. They use
arithmetic and `fwsim.rules.functions` only, so that the same code runs on numbers, on
tensors (to simulate) and on symbols (to derive everything else, once for all rules).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch

from fwsim.names import KnownArguments
from fwsim.rules.parameters import Parameter, batch_shape, declared, leaves, normalise, replaced

if TYPE_CHECKING:
    from torch import Tensor

    from fwsim.rules.brian2_code import Brian2Code
    from fwsim.rules.equations import Equations
    from fwsim.rules.memory import MemoryRule
    from fwsim.rules.rates import RateDynamics
    from fwsim.rules.steady_state import SteadyState

Values = dict[str, Any]
"""State of a rule: name of a variable → number, tensor or symbol."""


@dataclass(frozen=True, eq=False)
class SpikeRule(KnownArguments, ABC):
    """A synapse that spikes change and that relaxes in between.

    To write a rule, give the four functions below. `drift` must be affine in the state with `rest` as
    a fixed point; jumps may be anything. A time constant of 0 is instant relaxation: simultaneous spikes of one side
    find the variable at rest. A presynaptic and a postsynaptic spike at the same time see each other's traces.
    """

    output: ClassVar[str]
    """What a presynaptic spike reads: `"release"` or `"weight"`."""
    timescale_axis: ClassVar[bool] = False
    """Whether the last axis of a parameter is the time scale."""

    @abstractmethod
    def rest(self) -> Values:
        """State after infinite silence."""

    @abstractmethod
    def drift(self, state: Values) -> Values:
        """Time derivative of every variable between spikes, in 1/s."""

    @abstractmethod
    def at_pre(self, state: Values) -> tuple[Values, Any]:
        """State after a presynaptic spike, and what that spike read."""

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
        """Every parameter value by name, components as `d_1`, `d_2` …"""
        return {name: value for name, value, _ in leaves(self)}

    def propagate(self, state: Values, interval: Any) -> Values:
        """State after `interval` seconds without spikes, exactly; shapes broadcast."""
        from fwsim.rules.propagate import propagate

        return propagate(self, state, interval)

    def rate_dynamics(self) -> RateDynamics:
        """Averaged dynamics of the whole state under rates instead of spikes."""
        from fwsim.rules.rates import rate_dynamics

        return rate_dynamics(self)

    def equations(self) -> Equations:
        """Equations of the rule as sympy expressions; `print` shows them as text."""
        from fwsim.rules.equations import equations

        return equations(self)

    def latex(self) -> str:
        """Equations of the rule as a LaTeX `align*` block."""
        return self.equations().latex()

    def reduced(self) -> MemoryRule:
        """The memory rule that this becomes when its traces are fast.

        Raises
        ------
        ConfigError
            The weight does not follow products of rates linearly.
        """
        from fwsim.rules.reduced import reduced

        return reduced(self)

    def _repr_html_(self) -> str:
        from fwsim.rules.display import spike_rule_html

        return spike_rule_html(self)

    def brian2(self, *, prefix: str = "") -> Brian2Code:
        """The rule in Brian2, propagated exactly from event to event.

        Parameters
        ----------
        prefix
            Put before every name, where a model has several rules.
        """
        from fwsim.rules.brian2_code import brian2_code

        return brian2_code(self, prefix=prefix)


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

    def respond(self, times: Tensor) -> Tensor:
        """Release at every spike of a train that begins at rest: exact, without a time step.

        Parameters
        ----------
        times
            `[..., spike]` in s from any origin (only intervals count, so that times may be negative),
            ascending, filled up with NaN. Its precision is kept: give float64 for exact work.

        Returns
        -------
        Tensor
            Release per spike, `[..., spike]`, NaN where `times` is. Gradients flow to the parameters.

        Raises
        ------
        ShapeError
            `times` is not floating point, or the parameters do not broadcast against its leading axes.
        ConfigError
            `times` is not ascending, or has NaN before a spike.
        """
        from fwsim.rules.respond import respond

        return respond(self, times)

    def steady_state(self, rate: Any, train: str = "regular") -> SteadyState:
        """Release and state after a long train.

        Parameters
        ----------
        rate
            In Hz, at least 0: a number or a tensor that broadcasts against the parameters.
        train
            `"regular"`: fixed point of the exact map from spike to spike. `"poisson"`: exact where the
            moments close, else sampled, with its error. `"mean_field"`: fixed point of the rate dynamics.

        Raises
        ------
        ConfigError
            Unknown train, negative rate, or a rule that has no steady state.
        """
        from fwsim.rules.steady_state import steady_state

        return steady_state(self, rate, 0.0, train=train)


@dataclass(frozen=True, eq=False)
class AssociativeRule(SpikeRule):
    """A rule that needs spikes of both sides.

    Parameters are numbers, `[timescale]` or `[batch, timescale]`: the last axis of a tensor is always the
    time scale (of length 1 where a rule has only one).
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
        """Weight that a presynaptic spike finds, before it changes anything."""

    def at_pre(self, state: Values) -> tuple[Values, Any]:
        """State after a presynaptic spike, and the weight that it found."""
        return self.on_pre(state), self.strength(state)

    def at_post(self, state: Values) -> Values:
        """See `on_post`."""
        return self.on_post(state)

    def respond(self, pre: Tensor, post: Tensor) -> Tensor:
        """Weight that every presynaptic spike finds, beginning at rest: exact, without a time step.

        Parameters
        ----------
        pre, post
            Spike times of both sides, `[..., spike]` in s from one origin of any choice, ascending, filled
            up with NaN; their leading axes broadcast. Of simultaneous spikes the presynaptic one comes first.

        Returns
        -------
        Tensor
            Weight before each presynaptic spike's own change, `[..., spike]`, NaN where `pre` is.
        """
        from fwsim.rules.respond import respond

        return respond(self, pre, post)

    def steady_state(self, pre: Any, post: Any, train: str = "regular", *, lag: Any = 0.0) -> SteadyState:
        """Weight and state after long trains.

        Parameters
        ----------
        pre, post
            Rates in Hz; independent Poisson trains for `"poisson"`.
        train
            As for presynaptic rules. `"regular"` needs equal rates.
        lag
            Of a regular postsynaptic train behind the presynaptic one, in s, below one period.
        """
        from fwsim.rules.steady_state import steady_state

        return steady_state(self, pre, post, train=train, lag=lag)

    def places(self) -> dict[str, str]:
        """Where each variable lives, `"pre"`, `"post"` or `"synapse"`: derived from what changes it."""
        from fwsim.rules.symbols import structure

        return structure(self).places()
