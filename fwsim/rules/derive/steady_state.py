"""Steady state of a synapse for long spike trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError, ShapeError, choice
from fwsim.rules.derive.moments import poisson_moments
from fwsim.rules.derive.propagate import SILENCE, relaxation_rates, transition
from fwsim.rules.derive.rates import RateDynamics
from fwsim.rules.derive.sampling import sample_poisson
from fwsim.rules.derive.symbols import structure
from fwsim.rules.derived import derives
from fwsim.rules.parameters import as_tensors, batch_shape, own
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.seeds import check_seed
from fwsim.units import WORDS, si

if TYPE_CHECKING:
    from torch import Tensor

TRAINS = ("regular", "poisson", "mean_field")
NEWTON_STEPS = 50
MOMENT_ORDERS = (60, 180)  # the second order is for small increments at high rates
ACCEPTED_TRUNCATION = 1e-10  # relative; with a larger error, sampling replaces the moment hierarchy


@dataclass(frozen=True)
class SteadyState:
    """Steady state of a rule, in float64 on the CPU.

    Parameters
    ----------
    release
        Per spike (presynaptic rules), or the weight before a presynaptic spike (associative rules).
    release_error
        Standard error if sampled, truncation error of a moment hierarchy, otherwise 0.
    state
        Variables just before a presynaptic spike: their values for regular trains, their means for Poisson
        trains.
    """

    release: Tensor
    release_error: Tensor
    state: dict[str, Tensor]

    @property
    def weight(self) -> Tensor:
        """`release` under its name for associative rules."""
        return self.release


@derives(PresynapticRule, name="steady_state")
def steady_release(rule: PresynapticRule, rate: Any, train: str = "regular", *, seed: int = 0) -> SteadyState:
    """Release and state after a long train.

    Parameters
    ----------
    rate
        In Hz, at least 0: a number or a tensor that broadcasts against the parameters.
    train
        `"regular"`: fixed point of the exact map from spike to spike. `"poisson"`: exact if the
        moments close, otherwise sampled, with its error. `"mean_field"`: fixed point of the rate dynamics.
    seed
        Seed of sampled trains.

    Raises
    ------
    ConfigError
        Unknown train, negative rate, or a rule without steady state.
    """
    return _settled(rule, rate, 0.0, train, 0.0, seed)


@derives(AssociativeRule, name="steady_state")
def steady_weight(
    rule: AssociativeRule, pre: Any, post: Any, train: str = "regular", *, lag: Any = 0.0, seed: int = 0
) -> SteadyState:
    """Weight and state after long trains.

    Parameters
    ----------
    pre, post
        Rates in Hz; independent Poisson trains for `"poisson"`.
    train
        As for presynaptic rules. `"regular"` needs equal rates.
    lag
        Delay of a regular postsynaptic train after the presynaptic one, in s, below one period.
    seed
        Seed of sampled trains.
    """
    return _settled(rule, pre, post, train, lag, seed)


def _settled(rule: SpikeRule, pre: Any, post: Any, train: str, lag: Any, seed: int) -> SteadyState:
    check_seed(seed)
    choice("train", train, TRAINS)
    pre, post = _rate("pre", pre), _rate("post", post)
    tensors = as_tensors(rule)
    try:
        shape = torch.broadcast_shapes(batch_shape(rule), pre.shape, post.shape)
    except RuntimeError as error:
        raise ShapeError(
            f"rates {list(pre.shape)}, {list(post.shape)} do not broadcast against parameters "
            f"{list(batch_shape(rule))}; add axes of length 1"
        ) from error
    pre, post = pre.expand(shape), post.expand(shape)
    _check_forgetting(tensors)
    if train == "regular":
        return _fixed(tensors, shape, _period_map(tensors, pre, post, lag))
    mean_field = _fixed(tensors, shape, _rate_flow(tensors, pre, post))
    if train == "mean_field":
        return mean_field
    for order in MOMENT_ORDERS:
        exact = poisson_moments(tensors, pre, post, order=order)
        if exact is None:
            break
        if bool((exact[1] <= ACCEPTED_TRUNCATION * exact[0].abs()).all()):
            return SteadyState(*exact)
    return SteadyState(*sample_poisson(tensors, pre, post, mean_field.state, seed=seed))


def _rate(name: str, value: Any) -> Tensor:
    rate = _number(f"{name} rate", value, "rate")
    if not bool(((rate >= 0) & rate.isfinite()).all()):
        raise ConfigError(f"{name} rate {value!r} is not allowed; give a finite number of Hz, at least 0")
    return rate


def _number(name: str, value: Any, dimension: str) -> Tensor:
    plain = si(name, value, dimension)
    try:
        return own(plain).to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{name} {value!r} is not a number; give a number of {WORDS[dimension]} or a tensor"
        ) from error


def _check_forgetting(rule: SpikeRule) -> None:
    """Raise if something is never forgotten, so that there is no steady state."""
    for names, rate in relaxation_rates(rule).items():
        if bool((rate <= 0).any()):
            raise ConfigError(
                f"{type(rule).__name__} never forgets {names}, so it has no steady state; "
                "give a leak or a finite time constant"
            )


def _period_map(rule: SpikeRule, pre: Tensor, post: Tensor, lag: Any) -> Callable[[Values], Values]:
    """S ↦ change of s over one period, from just before a presynaptic spike to the next."""
    period = torch.where(pre > 0, 1 / pre, SILENCE)
    driven = structure(rule).reached_by_post
    if driven and not bool((pre == post).all()):
        raise ConfigError("train='regular' needs equal pre and post rates; use 'poisson' or 'mean_field'")
    lag = _number("lag", lag, "time")
    if not bool(((lag >= 0) & (lag < period)).all()):
        raise ConfigError(f"lag={lag.tolist()} is not allowed; it must lie in [0, period) s")
    to_post, to_pre = transition(rule, lag.expand(period.shape), still=True), transition(rule, period - lag)
    fires = pre > 0

    def change(state: Values) -> Values:
        after = to_post(_where(fires, rule.at_pre(state)[0], state))
        if driven:
            after = _where(fires, rule.at_post(after), after)
        after = to_pre(after)
        return {name: after[name] - value for name, value in state.items()}

    return change


def _rate_flow(rule: SpikeRule, pre: Tensor, post: Tensor) -> Callable[[Values], Values]:
    dynamics = RateDynamics(rule, {})
    return lambda state: dynamics.drift(state, pre, post)


def _where(condition: Tensor, one: Values, other: Values) -> Values:
    return {name: torch.where(condition, one[name], other[name]) for name in one}


def _fixed(rule: SpikeRule, shape: torch.Size, change: Callable[[Values], Values]) -> SteadyState:
    """Root of `change`, by Newton's method from rest; differentiable in the parameters."""
    names = structure(rule).names
    rest = rule.rest()
    start = [torch.as_tensor(rest[name], dtype=torch.float64).expand(shape) for name in names]
    vector = torch.stack(start, -1).detach()
    for _ in range(NEWTON_STEPS):
        step = _newton_step(change, names, vector).detach()
        moved = vector - step
        scale = torch.maximum(moved.abs(), torch.ones_like(moved))
        if bool((step.abs() <= 1e-15 * scale).all()):
            break
        vector = moved
    else:
        if not bool((step.abs() <= 1e-9 * scale).all()):
            raise ConfigError(f"{type(rule).__name__} found no steady state; try train='poisson'")
    # Every further step from the root doubles the number of correct derivatives of the implicit function: first to
    # third.
    for _ in range(2):
        vector = vector - _newton_step(change, names, vector)
    state = dict(zip(names, vector.unbind(-1)))
    release = torch.as_tensor(rule.at_pre(state)[1]).expand(shape)
    return SteadyState(release, torch.zeros_like(release), state)


def _newton_step(change: Callable[[Values], Values], names: list[str], vector: Tensor) -> Tensor:
    """J⁻¹ change(s), with both as functions of the state and of the parameters."""

    def residual(vector: Tensor) -> Tensor:
        moved = change(dict(zip(names, vector.unbind(-1))))
        return torch.stack(torch.broadcast_tensors(*(moved[name] for name in names)), -1)

    now, pull, *_ = torch.func.vjp(residual, vector)
    units = torch.eye(len(names), dtype=vector.dtype)
    jacobian = torch.stack([pull(unit.expand_as(now))[0] for unit in units], -2)
    size = (
        jacobian.detach().abs().amax(-1, keepdim=True)
    )  # rows of instant variables are 1e18 times the others
    return torch.linalg.solve(jacobian / size, now / size[..., 0])
