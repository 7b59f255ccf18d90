"""Synapses of a circuit, drawn pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fwsim.rules.rule import AssociativeRule, SpikeRule
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.seeds import numpy_generator
from fwsim.spiking.circuit import Circuit, Connection, Population
from fwsim.spiking.sources import Source

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
    decay
        Time constant of their current in s, 0 for jumps.
    pre, post
        Neurons `[synapse]`.
    jump
        Change in V of the postsynaptic potential or current for a release of 1, `[synapse]`.
    delay
        In s, `[synapse]`.
    """

    rule: SpikeRule | None
    own_state: bool
    decay: float
    pre: np.ndarray
    post: np.ndarray
    jump: np.ndarray
    delay: np.ndarray


def wirings(circuit: Circuit, seed: int) -> list[Wiring]:
    """Draw the synapses of a circuit; the same seed gives the same synapses."""
    random = numpy_generator(seed, 1)
    groups: dict[tuple, list[tuple[np.ndarray, ...]]] = {}
    rules: dict[int, SpikeRule | None] = {}
    for each in circuit.connections:
        rules[id(each.synapse)] = each.synapse
        key = (id(each.synapse), _own_state(circuit, each), each.decay)
        groups.setdefault(key, []).append(_drawn(circuit, each, random))
    return [
        Wiring(rules[rule], own_state, decay, *(np.concatenate(part) for part in zip(*drawn)))
        for (rule, own_state, decay), drawn in groups.items()
    ]


def _own_state(circuit: Circuit, each: Connection) -> bool:
    """Whether the state of the presynaptic neuron may be the wrong one when a spike arrives.

    It is right as long as the neuron cannot spike again. Random releases differ between synapses.
    """
    if each.synapse is None:
        return False
    if isinstance(each.synapse, AssociativeRule | StochasticRelease):
        return True
    pre = circuit.populations[circuit.index(each.pre)]
    return each.delays[1] > (0.0 if isinstance(pre, Source) else pre.refractory)


def _drawn(circuit: Circuit, each: Connection, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    pre_slice, post_slice = circuit.members[each.pre], circuit.members[each.post]
    target = circuit.populations[circuit.index(each.post)]
    assert isinstance(target, Population)
    tau = target.tau
    if np.ndim(each.efficacy):
        post, pre = np.nonzero(each.efficacy)
        jump = each.efficacy[post, pre]
    else:
        sizes = pre_slice.stop - pre_slice.start, post_slice.stop - post_slice.start
        pre, post = _pairs(*sizes, each.probability, each.pre == each.post, random)
        jump = np.full(len(pre), float(each.efficacy))
    if each.decay:
        jump = jump * tau / each.decay
    delay = random.uniform(*each.delays, len(pre))
    return (
        (pre + pre_slice.start).astype(np.int32),
        (post + post_slice.start).astype(np.int32),
        jump.astype(np.float32),
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
