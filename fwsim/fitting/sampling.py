"""Draws from the posterior of a fit by an ensemble sampler, if a normal approximation is not enough."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fwsim.fitting.coordinates import Coordinates
from fwsim.fitting.posterior import Curvature, Interval, Posterior, percentile_intervals
from fwsim.progress import track
from fwsim.requirements import required
from fwsim.seeds import torch_generator
from fwsim.units import outside

if TYPE_CHECKING:
    from fwsim.fitting.optimise import Problem
    from fwsim.fitting.responses import Responses

BURN_IN = 4  # the chain has this many parts, and the first is dropped
ENOUGH = 50  # with fewer autocorrelation times, emcee's estimate of them is unreliable
CLOSE = 0.1  # largest distance of starting points from the mode, as a fraction of the box
WALKERS = 4  # for every axis
CROSSING = 0.2  # fraction of moves along a line through another walker, which can cross between maxima


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws from a posterior.

    Parameters
    ----------
    at
        Coordinates: logarithms of times and gains, logits of probabilities.
    draws
        `[draw, axis]`, all walkers after burn-in, with exchangeable components in ascending order.
    acceptance
        Fraction of accepted moves.
    autocorrelation
        Autocorrelation time of a walker in steps, the longest over axes.
    """

    at: Coordinates
    draws: Tensor
    acceptance: float
    autocorrelation: float

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """Central interval of each parameter, in its unit."""
        return percentile_intervals(self.at, self.draws, level)


def sample(
    problem: Problem, responses: Responses, posterior: Posterior, bend: Curvature, steps: int, seed: int
) -> Chains:
    """Sample from around the mode; see `Fit.sample_posterior`."""
    emcee = required("emcee", "sample_posterior", extra="mcmc")
    at, moments = problem.at, responses.moments()[None]
    low, high = at.low, at.high

    def log_density(points: np.ndarray) -> np.ndarray:
        z = torch.from_numpy(np.ascontiguousarray(points))
        inside = ((z >= low) & (z <= high)).all(-1)
        value = problem.log_likelihood(problem.mean(z.clamp(low, high)), z, moments)
        return torch.where(inside, bend.weight * value, -torch.inf).numpy()

    generator = torch_generator(seed)
    moving = int(torch.randint(2**31, (), generator=generator))  # emcee's generator takes 32 bits
    walkers = WALKERS * len(posterior.mode)
    sampler = emcee.EnsembleSampler(
        walkers,
        len(posterior.mode),
        log_density,
        vectorize=True,
        moves=[(emcee.moves.DEMove(), 1 - CROSSING), (emcee.moves.DESnookerMove(), CROSSING)],
    )
    begin = emcee.State(
        _around(posterior, walkers, generator).numpy(),
        random_state=np.random.RandomState(moving).get_state(),
    )
    with track("sampling the posterior", steps) as advance, torch.no_grad():
        for _ in sampler.sample(begin, iterations=steps):
            advance()
    forgotten = float(np.max(sampler.get_autocorr_time(discard=steps // BURN_IN, quiet=True, tol=0)))
    if not forgotten * ENOUGH <= steps:
        warnings.warn(
            f"walkers forget where they were after {forgotten:.0f} of {steps} steps; "
            f"give steps={ENOUGH * forgotten:.0f} or more for intervals that stay",
            stacklevel=outside(),
        )
    draws = torch.from_numpy(sampler.get_chain(discard=steps // BURN_IN, flat=True))
    return Chains(at, at.ordered(draws), float(sampler.acceptance_fraction.mean()), forgotten)


def _around(posterior: Posterior, walkers: int, generator: torch.Generator) -> Tensor:
    """Starts of the walkers, `[walker, axis]`: near the mode, reflected at the limits so that none coincide."""
    low, high = posterior.at.low, posterior.at.high
    sd = posterior.covariance.diagonal().sqrt().minimum(CLOSE * (high - low))
    normal = torch.randn(walkers, len(low), generator=generator, dtype=torch.float64).clamp(-3, 3)
    inside = low + (posterior.mode + sd * normal - low).abs()
    return high - (high - inside).abs()
