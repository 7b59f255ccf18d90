"""Maximum likelihood by damped Fisher scoring, many problems in one batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fwsim.fitting.coordinates import Coordinates
from fwsim.fitting.noise import Noise
from fwsim.fitting.responses import Moments

ITERATIONS = 100
TOLERANCE = 1e-5  # nats; smaller changes in a step mean convergence
LONGEST = 2.0  # largest step in one coordinate
DAMPING = (1e-10, 1e10)
SETTLED = 1e-2  # largest damping for which a tiny step means a maximum
CHUNK = 4096  # problems at a time, to bound memory


@dataclass(frozen=True, eq=False)
class Problem:
    """The problem of a fit; `z` is `[batch, axis]` and moments are `[batch, protocol, pulse]`.

    Parameters
    ----------
    at
        Coordinates of the rule.
    times
        `[protocol, pulse]` in s, padded with NaN.
    noise
        Noise of responses.
    size
        Response for which the dispersion is the squared coefficient of variation.
    """

    at: Coordinates
    times: Tensor
    noise: Noise
    size: float

    def release(self, z: Tensor) -> Tensor:
        """Release of the rule without gain, `[batch, protocol, pulse]`; 1 for missing pulses."""
        return self._release(self._apart(z))

    def mean(self, z: Tensor) -> Tensor:
        """Mean response, `[batch, protocol, pulse]`."""
        return self._mean(self._apart(z))

    def mean_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean response and its derivative by `z`, `[batch, protocol, pulse, axis]`."""
        with torch.enable_grad():
            apart = self._apart(z).clone().requires_grad_()
            mean = self._mean(apart)
            pulses = torch.eye(mean.shape[-1], dtype=z.dtype)[:, None, None].expand(-1, *mean.shape)
            (slope,) = torch.autograd.grad(mean, apart, pulses, is_grads_batched=True)
        return mean.detach(), slope.movedim(0, -2)

    def _apart(self, z: Tensor) -> Tensor:
        """Coordinates `[batch, protocol, axis]`, so that the derivatives of protocols are separate."""
        return z[:, None].expand(-1, len(self.times), -1)

    def _release(self, apart: Tensor) -> Tensor:
        return torch.where(self.times.isnan(), 1.0, self.at.rule_at(apart).respond(self.times))

    def _mean(self, apart: Tensor) -> Tensor:
        gain = self.at.gain_at(apart)  # [batch, protocol, gain]
        own = gain[..., 0] if self.at.gains == 1 else gain.diagonal(dim1=-2, dim2=-1)
        return self._release(apart) * own[..., None]

    def spread(self, mean: Tensor, z: Tensor) -> Tensor:
        """Spread of the noise, `[batch, protocol, pulse]`."""
        dispersion, exponent = self.at.noise_at(z)
        return self.noise.spread(mean, dispersion[:, None, None], exponent[:, None, None], self.size)

    def log_likelihood(self, mean: Tensor, z: Tensor, moments: Moments) -> Tensor:
        """Log-likelihood `[batch]`, −∞ where a mean is not a positive number."""
        known = moments.count > 0
        good = (((mean > 0) & mean.isfinite()) | ~known).flatten(1).all(1)
        mean = torch.where(good[:, None, None] & known, mean, 1.0)
        value = self.noise.log_likelihood(moments, mean, self.spread(mean, z)).sum((-2, -1))
        return torch.where(good & value.isfinite(), value, -torch.inf)

    def directions(self, mean: Tensor, slope: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of log mean and log spread by `z`, `[batch, protocol, pulse, axis]`."""
        by_mean = slope / mean[..., None]
        _, exponent = self.at.noise_at(z)
        by_spread = (exponent - self.noise.base)[:, None, None, None] * by_mean
        by_spread[..., -2] += 1
        by_spread[..., -1] += (mean / self.size).log()
        return by_mean, by_spread

    def score_and_information(
        self, mean: Tensor, slope: Tensor, z: Tensor, moments: Moments
    ) -> tuple[Tensor, Tensor]:
        """Derivative of the log-likelihood `[batch, axis]` and its expected curvature `[batch, axis, axis]`."""
        known = moments.count > 0
        mean, slope = torch.where(known, mean, 1.0), torch.where(known[..., None], slope, 0.0)
        spread = self.spread(mean, z)
        score, information = torch.zeros_like(z), z.new_zeros(*z.shape, z.shape[-1])
        for direction, part, weight in zip(
            self.directions(mean, slope, z),
            self.noise.scores(moments, mean, spread),
            self.noise.informations(moments.count, mean, spread),
        ):
            score += torch.einsum("bpt,bpta->ba", part, direction)
            information += torch.einsum("bpta,bptc->bac", weight[..., None] * direction, direction)
        return score, information


@torch.no_grad()
def maximise(problem: Problem, moments: Moments, z: Tensor) -> tuple[Tensor, Tensor]:
    """Optimise from each of `z` `[batch, axis]`; return the ends and their log-likelihoods `[batch]`."""
    parts = [_climb(problem, moments[k : k + CHUNK], z[k : k + CHUNK]) for k in range(0, len(z), CHUNK)]
    ends, values = zip(*parts)
    return torch.cat(ends), torch.cat(values)


def _climb(problem: Problem, moments: Moments, z: Tensor) -> tuple[Tensor, Tensor]:
    low, high = problem.at.low, problem.at.high
    z = with_best_gain(problem, moments, z).clamp(low, high)
    mean, slope = problem.mean_and_slope(z)
    value = problem.log_likelihood(mean, z, moments)
    damping = torch.full_like(value, 1e-2)
    going = value.isfinite()
    for _ in range(ITERATIONS):
        k = going.nonzero()[:, 0]
        if not len(k):
            break
        part = moments[k]
        score, information = problem.score_and_information(mean[k], slope[k], z[k], part)
        tried = (z[k] + _step(score, information, damping[k], z[k], low, high)).clamp(low, high)
        new_mean, new_slope = problem.mean_and_slope(tried)
        new_value = problem.log_likelihood(new_mean, tried, part)
        gain = new_value - value[k]
        better, settled = gain >= 0, (gain.abs() <= TOLERANCE) & (damping[k] <= SETTLED)
        accepted = k[better]
        z[accepted], value[accepted] = tried[better], new_value[better]
        mean[accepted], slope[accepted] = new_mean[better], new_slope[better]
        stuck = ~better & (damping[k] >= DAMPING[1])
        damping[k] = torch.where(better, damping[k] / 5, damping[k] * 4).clamp(*DAMPING)
        going[k] = ~((better & settled) | stuck)
    return z, value


def _step(
    score: Tensor, information: Tensor, damping: Tensor, z: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Damped Fisher step; coordinates that would leave the box stay at its boundary."""
    held = ((z <= low) & (score < 0)) | ((z >= high) & (score > 0))
    score = torch.where(held, 0.0, score)
    free = ~(held[:, :, None] | held[:, None])
    information = torch.where(free, information, 0.0)
    size = information.diagonal(dim1=-2, dim2=-1)
    ridge = damping[:, None] * (size + 1e-6 * size.amax(-1, keepdim=True)) + held + 1e-12
    step = torch.linalg.solve(information + torch.diag_embed(ridge), score)
    return step.nan_to_num(0.0).clamp(-LONGEST, LONGEST)


def with_best_gain(problem: Problem, moments: Moments, z: Tensor) -> Tensor:
    """The same rules with the gain for which mean relative residuals are 0."""
    release = problem.release(z)
    release = torch.where((release > 0) & release.isfinite(), release, 1.0)
    ratio, count = (moments.total / release).sum(-1), moments.count.sum(-1)
    pooled = ratio.sum(-1, keepdim=True) / count.sum(-1, keepdim=True)
    gain = pooled if problem.at.gains == 1 else torch.where(count > 0, ratio / count, pooled)
    started = z.clone()
    started[:, problem.at.gain_axes] = gain.clamp(min=1e-300).log()
    return started
