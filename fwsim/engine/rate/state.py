"""Between the state that users see and what a step works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fwsim.engine.rate.projection import Projection, begin
from fwsim.engine.rate.step import Moment
from fwsim.engine.state import State
from fwsim.rules.rule import Values

if TYPE_CHECKING:
    from fwsim.engine.rate.network import RateNetwork


def plastic(net: RateNetwork) -> dict[int, Projection]:
    """Projections with a rule, by their place in the network."""
    return {index: each for index, each in enumerate(net.projections) if each.synapse is not None}


def carried(net: RateNetwork) -> dict[str, str]:
    """Variables of all synapses, and where they live."""
    return {name: place for each in plastic(net).values() for name, place in each.places.items()}


def initial(net: RateNetwork, batch: int) -> State:
    """State when a run begins: of rest, where projections have no other."""
    like: Tensor = net.weights[0]
    hidden = like.new_zeros(batch, net.units)
    memory = None
    if net.memory is not None:
        memory = like.new_zeros(batch, net.memory.timescales, net.units, net.units)
    states = tuple(begin(each, batch, like) for each in plastic(net).values())
    return pack(net, Moment(hidden, states, memory), 0)


def pack(net: RateNetwork, now: Moment, step: int) -> State:
    """Put what a step works on into a state."""
    return State(now.hidden, now.memory, step, together(net, now.synapses, carried(net)))


def unpack(net: RateNetwork, state: State) -> Moment:
    """Take a state apart for stepping, in the network's precision and on its device."""
    like = net.weights[0]
    states = []
    for row, each in enumerate(plastic(net).values()):
        values = {name: state.variables[name][:, row].to(like) for name in each.places}
        states.append({name: _spread(value, each, name) for name, value in values.items()})
    memory = state.memory if state.memory is not None else initial(net, state.hidden.shape[0]).memory
    memory = None if net.memory is None or memory is None else memory.to(like)
    return Moment(state.hidden.to(like), tuple(states), memory)


def together(net: RateNetwork, states: tuple[Values, ...], names: dict[str, str]) -> dict[str, Tensor]:
    """Variables over all plastic projections, `[batch, projection, …]`; NaN where one has no such variable."""
    found = {}
    for name, place in names.items():
        rows = [_gathered(state[name], place) if name in state else None for state in states]
        example = next(row for row in rows if row is not None)
        missing = torch.full_like(example, torch.nan)
        found[name] = torch.stack([missing if row is None else row for row in rows], 1)
    return found


def _gathered(value: Tensor, place: str) -> Tensor:
    """`[batch, unit]` for variables of neurons, `[batch, post, pre]` for those of synapses."""
    return value.flatten(1) if place != "synapse" else value


def _spread(value: Tensor, projection: Projection, name: str) -> Tensor:
    """Undo `_gathered`."""
    if not projection.associative:
        return value
    return {"pre": value[:, None, :], "post": value[..., None], "synapse": value}[projection.places[name]]
