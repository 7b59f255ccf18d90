"""Stable fixed points of a random network with Hebbian plasticity, and how many there are.

The network is that of `plastic_chaos`. At a fixed point of activity and memory A = (k/N) φ φᵀ, so that, with q = ⟨φ²⟩,

    h = η + k q tanh h,   η of variance g² q

Where k q > 1 a unit has two stable branches, and can be on either of them over a range of η. So the expected number of
fixed points with a given q grows exponentially with N, e^{NΣ}, where

    Σ(q) = ln Z(θ) − θ q,   Z(θ) = ∫ dη Σ_branches N(η; 0, g² q) e^{θ φ²},   ⟨φ²⟩_θ = q

The Jacobian's determinant cancels against the change of variables from h to η. A perturbation of growth rate λ obeys

    (1 + λ) δh = J φ′ δh + k q φ′ δh/(1 + τ_A λ) + k φ (φ·φ′δh/N) (1 + 1/(1 + τ_A λ))

On Re λ ≥ 0 its random part is largest at λ = 0, whatever τ_A, so a fixed point is stable if both

    g² ⟨(φ′/(1 − k q φ′))²⟩ < 1   and   ⟨φ φ′ (2 k φ + η/q)/(1 − k q φ′)⟩ < 1

The second is the direction of φ itself (J φ = η is what the fixed point says of J). Derived here; the abstract of
Clark & Abbott 2024, Phys. Rev. X (arXiv 2302.08985), says that there are exponentially many, with marginally stable
spectra.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from fwsim.errors import number
from fwsim.names import known_arguments
from fwsim.theory.chaos import STRONGEST

WEAKEST = 0.01
"""Smallest coupling g; without random weights see `stored_pattern`."""

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(200)
SQUARES = 48  # mean square rates that are tried in a round
ROUNDS = 3
FAR = 9.0  # standard deviations beyond which fields count for nothing
TILT = 1e4  # largest |θ|
LEAST, MOST, PRECISION = 0.5, 5.0, 1e-3  # of the threshold


@dataclass(frozen=True)
class FixedPoints:
    """The most numerous stable fixed points of activity and memory.

    Parameters
    ----------
    complexity
        Σ: about e^{NΣ} of them are expected; −∞ if there is none, and below 0 if a large network has none.
    square
        Their mean square rate q; NaN if there is none.
    radius
        g √⟨(φ′/(1 − k q φ′))²⟩; at 1 they are marginally stable.
    """

    complexity: float
    square: float
    radius: float


@known_arguments
def plastic_fixed_points(coupling: float, plasticity: float) -> FixedPoints:
    """Stable fixed points of a random network with Hebbian plasticity other than h = 0, those that are most numerous.

    Parameters
    ----------
    coupling
        g, with weights of variance g²/N, from 0.01 to 5.
    plasticity
        k, above 0.
    """
    number("coupling", coupling, least=WEAKEST, most=STRONGEST)
    number("plasticity", plasticity, above=0.0)
    # ⟨φ²⟩ is near 1 for strong couplings, so logits of it are spread evenly; a second round looks closer.
    logits = np.linspace(-6.0, 12.0, SQUARES)
    best = FixedPoints(-math.inf, math.nan, math.nan)
    for _ in range(ROUNDS):
        found = [_stable(coupling, plasticity, float(expit(logit))) for logit in logits]
        at = int(np.argmax([one.complexity for one in found]))
        if found[at].complexity == -math.inf:
            return best
        best = found[at]
        logits = np.linspace(logits[max(at - 1, 0)], logits[min(at + 1, len(logits) - 1)], SQUARES)
    return best


@known_arguments
def fixed_point_threshold(coupling: float) -> float:
    """Smallest plasticity k from which on stable fixed points other than h = 0 are expected.

    It does not depend on the time constant of the memory. Without random weights it is that of `pattern_threshold`.

    Parameters
    ----------
    coupling
        g, with weights of variance g²/N, from 0.01 to 5.
    """
    number("coupling", coupling, least=WEAKEST, most=STRONGEST)
    low, high = LEAST, MOST
    while high - low > PRECISION:
        middle = (low + high) / 2
        if plastic_fixed_points(coupling, middle).complexity >= 0:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _stable(coupling: float, plasticity: float, square: float) -> FixedPoints:
    """Fixed points with this mean square rate; their complexity is −∞ if they do not exist or are not stable."""
    none = FixedPoints(-math.inf, math.nan, math.nan)
    feedback, sd = plasticity * square, coupling * math.sqrt(square)
    edge = math.acosh(math.sqrt(feedback)) if feedback > 1 else 0.0  # h at which the branch of h > 0 begins

    def reached(eta: float) -> float:
        """The h of the branch at which the field is η."""
        return brentq(lambda h: h - feedback * math.tanh(h) - eta, edge, abs(eta) + feedback + 1)

    far = FAR * sd  # fields beyond it count for nothing
    low = reached(-far) if -far > edge - feedback * math.tanh(edge) else edge
    high = reached(far)
    h = low + (high - low) * (POINTS + 1) / 2
    rate = np.tanh(h)
    slope, squared, eta = 1 - rate**2, rate**2, h - feedback * rate
    open_ = 1 - feedback * slope  # dη/dh
    # Both branches count, and are mirror images.
    with np.errstate(divide="ignore"):
        log = np.log((high - low) * WEIGHTS * np.maximum(open_, 0.0) / (sd * math.sqrt(2 * math.pi)))
    log -= (eta / sd) ** 2 / 2

    def tilted(theta: float) -> tuple[float, np.ndarray]:
        """Ln Z and the distribution over the points."""
        size = log + theta * squared
        top = size.max()
        share = np.exp(size - top)
        return top + math.log(share.sum()), share / share.sum()

    def excess(theta: float) -> float:
        return float(tilted(theta)[1] @ squared) - square

    if excess(-TILT) > 0 or excess(TILT) < 0:
        return none
    theta = brentq(excess, -TILT, TILT, xtol=1e-9)
    total, share = tilted(theta)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(share > 0, slope / open_, 0.0)
    radius = coupling * math.sqrt(share @ gain**2)
    along = share @ (rate * gain * (2 * plasticity * rate + eta / square))
    if not (radius < 1 and along < 1):
        return none
    return FixedPoints(total - theta * square, square, radius)
