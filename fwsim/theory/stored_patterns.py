"""Mean field of patterns that Hebbian plasticity keeps in a random network; the network is that of `plastic_chaos`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from fwsim.errors import number
from fwsim.names import known_arguments
from fwsim.theory.chaos import STRONGEST

SCATTERED = 0.3
"""Largest coupling g of `pattern_threshold`: there the overlap at the threshold is 0.25."""

STEEPEST = 1e6
"""Largest plasticity k of a stored pattern; beyond it h − k q tanh h loses its digits."""


@dataclass(frozen=True)
class StoredPattern:
    """Fixed point of activity and memory on a pattern of signs.

    Parameters
    ----------
    overlap
        Cosine between the rates and the pattern; 0 if there is no such fixed point.
    square
        Mean square of the rates.
    """

    overlap: float
    square: float


@known_arguments
def stored_pattern(coupling: float, plasticity: float) -> StoredPattern:
    """Fixed point at which the memory keeps the pattern that activity has, for any pattern of N signs.

    At a fixed point A = (k/N) φ φᵀ, so that h = η + k q tanh h with q = ⟨φ²⟩ and η of variance g² q. Each unit is on
    the branch of its sign, unless η has left none. With g = 0 this is h = k tanh³ h, from `pattern_threshold` on.
    Where many units have lost their sign, so that the overlap is far below 1, others follow them in a network, and the
    pattern is lost although this fixed point exists.

    Parameters
    ----------
    coupling
        g, with weights of variance g²/N; at most 5.
    plasticity
        k, at most 1e6.
    """
    number("coupling", coupling, least=0.0, most=STRONGEST)
    number("plasticity", plasticity, most=STEEPEST)
    best, least = _threshold(coupling)
    if plasticity < least:
        return StoredPattern(0.0, 0.0)
    feedback = brentq(
        lambda a: a / _settled(coupling, a)[1] - plasticity, best, plasticity * (1 + 1e-9), xtol=1e-12
    )
    return StoredPattern(*_settled(coupling, feedback))


@known_arguments
def pattern_threshold(coupling: float) -> float:
    """Smallest plasticity k at which any pattern of signs is a fixed point; 2.0170 without other weights.

    It decreases with g from g = 0.15 on, because patterns of small overlap count too: the overlap at the threshold is
    0.93 at g = 0.15 and 0.25 at g = 0.3. A network loses such patterns (see `stored_pattern`), so that more is needed.

    Parameters
    ----------
    coupling
        g, with weights of variance g²/N; at most 0.3.
    """
    number("coupling", coupling, least=0.0, most=SCATTERED)
    return _threshold(coupling)[1]


@cache
def _threshold(coupling: float) -> tuple[float, float]:
    """The feedback k q at the smallest k, and that k."""
    found = minimize_scalar(
        lambda a: a / max(_settled(coupling, a)[1], 1e-12),
        bounds=(1.0 + 1e-6, 12.0),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(found.x), float(found.fun)


def _settled(coupling: float, feedback: float) -> tuple[float, float]:
    """Overlap and mean square of rates with h = η + feedback · tanh h, on the branch of a positive sign."""

    def reached(eta: float, low: float, high: float) -> float:
        """The h between two bounds at which the field is η."""
        return brentq(lambda h: h - feedback * math.tanh(h) - eta, low, high)

    edge = math.acosh(math.sqrt(feedback))  # h at which the branch ends
    lowest = edge - feedback * math.tanh(edge)  # the η there
    other = reached(lowest, -2 * feedback - 2, -edge - 1e-12)
    if coupling == 0:
        return 1.0, math.tanh(reached(0.0, edge, 2 * feedback + 2)) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(100)
    square = 1.0
    for _ in range(500):
        sd = coupling * math.sqrt(square)
        far = 9 * sd  # fields beyond it count for nothing
        parts = [
            (
                edge if -far <= lowest else reached(-far, edge, feedback + 1),
                reached(far, edge, far + feedback + 1),
            )
        ]
        if -far < lowest:
            parts.append((reached(-far, -far - feedback - 1, other), other))
        h = np.concatenate([low + (high - low) * (nodes + 1) / 2 for low, high in parts])
        width = np.concatenate([weights * (high - low) / 2 for low, high in parts])
        eta, rate = h - feedback * np.tanh(h), np.tanh(h)
        density = np.exp(-((eta / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi))
        density *= width * (1 - feedback * (1 - rate**2))  # dη = (1 − k q φ′) dh
        before, square = square, min(1.0, float(density @ rate**2))
        if abs(square - before) < 1e-13:
            break
    return min(1.0, float(density @ rate) / math.sqrt(square)), square
