"""Chains of exponential decays, the only place that divides by differences of rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 2.0  # if rates differ by less than this over the interval, a series in their difference is used
TERMS = 26  # terms of this series; the next one is below rounding in float64
PAIR_SERIES = [
    1 / math.factorial(2 * k + 1) for k in range(9, -1, -1)
]  # sinh(z)/z in z², the highest power first


def chained(rates: Sequence[Tensor], t: Tensor) -> Tensor:
    """End of a chain of decays: e^{−r₁t} ∗ e^{−r₂t} ∗ …, convolved in time.

    It is e^{−at} for one rate, (e^{−at} − e^{−bt})/(b − a) for two, and so on. It is a smooth and symmetric function of
    the rates, even if they are equal (t e^{−at} for a = b), although every closed form divides by their
    differences. Values and derivatives of any order keep nearly all digits for all differences between rates.

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
    if len(rates) == 2:
        return _Pair.apply(*rates, t)
    return _chained(rates, t)


def _chained(rates: Sequence[Tensor], t: Tensor) -> Tensor:
    """See `chained`; torch can differentiate this form directly."""
    ascending = torch.stack(torch.broadcast_tensors(*rates), -1).sort(-1).values.unbind(-1)
    level = [torch.exp(-rate * t) for rate in ascending]
    for length in range(2, len(rates) + 1):
        level = [
            _joined(ascending[k : k + length], t, level[k], level[k + 1])
            for k in range(len(rates) - length + 1)
        ]
    return level[0]


class _Pair(torch.autograd.Function):
    """Two decays, the most common case: fewer operations, and derivatives that are longer chains."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
        """e^{−at} (1 − e^{−(b−a)t})/(b − a) for the slower rate a."""
        gap = (a - b).abs()
        apart = gap * t > 0
        safe = torch.where(apart, gap, 1.0)
        spread = torch.where(apart, -torch.expm1(-safe * t) / safe, t)
        return torch.exp(-torch.minimum(a, b) * t) * spread

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        """Save the rates and the interval for the backward pass."""
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient times derivative, summed over broadcast axes."""
        slopes = _pair_slopes(ctx.saved_tensors, ctx.needs_input_grad)
        return tuple(
            None if slope is None else (gradients[0] * slope).sum_to_size(given.shape)
            for slope, given in zip(slopes, ctx.saved_tensors)
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """Derivative in a direction."""
        slopes = _pair_slopes(ctx.saved_tensors, [each is not None for each in tangents])
        return sum(each * slope for each, slope in zip(tangents, slopes) if slope is not None)  # type: ignore


def _pair_slopes(inputs: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
    """Derivatives with respect to both rates, which repeat the rate, and to the interval."""
    a, b, t = inputs
    by_rate = [-_chained([a, b, rate], t) if asked else None for rate, asked in zip((a, b), wanted)]
    slow, fast = torch.minimum(a, b), torch.maximum(a, b)
    return [*by_rate, torch.exp(-fast * t) - slow * _chained([a, b], t) if wanted[2] else None]


def _joined(rates: Sequence[Tensor], t: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """K of ascending rates from K without the last and K without the first rate."""
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
