"""Intervals between percentiles of draws, and the percentiles that make an interval from few units long enough."""

from __future__ import annotations

import math

import torch
from scipy.stats import norm, t
from torch import Tensor


def central(draws: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """Limits that hold one more draw with probability `level`, `[draw, …]` → `[…]` each.

    The p-quantile of n draws is the (n + 1)p-th smallest of them, since one more draw falls into each of the n + 1 gaps
    with equal probability; the smallest or largest one, if there are too few. Source: Davison & Hinkley 1997, Bootstrap
    Methods and their Application, §2.2.
    """
    ends = torch.tensor([0.5 - level / 2, 0.5 + level / 2], dtype=torch.float64)
    places = (len(draws) + 1) * ends - 1  # counted from 0
    low, high = torch.quantile(draws, (places / max(len(draws) - 1, 1)).clamp(0, 1), dim=0)
    return low, high


def expanded(level: float, units: int, strata: int) -> float:
    """Level of the percentiles of a bootstrap between which the true value is found with probability `level`.

    Units drawn with replacement vary less around the mean of their stratum than new ones do, by (n - s) / n in variance
    for n units in s strata, and replicates do not contain that this variance is itself estimated: percentiles of the
    normal distribution become those of Student's t. Source: Hesterberg 2015, Am. Stat. 69:371, §5.3 (expanded
    percentile interval), here for strata. Of two units the interval is from the smallest to the largest replicate.
    """
    freedom = units - strata
    reach = t.ppf(0.5 + level / 2, freedom) * math.sqrt(units / freedom)
    return min(float(2 * norm.cdf(reach) - 1), math.nextafter(1.0, 0.0))  # a level is below 1
