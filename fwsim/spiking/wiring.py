"""Synapses of a circuit, drawn pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
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
DRAWS = 4_000_000  # gaps between synapses that are drawn at once, at most
AT_ONCE = 65_536  # synapses, which stay in the cache of a processor


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


@dataclass(frozen=True, eq=False)
class Drawn:
    """Synapses of one connection, in a few bytes each.

    Parameters
    ----------
    starts
        First neurons of the presynaptic and the postsynaptic population.
    pre, post
        Neurons `[synapse]`, counted from these, as the smallest unsigned integers that fit.
    jump
        As in `Wiring`, `[synapse]`; or one number, if all are equal.
    delay
        `[synapse]`, as `draw` was asked to store it.
    """

    starts: tuple[int, int]
    pre: np.ndarray
    post: np.ndarray
    jump: np.ndarray
    delay: np.ndarray

    def neurons(self, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Both neurons of some of the synapses, counted over the whole circuit."""
        pre, post = (
            each[part].astype(np.int32) + np.int32(start)
            for each, start in zip((self.pre, self.post), self.starts)
        )
        return pre, post


def wirings(circuit: Circuit, seed: int) -> list[Wiring]:
    """Draw the synapses of a circuit; the same seed gives the same synapses."""
    found = []
    for kind, parts in grouped(circuit, draw(circuit, seed)):
        pre, post = (np.concatenate(each) for each in zip(*(part.neurons() for part in parts)))
        jump = np.concatenate([np.broadcast_to(part.jump, len(part.pre)) for part in parts])
        found.append(Wiring(*kind, pre, post, jump, np.concatenate([part.delay for part in parts])))
    return found


def draw(
    circuit: Circuit, seed: int, stored: Callable[[np.ndarray], np.ndarray] = np.copy
) -> Iterator[Drawn]:
    """Draw the synapses of each connection, one after the other; `stored` makes of delays in s what is kept of them."""
    random = numpy_generator(seed, 1)
    for each in circuit.connections:
        yield _drawn(circuit, each, random, stored)


def expected(circuit: Circuit, each: Connection) -> float:
    """How many synapses a connection has on average."""
    if np.ndim(each.efficacy):
        return float(np.count_nonzero(each.efficacy))
    return each.probability * math.prod(_sizes(circuit, each))


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


def _drawn(
    circuit: Circuit,
    each: Connection,
    random: np.random.Generator,
    stored: Callable[[np.ndarray], np.ndarray],
) -> Drawn:
    target = circuit.populations[circuit.index(each.post)]
    assert isinstance(target, Population)
    sizes = _sizes(circuit, each)
    if np.ndim(each.efficacy):
        post, pre = (_small(index, size) for index, size in zip(np.nonzero(each.efficacy), sizes[::-1]))
        jump = each.efficacy[post, pre]
    else:
        pre, post = _pairs(*sizes, each.probability, each.pre == each.post, random)
        jump = np.array(float(each.efficacy))
    if each.decay and each.reversal is None:
        jump = jump * (target.tau[post] if np.ndim(target.tau) else target.tau) / each.decay
    parts = [min(AT_ONCE, len(pre) - start) for start in range(0, len(pre), AT_ONCE)] or [0]
    delay = np.concatenate([stored(random.uniform(*each.delays, size).astype(np.float32)) for size in parts])
    starts = circuit.members[each.pre].start, circuit.members[each.post].start
    return Drawn(starts, pre, post, np.asarray(jump, np.float32), delay)


def _sizes(circuit: Circuit, each: Connection) -> tuple[int, int]:
    """Number of presynaptic and of postsynaptic neurons."""
    pre, post = (circuit.populations[circuit.index(name)].size for name in (each.pre, each.post))
    return pre, post


def _pairs(
    pre: int, post: int, probability: float, same: bool, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Connect every pair with the same probability."""
    found: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for chosen in _chosen(pre * post, probability, random):
        first = chosen // post
        second = chosen - first * post
        if same:
            different = first != second
            first, second = first[different], second[different]
        for parts, index, size in zip(found, (first, second), (pre, post)):
            parts.append(_small(index, size))
    one, other = (np.concatenate(parts) for parts in found)
    return one, other


def _chosen(total: int, probability: float, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Choose each of `total` numbers with the same probability: gaps between them have a geometric distribution."""
    if probability == 1:
        yield from (np.arange(start, min(start + AT_ONCE, total)) for start in range(0, total, AT_ONCE))
        return
    last = -1
    while last < total:
        left = int(min(DRAWS, probability * (total - last) * 1.05 + 100))
        while left:
            gaps = random.geometric(probability, size=min(left, AT_ONCE))
            left -= len(gaps)
            if last < total:
                chosen = last + np.minimum(gaps, total + 1).cumsum()
                last = int(chosen[-1])
                yield chosen if last < total else chosen[: np.searchsorted(chosen, total)]


def _small(index: np.ndarray, size: int) -> np.ndarray:
    """Integers below `size` in as few bytes as possible."""
    return index.astype(np.min_scalar_type(size - 1))
