"""Patterns that are written into the memory of a network which does not run meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from fwsim.engine.inputs import as_input
from fwsim.engine.state import State
from fwsim.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from fwsim.engine.network import FastWeightNetwork


def store(network: FastWeightNetwork, state: State, patterns: Tensor, pre: Tensor | None) -> State:
    """Write patterns one after the other; see `FastWeightNetwork.store`, which checks the state and the patterns."""
    trace = network.trace(state)
    if trace is None:
        raise ConfigError("a network with memory=None has nothing to write to; give it a memory rule")
    step = state.step + patterns.shape[1]
    if pre is not None or network.wiring.special:
        for source, pattern in zip(_presynaptic(network, patterns, pre).unbind(1), patterns.unbind(1)):
            trace = trace.stored(source, pattern)
        return State(state.hidden, trace, step)
    # a copy: what the caller does to the patterns later is not to reach the state
    trace = trace.extended(patterns.clone())
    chunk = network.plan(len(patterns), 1).chunk if network.form != "auto" else network.units
    merges = chunk is not None and trace.history.shape[1] >= chunk
    return State(state.hidden, trace.merged() if merges else trace, step)


def _presynaptic(network: FastWeightNetwork, patterns: Tensor, pre: Tensor | None) -> Tensor:
    """Presynaptic sides of patterns `[batch, time, unit]`, checked: `[batch, time, pre]`."""
    wiring = network.wiring
    channels = wiring.width(network.inputs, network.units)
    if pre is None:
        if wiring.pre not in (("units",), ("previous",)):
            raise ConfigError(
                f"pre is not given; a network with pre={wiring.pre!r} needs {channels} presynaptic channels "
                "for each pattern"
            )
        return patterns
    pre = as_input("pre", pre, network.W, channels, "pre")
    if pre.shape[:2] != patterns.shape[:2]:
        given, expected = list(pre.shape[:2]), list(patterns.shape[:2])
        raise ShapeError(f"pre is for [batch, time] = {given}, the patterns for {expected}; give as many")
    return pre
