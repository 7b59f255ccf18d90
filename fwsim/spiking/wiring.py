"""Synapses of a circuit, drawn pair by pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from fwsim.rules.rule import AssociativeRule, SpikeRule
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.seeds import numpy_generator
from fwsim.spiking.circuit import Circuit
from fwsim.spiking.connection import Connection
from fwsim.spiking.population import Population
from fwsim.spiking.sources import Source

T = TypeVar("T")
DRAWS = 4_000_000  # pairs at once


@dataclass(frozen=True, eq=False)
class Wiring:
    """Synapses of one kind; neurons are counted over the whole circuit.

    Parameters
    ----------
    rule
        Their rule, `None` if static.
    own_state
        Whether each synapse has its own state of the rule, instead of its presynaptic neuron.
    decay, reversal
        Time constant of their current or conductance in s, 0 for jumps; reversal potential in V, `None` of currents.
    pre, post
        Neurons `[synapse]`.
    jump
        Change of the postsynaptic potential or current in V, or of the conductance, for a release of 1, `[synapse]`.
    delay
        In s, `[synapse]`.
    """

    rule: SpikeRule | None
    own_state: bool
    decay: float
    reversal: float | None
    pre: np.ndarray
    post: np.ndarray
    jump: np.ndarray
    delay: np.ndarray


class Kind(NamedTuple):
    """What synapses have in common that run as one group: the fields of `Wiring` by these names."""

    rule: SpikeRule | None
    own_state: bool
    decay: float
    reversal: float | None


class Drawn(NamedTuple):
    """Synapses of one connection: `pre`, `post`, `jump` and `delay` of `Wiring`; jumps that are equal share memory."""

    pre: np.ndarray
    post: np.ndarray
    jump: np.ndarray
    delay: np.ndarray


def wirings(circuit: Circuit, seed: int) -> list[Wiring]:
    """Draw the synapses of a circuit; the same seed gives the same synapses."""
    return [
        Wiring(*kind, *(np.concatenate(part) for part in zip(*drawn)))
        for kind, drawn in grouped(circuit, draw(circuit, seed))
    ]


def draw(circuit: Circuit, seed: int) -> Iterator[Drawn]:
    """Draw the synapses of each connection, one after the other."""
    random = numpy_generator(seed, 1)
    for each in circuit.connections:
        yield _drawn(circuit, each, random)


def grouped(circuit: Circuit, drawn: Iterable[T]) -> list[tuple[Kind, list[T]]]:
    """What belongs to each connection, in groups of one kind."""
    groups: dict[tuple, tuple[Kind, list[T]]] = {}
    for each, found in zip(circuit.connections, drawn, strict=True):
        kind = Kind(each.synapse, _own_state(circuit, each), each.decay, each.reversal)
        groups.setdefault((id(kind.rule), *kind[1:]), (kind, []))[1].append(found)
    return list(groups.values())


def _own_state(circuit: Circuit, each: Connection) -> bool:
    """Whether the state of the presynaptic neuron may be the wrong one when a spike arrives.

    It is right as long as the neuron cannot spike again. Random releases differ between synapses.
    """
    if each.synapse is None:
        return False
    if isinstance(each.synapse, AssociativeRule | StochasticRelease):
        return True
    pre = circuit.populations[circuit.index(each.pre)]
    return each.delays[1] > (0.0 if isinstance(pre, Source) else np.min(pre.refractory))


def _drawn(circuit: Circuit, each: Connection, random: np.random.Generator) -> Drawn:
    pre_slice, post_slice = circuit.members[each.pre], circuit.members[each.post]
    target = circuit.populations[circuit.index(each.post)]
    assert isinstance(target, Population)
    if np.ndim(each.efficacy):
        post, pre = np.nonzero(each.efficacy)
        jump = each.efficacy[post, pre]
    else:
        sizes = pre_slice.stop - pre_slice.start, post_slice.stop - post_slice.start
        pre, post = _pairs(*sizes, each.probability, each.pre == each.post, random)
        jump = np.array(float(each.efficacy))
    if each.decay and each.reversal is None:
        jump = jump * (target.tau[post] if np.ndim(target.tau) else target.tau) / each.decay
    delay = random.uniform(*each.delays, len(pre))
    return Drawn(
        (pre + pre_slice.start).astype(np.int32),
        (post + post_slice.start).astype(np.int32),
        np.broadcast_to(jump.astype(np.float32), len(pre)),
        delay.astype(np.float32),
    )


def _pairs(
    pre: int, post: int, probability: float, same: bool, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Connect every pair with the same probability: gaps between connected pairs have a geometric distribution."""
    if probability == 1:
        chosen = np.arange(pre * post)
    else:
        found, last, total = [], -1, pre * post
        while last < total:
            gaps = random.geometric(
                probability, size=int(min(DRAWS, probability * (total - last) * 1.05 + 100))
            )
            found.append(last + np.cumsum(gaps))
            last = int(found[-1][-1])
        chosen = np.concatenate(found)
        chosen = chosen[chosen < total]
    first, second = np.divmod(chosen, post)
    different = first != second if same else slice(None)
    return first[different], second[different]
