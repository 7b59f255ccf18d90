"""Likelihood of responses that are sums of quanta from release sites which deplete one by one.

A synapse has n sites. At a spike, each full site releases with probability p and is then empty; each empty site
refills with probability r before the next spike (`rule.site_chances`). A response is the sum of k quanta, with mean q
and standard deviation cv·q each, plus recording noise: y | k ~ N(q k, k (cv q)² + σ²). Sites are hidden: what a sweep
has released so far says how many of them are full. A response of exactly 0 is one that could not be seen: it counts as
at most 0. `[..., pulse]`, NaN where missing.

A share of the responses may be outliers, such as spontaneous events and fits that went wrong: they say nothing about
the sites, and have a Cauchy distribution around 0, whose scale is the response to a release of 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fwsim.rules.derive.sites import SiteChances
from fwsim.rules.stochastic_release import release_from_sites

FARTHEST = -30.0  # standard deviations below a mean at which the probability of a response stops to fall


def exact_log_likelihood(
    response: Tensor,
    chances: SiteChances,
    sites: Tensor,
    quantum: Tensor,
    noise: Tensor,
    cv: float,
    outliers: float = 0.0,
) -> Tensor:
    """Log-likelihood of whole sweeps, summed over the number of full sites at every spike (a hidden Markov model).

    The work grows with the square of the largest number of sites.

    Parameters
    ----------
    response
        `[..., pulse]`; 0 where nothing could be seen, NaN where missing.
    chances
        Of one site, `[..., pulse]`.
    sites
        Numbers of sites, whole, `[...]`.
    quantum, noise
        Mean size q of a quantum, and standard deviation σ of the recording, `[...]`.
    cv
        Coefficient of variation of a quantum.
    outliers
        Their share among the responses.

    Returns
    -------
    Tensor
        `[...]`.
    """
    most = int(sites.max())
    k = torch.arange(most + 1, dtype=torch.float64)
    mean = quantum[..., None] * k
    variance = k * (cv * quantum[..., None]) ** 2 + noise[..., None] ** 2
    full, released = k[:, None], k[None, :]
    thinned = _choose(full, released)  # of the full ones, so many release
    empty = sites[..., None] - k  # as a function of the full ones
    refills = _choose(empty[..., None], k[None, :] - k[:, None])  # from so many full ones to so many
    belief = (k == sites[..., None]).double()  # of the number of full sites
    total = torch.zeros(torch.broadcast_shapes(response.shape[:-1], sites.shape), dtype=torch.float64)
    last = response.shape[-1] - 1
    for pulse in range(last + 1):
        p = chances.release[..., pulse, None, None]
        weight = thinned * p**released * (1 - p) ** (full - released).clamp(min=0)
        y = response[..., pulse, None]
        emitted, _ = _with_outliers(_density(y, mean, variance), y, (quantum * sites)[..., None], outliers)
        largest = emitted.amax(-1, keepdim=True)
        joint = belief[..., None] * weight * (emitted - largest).exp()[..., None, :]
        left = torch.stack([joint.diagonal(-j, -2, -1).sum(-1) for j in range(most + 1)], -1)
        evidence = left.sum(-1, keepdim=True)
        total = total + (evidence.log() + largest)[..., 0]
        if pulse == last:
            break
        r = chances.refill[..., pulse, None, None]
        gained, kept = (k[None, :] - k[:, None]).clamp(min=0), (empty[..., None, :]).clamp(min=0)
        moves = refills * r**gained * (1 - r) ** kept
        belief = ((left / evidence)[..., None] * moves).sum(-2)
    return total


def approximate_log_likelihood(
    response: Tensor,
    chances: SiteChances,
    sites: Tensor,
    quantum: Tensor,
    noise: Tensor,
    cv: float,
    outliers: float = 0.0,
) -> Tensor:
    """The same with the number of full sites as a normal variable: a Kalman filter, for many sites.

    Mean and variance of the full sites follow the binomial laws exactly, but their distribution, and that of the
    responses that are no outliers, is taken as normal. If each response may be an outlier, the full sites keep the mean
    and variance of both cases. `sites` need not be whole. A response of 0 has the probability of at most 0.
    """
    full, spread, total = sites, 0.0 * sites, 0.0 * (sites + response[..., 0].nan_to_num(0.0))
    quadratic, floor = quantum**2, noise**2
    columns = zip(*(part.movedim(-1, 0).contiguous() for part in (response, *chances)))
    for y, p, r in columns:
        released, stays = p * full, 1 - p
        random = stays * released  # variance of the released sites if the full ones are known
        variance = quadratic * (random + p**2 * spread + cv**2 * released) + floor
        density, surprise, certainty = _seen(y, quantum * released, variance)
        density, usual = _with_outliers(density, y, quantum * sites, outliers)
        total = total + density
        gain = quantum * p * stays * (spread - full) / variance  # of the sites that stay full
        learnt = gain**2 * (variance * certainty - (1 - usual) * surprise**2)
        spread = (random + stays**2 * spread - usual * learnt).clamp(min=0)
        full = torch.minimum((full - released + usual * gain * surprise).clamp(min=0), sites)
        empty, stays = sites - full, 1 - r
        spread = stays * (stays * spread + r * empty)
        full = full + r * empty
    return total


def simulate(
    chances: SiteChances,
    sites: Tensor,
    quantum: Tensor,
    noise: Tensor,
    cv: float,
    generator: torch.Generator,
    outliers: float = 0.0,
) -> Tensor:
    """One random response to every spike, `[..., pulse]`; a negative one could not be seen and is 0.

    Parameters are as in `exact_log_likelihood`, with the leading axes of the result.
    """
    released = release_from_sites(chances.release, chances.refill, sites, generator)
    size, floor = quantum[..., None], noise[..., None]
    spread = (released * (cv * size) ** 2 + floor**2).sqrt()
    draw = torch.randn(released.shape, generator=generator, dtype=torch.float64)
    response = size * released + spread * draw
    if outliers:
        chance, place = torch.rand(2, *released.shape, generator=generator, dtype=torch.float64)
        wild = (quantum * sites)[..., None] * (math.pi * (place - 0.5)).tan()
        response = torch.where(chance < outliers, wild, response)
    return response.clamp(min=0)


def _density(y: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Log density of one response; that of at most 0 if it is 0, and 0 if it is missing."""
    deviation = variance.sqrt()
    seen = -0.5 * ((y - mean) ** 2 / variance + (2 * math.pi * variance).log())
    unseen = torch.special.log_ndtr((-mean / deviation).clamp(min=FARTHEST))
    return torch.where(y.isnan(), 0.0, torch.where(y == 0, unseen, seen))


def _with_outliers(usual: Tensor, y: Tensor, scale: Tensor, outliers: float) -> tuple[Tensor, Tensor]:
    """Log density of a response if it may be an outlier, and the probability that it is none.

    `usual` is its log density if it is none. An outlier could not be seen in one of two cases.
    """
    if not outliers:
        return usual, torch.ones_like(usual)
    wild = torch.where(y == 0, 0.5, 1 / (math.pi * scale * (1 + (y / scale) ** 2)))
    right = usual + math.log1p(-outliers)
    both = torch.logaddexp(right, (outliers * wild).log())
    missing = y.isnan()
    return torch.where(missing, 0.0, both), torch.where(missing, 1.0, (right - both).exp())


def _seen(y: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log density, expected response minus mean, and by how much the response is known, as a fraction of its variance.

    All three are 0 if the response is missing.
    """
    surprise = torch.atleast_1d(y - mean)
    y, mean, variance = (part.expand_as(surprise) for part in (y, mean, variance))
    density = -0.5 * (surprise**2 / variance + (2 * math.pi * variance).log())
    certainty = torch.ones_like(density)
    unseen = (y == 0).nonzero(as_tuple=True)
    if len(unseen[0]):
        deviation = variance[unseen].sqrt()
        end = (-mean[unseen] / deviation).clamp(min=FARTHEST)
        tail = torch.special.log_ndtr(end)
        ratio = (-0.5 * end**2 - 0.5 * math.log(2 * math.pi) - tail).exp()  # of normal density and tail
        density[unseen] = tail
        surprise[unseen] = -deviation * ratio
        certainty[unseen] = (ratio * (end + ratio)).clamp(0, 1)
    missing = y.isnan()
    if bool(missing.any()):
        return tuple(torch.where(missing, 0.0, part) for part in (density, surprise, certainty))  # type: ignore[return-value]
    return density, surprise, certainty


def _choose(n: Tensor, k: Tensor) -> Tensor:
    """Binomial coefficients, 0 outside of 0 ≤ k ≤ n."""
    inside = (k >= 0) & (k <= n)
    n, k = torch.where(inside, n, 0.0), torch.where(inside, k, 0.0)
    value = (torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)).exp()
    return torch.where(inside, value, 0.0)
