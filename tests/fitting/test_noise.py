"""Distributions against SciPy, their derivatives against automatic ones and samples."""

import numpy as np
import pytest
import scipy.stats
import torch

import fwsim as fw
from fwsim.fitting.noise import NOISES
from fwsim.fitting.responses import Moments

each = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES.keys())
MEAN, DISPERSION, EXPONENT, SIZE = (torch.tensor(v, dtype=torch.float64) for v in (2.3, 0.3, 1.6, 1.7))


def moments(y):
    one = lambda v: v.sum().reshape(1, 1)  # noqa: E731
    return Moments(torch.tensor([[float(len(y))]], dtype=torch.float64), one(y), one(y**2), one(y.log()))


def drawn(noise, count):
    spread = noise.spread(MEAN, DISPERSION, EXPONENT, float(SIZE))
    return noise.sample(MEAN.expand(count), spread.expand(count), torch.Generator().manual_seed(3))


@each
def test_variance_follows_the_mean(noise):
    y = drawn(noise, 400_000)
    variance = DISPERSION * MEAN**2 * (MEAN / SIZE) ** (EXPONENT - 2)
    assert abs(y.mean() - MEAN) < 4 * (variance / len(y)).sqrt()
    assert abs(y.var() / variance - 1) < 0.02


def test_log_likelihood_is_that_of_scipy():
    y = torch.tensor([0.5, 1.9, 4.0], dtype=torch.float64)
    variance = float(DISPERSION * MEAN**2 * (MEAN / SIZE) ** (EXPONENT - 2))
    shape = float(MEAN) ** 2 / variance
    expected = {
        "gamma": scipy.stats.gamma(shape, scale=float(MEAN) / shape).logpdf(y).sum(),
        "normal": scipy.stats.norm(float(MEAN), np.sqrt(variance)).logpdf(y).sum(),
    }
    for name, noise in NOISES.items():
        spread = noise.spread(MEAN, DISPERSION, EXPONENT, float(SIZE))
        np.testing.assert_allclose(
            noise.log_likelihood(moments(y), MEAN, spread), [[expected[name]]], rtol=1e-12
        )


@each
def test_scores_are_derivatives(noise):
    y = moments(drawn(noise, 5).abs() + 0.1)
    logs = torch.stack(
        [MEAN.log(), noise.spread(MEAN, DISPERSION, EXPONENT, float(SIZE)).log()]
    ).requires_grad_()
    value = noise.log_likelihood(y, logs[0].exp(), logs[1].exp()).sum()
    (expected,) = torch.autograd.grad(value, logs)
    got = noise.scores(y, *logs.detach().exp())
    torch.testing.assert_close(torch.stack(got)[:, 0, 0], expected, rtol=1e-10, atol=1e-10)


@each
def test_information_is_the_variance_of_the_scores(noise):
    count = 200_000
    y = drawn(noise, count)
    spread = noise.spread(MEAN, DISPERSION, EXPONENT, float(SIZE))
    single = Moments(torch.ones_like(y), y, y**2, y.clamp(min=1e-300).log())
    scores = torch.stack(noise.scores(single, MEAN, spread))
    covariance = torch.cov(scores)
    expected = noise.informations(torch.ones((), dtype=torch.float64), MEAN, spread)
    torch.testing.assert_close(covariance.diagonal(), torch.stack(expected), rtol=0.03, atol=0)
    assert abs(covariance[0, 1]) < 0.02 * covariance.diagonal().prod().sqrt()


def test_unknown_noise_is_refused():
    with pytest.raises(fw.ConfigError, match="'gamma', 'normal'"):
        fw.fit(fw.Varela(), fw.fitting.synthetic_table(fw.Varela(), sweeps=2), noise="poisson")
