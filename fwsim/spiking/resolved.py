"""Rate network of a circuit that learns: one unit for every neuron with associative synapses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fwsim.engine.rate.gains import Siegert
from fwsim.engine.rate.network import RateNetwork
from fwsim.engine.rate.projection import Projection
from fwsim.engine.simulation import simulate
from fwsim.errors import ConfigError, ShapeError, whole
from fwsim.names import known_arguments
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.rule import AssociativeRule
from fwsim.spiking.circuit import Circuit, check_circuit
from fwsim.spiking.connection import Connection
from fwsim.spiking.mean_field import GRID_SHIFT, check_theory
from fwsim.spiking.population import Population
from fwsim.spiking.sources import PoissonGenerator, Source
from fwsim.spiking.stimulation import check_given, checked_drive

if TYPE_CHECKING:
    import xarray as xr

POINTS = 10_001  # of a table of rates
BELOW, ABOVE = 0.1, 0.6  # V, around the threshold, over which rates are tabulated
UNSEEN = 1e-6  # rates of populations are in 1/UNSEEN Hz, so that they hardly change a memory over all units


@dataclass(frozen=True, eq=False)
class Tabulated:
    """Siegert rates by linear interpolation: `table [kind of unit · POINTS]`, `kind [unit]`, `scale [unit]`."""

    low: Tensor
    width: float
    table: Tensor
    kind: Tensor
    scale: Tensor

    def __call__(self, h: Tensor) -> Tensor:
        """Rates for given fields."""
        last = POINTS - 1
        place = ((h - self.low) / self.width * last).clamp(0, last * (1 - 1e-6))
        index = place.long()
        start = (self.kind * POINTS).long() + index  # networks turn all tensors of a gain into floats
        return torch.lerp(self.table[start], self.table[start + 1], place - index) * self.scale


@known_arguments
def resolved_network(circuit: Circuit, *, reduced: bool = True, dt: float | None = None) -> RateNetwork:
    """Make the rate version of a circuit in which one population learns from itself.

    Every neuron of that population is a unit, and each other population is one more, also a `PoissonGenerator` of one
    rate. The field of a neuron is its mean input. Fluctuations of the recurrent input and of Poisson trains are
    neglected compared with the external noise. Delays and the duration of synaptic currents are neglected too.

    Parameters
    ----------
    circuit
        With one connection that has an associative rule, from a population to itself with probability 1.
    reduced
        Whether to use the memory rule of the synapse with fast traces. Otherwise the rate dynamics of the whole rule
        are used, which may also saturate or be nonlinear.
    dt
        Step in s; by default that of the circuit.

    Returns
    -------
    RateNetwork
        Its units are the neurons that learn, then the other populations, with rates in 10⁶ Hz.

    Raises
    ------
    ConfigError
        The circuit is of another kind, has other plastic synapses, conductances, a source without one constant rate, a
        population without noise, a state of its synapses, or no reduced rule.
    """
    learning = _learning(circuit)
    populations = {each.name: each for each in circuit.populations}
    neurons = populations.pop(learning.pre)
    assert isinstance(neurons, Population)
    pools = list(populations.values())
    kinds = [neurons, *pools]
    own = [
        each.tau if isinstance(each, Population) else neurons.tau for each in pools
    ]  # those of sources do nothing
    tau = torch.tensor([neurons.tau] * neurons.size + own)
    options: dict[str, Any] = {
        "tau": tau,
        "gain": _gain(circuit, kinds, neurons.size),
        "dt": circuit.dt if dt is None else dt,
        "populations": {neurons.name: neurons.size} | dict.fromkeys((each.name for each in pools), 1),
    }
    fixed = Projection(_fixed(circuit, learning, pools))
    rise = learning.efficacy * neurons.tau
    assert learning.synapse is not None
    if reduced:
        rule = learning.synapse.reduced()
        assert isinstance(rule, Hebbian)
        memory = Hebbian(tau=rule.tau, eta_rate=rule.eta_rate * rise)
        return RateNetwork(fixed, memory=memory, self_connections=False, **options)
    between = torch.zeros(len(tau), len(tau))
    between[: neurons.size, : neurons.size] = rise * (1 - torch.eye(neurons.size))
    return RateNetwork([Projection(between, learning.synapse), fixed], **options)


@known_arguments
def simulate_resolved(
    circuit: Circuit,
    drive: Any,
    *,
    hold: int = 1,
    stride: int = 1,
    every: int = 1,
    reduced: bool = True,
) -> xr.Dataset:
    """Run `resolved_network` with the drive of a circuit.

    Parameters
    ----------
    circuit, reduced
        As in `resolved_network`.
    drive, hold
        As in `simulate`; a population that is one unit receives the mean drive.
    stride
        Number of the circuit's steps in one step of the rate network.
    every
        Record every k-th step of the rate network.

    Returns
    -------
    xarray.Dataset
        `rate [trial, time, unit]` in Hz: the neurons that learn, then the other populations.
    """
    check_circuit(circuit)
    for name, value in (("hold", hold), ("stride", stride), ("every", every)):
        whole(name, value, least=1)
    check_given(drive)
    network = resolved_network(circuit, reduced=reduced, dt=circuit.dt * stride)
    given = checked_drive(circuit, drive, None, neurons=True)
    steps = given.shape[1] * hold
    if steps % stride:
        raise ShapeError(f"{steps} steps of the drive are no multiple of stride={stride}; choose another")
    signal = torch.from_numpy(_by_unit(circuit, given)).float()

    def held(start: int, stop: int) -> Tensor:
        return signal[:, torch.arange(start, stop) * stride // hold]

    run = simulate(network, held, steps=steps // stride, record=["rate"], every=every, progress=False)[
        ["rate"]
    ]
    scale = torch.as_tensor(network.gain.scale).numpy()  # type: ignore[attr-defined]
    return run.assign(rate=(run["rate"] / scale).assign_attrs(run["rate"].attrs))


def _learning(circuit: Circuit) -> Connection:
    """The plastic connection."""
    check_circuit(circuit)
    plastic = [each for each in circuit.connections if each.synapse is not None]
    if len(plastic) != 1 or not isinstance(plastic[0].synapse, AssociativeRule):
        raise ConfigError(
            f"the circuit has {len(plastic)} plastic connections; give it exactly one, with an associative rule"
        )
    each = plastic[0]
    check_theory(circuit)
    if each.state is not None:
        raise ConfigError(
            f"{each.pre}→{each.post}: this rate version begins with an empty memory; leave state out"
        )
    if each.pre != each.post or np.ndim(each.efficacy) or each.probability != 1:
        raise ConfigError(
            f"{each.pre}→{each.post}: give a connection of a population to itself, with one efficacy and probability 1"
        )
    for population in circuit.populations:
        if isinstance(population, Source):
            _check_source(population)
        elif population.noise == 0:
            raise ConfigError(
                f"{population.name} has noise=0; the rate version needs some, e.g. noise=1e-4 V"
            )
    return each


def _check_source(source: Source) -> None:
    if not isinstance(source, PoissonGenerator) or not isinstance(source.rate, float):
        why = "rates that differ" if isinstance(source, PoissonGenerator) else "given spikes"
        raise ConfigError(
            f"{source.name} has {why}, and in this rate version a source is one unit with a constant rate; give a "
            "PoissonGenerator with a number, and what changes as drive"
        )


def _fixed(circuit: Circuit, learning: Connection, pools: list[Population | Source]) -> Tensor:
    """Weights of the static connections, `[post, pre]` in V/Hz, for mean inputs."""
    size = circuit.populations[circuit.index(learning.pre)].size
    rows = {learning.pre: slice(0, size)}
    rows |= {each.name: slice(size + k, size + k + 1) for k, each in enumerate(pools)}
    weights = torch.zeros(size + len(pools), size + len(pools))
    for each in circuit.connections:
        if each is learning:
            continue
        pre, post = (circuit.populations[circuit.index(name)] for name in (each.pre, each.post))
        assert isinstance(post, Population)
        mean = np.sum(each.efficacy) / (pre.size * post.size) if np.ndim(each.efficacy) else each.efficacy
        inputs = 1 if each.pre == learning.pre else pre.size / UNSEEN
        weights[rows[each.post], rows[each.pre]] += each.probability * mean * post.tau * inputs
    return weights


def _gain(circuit: Circuit, kinds: list[Population | Source], neurons: int) -> Tabulated:
    """Rates of all units from their mean potentials without background; thresholds are corrected for the time step."""
    tables, lows = [], []
    for each in kinds:
        if isinstance(each, PoissonGenerator):
            tables.append(torch.full((POINTS,), each.rate))
            lows.append(0.0)
            continue
        assert isinstance(each, Population)
        shift = GRID_SHIFT * math.sqrt(2 * circuit.dt / each.tau) * each.noise
        pause = round(each.refractory / circuit.dt) * circuit.dt
        siegert = Siegert(each.tau, each.threshold + shift, each.reset, pause, each.noise)
        low = each.threshold - BELOW
        points = torch.linspace(low, each.threshold + ABOVE, POINTS, dtype=torch.float64)
        tables.append(siegert(points).float())
        lows.append(low - each.background)
    kind = torch.tensor([0] * neurons + list(range(1, len(kinds))))
    scale = torch.where(kind == 0, 1.0, UNSEEN)
    return Tabulated(torch.tensor(lows)[kind], BELOW + ABOVE, torch.cat(tables), kind, scale)


def _by_unit(circuit: Circuit, drive: np.ndarray) -> np.ndarray:
    """Convert a drive of populations or neurons to the units, `[trial, time, unit]`."""
    name = _learning(circuit).pre
    if drive.shape[-1] != circuit.neurons:
        drive = np.repeat(drive, [each.size for each in circuit.populations], -1)
    others = [
        drive[..., part].mean(-1, keepdims=True) for key, part in circuit.members.items() if key != name
    ]
    return np.concatenate([drive[..., circuit.members[name]], *others], -1)
