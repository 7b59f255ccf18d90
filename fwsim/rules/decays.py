"""Chains of exponential decays: the one place where differences of rates are divided by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 2.0  # rates that differ by less than this over the interval are expanded in powers of their difference
TERMS = 26  # of that expansion; the next one is below rounding in float64
PAIR_SERIES = [
    1 / math.factorial(2 * k + 1) for k in range(9, -1, -1)
]  # sinh(z)/z in z², the highest power first


def chained(rates: Sequence[Tensor], t: Tensor) -> Tensor:
    """What is left at the end of a chain of decays: e^{−r₁t} ∗ e^{−r₂t} ∗ …, convolved in time.

    e^{−at} for one rate, (e^{−at} − e^{−bt})/(b − a) for two, and so on. It is a smooth and symmetric function of
    the rates, also where they are equal (t e^{−at} for a = b), although every closed form divides by their
    differences. Values and derivatives of any order keep nearly all digits for all gaps between rates.

    Parameters
    ----------
    rates
        In 1/s, one or more, at least 0; their shapes broadcast against each other and against `t`.
    t
        Interval in s, at least 0.

    Notes
    -----
    Up to its sign this is the divided difference of e^{−rt} over the rates. Of ascending rates
    K(r₁…rₙ) = (K(r₁…rₙ₋₁) − K(r₂…rₙ))/(rₙ − r₁); where (rₙ − r₁)t is small, the series
    e^{−rₙt} t^{n−1} Σ_m h_m/(n−1+m)! is used instead, with h_m the complete homogeneous polynomials of
    the (rₙ − r_k)t: all its terms are positive. See McCurdy, Ng & Parlett 1984, Math. Comp. 43:501.
    """
    if len(rates) == 1:
        return torch.exp(-rates[0] * t)
    ascending = torch.stack(torch.broadcast_tensors(*rates), -1).sort(-1).values.unbind(-1)
    level = [torch.exp(-rate * t) for rate in ascending]
    for length in range(2, len(rates) + 1):
        level = [
            _joined(ascending[k : k + length], t, level[k], level[k + 1])
            for k in range(len(rates) - length + 1)
        ]
    return level[0]


def _joined(rates: Sequence[Tensor], t: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """K of ascending rates from those without the last and without the first."""
    gap = rates[-1] - rates[0]
    near = gap * t < NEAR
    apart = (left - right) / torch.where(near, 1.0, gap)
    series = _pair_series if len(rates) == 2 else _series
    return torch.where(near, series(rates, torch.where(near, t, 0.0)), apart)


def _pair_series(rates: Sequence[Tensor], t: Tensor) -> Tensor:
    """K of two rates about their mean: t e^{−(a+b)t/2} sinh(z)/z with z = (b − a)t/2, at most 1."""
    a, b = rates
    square = ((b - a) * (0.5 * t)).square()
    total = torch.full_like(square, PAIR_SERIES[0])
    for coefficient in PAIR_SERIES[1:]:
        total = torch.addcmul(total.new_full((), coefficient), total, square)
    return t * torch.exp(-0.5 * (a + b) * t) * total


def _series(rates: Sequence[Tensor], t: Tensor) -> Tensor:
    """K of ascending rates whose differences are small over `t`."""
    gaps = [(rates[-1] - rate) * t for rate in rates[:-1]]
    # h_m of the first k gaps is h_m of the first k − 1 plus gap k times h_{m−1} of the first k.
    powers = [torch.zeros_like(gap) for gap in gaps]
    total: Tensor | float = 0.0
    factor = 1.0
    for m in range(TERMS):
        lower: Tensor | float = float(m == 0)
        for k, gap in enumerate(gaps):
            powers[k] = lower = lower + gap * powers[k]
        total = total + factor * lower
        factor /= len(gaps) + m + 1
    return torch.exp(-rates[-1] * t) * t ** len(gaps) / math.factorial(len(gaps)) * total
