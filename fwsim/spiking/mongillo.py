"""The network of Mongillo, Barak & Tsodyks 2008 (Science 319:1543), and a rival without plasticity."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fwsim.errors import ConfigError, instance, type_of
from fwsim.names import known_arguments
from fwsim.rules import PresynapticRule, TsodyksMarkram
from fwsim.rules.parameters import batch_shape
from fwsim.seeds import check_seed, stream_seed
from fwsim.spiking.circuit import Circuit, check_circuit
from fwsim.spiking.connection import Connection
from fwsim.spiking.measured import first_release
from fwsim.spiking.population import Population
from fwsim.units import ms, mV

POOLS = ("E1", "E2", "E3", "E4", "E5")
EXCITATORY = (*POOLS, "E0")
DELAY = (0.1 * ms, 1 * ms)
DENSITY = 0.2
WEAK, STRONG = 0.10 * mV, 0.45 * mV


@known_arguments
def mongillo_circuit(
    synapse: PresynapticRule,
    *,
    scale: float = 1.0,
    background: float = 0.0,
    inhibitory_background: float = 21 * mV,
) -> Circuit:
    """Make the network of Mongillo et al. 2008: five pools in 8000 excitatory neurons, and 2000 inhibitory ones.

    Synapses within a pool are potentiated, and a tenth of those from or to neurons without a pool.

    Parameters
    ----------
    synapse
        Rule of the synapses between excitatory neurons; in the paper `TsodyksMarkram(0.2, 0.2, 1.5, "mongillo2008")`.
    scale
        Fraction of the neurons; each keeps the number of its inputs, and so their mean and variance
        (`Circuit.scaled`).
    background, inhibitory_background
        Drive of excitatory and of inhibitory neurons in V above rest; the excitatory one is left to the stimulus.

    Returns
    -------
    Circuit
        With the populations `E1` to `E5` (the pools), `E0` (excitatory neurons without a pool) and `I`.

    Examples
    --------
    >>> import fwsim as fw
    >>> mongillo_circuit(fw.TsodyksMarkram(0.2, 0.2, 1.5, "mongillo2008"), scale=0.2).neurons
    2000
    """
    instance("synapse", synapse, PresynapticRule, "a presynaptic rule, such as a TsodyksMarkram")
    excitatory = {"tau": 15 * ms, "threshold": 20 * mV, "reset": 16 * mV, "noise": 1 * mV}
    inhibitory = {"tau": 10 * ms, "threshold": 20 * mV, "reset": 13 * mV, "noise": 1 * mV}
    populations = [
        *(Population(name, 800, background=background, **excitatory) for name in POOLS),
        Population("E0", 4000, background=background, **excitatory),
        Population("I", 2000, background=inhibitory_background, **inhibitory),
    ]
    whole = Circuit(populations, [*_excitation(synapse), *_inhibition()])
    return whole if scale == 1 else whole.scaled(scale)


@known_arguments
def slow_current_circuit(
    circuit: Circuit, *, efficacy: float = 0.8 * mV, decay: float = 100 * ms, opening: float = 0.5
) -> Circuit:
    """Replace plasticity in a `mongillo_circuit` by slow currents through which pools excite themselves.

    Releases stay as they are at rest. The currents saturate as NMDA receptors do (Wang 1999, J. Neurosci. 19:9587): a
    spike opens a fraction of the closed channels, dg/dt = −g/τ; so what is closed, 1 − g, follows the equations of a
    resource that recovers with τ. Initial states of the replaced synapses are left out.

    Parameters
    ----------
    circuit
        With plastic synapses.
    efficacy
        Within pools, in V per opened channel.
    decay
        Time constant of the currents in s.
    opening
        Fraction of the closed channels that one spike opens.
    """
    check_circuit(circuit)
    gating = TsodyksMarkram(opening, decay, 0.0, "maass2002")
    slow = {"synapse": gating, "efficacy": efficacy, "decay": decay}
    return replace(circuit, connections=[_unplastic(each, slow) for each in circuit.connections])


@known_arguments
def heterogeneous_circuit(circuit: Circuit, draw: Callable[[str, int], PresynapticRule]) -> Circuit:
    """Give the plastic synapses of every neuron parameters of their own.

    Efficacies are scaled so that the release from rest stays the same, averaged over the neurons of a population.
    Initial states of the replaced synapses are left out.

    Parameters
    ----------
    circuit
        With plastic synapses that are all alike.
    draw
        `(name, size) → rule` of the synapses from a population, with parameters `[neuron]`, or numbers for all.

    Examples
    --------
    >>> import fwsim as fw
    >>> alike = mongillo_circuit(fw.TsodyksMarkram(0.2, 0.2, 1.5, "mongillo2008"))
    >>> cortex = fw.measured("mouse sim1→sim1")
    >>> drawn = heterogeneous_circuit(alike, lambda name, size: cortex.sample(size, seed=len(name)))
    >>> len(drawn.rules)
    6
    """
    check_circuit(circuit)
    if not callable(draw):
        raise ConfigError(
            f"draw is {type_of(draw)}; give a function (name, size) → rule: drawn_synapses(kind)"
        )
    plastic = [each for each in circuit.connections if each.synapse is not None]
    sizes = {each.name: each.size for each in circuit.populations}
    rules = {pre: draw(pre, sizes[pre]) for pre in dict.fromkeys(each.pre for each in plastic)}
    return replace(circuit, connections=[_redrawn(each, rules) for each in circuit.connections])


@known_arguments
def drawn_synapses(
    kind: Any, *, around: TsodyksMarkram | None = None, seed: int | None = None
) -> Callable[[str, int], TsodyksMarkram]:
    """Synapses of a recorded class for each neuron: the `draw` of `heterogeneous_circuit`.

    Parameters
    ----------
    kind
        The class, from `fwsim.measured`.
    around
        A rule of numbers whose U, tau_rec and tau_facil are the typical ones instead; only the spread is that of the
        class then. `None`: all is as in the class.
    seed
        Seed from which each population gets its own; `None`: all synapses are typical.

    Examples
    --------
    >>> import fwsim as fw
    >>> drawn_synapses(fw.measured("mouse sim1→sim1"), seed=1)("E1", 800).U.shape
    torch.Size([800])
    """
    if not hasattr(kind, "covariance"):
        raise ConfigError(f"kind is {type_of(kind)}; give a class of synapses, fwsim.measured(name)")
    if seed is not None:
        check_seed(seed)
    if around is not None:
        kind = replace(kind, mean=_middle(around))

    def draw(pre: str, size: int) -> TsodyksMarkram:
        rule = kind.rule if seed is None else kind.sample(size, stream_seed(seed, f"synapses of {pre}"))
        return rule if around is None else replace(rule, convention=around.convention)

    return draw


def _middle(rule: TsodyksMarkram) -> Tensor:
    """Coordinates of a rule on the scales of `MeasuredClass`."""
    instance("around", rule, TsodyksMarkram, "a TsodyksMarkram rule of numbers")
    if shape := batch_shape(rule):
        raise ConfigError(f"around has parameters {list(shape)}; give a TsodyksMarkram rule of numbers")
    typical = torch.tensor([rule.U, rule.tau_rec, rule.tau_facil], dtype=torch.float64)
    found = torch.cat([typical[:1].logit(), typical[1:].log()])
    if not bool(found.isfinite().all()):
        raise ConfigError(
            f"around has U={rule.U:g}, tau_rec={rule.tau_rec:g} s and tau_facil={rule.tau_facil:g} s; give U between "
            "0 and 1, and time constants above 0"
        )
    return found


def _redrawn(each: Connection, rules: Mapping[str, PresynapticRule]) -> Connection:
    if each.synapse is None:
        return each
    if not isinstance(each.synapse, PresynapticRule) or batch_shape(each.synapse):
        raise ConfigError(
            f"{each.pre}→{each.post} has {type(each.synapse).__name__} with parameters "
            f"{list(batch_shape(each.synapse))}; give a circuit with presynaptic rules of numbers"
        )
    rule = rules[each.pre]
    instance(f"draw({each.pre!r}, …)", rule, PresynapticRule, "a presynaptic rule")
    drawn = float(torch.as_tensor(rule.at_pre(rule.rest())[1], dtype=torch.float64).mean())
    scaled = each.efficacy * (first_release(each.synapse) / drawn)
    return replace(each, synapse=rule, efficacy=scaled, state=None)


def _unplastic(each: Connection, slow: dict) -> Connection:
    if each.synapse is None:
        return each
    if each.pre == each.post and each.pre in POOLS:
        return replace(each, **slow, state=None)
    if not isinstance(each.synapse, PresynapticRule):
        raise ConfigError(
            f"{each.pre}→{each.post} has {type(each.synapse).__name__}, not a presynaptic rule; "
            "give a circuit of mongillo_circuit"
        )
    return replace(each, synapse=None, state=None, efficacy=each.efficacy * first_release(each.synapse))


def _excitation(rule: PresynapticRule) -> Iterator[Connection]:
    for pre, post in itertools.product(EXCITATORY, EXCITATORY):
        if pre == post and pre in POOLS:
            yield Connection(pre, post, STRONG, DENSITY, rule, DELAY)
        elif pre in POOLS and post in POOLS:
            yield Connection(pre, post, WEAK, DENSITY, rule, DELAY)
        else:
            yield Connection(pre, post, WEAK, DENSITY * 0.9, rule, DELAY)
            yield Connection(pre, post, STRONG, DENSITY * 0.1, rule, DELAY)


def _inhibition() -> Iterator[Connection]:
    """All connections from and to inhibitory neurons."""
    for name in EXCITATORY:
        yield Connection(name, "I", 0.135 * mV, DENSITY, None, DELAY)
    for name in (*EXCITATORY, "I"):
        yield Connection("I", name, (-0.20 if name == "I" else -0.25) * mV, DENSITY, None, DELAY)
