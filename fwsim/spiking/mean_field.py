"""Rate version of a circuit: every population is a unit, with the Siegert gain."""

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
from fwsim.errors import ConfigError
from fwsim.names import known_arguments
from fwsim.rules.parameters import replaced
from fwsim.rules.rule import PresynapticRule, Values
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.spiking.circuit import Circuit, check_circuit
from fwsim.spiking.connection import Connection
from fwsim.spiking.parameters import initial_means
from fwsim.spiking.population import Population
from fwsim.spiking.sources import PoissonGenerator, Source
from fwsim.spiking.stimulation import check_given, checked_drive

if TYPE_CHECKING:
    import xarray as xr

GRID_SHIFT = 0.5826  # −ζ(1/2)/√(2π): mean overshoot of a random walk over a barrier, in SDs of a step


@dataclass(frozen=True, eq=False)
class MomentGain:
    """Rates of populations from mean and variance of their potentials; see `rate_network`.

    Fields are `[means, variances, currents]`. Means give rates, variances give nothing, currents give themselves. Units
    that are sources (`source` is 1) have a constant rate in Hz, to which their field adds what changes.
    """

    tau: Tensor
    threshold: Tensor
    reset: Tensor
    refractory: Tensor
    background: Tensor
    noise: Tensor
    grid: Tensor
    source: Tensor
    constant: Tensor

    def __call__(self, h: Tensor) -> Tensor:
        """Rates for given fields."""
        units = len(self.tau)
        mean, variance, currents = h[..., :units], h[..., units : 2 * units], h[..., 2 * units :]
        sd = torch.sqrt(self.noise.square() + variance.clamp(min=0))
        gain = Siegert(self.tau, self.threshold + self.grid * sd, self.reset, self.refractory, sd)
        moved = gain(mean * (1 - self.source) + self.background)
        rate = torch.lerp(moved, self.constant + mean, self.source)
        return torch.cat([rate, torch.zeros_like(variance), currents], -1)


@dataclass(frozen=True, eq=False)
class _Squared(PresynapticRule):
    """A rule whose release enters as its square, as in the variance of a potential."""

    rule: PresynapticRule

    def rest(self) -> Values:
        return self.rule.rest()

    def drift(self, state: Values) -> Values:
        return self.rule.drift(state)

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        after, release = self.rule.on_pre(state)
        return after, release * release


@known_arguments
def rate_network(circuit: Circuit, *, dt: float | None = None) -> RateNetwork:
    """Make the rate version of a circuit: mean-field equations of its populations, with plastic synapses.

    Each population has a mean potential, which follows the rates of its inputs with τ, and a variance, which
    follows them with τ/2 and squared efficacies (Campbell's theorem). Both together determine its rate by the Siegert
    function. Slow currents are units between populations. A `PoissonGenerator` is a unit with its rate. The theory
    assumes large, sparse and asynchronous circuits without delays, and releases in mean field.

    Parameters
    ----------
    circuit
        The circuit; associative rules have no such version.
    dt
        Step in s; by default that of the circuit.

    Returns
    -------
    RateNetwork
        Its first units are the populations. `rate_drive` makes its inputs, to which rates of sources that differ over
        time or between trials belong.

    Raises
    ------
    ConfigError
        A rule is not presynaptic or has parameters or a state for each neuron, a population has no noise, or neurons
        that differ, a synapse is a conductance, or the spikes of a source are given, or its neurons have several rates.

    Notes
    -----
    Brunel 2000, J. Comput. Neurosci. 8:183, eqs. 4–5 and 21. Simulated neurons test the threshold only at the end
    of a step. This raises its effect by 0.5826 σ √(dt/τ) (Broadie, Glasserman & Kou 1997, Math. Finance 7:325).
    """
    check_circuit(circuit)
    check_theory(circuit)
    slow = sorted({(each.post, each.decay) for each in circuit.connections if each.decay})
    for each in circuit.populations:
        if isinstance(each, Source):
            _check_rate(each)
        elif each.noise == 0:
            raise ConfigError(f"{each.name} has noise=0; the rate version needs some, e.g. noise=1e-4 V")
    for given in circuit.rules:
        if source := circuit.source(given):
            raise ConfigError(
                f"{type(given).__name__} has parameters for each neuron of {source.name}, and the rate version has one "
                "unit for each population; give typical values, or make a fwsim.RateNetwork of neurons"
            )
    rules = [None, *circuit.rules]
    weights = [_weights(circuit, rule, slow) for rule in rules]
    projections = []
    for rule, (means, variances) in zip(circuit.rules, weights[1:]):
        state = initial_means(rule, circuit, circuit.trials or 1)
        begin = state and {name: _extended(value, means.shape[-1]) for name, value in state.items()}
        projections.append(Projection(means, _widened(_mean(rule), circuit, means.shape[-1]), begin))
        squared = _widened(_Squared(_mean(rule)), circuit, means.shape[-1])
        projections.append(Projection(variances, squared, begin))
    static = weights[0][0] + weights[0][1]
    for row, (post, _) in enumerate(slow):
        static[circuit.index(post), 2 * len(circuit.populations) + row] = 1.0
    taus = _of_each(circuit, "tau").tolist()
    return RateNetwork(
        [*sorted(projections, key=_variance_last), Projection(static)],
        tau=torch.tensor(
            [*taus, *(tau / 2 for tau in taus), *(decay for _, decay in slow)], dtype=torch.float64
        ),
        gain=_gain(circuit),
        dt=circuit.dt if dt is None else dt,
        populations=_units(circuit, slow),
    )


def _units(circuit: Circuit, slow: list[tuple[str, float]]) -> dict[str, int]:
    """Names of the units: populations, the variances of their inputs, and slow currents."""
    names = [*circuit.names, *(f"variance of {name}" for name in circuit.names)]
    return dict.fromkeys([*names, *(f"current of {decay} s into {name}" for name, decay in slow)], 1)


@known_arguments
def rate_drive(circuit: Circuit, drive: Any) -> Tensor:
    """Inputs of the rate version for a drive of the circuit, `[trial, time, unit]` in V, of sources in Hz."""
    given = np.array(checked_drive(circuit, drive, None), float)
    trials, steps = given.shape[:2]
    for each in circuit.sources:
        _check_rate(each)
        if isinstance(each, PoissonGenerator) and not isinstance(each.rate, float):
            given[..., circuit.index(each.name)] = each.over_time(trials, steps)
    values = torch.as_tensor(given)
    slow = {(each.post, each.decay) for each in circuit.connections if each.decay}
    return torch.nn.functional.pad(values, (0, len(circuit.populations) + len(slow)))


@known_arguments
def simulate_rates(circuit: Circuit, drive: Any, *, every: int = 1, dt: float | None = None) -> xr.Dataset:
    """Run the rate version of a circuit.

    Parameters
    ----------
    circuit, drive
        As in `simulate`.
    every
        Record every k-th step.
    dt
        Step in s, a multiple of the circuit's. Of the drive, the first sample of each step is used.

    Returns
    -------
    xarray.Dataset
        `rate`, and for plastic circuits `release` and the variables of the rules, with populations as units and rules
        as projections.
    """
    check_given(drive)
    network = rate_network(circuit, dt=dt)
    stride = round(network.dt / circuit.dt)
    if stride < 1 or abs(stride * circuit.dt - network.dt) > 1e-6 * circuit.dt:
        raise ConfigError(
            f"dt={network.dt:g} s is no multiple of the circuit's dt={circuit.dt:g} s; give one"
        )
    signal = rate_drive(circuit, drive)[:, ::stride]
    names = [name for name in network.recordable() if name not in ("hidden", "step_error")]
    run = simulate(network, signal, record=names, every=every, progress=False)
    run = run[names].isel(unit=slice(len(circuit.populations))).assign_attrs(run.attrs)
    return run.isel(projection=slice(len(circuit.rules))) if circuit.rules else run


def check_theory(circuit: Circuit) -> None:
    """Raise `ConfigError` if neurons of a population differ, or a synapse is a conductance."""
    for population in circuit.populations:
        if isinstance(population, Population) and population.varied:
            raise ConfigError(
                f"{population.name} has a {population.varied[0]} for each neuron, and the rate version one unit for "
                "each population; give typical values, or several populations"
            )
    for each in circuit.connections:
        if each.reversal is not None:
            raise ConfigError(
                f"{each.pre}→{each.post} is a conductance (reversal={each.reversal:g} V), and the rate version knows "
                "currents; give an efficacy in V without reversal, such as "
                "efficacy · decay/tau · (reversal − mean potential)"
            )


def _check_rate(source: Source) -> None:
    """Raise `ConfigError` unless a source has one rate for all of its neurons."""
    if not isinstance(source, PoissonGenerator):
        raise ConfigError(
            f"{source.name} is a SpikeGenerator, whose spikes are no rate; for the rate version give a "
            "PoissonGenerator with their rate over time"
        )
    if np.shape(source.rate)[-1:] not in ((), (1,)):
        raise ConfigError(
            f"{source.name} has a rate for each neuron, and the rate version has one unit for each population; give "
            "one rate, or several PoissonGenerators"
        )


def _of_each(circuit: Circuit, field: str) -> Tensor:
    """Values of the populations; those of sources have no effect, but their time constant is short."""
    still = {
        "tau": circuit.dt / 40,
        "threshold": 1.0,
        "reset": 0.0,
        "refractory": 0.0,
        "background": 0.0,
        "noise": 1.0,
    }
    found = [still[field] if isinstance(p, Source) else getattr(p, field) for p in circuit.populations]
    return torch.tensor(found, dtype=torch.float64)


def _mean(rule: Any) -> PresynapticRule:
    if not isinstance(rule, PresynapticRule):
        raise ConfigError(
            f"{type(rule).__name__} has no rate version in a circuit of populations; use a presynaptic rule"
        )
    return rule.rule if isinstance(rule, StochasticRelease) else rule


def _variance_last(projection: Projection) -> bool:
    return isinstance(projection.synapse, _Squared)


def _widened(rule: PresynapticRule, circuit: Circuit, units: int) -> PresynapticRule:
    """Repeat parameters that differ between populations for the units that belong to each population."""

    def widen(name: str, value: Any, spec: Any) -> Any:
        if not isinstance(value, Tensor) or not value.ndim or value.shape[-1] == 1:
            return value
        return _extended(value, units)

    return replaced(rule, widen)


def _extended(value: Tensor, units: int) -> Tensor:
    """Values of populations `[..., unit]` with those of the first for the units that are no populations."""
    return torch.cat([value, value[..., :1].expand(*value.shape[:-1], units - value.shape[-1])], -1)


def _weights(circuit: Circuit, rule: Any, slow: list[tuple[str, float]]) -> tuple[Tensor, Tensor]:
    """Contributions of the connections with one rule to means (or currents) and variances, `[post, pre]`."""
    units = len(circuit.populations)
    means = torch.zeros(2 * units + len(slow), 2 * units + len(slow), dtype=torch.float64)
    variances = torch.zeros_like(means)
    taus = _of_each(circuit, "tau")
    for each in circuit.connections:
        if each.synapse is not rule:
            continue
        pre, post = circuit.index(each.pre), circuit.index(each.post)
        tau = float(taus[post])
        total, squares = _inputs(circuit, each)
        row = 2 * units + slow.index((each.post, each.decay)) if each.decay else post
        means[row, pre] += tau * total
        variances[units + post, pre] += tau**2 / (2 * (tau + each.decay)) * squares
    return means, variances


def _inputs(circuit: Circuit, each: Connection) -> tuple[float, float]:
    """Average sum of the efficacies, and of their squares, over the inputs of one neuron."""
    pre, post = (circuit.populations[circuit.index(name)].size for name in (each.pre, each.post))
    if np.ndim(each.efficacy):
        return each.efficacy.sum() / post, np.square(each.efficacy).sum() / post
    count = each.probability * (pre - (each.pre == each.post))
    return count * each.efficacy, count * each.efficacy**2


def _gain(circuit: Circuit) -> MomentGain:
    tau, threshold, reset, refractory, background, noise = (
        _of_each(circuit, field)
        for field in ("tau", "threshold", "reset", "refractory", "background", "noise")
    )
    shift = GRID_SHIFT * math.sqrt(2.0) * torch.sqrt(circuit.dt / tau)
    # The refractory period is a whole number of steps.
    pause = torch.round(refractory / circuit.dt) * circuit.dt
    source = [float(isinstance(each, Source)) for each in circuit.populations]
    rates = [getattr(each, "rate", 0.0) for each in circuit.populations]
    constant = [rate if isinstance(rate, float) else 0.0 for rate in rates]
    return MomentGain(
        tau, threshold, reset, pause, background, noise, shift,
        torch.tensor(source, dtype=torch.float64), torch.tensor(constant, dtype=torch.float64),
    )  # fmt: skip
