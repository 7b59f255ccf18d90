"""Closed forms and mean-field curves with which simulations are compared.

Ages are u = k/N, the number of later patterns divided by the number of units.
Strengths are normalised so that the noise of all stored patterns together has variance 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf

from fwsim.errors import ConfigError, ShapeError, whole
from fwsim.names import known_arguments, suggestions
from fwsim.units import si

ROUNDING = 1e-3
"""Rounding by which overlaps may exceed 1, in half precision."""

# --- time constants -------------------------------------------------------------------------------


@known_arguments
def tau_from_decay(decay: ArrayLike, dt: float = 1.0) -> np.ndarray:
    """Time constant (s) of a memory of which the fraction `decay` remains after a step of `dt` seconds."""
    decay = _numbers("decay", decay)
    step = _positive("dt", dt, "time")
    if not np.all((decay > 0) & (decay <= 1)):
        raise ConfigError(f"decay={decay.tolist()} is not in (0, 1]; give the fraction kept in one step")
    with np.errstate(divide="ignore"):
        return np.asarray(step / np.abs(np.log(decay)))[()]


@known_arguments
def decay_from_tau(tau: ArrayLike, dt: float = 1.0) -> np.ndarray:
    """Fraction of a memory with time constant `tau` (s) that remains after a step of `dt` seconds."""
    return np.exp(-_positive("dt", dt, "time") / _positive("tau", tau, "time"))[()]


@known_arguments
def half_life(tau: ArrayLike) -> np.ndarray:
    """Time (s) in which an exponential with time constant `tau` (s) halves."""
    return (_positive("tau", tau, "time") * math.log(2.0))[()]


@known_arguments
def attention_span(tau: ArrayLike, eta: ArrayLike = 1.0, dt: float = 1.0) -> float:
    """Effective time (s) over which a set of time scales attends to its past.

    The inverse participation number (Σκ)²/Σκ² of the kernel κ(Δ) = Σ_k η_k e^{−Δ/τ_k}, Δ = 0, dt, …,
    which is what `fwsim.measure.attention` reports for a recording; dt·(1+λ)/(1−λ) for one time scale.

    Parameters
    ----------
    tau
        Time constants (s), scalar or [timescale].
    eta
        Strength of one write on each time scale, scalar or [timescale].
    dt
        Step (s).
    """
    step = _positive("dt", dt, "time")
    rate, eta = np.atleast_1d(step / _positive("tau", tau, "time")), _positive("eta", eta)
    if not rate.size or not np.isfinite(eta).all():
        raise ConfigError(
            f"tau={np.asarray(tau).tolist()} and eta={eta.tolist()}: give one time scale or more, all finite"
        )
    if not np.all(rate > 0):
        raise ConfigError(
            f"tau={np.asarray(tau).tolist()} never forgets, so its span is infinite; give finite ones"
        )
    if eta.ndim and eta.shape != rate.shape:
        raise ShapeError(f"tau {list(rate.shape)} and eta {list(eta.shape)}: give [timescale] for both")
    eta = np.broadcast_to(eta, rate.shape)
    total = np.sum(eta / -np.expm1(-rate))  # 1 − e^{−dt/τ}, precise for long time constants
    squared = np.sum(np.outer(eta, eta) / -np.expm1(-np.add.outer(rate, rate)))
    return float(step * total**2 / squared)


# --- Hopfield network without decay ---------------------------------------------------------------


@known_arguments
def hopfield_overlap(alpha: ArrayLike) -> np.ndarray:
    """Overlap of the retrieval state of a Hopfield network at load `alpha` = patterns/units, T = 0.

    Solves √(2α) = erf(y)/y − (2/√π) e^{−y²}, m = erf y, on the stable branch; 0 beyond the capacity.
    Source: Amit, Gutfreund & Sompolinsky 1987, Ann. Phys. 173:30.
    """
    return _elementwise(_hopfield_overlap, _not_negative("alpha", alpha))


def hopfield_capacity() -> float:
    """Largest load of a Hopfield network at T = 0: α_c = 0.1379, where the overlap is 0.967."""
    return _hopfield_load(_hopfield_edge()) ** 2 / 2


def _hopfield_load(y: float) -> float:
    """√(2α) as a function of y = erf⁻¹(m)."""
    return erf(y) / y - 2 / math.sqrt(math.pi) * math.exp(-y * y)


def _hopfield_edge() -> float:
    def slope(y: float) -> float:
        return 2 / math.sqrt(math.pi) * math.exp(-y * y) * (1 / y + 2 * y) - erf(y) / y**2

    return brentq(slope, 1.0, 3.0, xtol=1e-15)


def _hopfield_overlap(alpha: float) -> float:
    edge, target = _hopfield_edge(), math.sqrt(2 * alpha)
    if alpha == 0:
        return 1.0
    if target >= _hopfield_load(edge):
        return float(erf(edge)) if alpha <= hopfield_capacity() else 0.0
    return float(erf(brentq(lambda y: _hopfield_load(y) - target, edge, 1.001 / target, xtol=1e-15)))


# --- palimpsests: memories that decay while they are written -----------------------------------------


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Strength Λ(u) = Σ_i a_i e^{−u/θ_i} of a stored pattern as it ages, normalised to ∫Λ² du = 1.

    Parameters
    ----------
    theta
        Time constants in units of age u, that is steps/units, [timescale].
    weight
        Relative strengths of one write on each time scale, [timescale]; only ratios matter.
    """

    theta: np.ndarray
    weight: np.ndarray

    def __post_init__(self) -> None:
        theta = np.atleast_1d(_positive("theta", self.theta))
        weight = np.atleast_1d(_positive("weight", self.weight))
        if theta.ndim != 1 or theta.shape != weight.shape:
            raise ShapeError(f"theta {theta.shape} and weight {weight.shape}: give [timescale] for both")
        if not np.all(np.isfinite(theta)):
            raise ConfigError("theta is infinite; without decay use hopfield_overlap")
        if not theta.size or not np.all(np.isfinite(weight)):
            raise ConfigError(
                f"weight={weight.tolist()} is not allowed; give one finite number a time scale, one or more"
            )
        pairs = np.multiply.outer(theta, theta) / np.add.outer(theta, theta)
        object.__setattr__(self, "theta", theta)
        object.__setattr__(self, "weight", weight / math.sqrt(weight @ pairs @ weight))

    @classmethod
    def from_epsilon(cls, epsilon: float) -> Spectrum:
        """One time scale: Λ(u) = ε e^{−ε²u/2}, with ε² = −2N ln λ."""
        values = _positive("epsilon", epsilon)
        if values.ndim:
            raise ShapeError(
                f"epsilon has shape {list(values.shape)}; give one number, or a Spectrum of several"
            )
        return cls(2.0 / values**2, np.array([1.0]))

    @classmethod
    def from_tau(cls, tau: ArrayLike, eta: ArrayLike, units: int, dt: float = 1.0) -> Spectrum:
        """Spectrum of a network of `units` that writes once per `dt` with `tau` (s) and `eta` per write."""
        tau = np.atleast_1d(_positive("tau", tau, "time"))
        step = _checked_step(units, dt)
        return cls(tau / (units * step), np.broadcast_to(_numbers("eta", eta), tau.shape))

    def strength(self, age: ArrayLike) -> np.ndarray:
        """Λ(u) at ages u = k/N of any shape."""
        return np.exp(-np.asarray(age, float)[..., None] / self.theta) @ self.weight


@known_arguments
def epsilon_from_tau(tau: ArrayLike, units: int, dt: float = 1.0) -> np.ndarray:
    """ε = √(2N dt/τ) of a network of `units` writing once per `dt` (s) with time constant `tau` (s)."""
    step = _checked_step(units, dt)
    return np.sqrt(2.0 * np.asarray(units) * step / _positive("tau", tau, "time"))[()]


@known_arguments
def tau_from_epsilon(epsilon: ArrayLike, units: int, dt: float = 1.0) -> np.ndarray:
    """Time constant τ = 2N dt/ε² (s) at which `units` units writing once per `dt` (s) have this ε."""
    step = _checked_step(units, dt)
    return (2.0 * np.asarray(units) * step / _positive("epsilon", epsilon) ** 2)[()]


@known_arguments
def one_step_overlap(age: ArrayLike, epsilon: float | Spectrum) -> np.ndarray:
    """Overlap erf(Λ(u)/√2) after one parallel step from the stored pattern of age u = k/N."""
    return erf(_spectrum(epsilon).strength(_not_negative("age", age)) / math.sqrt(2.0))[()]


@known_arguments
def palimpsest_overlap(age: ArrayLike, epsilon: float | Spectrum) -> np.ndarray:
    """Overlap of the retrieval state of a pattern of age u = k/N; 0 if it cannot be retrieved.

    Sign units without self-connections, T = 0, weights J ← λJ + ηξξᵀ. Self-consistency with noise:
    m = erf x, x = Λ(u) m/√(2r), C = √(2/(πr)) e^{−x²}, r = ∫ Λ²/(1−CΛ)² du; for one time scale the
    integral is r = (2/(ε²C²)) [Cε/(1−Cε) + ln(1−Cε)].

    Parameters
    ----------
    age
        Number of later patterns divided by the number of units; any shape.
    epsilon
        ε = √(−2N ln λ) of one time scale, or a `Spectrum` of several.

    Notes
    -----
    One time scale: Mézard, Nadal & Toulouse 1986, J. Physique 47:1457. Several: the same argument with
    r by quadrature, a generalisation that `experiments/capacity.py` verifies by simulation.
    """
    curve = _Retrieval(_spectrum(epsilon))
    return _elementwise(curve.overlap, _not_negative("age", age))


@known_arguments
def palimpsest_capacity(epsilon: ArrayLike | Spectrum) -> np.ndarray:
    """Largest age u = k/N that can be retrieved; 0 if nothing can (one time scale: ε < 2.4648)."""
    if isinstance(epsilon, Spectrum):
        return np.asarray(_Retrieval(epsilon).capacity())[()]
    return _elementwise(lambda one: _Retrieval(_spectrum(one)).capacity(), _positive("epsilon", epsilon))


def palimpsest_optimum() -> tuple[float, float]:
    """The ε of one time scale with the largest capacity, and that capacity: 4.10812 and 0.0489585."""
    best = minimize_scalar(
        lambda one: -float(palimpsest_capacity(one)),
        bounds=(3.5, 5.0),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(best.x), float(-best.fun)


@known_arguments
def palimpsest_information(epsilon: float | Spectrum) -> float:
    """Bits per squared unit that can be retrieved: ∫ I(m(u)) du with `binary_information` I."""
    curve = _Retrieval(_spectrum(epsilon))
    ages, widths = _panels(0.0, curve.capacity(), 8)
    return float(widths @ binary_information(_elementwise(curve.overlap, ages)))


@known_arguments
def binary_information(overlap: ArrayLike) -> np.ndarray:
    """Bits that one unit of a recalled ±1 pattern carries about the stored one, 1 − H₂((1+m)/2); NaN where m is."""
    size = np.abs(_numbers("overlap", overlap))
    if bool((size > 1 + ROUNDING).any()):
        raise ConfigError(f"overlaps reach {np.nanmax(size):g}; cosines lie between -1 and 1")
    wrong = (1 - np.clip(size, 0.0, 1.0)) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -wrong * np.log2(wrong) - (1 - wrong) * np.log1p(-wrong) / math.log(2.0)
    return (1.0 - np.where(wrong == 0, 0.0, entropy))[()]


class _Retrieval:
    """The curve of retrieval states of a spectrum, parametrised by the susceptibility C.

    R(C) = ∫ (CΛ)²/(1−CΛ)² du = (2/π) e^{−2x²} gives x without solving anything, and then
    Λ(u) = w(x)/C with w = (2/√π) x e^{−x²}/erf x is the strength of the pattern in that state.
    """

    def __init__(self, spectrum: Spectrum) -> None:
        self.spectrum = spectrum
        self.start = float(spectrum.strength(0.0))
        # Logarithmic panels: near u = 0 the integrand varies over a small part of the shortest θ.
        scale = 1e-3 * spectrum.theta.min()
        nodes, widths = _panels(0.0, math.log1p(40 * spectrum.theta.max() / scale), 24)
        self.strengths = spectrum.strength(scale * np.expm1(nodes))
        self.widths = widths * scale * np.exp(nodes)
        self.edge = self._edge()

    def x(self, C: float) -> float:
        reply = C * self.strengths
        noise = float(self.widths @ (reply / (1 - reply)) ** 2)
        return math.sqrt(max(-0.5 * math.log(noise * math.pi / 2), 0.0))

    def strength(self, C: float) -> float:
        x = self.x(C)
        if x == 0:
            return math.inf  # more noise than any retrieval state has
        return 2 / math.sqrt(math.pi) * x * math.exp(-x * x) / (erf(x) * C)

    def _edge(self) -> float:
        """C of the weakest pattern that has a retrieval state."""
        candidates = [C for C in np.linspace(0, 1, 201)[1:-1] / self.start if self.x(C) > 0]
        lowest = int(np.argmin([self.strength(C) for C in candidates]))
        low, high = candidates[max(lowest - 1, 0)], candidates[min(lowest + 1, len(candidates) - 1)]
        found = minimize_scalar(
            self.strength, bounds=(low, high), method="bounded", options={"xatol": 1e-10 * high}
        )
        return float(found.x)

    def capacity(self) -> float:
        weakest = self.strength(self.edge)
        if weakest >= self.start:
            return 0.0
        longest = 1.001 * self.spectrum.theta.max() * math.log(self.start / weakest)
        return float(brentq(lambda u: self.spectrum.strength(u) - weakest, 0.0, longest, xtol=1e-15))

    def overlap(self, age: float) -> float:
        strength = float(self.spectrum.strength(age))
        if strength < self.strength(self.edge):
            return 0.0
        # At this C the noise is so small that its retrieval state needs a stronger pattern.
        root = math.sqrt(2 / math.pi) * math.exp(-(strength**2) / 2)
        low = root / (1 + root * self.start)
        found = brentq(
            lambda log_C: self.strength(math.exp(log_C)) - strength,
            math.log(low) - 1e-9,
            math.log(self.edge),
            xtol=1e-13,
        )
        return float(erf(self.x(math.exp(found))))


# --- tasks --------------------------------------------------------------------------------------------


@known_arguments
def binding_plateau(pairs: int, values: int = 10) -> float:
    """Best accuracy in associative retrieval without knowing which value belongs to which key.

    Who knows only which values occurred answers the most frequent: E[largest count]/pairs, exactly.

    Parameters
    ----------
    pairs
        Number K of key–value pairs.
    values
        Number of equally likely, independent values (10 digits).
    """
    whole("pairs", pairs, least=1)
    whole("values", values, least=1)
    expected = sum(1 - _largest_at_most(count, pairs, values) for count in range(pairs))
    return float(expected / pairs)


def _largest_at_most(count: int, pairs: int, values: int) -> Fraction:
    """P(no value occurs more than `count` times), from the exponential generating function."""
    one = [Fraction(1, math.factorial(j)) for j in range(min(count, pairs) + 1)]
    ways = [Fraction(1)] + [Fraction(0)] * pairs
    for _ in range(values):
        ways = [
            sum((one[j] * ways[n - j] for j in range(min(n + 1, len(one)))), Fraction(0))
            for n in range(pairs + 1)
        ]
    return ways[pairs] * math.factorial(pairs) / Fraction(values) ** pairs


# --- helpers ------------------------------------------------------------------------------------------


def _spectrum(epsilon: float | Spectrum) -> Spectrum:
    return epsilon if isinstance(epsilon, Spectrum) else Spectrum.from_epsilon(epsilon)


def _panels(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of 16-point Gauss–Legendre quadrature on `count` equal panels."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    width = (high - low) / count
    left = low + width * np.arange(count)
    return (left[:, None] + width * (nodes + 1) / 2).ravel(), np.tile(weights * width / 2, count)


def _elementwise(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    return np.array([function(float(value)) for value in values.ravel()]).reshape(values.shape)[()]


def _checked_step(units: ArrayLike, dt: ArrayLike) -> np.ndarray:
    if not np.isfinite(_positive("units", units)).all():
        raise ConfigError(f"units={units!r} is not allowed; give a finite number of units")
    return _positive("dt", dt, "time")


def _numbers(name: str, value: ArrayLike | Sequence[float], dimension: str = "number") -> np.ndarray:
    """A copy, so that what the caller does to an array later changes nothing."""
    plain = si(name, value, dimension)
    try:
        given = np.asarray(plain)
        if given.dtype.kind not in "biuf":
            raise TypeError
        return given.astype(float)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name}={value!r} is not a real number or an array of them; give one") from error


def _positive(name: str, value: ArrayLike | Sequence[float], dimension: str = "number") -> np.ndarray:
    array = _numbers(name, value, dimension)
    if not np.all(array > 0):
        raise ConfigError(f"{name}={array.tolist()} must be positive")
    return array


def _not_negative(name: str, value: ArrayLike) -> np.ndarray:
    array = _numbers(name, value)
    if not np.all(array >= 0):
        raise ConfigError(f"{name}={array.tolist()} must not be negative")
    return array


__getattr__ = suggestions(__name__)
