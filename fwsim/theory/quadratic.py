"""Exact mean field of quadratic integrate-and-fire neurons, with short-term plasticity.

    τ dV_j/dt = V_j² + η_j + I(t) + J τ s(t),   a spike where V_j reaches infinity, which begins again at −infinity

with η_j of a Lorentz distribution of half width Δ around 0. In the limit of many neurons V is Lorentzian at all times,
with centre v and half width π τ r, and

    τ dr/dt = Δ/(π τ) + 2 r v,   τ dv/dt = v² + I + J τ s − (π τ r)²

Source: Montbrió, Pazó & Roxin 2015, Phys. Rev. X. The input s is the rate r, or r times the release of a rule under
that rate, as in Taher, Torcini & Olmi 2020, PLOS Comput. Biol. 16:e1008533. The equations here were derived anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, DivergedError, ShapeError, number
from fwsim.names import known_arguments
from fwsim.theory.values import numbers, positive
from fwsim.units import si


@dataclass(frozen=True, eq=False)
class QuadraticActivity:
    """Activity of a population of quadratic integrate-and-fire neurons.

    Parameters
    ----------
    rate
        Rate in Hz after each step, `[time]`.
    potential
        Mean potential v, without unit, `[time]`.
    synapse
        Variables of the rule by name, `[time]` each; empty without one.
    """

    rate: np.ndarray
    potential: np.ndarray
    synapse: dict[str, np.ndarray]


@known_arguments
def quadratic_mean_field(
    drive: ArrayLike,
    *,
    dt: float,
    tau: float,
    spread: float,
    coupling: float = 0.0,
    synapse: Any = None,
    rate: float = 0.0,
    potential: float | None = None,
) -> QuadraticActivity:
    """Rate and mean potential of a population under an input.

    Parameters
    ----------
    drive
        I, without unit, `[time]`, each value held for a step; the centre of the neurons' own inputs is part of it.
    dt
        Step in s; Runge–Kutta steps of fourth order.
    tau
        Membrane time constant in s.
    spread
        Δ, half the width of the distribution of inputs.
    coupling
        J, without unit.
    synapse
        Presynaptic rule, for example `fwsim.TsodyksMarkram`, with one value for each parameter; it begins at rest.
        Variables with a time constant of 0 stay there.
    rate
        Rate at the start in Hz.
    potential
        Mean potential at the start; −√(−I) by default where I is negative, else 0.

    Raises
    ------
    ConfigError, ShapeError
        A value is not allowed, or parameters of the rule have more than one value.
    DivergedError
        The step is too large for the rates, or they grow without limit.
    """
    drive = numbers("drive", drive)
    if drive.ndim != 1 or not drive.size:
        raise ShapeError(f"drive has shape {list(drive.shape)}; give [time], one step or more")
    if not np.isfinite(drive).all():
        raise ConfigError(
            f"drive[{int(np.argmin(np.isfinite(drive)))}] is NaN or infinite; give finite values"
        )
    step, membrane = _duration("dt", dt), _population(tau, spread, coupling, synapse)
    start = si("rate", rate, "rate")
    number("rate", start, least=0.0)
    rest = {} if synapse is None else {name: float(value) for name, value in synapse.rest().items()}
    centre = -math.sqrt(max(-drive[0], 0.0)) if potential is None else potential
    number("potential", centre)
    state = np.array([start, centre, *rest.values()])

    def slope(now: np.ndarray, current: float) -> np.ndarray:
        r, v = now[0], now[1]
        change, sent = _synaptic(synapse, dict(zip(rest, now[2:])), r)
        dr = (spread / (math.pi * membrane) + 2 * r * v) / membrane
        dv = (v * v + current + coupling * membrane * sent - (math.pi * membrane * r) ** 2) / membrane
        return np.array([dr, dv, *change])

    found = np.empty((drive.size, state.size))
    with np.errstate(all="ignore"):
        for t, current in enumerate(drive):
            one = slope(state, current)
            two = slope(state + step / 2 * one, current)
            three = slope(state + step / 2 * two, current)
            state = state + step / 6 * (one + 2 * two + 2 * three + slope(state + step * three, current))
            if not np.isfinite(state).all():
                raise DivergedError(t, "rate", 0, f"give a smaller step than dt={step:g}, or less coupling")
            found[t] = state
    return QuadraticActivity(found[:, 0], found[:, 1], dict(zip(rest, found[:, 2:].T)))


def _synaptic(synapse: Any, state: Mapping[str, float], rate: float) -> tuple[list[float], float]:
    """Derivatives of a rule's variables under a rate, and the release per second: drift + rate · jump."""
    if synapse is None:
        return [], rate
    drift = synapse.drift(state)
    after, release = synapse.on_pre(state)
    change = {name: float(drift[name] + rate * (after[name] - state[name])) for name in state}
    # Drift is 0/0 at rest where a time constant is 0: a variable is back at rest at once.
    return [0.0 if math.isnan(value) else value for value in change.values()], float(rate * release)


def _population(tau: float, spread: float, coupling: float, synapse: Any) -> float:
    """Check what populations have in common; the membrane time constant in s."""
    membrane = _duration("tau", tau)
    number("spread", spread, above=0.0)
    number("coupling", coupling)
    if synapse is None:
        return membrane
    if isinstance(synapse, type) or getattr(synapse, "output", None) != "release":
        raise ConfigError(
            f"synapse={synapse!r} is not a presynaptic rule; give e.g. fwsim.TsodyksMarkram(U=0.2)"
        )
    for name, value in synapse.parameters().items():
        if math.prod(getattr(value, "shape", ())) != 1:
            raise ShapeError(f"synapse.{name} has shape {list(value.shape)}; give one value")
    return membrane


def _duration(name: str, value: Any) -> float:
    """A duration in s."""
    seconds = si(name, value, "time")
    number(name, seconds, unit="s", above=0.0)
    return float(seconds)


@known_arguments
def quadratic_drive(
    rate: ArrayLike, *, tau: float, spread: float, coupling: float = 0.0, synapse: Any = None
) -> np.ndarray:
    """Input at which a population fires steadily at a rate, in closed form; the curve shows where it is bistable.

    I = (π τ r)² − v² − J τ s with v = −Δ/(2 π τ r), and s = r times the release of the rule at that rate.

    Parameters
    ----------
    rate
        In Hz, above 0; any shape.
    tau, spread, coupling, synapse
        As in `quadratic_mean_field`.
    """
    rates, membrane = positive("rate", rate, "rate"), _population(tau, spread, coupling, synapse)
    if not np.isfinite(rates).all():
        raise ConfigError(f"rate={rates.tolist()} must be finite")
    width = math.pi * membrane * rates
    release = np.asarray(1.0)
    if synapse is not None:
        release = np.asarray(synapse.steady_state(rates, "mean_field").release)
    return (width**2 - (spread / (2 * width)) ** 2 - coupling * membrane * rates * release)[()]
