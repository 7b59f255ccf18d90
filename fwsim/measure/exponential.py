"""Sums of the autocovariance of short trials of an exponential process: their mean and spread, and the inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

SHORTEST = 1e-2
"""Time constants shorter than so many samples cannot be told from 0."""

LONGEST = 1e3
"""Time constants longer than so many trials cannot be told from infinite ones."""


@dataclass(frozen=True)
class Sums:
    """Σ of the autocovariance over lags 1 … window as a share of that at lag 0; means of trials are subtracted.

    Parameters
    ----------
    window, length
        Lags of the sum, and samples of a trial.
    trials
        Number of trials that are averaged.
    """

    window: int
    length: int
    trials: int

    def mean(self, tau: float) -> float:
        """Expected sum, if a Gaussian process has the autocorrelation exp(−h/tau), tau in samples.

        The covariance of a sample with the mean of its trial is r_i = Σ_j a^|i−j| / length, and the variance of that
        mean is the mean of r.
        """
        powers = math.exp(-1 / tau) ** np.arange(self.length)
        up_to = np.cumsum(powers)
        with_mean = (up_to + up_to[::-1] - 1) / self.length
        before = np.concatenate([[0.0], np.cumsum(with_mean)])
        lag = np.arange(self.window + 1)
        pairs = self.length - lag
        taken = (before[pairs] + before[self.length] - before[lag]) / pairs
        covariance = powers[lag] - taken + with_mean.mean()
        return float(covariance[1:].sum() / covariance[0])

    def spread(self, tau: float) -> float:
        """Standard deviation of the sum, from the independent Fourier components of a trial."""
        lag = np.arange(self.length)
        spectrum = 2 * np.fft.fft((1 - lag / self.length) * math.exp(-1 / tau) ** lag).real - 1
        weights = np.zeros(self.length)
        weights[1 : self.window + 1] = 1 / (self.length - lag[1 : self.window + 1])
        response = np.fft.fft(weights).real - self.mean(tau) / self.length
        variance = 2 * np.sum((spectrum * response)[1:] ** 2)
        return float(math.sqrt(variance / self.trials) / (spectrum[1:].sum() / self.length))

    def tau(self, total: float, spreads: float = 0.0) -> float:
        """Time constant of which `total` is the mean plus so many standard deviations; 0 or infinite if none has it."""

        def excess(log: float) -> float:
            tau = math.exp(log)
            return self.mean(tau) + (spreads * self.spread(tau) if spreads else 0.0) - total

        shortest, longest = math.log(SHORTEST), math.log(LONGEST * self.length)
        if excess(longest) <= 0:
            return math.inf
        return math.exp(brentq(excess, shortest, longest, xtol=1e-5)) if excess(shortest) < 0 else 0.0
