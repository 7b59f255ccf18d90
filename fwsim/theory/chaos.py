"""Mean field of the chaos of random networks, by quadrature (Sompolinsky, Crisanti & Sommers 1988)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import cumulative_simpson
from scipy.optimize import brentq

from fwsim.errors import number
from fwsim.names import known_arguments
from fwsim.theory.values import numbers

HERMITE = 120  # terms of expansions in Hermite polynomials
STRONGEST = 5.0
"""Largest coupling g: to a variance of its square, the expansion of tanh has errors below 1e-4."""


@known_arguments
def chaos_autocorrelation(lag: ArrayLike, coupling: float) -> np.ndarray:
    """Autocorrelation ⟨φ(t) φ(t + lag)⟩ of a random network with φ = tanh h; 0 for a coupling of 1 or less.

    The autocorrelation Δ of h obeys Δ″ = Δ − g² C(Δ), so that −Δ²/2 + g² (⟨ln cosh h(t) ln cosh h(s)⟩ − ⟨ln cosh h⟩²)
    is 0 at lag 0 and at infinity.

    Parameters
    ----------
    lag
        Time in units of the membrane time constant, of either sign; any shape.
    coupling
        g, with weights of variance g²/N; at most 5.

    Notes
    -----
    Source: Sompolinsky, Crisanti & Sommers 1988, Phys. Rev. Lett. 61:259.
    """
    size = np.abs(numbers("lag", lag))
    number("coupling", coupling, least=0.0, most=STRONGEST)
    if coupling <= 1:
        return np.zeros(size.shape)[()]
    variance = brentq(lambda one: _potential(one, coupling, np.ones(1))[0], *_bracket(coupling), xtol=1e-13)
    # With Δ/Δ(0) = 1/cosh² w the time that Δ takes is an integral without singularities.
    w = np.linspace(0.0, 18.0, 2001)
    rho = np.cosh(w) ** -2.0
    depth = np.maximum(-2 * _potential(variance, coupling, rho[1:]), 1e-300)
    slope = np.empty(w.size)
    slope[1:] = 2 * variance * rho[1:] * np.tanh(w[1:]) / np.sqrt(depth)
    slope[0] = 2 * slope[1] - slope[2]
    time = cumulative_simpson(slope, x=w, initial=0.0)
    series = hermite(np.tanh, variance) ** 2
    reached = np.exp(np.interp(size, time, np.log(rho), right=-np.inf))
    return np.polynomial.polynomial.polyval(reached, series)[()]


def _potential(variance: float, coupling: float, rho: np.ndarray) -> np.ndarray:
    """−Δ²/2 + g² (⟨Φ Φ⟩ − ⟨Φ⟩²) at Δ = rho · variance, with Φ = ln cosh."""
    series = hermite(lambda h: np.logaddexp(h, -h) - math.log(2), variance) ** 2
    series[0] = 0.0
    series[2] -= variance**2 / (2 * coupling**2)
    return coupling**2 * np.polynomial.polynomial.polyval(rho, series)


def _bracket(coupling: float) -> tuple[float, float]:
    """Two variances of h between which the chaotic one lies: it is below g², and above that where Δ″ < 0 ends."""
    high = coupling**2
    low = high
    while _potential(low, coupling, np.ones(1))[0] <= 0:
        low /= 1.3
    return low, low * 1.3


def hermite(function: Callable[[np.ndarray], np.ndarray], variance: float) -> np.ndarray:
    """Coefficients of a function of √variance · z in normalised Hermite polynomials of z, `[order]`."""
    z, weight = _nodes()
    values = function(math.sqrt(variance) * z) * weight / math.sqrt(2 * math.pi)
    before, now = np.zeros_like(z), np.ones_like(z)
    found = []
    for order in range(HERMITE):
        found.append(values @ now)
        before, now = now, (z * now - math.sqrt(order) * before) / math.sqrt(order + 1)
    return np.array(found)


@cache
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.hermite_e.hermegauss(2 * HERMITE)
