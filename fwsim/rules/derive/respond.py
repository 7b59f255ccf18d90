"""Responses to given spikes: exact from event to event, without a time step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, ShapeError
from fwsim.progress import track
from fwsim.rules.derive.propagate import transition
from fwsim.rules.derived import derives
from fwsim.rules.initial_state import begun, checked_state
from fwsim.rules.parameters import as_tensors, batch_shape
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.units import si

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 8  # units in the last place; times that differ by less count as equal


@derives(PresynapticRule, name="respond")
def release_at_spikes(
    rule: PresynapticRule, times: Tensor, *, state: Mapping[str, Any] | None = None
) -> Tensor:
    """Release at every spike of a train, exact and without a time step.

    Parameters
    ----------
    times
        `[..., spike]` in s from any origin (only intervals count, so that times may be negative),
        ascending, padded with NaN. Plain numbers are seconds, however large, since recoveries take many: write
        milliseconds as `torch.tensor([0.0, 20.0, 40.0]) * ms`. The precision is preserved: pass float64 for exact
        results.
    state
        Values of the rule's variables at time 0, such as `{"u": 0.8, "x": 0.3}`: numbers, or tensors that broadcast
        against the leading axes. A variable that is not named is at rest. Times are then at least 0. `None`: at rest.

    Returns
    -------
    Tensor
        Release per spike, `[..., spike]`, NaN where `times` is NaN. Gradients flow to the parameters and the state.

    Raises
    ------
    ShapeError
        `times` is not floating point, or the parameters or the state do not broadcast against its leading axes.
    ConfigError
        `times` is not ascending, or has NaN before a spike; or `state` has a variable that the rule does not have, or a
        value that is not finite.
    """
    times = spike_times("times", times)
    check_times(rule, "times", times)
    given = initial_state(rule, state, times)
    times = _expand(rule, times, given)
    outputs, _ = run_events(rule, _intervals(times, given), state=given)
    return _padded_alike(times, outputs.movedim(0, -1))


@derives(AssociativeRule, name="respond")
def weight_at_spikes(
    rule: AssociativeRule, pre: Tensor, post: Tensor, *, state: Mapping[str, Any] | None = None
) -> Tensor:
    """Weight before every presynaptic spike, exact and without a time step.

    Parameters
    ----------
    pre, post
        Spike times of both sides, `[..., spike]` in s (milliseconds: `times * ms`) from a common origin, ascending,
        padded with NaN; their leading axes broadcast. Of simultaneous spikes the presynaptic one comes first.
    state
        Values of the rule's variables at time 0, as in the response of a presynaptic rule. `None`: at rest.

    Returns
    -------
    Tensor
        Weight before each presynaptic spike's own change, `[..., spike]`, NaN where `pre` is NaN.
    """
    pre = spike_times("pre", pre)
    check_times(rule, "pre", pre)
    post = spike_times("post", post)
    check_times(rule, "post", post)
    given = initial_state(rule, state, pre, post)
    shape = _broadcast(rule, pre, post, state=given)
    pre, post = pre.expand(*shape, pre.shape[-1]), post.expand(*shape, post.shape[-1])
    times, order = _in_order(torch.cat([pre, post], -1), pre.shape[-1])
    is_post = (order >= pre.shape[-1]).movedim(-1, 0)
    outputs, _ = run_events(rule, _intervals(times, given), is_post, given)
    outputs = torch.gather(outputs.movedim(0, -1), -1, torch.argsort(order, -1))
    return _padded_alike(pre, outputs[..., : pre.shape[-1]])


def initial_state(rule: SpikeRule, state: Mapping[str, Any] | None, *trains: Tensor) -> Values | None:
    """The whole state at time 0 from the values that a user gives; `None` if there are none.

    Raises
    ------
    ConfigError, ShapeError
        The state is not one of the rule, or does not fit the trains, or a spike is before time 0.
    """
    if state is None:
        return None
    found = begun(rule, checked_state(type(rule).__name__, rule, state), trains[0])
    _broadcast(rule, *trains, state=found)
    if any(bool((train < 0).any()) for train in trains):
        raise ConfigError("a spike is before time 0, for which state is given; shift all trains")
    return found


def _padded_alike(times: Tensor, outputs: Tensor) -> Tensor:
    """Outputs `[..., spike]`, NaN where the times are NaN."""
    return torch.where(times.isnan(), torch.full_like(outputs, torch.nan), outputs)


def run_events(
    rule: SpikeRule,
    intervals: Tensor,
    is_post: Tensor | None = None,
    state: Values | None = None,
    *,
    show: bool | None = None,
) -> tuple[Tensor, Values]:
    """Compute state and output from event to event.

    Parameters
    ----------
    intervals
        Time in s before each event, `[event, ...]`.
    is_post
        Which events are postsynaptic, same shape; `None`: none.
    state
        Initial state; `None`: at rest.
    show
        Progress, as in `fwsim.progress.track`.

    Returns
    -------
    Tensor
        The value that a presynaptic spike reads at each event, `[event, ...]`.
    Values
        State after the last event.
    """
    steps = transition(rule, intervals, still=False if is_post is None else _paired(intervals, is_post))
    rule = as_tensors(rule, dtype=intervals.dtype, device=intervals.device)
    state = {name: value.expand(intervals.shape[1:]) for name, value in (state or steps.rest).items()}
    outputs = []
    with track("responding to spikes", len(intervals), show=show) as advance:
        for k, step in enumerate(steps.unbind(len(intervals))):
            before = step(state)
            state, output = rule.at_pre(before)
            if is_post is not None:
                after = rule.at_post(before)
                state = {name: torch.where(is_post[k], after[name], state[name]) for name in state}
            outputs.append(output)
            advance()
    return (torch.stack(outputs) if outputs else torch.empty_like(intervals)), state


def _in_order(merged: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Times of all spikes in order, NaN last, and their original indices; the first `count` are presynaptic.

    Spike times that are equal except for rounding, such as 0.3 and 0.1 + 0.2, are simultaneous: presynaptic ones first.
    """
    times, order = torch.sort(merged, dim=-1, stable=True)
    apart = torch.diff(times, dim=-1) > ROUNDING * torch.finfo(times.dtype).eps * times[..., 1:].abs()
    begins = torch.cat(
        [torch.ones_like(times[..., :1], dtype=torch.bool), apart | times[..., 1:].isnan()], -1
    )
    times = torch.where(begins, times, -torch.inf).cummax(-1).values
    turn = torch.argsort(2 * begins.cumsum(-1) + (order >= count), dim=-1, stable=True)
    return times, torch.gather(order, -1, turn)


def _paired(intervals: Tensor, is_post: Tensor) -> Tensor:
    """Which events are postsynaptic spikes that are simultaneous with a presynaptic one."""
    follows_pre = torch.zeros_like(is_post)
    follows_pre[1:] = ~is_post[:-1]
    return is_post & follows_pre & (intervals == 0)


def spike_times(name: str, times: Any) -> Any:
    """Spike times in s as a tensor: what is one already is returned unchanged.

    Quantities with a unit, texts such as `"20 ms"`, numbers in lists, arrays and series become float64; trains of
    different lengths in a list are padded with NaN.

    Raises
    ------
    ConfigError
        They are no numbers.
    """
    as_they_are(name, times)
    if isinstance(times, torch.Tensor):
        return times
    plain = si(name, times, "time")
    try:
        if isinstance(plain, list | tuple) and plain and all(np.ndim(train) == 1 for train in plain):
            longest = max(map(len, plain))
            plain = [[*train, *[math.nan] * (longest - len(train))] for train in plain]
        values = np.asarray(plain)
        if values.dtype.kind not in "iuf":
            raise ValueError
    except (ValueError, TypeError) as error:  # a TypeError from a Dataset
        raise ConfigError(
            f"{name}={times!r} is not spike times; give numbers in s, such as [0.0, 0.02, 0.04], or a list of trains"
        ) from error
    return torch.as_tensor(values.astype(np.float64))


def check_times(rule: SpikeRule, name: str, times: Tensor) -> None:
    """Raise unless `times` are ascending spike trains, padded with NaN, that fit the rule."""
    dense = isinstance(times, torch.Tensor) and times.layout == torch.strided
    if not dense or not times.is_floating_point() or not times.ndim:
        given = f"{times.dtype} {list(times.shape)}" if isinstance(times, torch.Tensor) else repr(type(times))
        given = (
            f"{given} of layout {times.layout}" if isinstance(times, torch.Tensor) and not dense else given
        )
        raise ShapeError(f"{name} is {given}; give a float tensor [..., spike] in seconds")
    missing = times.isnan()
    if bool((missing[..., :-1] & ~missing[..., 1:]).any()):
        raise ConfigError(f"{name} has NaN before a spike; NaN may only fill up the end of a train")
    if bool((times.diff(dim=-1) < 0).any()) or bool(times.isinf().any()):
        raise ConfigError(
            f"{name} must be finite and ascend along the last axis; sort the spikes of each train"
        )
    _broadcast(rule, times)


def _broadcast(rule: SpikeRule, *trains: Tensor, state: Values | None = None) -> torch.Size:
    parameters = batch_shape(rule)
    leading = [train.shape[:-1] for train in trains]
    try:
        shape = torch.broadcast_shapes(parameters, *leading)
    except RuntimeError as error:
        given = " and ".join(str(list(train.shape)) for train in trains)
        raise ShapeError(
            f"parameters of {type(rule).__name__} {list(parameters)} do not broadcast against spike trains "
            f"{given} without their last axis; give [..., spike] with a leading axis for each of the parameters"
        ) from error
    for name, value in (state or {}).items():
        try:
            shape = torch.broadcast_shapes(shape, value.shape)
        except RuntimeError as error:
            raise ShapeError(
                f"state of {name} has shape {list(value.shape)}, the synapses have {list(shape)}; give a number, or "
                "an array that broadcasts against them"
            ) from error
    return shape


def intervals_of(rule: SpikeRule, times: Tensor) -> Tensor:
    """Time before each spike `[spike, ...]`, with the leading axes of the parameters."""
    return _intervals(_expand(rule, times))


def _expand(rule: SpikeRule, times: Tensor, state: Values | None = None) -> Tensor:
    return times.expand(*_broadcast(rule, times, state=state), times.shape[-1])


def _intervals(times: Tensor, state: Values | None = None) -> Tensor:
    """Time before each spike `[spike, ...]`, and 0 in the padding.

    Before the first spike it is the time since 0, when a state is given for then; otherwise 0, since all is at rest.
    """
    begin = times[..., :1] if state is None else torch.zeros_like(times[..., :1])
    return torch.diff(times, dim=-1, prepend=begin).nan_to_num(nan=0.0).movedim(-1, 0)
