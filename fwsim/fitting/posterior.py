"""Uncertainty of the parameters around the best ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy.stats import t
from torch import Tensor

from fwsim.fitting.checks import check_level
from fwsim.fitting.coordinates import Coordinate, Coordinates
from fwsim.fitting.optimise import Problem
from fwsim.fitting.percentiles import central
from fwsim.fitting.responses import Responses
from fwsim.seeds import torch_generator

FLAT = 1e-8  # curvature relative to the largest, below which a direction counts as free
FREE_SD = 1e3  # its standard deviation in coordinates
DECADE = 10.0
HALF = 0.5


class Interval(NamedTuple):
    """Limits of an interval, in the parameter's unit."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Posterior:
    """Laplace's approximation around the estimate, in the coordinates of the fit, with a flat prior.

    Responses of one sweep are correlated (neighbouring ones by 0.6 in the recordings for which this was
    written), but the likelihood assumes independence. The covariance is therefore H⁻¹ J H⁻¹ instead of H⁻¹,
    with H the expected curvature and J the covariance of the scores of whole sweeps (of whole cells, if the table
    tells several apart). The two agree if responses are independent. J is estimated from few sweeps, so the
    approximation is not normal but Student's t. Sources: Müller 2013, Econometrica 81:1805; Cameron & Miller 2015,
    J. Hum. Resour. 50:317 (correction for few clusters, and t).

    Parameters
    ----------
    at
        Coordinates: logarithms of times and gains, logits of probabilities.
    mode
        `[axis]`.
    covariance
        `[axis, axis]`.
    freedom
        Degrees of freedom of Student's t; infinite for a normal distribution.
    """

    at: Coordinates
    mode: Tensor
    covariance: Tensor
    freedom: float = math.inf

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """Central interval of each parameter, cut at the limits of the search."""
        check_level(level)
        reach = float(t.ppf(0.5 + level / 2, self.freedom))
        sd = self.covariance.diagonal().sqrt()
        return natural(self.at, self._inside(self.mode - reach * sd), self._inside(self.mode + reach * sd))

    def sample(self, count: int, generator: torch.Generator | None = None, *, seed: int = 0) -> Tensor:
        """Draw coordinates `[draw, axis]`, cut at the limits of the search, with a generator or a seed."""
        generator = generator or torch_generator(seed)
        values, vectors = torch.linalg.eigh(self.covariance)
        root = vectors * values.clamp(min=0).sqrt()
        steps = torch.randn(count, len(self.mode), generator=generator, dtype=torch.float64)
        if math.isfinite(self.freedom):
            half = torch.full((count, 1), self.freedom / 2, dtype=torch.float64)
            steps = steps * (half / torch._standard_gamma(half, generator=generator)).sqrt()
        return self._inside(self.mode + steps @ root.T)

    def _inside(self, z: Tensor) -> Tensor:
        return z.clamp(self.at.low, self.at.high)


@dataclass(frozen=True, eq=False)
class Curvature:
    """Curvature of the log-likelihood at its maximum, `[axis, axis]`: expected, and from the scores of whole sweeps.

    `units` is the number of sweeps (or cells) whose scores were summed, and `count` that of responses.
    """

    expected: Tensor
    sweeps: Tensor
    units: int
    count: int

    @property
    def covariance(self) -> Tensor:
        """Covariance of the estimate; directions without effect get a standard deviation of 1000.

        Scores at the maximum are smaller than at the true value, which few units show most.
        """
        inverse, flat = self._inverse()
        free = max(self.count - len(self.expected), 1)
        few = self.units / (self.units - 1) * (self.count - 1) / free
        return few * inverse @ self.sweeps @ inverse + FREE_SD**2 * flat

    @property
    def penalty(self) -> float:
        """Effective number of parameters, tr(H⁻¹ J); equal to their number if responses are independent."""
        return float((self._inverse()[0] * self.sweeps).sum())

    @property
    def weight(self) -> float:
        """Power for which the likelihood has the right width: 1 if responses are independent.

        The number of parameters over their effective number (Pauli, Racugno & Ventura 2011, Statist. Sinica 21:149).
        """
        flat = self._inverse()[1].trace()
        return (len(self.expected) - float(flat)) / self.penalty

    def _inverse(self) -> tuple[Tensor, Tensor]:
        """Inverse of the expected curvature where it is not 0, and the projection on the other directions."""
        values, vectors = torch.linalg.eigh(self.expected)
        flat = values <= FLAT * values[-1]
        inverse = torch.where(flat, 0.0, 1 / torch.where(flat, 1.0, values))
        return (vectors * inverse) @ vectors.T, (vectors * flat) @ vectors.T


def curvature(problem: Problem, responses: Responses, z: Tensor, kept: Tensor | None = None) -> Curvature:
    """Curvature at a maximum `z` `[axis]` of the protocols where `kept` `[protocol]` is true; `None`: of all."""
    kept = torch.ones(len(responses.protocols), dtype=torch.bool) if kept is None else kept
    mean, slope = problem.mean_and_slope(z[None])
    _, expected = problem.score_and_information(mean, slope, z[None], responses.moments().keep(kept)[None])
    rows = kept[responses.protocol]
    single = responses.moments(torch.eye(len(rows), dtype=torch.float64)[rows])
    count, weight = len(single.count), responses.weight[rows, None]
    scores, _ = problem.score_and_information(
        mean.expand(count, -1, -1), slope.expand(count, -1, -1, -1), z.expand(count, -1), single
    )
    measured = int(single.count.sum())
    if not responses.by_cell:
        return Curvature(expected[0], scores.T @ (weight * scores), count, measured)
    sums = torch.zeros(len(responses.cells), scores.shape[1], dtype=scores.dtype)
    sums.index_add_(0, responses.cell[rows], weight * scores)
    return Curvature(expected[0], sums.T @ sums, len(sums), measured)


def percentile_intervals(at: Coordinates, draws: Tensor, level: float) -> dict[str, Interval]:
    """Central interval of draws `[draw, axis]`, by parameter."""
    check_level(level)
    return natural(at, *central(draws, level))


def natural(at: Coordinates, low: Tensor, high: Tensor) -> dict[str, Interval]:
    """Intervals in units from their limits in coordinates."""
    ends = torch.stack([at.values(low), at.values(high)], -1).tolist()
    return {name: Interval(*pair) for name, pair in zip(at.names, ends)}


def undetermined(axis: Coordinate, interval: Interval) -> bool:
    """Whether an interval is NaN, reaches a limit of the search, or spans a decade (log) or half the range (others)."""
    low, high = interval
    slack = 1e-6 * (axis.high - axis.low)
    if axis.scale == "log":
        known = low > axis.low * (1 + 1e-6) and high < axis.high * (1 - 1e-6) and high <= DECADE * low
    else:
        inside = low > axis.low + slack and high < axis.high - slack
        known = inside and high - low <= HALF * (axis.high - axis.low)
    return not known
