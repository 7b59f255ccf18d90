"""Hopfield network without decay."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import erf

from fwsim.names import known_arguments
from fwsim.theory.values import elementwise, not_negative


@known_arguments
def hopfield_overlap(alpha: ArrayLike) -> np.ndarray:
    """Overlap of the retrieval state of a Hopfield network at load `alpha` = patterns/units, T = 0.

    Solves √(2α) = erf(y)/y − (2/√π) e^{−y²}, m = erf y, on the stable branch; 0 beyond the capacity.
    Source: Amit, Gutfreund & Sompolinsky 1987, Ann. Phys. 173:30.
    """
    return elementwise(_hopfield_overlap, not_negative("alpha", alpha))


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
