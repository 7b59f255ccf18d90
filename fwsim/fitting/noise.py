"""Noise of single responses around their mean, with a variance that depends on the mean.

The variance is dispersion · m² · (m/size)^(exponent − 2), and both parameters are estimated with the rule. Exponent 1
is the Poisson-like variance of a quantal synapse. Exponent 2 is a constant coefficient of variation, as caused by
differences between cells.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from fwsim.errors import choice
from fwsim.fitting.responses import Moments


class Noise(ABC):
    """A distribution in terms of its mean m and its spread, which are orthogonal; `[..., protocol, pulse]`."""

    name: ClassVar[str]
    base: ClassVar[int]
    """The spread is the variance divided by m to this power."""

    def spread(self, mean: Tensor, dispersion: Tensor, exponent: Tensor, size: float) -> Tensor:
        """Variance over m^base."""
        return dispersion * mean ** (2 - self.base) * (mean / size) ** (exponent - 2)

    @abstractmethod
    def log_likelihood(self, moments: Moments, mean: Tensor, spread: Tensor) -> Tensor:
        """Log density of the responses of each pulse."""

    @abstractmethod
    def scores(self, moments: Moments, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives by log mean and by log spread."""

    @abstractmethod
    def informations(self, count: Tensor, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """Expected negative second derivatives by log mean and by log spread."""

    @abstractmethod
    def sample(self, mean: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """One response for each mean."""


class GammaNoise(Noise):
    """Gamma distribution; its spread is the inverse shape. For positive responses."""

    name = "gamma"
    base = 2

    def log_likelihood(self, moments: Moments, mean: Tensor, spread: Tensor) -> Tensor:
        """See `Noise`."""
        k = 1 / spread
        normaliser = moments.count * (k * (k / mean).log() - torch.lgamma(k))
        return normaliser + (k - 1) * moments.logs - k * moments.total / mean

    def scores(self, moments: Moments, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """See `Noise`."""
        k = 1 / spread
        ratio = moments.total / mean
        by_shape = moments.count * ((k / mean).log() + 1 - torch.digamma(k)) + moments.logs - ratio
        return k * (ratio - moments.count), -k * by_shape

    def informations(self, count: Tensor, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """See `Noise`."""
        k = 1 / spread
        return count * k, count * k * (k * torch.polygamma(1, k) - 1)

    def sample(self, mean: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """See `Noise`."""
        shape = (1 / spread).expand(mean.shape).contiguous()
        return torch._standard_gamma(shape, generator=generator) * mean / shape


class NormalNoise(Noise):
    """Normal distribution; its spread is the variance. For responses that may be zero or negative."""

    name = "normal"
    base = 0

    def log_likelihood(self, moments: Moments, mean: Tensor, spread: Tensor) -> Tensor:
        """See `Noise`."""
        return -0.5 * (moments.count * (2 * math.pi * spread).log() + _squares(moments, mean) / spread)

    def scores(self, moments: Moments, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """See `Noise`."""
        by_mean = (moments.total - moments.count * mean) * mean / spread
        return by_mean, 0.5 * (_squares(moments, mean) / spread - moments.count)

    def informations(self, count: Tensor, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """See `Noise`."""
        return count * mean**2 / spread, 0.5 * count

    def sample(self, mean: Tensor, spread: Tensor, generator: torch.Generator) -> Tensor:
        """See `Noise`."""
        return mean + spread.sqrt() * torch.randn(mean.shape, generator=generator, dtype=mean.dtype)


def _squares(moments: Moments, mean: Tensor) -> Tensor:
    """Σ (y − m)²."""
    return moments.squares - 2 * mean * moments.total + moments.count * mean**2


NOISES: dict[str, Noise] = {noise.name: noise for noise in (GammaNoise(), NormalNoise())}


def named(name: str) -> Noise:
    """Noise by name."""
    choice("noise", name, tuple(NOISES))
    return NOISES[name]
