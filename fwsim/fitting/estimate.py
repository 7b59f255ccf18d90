"""Fit of one rule: from many starting points, then again for resampled sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fwsim.errors import ConfigError, choice, whole
from fwsim.fitting.checks import check_level
from fwsim.fitting.coordinates import GAINS, Bounds, R, coordinates
from fwsim.fitting.coordinates import starts as draw_starts
from fwsim.fitting.fitted import Fit
from fwsim.fitting.noise import named
from fwsim.fitting.optimise import Problem, maximise
from fwsim.fitting.posterior import Posterior, curvature
from fwsim.fitting.responses import Moments, Responses, gather
from fwsim.names import known_arguments
from fwsim.seeds import check_seed, torch_generator

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

SAME_MAXIMUM = 1e-3  # nats; ends closer than this count as one maximum
RIVAL = 20.0  # nats; a maximum this far below the best may be the best for resampled data
RESTARTS = 3  # largest number of such maxima, including the best


@known_arguments
def fit(
    rule: R,
    responses: pd.DataFrame | xr.Dataset | Responses,
    *,
    noise: str = "gamma",
    gain: str = "shared",
    starts: int = 32,
    replicates: int = 200,
    level: float = 0.95,
    intraclass_correlation: float = 0.0,
    fixed: str | Sequence[str] = (),
    bounds: Bounds | None = None,
    seed: int = 0,
) -> Fit[R]:
    """Fit a presynaptic rule to measured responses by maximum likelihood.

    The mean response is gain × release. Single responses vary around it with a constant coefficient of
    variation. All starting points are optimised in one batch by Fisher scoring. Parameters are limited to a box (times
    between a tenth of the shortest interval and ten times the longest train), and are searched as logarithms, logits
    or unchanged. For the bootstrap, sweeps are resampled within protocols.

    Parameters
    ----------
    rule
        An instance: it gives the convention, the number of components, every fixed value, and one starting point.
    responses
        One row per response: `protocol, sweep, pulse, time_s, amplitude`; see `fwsim.fitting.gather`.
    noise
        `"gamma"` for positive responses, `"normal"` if some are zero or negative.
    gain
        `"shared"`, or `"protocol"` if each protocol was recorded from other cells.
    intraclass_correlation
        Correlation of the sweeps of a protocol, if they come from a few cells and those of another protocol from
        others. Above 0, long recordings of one protocol do not dominate the others, and intervals are valid for other
        cells too. For cells whose mean responses differ with a standard deviation s, c cells in each protocol, and
        sweeps with a coefficient of variation v, it is s²/(c v²).
    starts
        Number of starting points, one of which is the given rule.
    replicates
        Number of bootstrap replicates.
    level
        Probability of the intervals.
    fixed
        Name or names of parameters of the rule that keep their value; `"tau_trace"` means all its components.
    bounds
        Name → (low, high), instead of the usual limits.
    seed
        Seed of the random starting points and of the bootstrap.

    Raises
    ------
    ConfigError
        The responses, the rule or an option are not allowed.
    ShapeError
        The rule has tensors as parameters.
    """
    check_level(level)
    whole("starts", starts, least=1)
    whole("replicates", replicates, least=2)
    check_seed(seed)
    data = gather(responses).clustered(intraclass_correlation)
    problem = problem_of(rule, data, noise, gain, fixed, bounds)
    generator = torch_generator(seed)
    ends, values = climb_all(problem, data.moments()[None], starts, generator)
    order = values[0].argsort(descending=True)
    ends, values = ends[0, order], values[0, order]
    if not values[0].isfinite():
        raise ConfigError(
            f"{type(rule).__name__} gave no positive responses from any of {starts} starts; "
            "give a rule that releases at every pulse, more starts, or bounds"
        )
    best = problem.at.ordered(ends[0])
    bend = curvature(problem, data, best)
    return Fit(
        problem=problem,
        responses=data,
        log_likelihood=float(values[0]),
        posterior=Posterior(problem.at, best, bend.covariance, bend.units - 1.0),
        replicates=bootstrap(problem, data.resampled(replicates, generator), rivals(ends, values)),
        penalty=bend.penalty,
        level=level,
        agreement=float((values >= values[0] - SAME_MAXIMUM).double().mean()),
    )


def problem_of(
    rule: R,
    data: Responses,
    noise: str,
    gain: str,
    fixed: str | Sequence[str] = (),
    bounds: Bounds | None = None,
) -> Problem:
    """Prepare the problem, and check that rule, noise and gain fit the responses."""
    choice("gain", gain, GAINS)
    kind = named(noise)
    worst = (data.amplitude <= 0).nonzero()
    if noise == "gamma" and len(worst):
        raise ConfigError(
            f"noise='gamma' needs positive amplitudes, and {len(worst)} are not (the first in protocol "
            f"{data.protocols[int(data.protocol[worst[0, 0]])]!r}); use noise='normal', or leave failures empty"
        )
    if bool((data.moments().total.sum(-1) <= 0).any()):
        raise ConfigError(
            "the mean response of a protocol is not positive; turn the sign of amplitudes round"
        )
    if data.times.shape[-1] < 2:
        raise ConfigError("every protocol has one pulse; short-term plasticity needs trains of at least two")
    size = float(torch.nanmean(data.amplitude))
    return Problem(coordinates(rule, data.times, size, gain, fixed, bounds), data.times, kind, size)


def climb_all(
    problem: Problem, moments: Moments, starts: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """From the same points for each data set: ends `[batch, start, axis]`, log-likelihoods `[batch, start]`."""
    batch = len(moments.count)
    z = draw_starts(problem.at, starts, generator).repeat(batch, 1)
    ends, values = maximise(problem, moments.repeat(starts), z)
    return ends.unflatten(0, (batch, starts)), values.unflatten(0, (batch, starts))


def rivals(ends: Tensor, values: Tensor) -> Tensor:
    """The best distinct maxima of sorted ends `[start, axis]`, a few only."""
    new = torch.cat([values.new_ones(1, dtype=torch.bool), values.diff().abs() > SAME_MAXIMUM])
    return ends[new & (values > values[0] - RIVAL)][:RESTARTS]


def bootstrap(problem: Problem, resampled: Moments, again: Tensor) -> Tensor:
    """Best coordinates of each replicate, `[replicate, axis]`, starting from the maxima `again` of the data."""
    count = len(resampled.count)
    ends, values = maximise(problem, resampled.repeat(len(again)), again.repeat(count, 1))
    best = values.unflatten(0, (count, -1)).argmax(1)
    return problem.at.ordered(ends.unflatten(0, (count, -1))[torch.arange(count), best])
