"""Recall in a Hopfield network whose synapses also have a fast Hebbian part: dynamical and static mean field.

    τ dh_i/dt = −h_i + Σ_j (J_ij + A_ij) φ_j,   φ = tanh(β h),   J = (1/N) Σ_μ ξ^μ ξ^μᵀ without diagonal, αN patterns
    τ_A dA_ij/dt = −A_ij + (k/N) φ_i φ_j,   A = 0 when the cue is given

is a `RateNetwork` with the memory `Hebbian(tau=tau_A, eta_rate=k/(N*tau_A))`. In the limit of many units each of them
has, with the overlap m(t) = ⟨ξφ⟩, the autocorrelation C(t, s) = ⟨φ(t) φ(s)⟩ and the response
G(t, s) = ⟨∂φ(t)/∂field(s)⟩, the field

    ξ m(t) + η(t) + ∫ [S(t, s) + k e^{−(t−s)/τ_A} C(t, s)/τ_A] φ(s) ds,   S = α G (1 − G)⁻¹,
    ⟨η ηᵀ⟩ = α (1 − G)⁻¹ C (1 − G)⁻ᵀ

where η and S are what the patterns do that are not recalled. The question is that of Del Gaudio, Ghimenti & Ganguli
2025, arXiv 2511.22848, of which only the abstract was read; the equations here were derived anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import brentq

from fwsim.errors import ConfigError, number, whole
from fwsim.names import known_arguments
from fwsim.seeds import check_seed

LONGEST = 400
"""Largest number of time steps: responses need memory that grows with the square."""

STEEPEST = 20.0
"""Largest gain β of static states, for the sake of their quadrature."""

RECALLED = 0.1
"""Overlap above which a static state is one of recall."""


@dataclass(frozen=True, eq=False)
class Recall:
    """What a network recalls after a cue.

    Parameters
    ----------
    time
        `[time]`, in units of the membrane time constant, from 0.
    overlap
        m = ⟨ξ φ⟩ of the rates with the pattern, `[time]`.
    square
        Mean square rate ⟨φ²⟩, `[time]`.
    """

    time: np.ndarray
    overlap: np.ndarray
    square: np.ndarray


@dataclass(frozen=True)
class RecalledState:
    """Static state of recall.

    Parameters
    ----------
    overlap
        ⟨ξ φ⟩ of the rates with the pattern; 0 if there is no such state.
    square
        Mean square rate.
    """

    overlap: float
    square: float


@known_arguments
def recall_dynamics(
    load: float,
    plasticity: float,
    tau_memory: float,
    *,
    gain: float = 4.0,
    cue: float = 1.0,
    duration: float = 20.0,
    dt: float = 0.1,
    units: int = 800,
    seed: int = 0,
) -> Recall:
    """Overlap with a cued pattern over time, by dynamical mean field.

    All of the mean field is causal, so that one sweep over time solves it: sampled units give m, C and G up to a step,
    and these the fields of the next step. η is a random mixture of the rates of all units, filtered by (1 − G)⁻¹.

    Parameters
    ----------
    load
        α, stored patterns by units.
    plasticity
        k; above 0 Hebbian, below 0 anti-Hebbian.
    tau_memory
        Time constant of the fast part in units of the membrane time constant.
    gain
        β in φ = tanh(β h).
    cue
        Overlap of the signs of h with the pattern when the network starts, of |h| = 1; from 0 to 1.
    duration, dt
        Time that is followed and its step, at most 400 steps; errors of the step are of first order.
    units
        Number of sampled units. Errors decrease with its root, and are largest while activity leaves a pattern: with
        1000 units the overlap then has a standard deviation of about 0.03 over seeds.
    seed
        Of their noise.

    Raises
    ------
    ConfigError
        A value is not allowed, or there are too many steps.
    """
    number("load", load, least=0.0)
    number("plasticity", plasticity)
    number("gain", gain, above=0.0)
    for name, value in {"tau_memory": tau_memory, "duration": duration, "dt": dt}.items():
        number(name, value, above=0.0)
    number("cue", cue, least=0.0, most=1.0)
    whole("units", units, least=2)
    check_seed(seed)
    steps = round(duration / dt)
    if not 1 <= steps <= LONGEST:
        raise ConfigError(
            f"duration={duration:g} has {steps} steps of dt={dt:g}; give at least 1 and at most {LONGEST}"
        )
    random = np.random.default_rng(seed)
    mixture = random.standard_normal((units, units), dtype=np.float32) / math.sqrt(units)
    h = np.where(random.permutation(units) < round(units * (1 + cue) / 2), 1.0, -1.0)
    for side in (h > 0, h < 0):  # pairs of units with opposite noise: the sampling error is smaller
        first, second = np.array_split(np.flatnonzero(side), 2)
        mixture[second] = -mixture[first[: len(second)]]
    keep, forget = math.exp(-dt), math.exp(-dt / tau_memory)
    rate = np.zeros((steps + 1, units), np.float32)
    noise = np.zeros_like(rate)
    reached = np.zeros((steps, units), np.float32)  # ∂h/∂field(s) now
    response = np.zeros((steps, steps, units), np.float32)  # ∂φ(t)/∂field(s), [s, t, unit]
    G = np.zeros((steps, steps))
    for t in range(steps):
        rate[t] = np.tanh(gain * h)
        noise[t] = mixture @ rate[t]
        response[:t, t] = reached[:t] * (gain * (1 - rate[t] ** 2))
        G[t, :t] = response[:t, t].mean(1)
        crosstalk = _last_row(G[: t + 1, : t + 1])
        age = t - 1 - np.arange(t)
        feedback = load * crosstalk[:t]
        feedback += plasticity * (1 - forget) * forget**age * (rate[:t] @ rate[t] / units)
        feedback = feedback.astype(np.float32)
        field = rate[t].mean() + math.sqrt(load) * (crosstalk @ noise[: t + 1]) + feedback @ rate[:t]
        reached[:t] = keep * reached[:t] + (1 - keep) * np.einsum("t,stu->su", feedback, response[:t, :t])
        reached[t] = 1 - keep
        h = keep * h + (1 - keep) * field
    rate[steps] = np.tanh(gain * h)
    return Recall(np.arange(steps + 1) * dt, rate.mean(1).astype(float), (rate**2).mean(1).astype(float))


def _last_row(G: np.ndarray) -> np.ndarray:
    """Last row of (1 − G)⁻¹, with G strictly lower triangular."""
    unit = np.zeros(len(G))
    unit[-1] = 1.0
    return solve_triangular(np.eye(len(G)) - G, unit, trans="T", lower=True, unit_diagonal=True)


@known_arguments
def recalled_state(load: float, plasticity: float = 0.0, *, gain: float = 4.0) -> RecalledState:
    """Static state on a pattern, at a fixed point of activity and of the fast part.

    There G has the sum U over all lags, and each unit obeys h = ξ m + √(α r) z + (α U/(1 − U) + k q) tanh(β h) with
    r = q/(1 − U)², q = ⟨φ²⟩ and normal z. Where this has several solutions, the one with the sign of the input is
    taken, which has the lowest energy; networks may be at another, depending on their past.

    Parameters
    ----------
    load
        α, stored patterns by units.
    plasticity
        k of the fast part.
    gain
        β, at most 20.

    Notes
    -----
    For k = 0 this is the self-consistent signal-to-noise analysis of Shiino & Fukai 1992, J. Phys. A 25:L375; its limit
    of a steep gain is `hopfield_overlap`.
    """
    number("load", load, least=0.0)
    number("plasticity", plasticity)
    number("gain", gain, above=0.0, most=STEEPEST)
    nodes, weights = np.polynomial.legendre.leggauss(80)
    overlap, square, susceptibility = 1.0, 1.0, 0.0
    for _ in range(3000):
        spread = max(math.sqrt(load * square) / (1 - susceptibility), 1e-9)
        feedback = load * susceptibility / (1 - susceptibility) + plasticity * square
        split = min(overlap / spread, 8.0)  # inputs change their sign at z = −split
        z = np.concatenate([(nodes - 1) * (8 - split) / 2 - split, (nodes + 1) * (8 + split) / 2 - split])
        width = np.concatenate([weights * (8 - split), weights * (8 + split)]) / 2
        density = width * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        rate = _settled(overlap + spread * z, feedback, gain)
        found = density @ rate, density @ rate**2, min((density @ (z * rate)) / spread, 0.999)
        change = np.array(found) - (overlap, square, susceptibility)
        overlap, square, susceptibility = (overlap, square, susceptibility) + change / 2
        if np.abs(change).max() < 1e-10 or overlap < RECALLED:
            break
    return RecalledState(float(overlap), float(square)) if overlap >= RECALLED else RecalledState(0.0, 0.0)


def _settled(inputs: np.ndarray, feedback: float, gain: float) -> np.ndarray:
    """Rates tanh(β h) at h = input + feedback · tanh(β h), with the sign of the input, by Newton's method."""
    size = np.abs(inputs)
    h = size + feedback if feedback > 0 else np.zeros_like(size)  # from where it never passes the solution
    for _ in range(60):
        rate = np.tanh(gain * h)
        step = (h - size - feedback * rate) / (1 - feedback * gain * (1 - rate**2))
        h = h - step
        if np.abs(step).max() < 1e-12:
            break
    return np.sign(inputs) * np.tanh(gain * h)


@known_arguments
def recall_capacity(plasticity: float = 0.0, *, gain: float = 4.0) -> float:
    """Largest load at which `recalled_state` exists; 0.138 for a steep gain without plasticity.

    Parameters
    ----------
    plasticity
        k of the fast part.
    gain
        β, above 1 and at most 20.
    """
    number("plasticity", plasticity)
    number("gain", gain, above=1.0, most=STEEPEST)

    def excess(load: float) -> float:
        return recalled_state(load, plasticity, gain=gain).overlap - RECALLED

    if excess(1e-3) <= 0:
        return 0.0
    return float(brentq(excess, 1e-3, 1.0, xtol=1e-4))
