"""Palimpsests: memories that decay while they are written.

Ages are u = k/N, the number of later patterns divided by the number of units.
Strengths are normalised so that the noise of all stored patterns together has variance 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar
from scipy.special import erf

from fwsim.errors import ConfigError, ShapeError, number
from fwsim.names import known_arguments
from fwsim.theory.information import binary_information
from fwsim.theory.values import elementwise, not_negative, numbers, positive
from fwsim.units import checked


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
        theta = np.atleast_1d(positive("theta", self.theta))
        weight = np.atleast_1d(positive("weight", self.weight))
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
        values = positive("epsilon", epsilon)
        if values.ndim:
            raise ShapeError(
                f"epsilon has shape {list(values.shape)}; give one number, or a Spectrum of several"
            )
        return cls(2.0 / values**2, np.array([1.0]))

    @classmethod
    def from_tau(cls, tau: ArrayLike, eta: ArrayLike, units: int, dt: float = 1.0) -> Spectrum:
        """Spectrum of a network of `units` that writes once per `dt` with `tau` (s) and `eta` per write."""
        tau = np.atleast_1d(positive("tau", tau, "time"))
        eta = numbers("eta", eta)
        if tau.ndim != 1 or eta.shape not in ((), (1,), tau.shape):
            raise ShapeError(f"tau {list(tau.shape)} and eta {list(eta.shape)}: give [timescale] for both")
        number("units", units, above=0)
        step = checked("dt", dt, "time", above=0)
        return cls(tau / (units * step), np.broadcast_to(eta, tau.shape))

    def strength(self, age: ArrayLike) -> np.ndarray:
        """Λ(u) at ages u = k/N of any shape."""
        return np.exp(-np.asarray(age, float)[..., None] / self.theta) @ self.weight


@known_arguments
def epsilon_from_tau(tau: ArrayLike, units: int, dt: float = 1.0) -> np.ndarray:
    """ε = √(2N dt/τ) of a network of `units` writing once per `dt` (s) with time constant `tau` (s)."""
    step = _checked_step(units, dt)
    return np.sqrt(2.0 * np.asarray(units) * step / positive("tau", tau, "time"))[()]


@known_arguments
def tau_from_epsilon(epsilon: ArrayLike, units: int, dt: float = 1.0) -> np.ndarray:
    """Time constant τ = 2N dt/ε² (s) at which `units` units writing once per `dt` (s) have this ε."""
    step = _checked_step(units, dt)
    return (2.0 * np.asarray(units) * step / positive("epsilon", epsilon) ** 2)[()]


@known_arguments
def one_step_overlap(age: ArrayLike, epsilon: float | Spectrum) -> np.ndarray:
    """Overlap erf(Λ(u)/√2) after one parallel step from the stored pattern of age u = k/N."""
    return erf(_spectrum(epsilon).strength(not_negative("age", age)) / math.sqrt(2.0))[()]


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
    return elementwise(curve.overlap, not_negative("age", age))


@known_arguments
def palimpsest_capacity(epsilon: ArrayLike | Spectrum) -> np.ndarray:
    """Largest age u = k/N that can be retrieved; 0 if nothing can (one time scale: ε < 2.4648)."""
    if isinstance(epsilon, Spectrum):
        return np.asarray(_Retrieval(epsilon).capacity())[()]
    return elementwise(lambda one: _Retrieval(_spectrum(one)).capacity(), positive("epsilon", epsilon))


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
    return float(widths @ binary_information(elementwise(curve.overlap, ages)))


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
        largest = min(
            1 / self.start, math.sqrt(2 / math.pi)
        )  # since ∫(CΛ)² = C², beyond it no x satisfies R(C)
        candidates = [C for C in largest * np.linspace(0, 1, 201)[1:-1] if self.x(C) > 0]
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


def _spectrum(epsilon: float | Spectrum) -> Spectrum:
    return epsilon if isinstance(epsilon, Spectrum) else Spectrum.from_epsilon(epsilon)


def _panels(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of 16-point Gauss–Legendre quadrature on `count` equal panels."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    width = (high - low) / count
    left = low + width * np.arange(count)
    return (left[:, None] + width * (nodes + 1) / 2).ravel(), np.tile(weights * width / 2, count)


def _checked_step(units: ArrayLike, dt: ArrayLike) -> np.ndarray:
    if not np.isfinite(positive("units", units)).all():
        raise ConfigError(f"units={units!r} is not allowed; give a finite number of units")
    return positive("dt", dt, "time")
