"""Projections: weights between the units of a rate network, static or with a rule at every synapse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fwsim.arrays import as_they_are
from fwsim.engine.rate.exponential import Relaxation, relaxation
from fwsim.errors import ConfigError, ShapeError, type_of
from fwsim.names import KnownArguments
from fwsim.rules.derive.rates import RateDynamics
from fwsim.rules.initial_state import checked_state
from fwsim.rules.parameters import batch_shape, own, replaced, without_zeros
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values

SHAPES: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "pre": lambda batch, units: (batch, 1, units),
    "post": lambda batch, units: (batch, units, 1),
    "synapse": lambda batch, units: (batch, units, units),
}
"""Shape in which the state of an associative rule is carried, by the place where a variable lives."""


@dataclass(frozen=True, eq=False)
class Projection(KnownArguments):
    """Connections between all units of a rate network, with one rule.

    Unit i receives Σ_j W_ij e_ij r_j with the efficacy e: the release of a presynaptic rule (that of unit j),
    the weight of an associative rule, or 1.

    Parameters
    ----------
    weights
        W, `[post, pre]` or `[batch, post, pre]`: an array or a tensor, which is copied, or an `nn.Parameter` to
        train, which stays the same object. A tensor that requires a gradient stays part of its graph.
    synapse
        A presynaptic rule with parameters of shape `[]`, `[unit]` or `[batch, unit]`, an associative rule with
        scalars or `[batch, timescale]`, or `None` for static synapses. Rates are in Hz for any rule.
    state
        Values of the rule's variables when a run begins, such as `{"u": 0.8, "x": 0.3}`: numbers, or for presynaptic
        rules `[unit]` or `[batch, unit]`. Variables that are not named, and all with `None`, are at rest.

    Examples
    --------
    >>> from fwsim.rules import TsodyksMarkram
    >>> Projection([[0.0, 1.0], [1.0, 0.0]], synapse=TsodyksMarkram()).units
    2
    """

    weights: Any
    synapse: SpikeRule | None = None
    state: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        as_they_are("Projection: weights", self.weights, ("batch", "post", "pre"))
        trained = isinstance(self.weights, nn.Parameter)  # a network that is given one trains that one
        try:
            weights = self.weights if trained else own(self.weights, dtype=None)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"Projection: weights are not numbers ({error}); give a dense array [post, pre] of real numbers"
            ) from error
        if not weights.is_floating_point():
            raise ConfigError(f"Projection: weights are {weights.dtype}; give real numbers")
        if weights.ndim not in (2, 3) or weights.shape[-1] != weights.shape[-2] or not weights.numel():
            raise ShapeError(
                f"Projection: weights have shape {list(weights.shape)}; give [post, pre] or [batch, post, pre] "
                "over all units of the network, with zeros where nothing connects"
            )
        if not bool(weights.detach().isfinite().all()):
            raise ConfigError("Projection: weights are NaN or infinite; give finite numbers")
        object.__setattr__(self, "weights", weights)
        if self.synapse is None:
            if self.state is not None:
                raise ConfigError("Projection: state is for plastic synapses; give synapse= too")
            return
        if not isinstance(self.synapse, PresynapticRule | AssociativeRule):
            raise ConfigError(
                f"Projection: synapse is {type_of(self.synapse)}; give a spike-driven rule such as "
                "TsodyksMarkram or HebbianTraces, or None (a memory rule goes to memory=)"
            )
        self._check_parameters(batch_shape(self.synapse))
        if self.state is not None:
            object.__setattr__(self, "state", checked_state("Projection", self.synapse, self.state))
            self._check_state()

    def _check_parameters(self, shape: torch.Size) -> None:
        allowed = 1 if self.associative else 2
        fits = len(shape) <= allowed and (self.associative or not shape or shape[-1] in (1, self.units))
        if not fits:
            expected = "[batch]" if self.associative else f"[unit] or [batch, unit] with unit={self.units}"
            raise ShapeError(
                f"Projection: parameters of {type(self.synapse).__name__} have shape {list(shape)}; "
                f"expected scalars or {expected}"
            )

    def _check_state(self) -> None:
        for name, value in (self.state or {}).items():
            shape = torch.as_tensor(value).shape
            allowed = 0 if self.associative else 2
            if len(shape) > allowed or (shape and shape[-1] not in (1, self.units)):
                expected = "" if self.associative else f", [unit] or [batch, unit] with unit={self.units}"
                raise ShapeError(
                    f"Projection: state of {name} has shape {list(shape)}; expected a number{expected}"
                )

    @property
    def units(self) -> int:
        """Number of units of the network."""
        return self.weights.shape[-1]

    @property
    def associative(self) -> bool:
        """Whether the rule needs both sides."""
        return isinstance(self.synapse, AssociativeRule)

    @property
    def batch(self) -> tuple[int, ...]:
        """Batch sizes of weights and rule, where they have one."""
        found = [self.weights.shape[0]] if self.weights.ndim == 3 else []
        shape: tuple[int, ...] = tuple(batch_shape(self.synapse)) if self.synapse is not None else ()
        if len(shape) == (1 if self.associative else 2):
            found.append(shape[0])
        found += [value.shape[0] for value in (self.state or {}).values() if np.ndim(value) == 2]
        return tuple(found)

    @cached_property
    def places(self) -> dict[str, str]:
        """Where each variable of the rule lives: `"pre"`, `"post"` or `"synapse"`."""
        if self.synapse is None:
            return {}
        if isinstance(self.synapse, AssociativeRule):
            return self.synapse.places()
        return dict.fromkeys(self.synapse.rest(), "pre")


@dataclass(frozen=True, eq=False)
class PreparedProjection:
    """The plastic synapses of one projection, prepared for steps of one length.

    Variables of presynaptic rules are `[batch, unit]`; those of associative rules are as in `SHAPES`.
    """

    weights: Tensor
    dynamics: RateDynamics
    relaxation: Relaxation
    associative: bool

    def act(self, state: Values, rate: Tensor) -> tuple[Values, Tensor]:
        """What rates `[batch, unit]` do to the state, in 1/s, and the input that they cause, `[batch, unit]`."""
        if not self.associative:
            change, release = self.dynamics.forcing(state, rate)
            return change, transmit(self.weights, release * rate)
        change, efficacy = self.dynamics.forcing(state, rate[:, None, :], rate[:, :, None])
        return change, torch.einsum("bij,bj->bi", self.weights * efficacy, rate)


def synapses(projection: Projection, weights: Tensor, dt: float) -> PreparedProjection:
    """Prepare a projection for steps of `dt` seconds, with its `weights` on their device and in their precision."""
    assert projection.synapse is not None
    rule = shaped(projection)
    dynamics = RateDynamics(rule.to(dtype=weights.dtype, device=weights.device), {})
    return PreparedProjection(weights, dynamics, relaxation(rule, dt, weights), projection.associative)


def shaped(projection: Projection) -> SpikeRule:
    """Give the rule without zero time constants, with parameters that broadcast against the state."""
    assert projection.synapse is not None
    rule = without_zeros(projection.synapse)
    if not projection.associative:
        return rule
    return replaced(
        rule, lambda name, value, spec: value[..., None, None] if isinstance(value, Tensor) else value
    )


def transmit(weights: Tensor, sent: Tensor) -> Tensor:
    """Σ_j W_ij s_j for weights `[post, pre]` or `[batch, post, pre]` and `sent [batch, unit]`."""
    if weights.ndim == 2:
        return torch.nn.functional.linear(sent, weights)
    return torch.matmul(weights, sent[..., None])[..., 0]


def begin(projection: Projection, batch: int, like: Tensor) -> Values:
    """State when a run begins, every variable in full shape: what is given, and rest for the others."""
    state = {}
    for name, value in (shaped(projection).rest() | dict(projection.state or {})).items():
        shape = SHAPES[projection.places[name]](batch, projection.units)
        shape = shape if projection.associative else (batch, projection.units)
        state[name] = torch.as_tensor(value, dtype=like.dtype, device=like.device).expand(shape).clone()
    return state
