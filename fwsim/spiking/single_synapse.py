"""One synapse in Brian2, to compare with the same rule on tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fwsim.errors import ConfigError, ShapeError
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.rules.derive.respond import check_times, initial_state, spike_times
from fwsim.rules.parameters import batch_shape
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule, Values
from fwsim.seeds import check_seed
from fwsim.spiking.backend import prepared
from fwsim.units import checked

if TYPE_CHECKING:
    from torch import Tensor

SHORT = 100_000
"""A run of at most this many steps takes less time than compiling its code."""
OFF_GRID = 1e-6  # of a step; larger than the rounding of the times


@known_arguments
def respond(
    rule: SpikeRule,
    pre: Tensor,
    post: Tensor | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    dt: float = 1e-4,
    seed: int = 0,
) -> Tensor:
    """Run the rule's Brian2 code on given spikes: the same response as `rule.respond` computes on tensors.

    Parameters
    ----------
    rule
        Presynaptic or associative.
    pre
        Presynaptic spikes `[..., spike]` in s from 0 on, when Brian2's clock begins (`rule.respond` takes
        any origin), ascending, padded with NaN, on the grid of `dt`. Milliseconds are written `times * ms`.
    post
        Postsynaptic spikes alike, for associative rules.
    state
        Values of the rule's variables at time 0, as in `rule.respond`; `None`: at rest.
    dt
        Time step of Brian2 in s. It does not change the result.
    seed
        Seed of Brian2's random numbers, for rules that use them.

    Returns
    -------
    Tensor
        Release or weight at every presynaptic spike, `[..., spike]`, NaN where `pre` is NaN.

    Raises
    ------
    ConfigError, ShapeError
        Spikes are off the grid, negative or two in one step, `post` is missing or superfluous, or `state` is not one of
        the rule or does not fit.
    """
    _check_kind(rule, post)
    dt = checked("dt", dt, "time", above=0)
    check_seed(seed)
    trains = [spike_times("pre", pre)] + ([] if post is None else [spike_times("post", post)])
    pre = trains[0]
    for name, train in zip(("pre", "post"), trains):
        check_times(rule, name, train)
        _check_grid(name, train, dt)
    given = initial_state(rule, state, *trains)
    shape = _shape(rule, trains, given)
    begin = given and {name: value.detach().double().cpu().expand(shape) for name, value in given.items()}
    if not shape.numel() * pre.shape[-1]:
        return pre.new_empty(*shape, pre.shape[-1])
    flat = [
        train.detach().double().cpu().expand(*shape, -1).reshape(shape.numel(), train.shape[-1])
        for train in trains
    ]
    steps = [torch.round(train / dt) for train in flat]
    result = torch.full_like(flat[0], torch.nan)
    spike = [0] * len(result)
    last = int(max((step[~step.isnan()].max().item() for step in steps if step.isfinite().any()), default=-1))
    with prepared(seed, short=last < SHORT) as b:
        read = _run(b, rule, [step.numpy() for step in steps], dt, last, begin)
    for synapse, value in read:
        result[synapse, spike[synapse]] = value
        spike[synapse] += 1
    return result.reshape(*shape, -1).to(pre)


def _check_kind(rule: object, post: Tensor | None) -> None:
    if isinstance(rule, PresynapticRule) and post is not None:
        raise ConfigError(f"{type(rule).__name__} needs presynaptic spikes only; leave out post")
    if isinstance(rule, AssociativeRule) and post is None:
        raise ConfigError(f"{type(rule).__name__} needs spikes of both sides; give post too")
    if not isinstance(rule, SpikeRule):
        raise ConfigError(
            f"{type(rule).__name__} has no response to spikes; use a presynaptic or an associative rule"
        )


def _check_grid(name: str, times: Tensor, dt: float) -> None:
    steps = times.detach().double() / dt
    known = ~steps.isnan()
    rounding = OFF_GRID + torch.finfo(times.dtype).eps * steps
    off = known & ((steps - steps.round()).abs() > rounding) & (steps >= 0)
    if bool(off.any()):
        raise ConfigError(
            f"{name} has a spike at {times[off][0].item():.9g} s, off the grid of dt={dt:g} s; "
            "round the times to multiples of dt or choose a finer dt"
        )
    if bool((steps < 0).any()):
        raise ConfigError(
            f"{name} has a spike at a negative time, before Brian2's clock begins (0); shift all trains"
        )
    if bool((steps.round().diff(dim=-1) == 0).any()):
        raise ConfigError(f"{name} has two spikes of one train in a step of dt={dt:g} s; choose a finer dt")


def _shape(rule: SpikeRule, trains: list[Tensor], state: Values | None) -> torch.Size:
    parameters = batch_shape(rule)
    states = [value.shape for value in (state or {}).values()]
    shape = torch.broadcast_shapes(parameters, *states, *(train.shape[:-1] for train in trains))
    if parameters and parameters != shape:
        raise ShapeError(
            f"parameters {list(parameters)} must have the shape {list(shape)} of the synapses in Brian2; expand them"
        )
    return shape


def _run(
    b: Any, rule: SpikeRule, steps: list[np.ndarray], dt: float, last: int, state: Values | None
) -> list[tuple[int, float]]:
    """Synapse and value of every presynaptic spike, in order of time."""
    code = rule.brian2()
    clock_dt = dt * b.second
    count = len(steps[0])
    groups = [_source(b, train, clock_dt) for train in steps]
    target = groups[-1] if len(groups) == 2 else b.NeuronGroup(count, "", dt=clock_dt)
    synapses = b.Synapses(
        groups[0], target, model=code.model, on_pre=code.on_pre, on_post=code.on_post, dt=clock_dt
    )
    synapses.connect(j="i")
    code.initialise(synapses, state and {name: value.flatten().numpy() for name, value in state.items()})
    read: list[tuple[int, float]] = []

    with track("running Brian2", last + 1) as advance:

        @b.network_operation(dt=clock_dt, when="after_synapses")
        def collect() -> None:
            fired = np.asarray(groups[0].spikes)
            if fired.size:
                values = np.asarray(getattr(synapses, code.output)[:])
                read.extend((int(i), float(values[i])) for i in fired)
            advance()

        network = b.Network(*{id(g): g for g in (*groups, target)}.values(), synapses, collect)
        network.run((last + 1) * clock_dt, namespace={})
    return read


def _source(b: Any, steps: np.ndarray, dt: Any) -> Any:
    neuron, spike = np.nonzero(np.isfinite(steps))
    return b.SpikeGeneratorGroup(len(steps), neuron, steps[neuron, spike] * dt, dt=dt)
