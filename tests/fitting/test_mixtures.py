"""Mixtures of normal distributions that are seen through noise."""

import numpy as np
from scipy.stats import multivariate_normal

from fwsim.fitting.mixtures import Mixture, fitted_mixture, left_out_evidence, log_normal

WIDE = np.eye(2) * 9.0


def drawn(true, noise, random, draws=40):
    """Draws of the posterior of units seen with normal noise, under a wide normal prior, and its log density."""
    seen = true + noise * random.standard_normal(true.shape)
    shrunk = 9 / (9 + noise**2)
    z = shrunk * seen[:, None] + noise * np.sqrt(shrunk) * random.standard_normal((len(true), draws, 2))
    return z, log_normal(z, np.zeros(2), WIDE)


def test_densities_are_those_of_scipy():
    random = np.random.default_rng(0)
    z, mean, root = random.standard_normal((5, 3)), random.standard_normal(3), random.standard_normal((3, 3))
    covariance = root @ root.T
    np.testing.assert_allclose(
        log_normal(z, mean, covariance), multivariate_normal(mean, covariance).logpdf(z)
    )
    several = log_normal(z, np.tile(mean, (5, 1)), np.tile(covariance, (5, 1, 1)))
    np.testing.assert_allclose(several, log_normal(z, mean, covariance))


def test_a_mixture_finds_clusters_through_noise():
    random = np.random.default_rng(1)
    true = np.concatenate([random.normal([-2, 0], 0.4, (70, 2)), random.normal([2, 0], 0.4, (30, 2))])
    z, prior = drawn(true, 1.0, random)
    found = fitted_mixture(z, prior, 2, random)
    order = found.mean[:, 0].argsort()
    np.testing.assert_allclose(found.mean[order], [[-2, 0], [2, 0]], atol=0.5)
    np.testing.assert_allclose(found.weight[order], [0.7, 0.3], atol=0.1)
    assert found.covariance[:, 0, 0].max() < 1.2  # noise is not taken for a width of clusters
    assert found.modes() == 2
    evidence = left_out_evidence(z, prior, 2)
    assert (evidence[1] - evidence[0]).sum() > 10


def test_one_cloud_is_no_two_clusters():
    random = np.random.default_rng(2)
    z, prior = drawn(random.normal(0, 1.0, (100, 2)), 1.0, random)
    off = np.diff(left_out_evidence(z, prior, 2), axis=0)[0]
    assert off.sum() < 2 * np.sqrt(100) * off.std(ddof=1)


def test_the_evidence_of_the_prior_itself_is_none():
    random = np.random.default_rng(3)
    z, prior = drawn(random.normal(0, 1.0, (4, 2)), 1.0, random)
    same = Mixture(np.ones(1), np.zeros((1, 2)), WIDE[None])
    np.testing.assert_allclose(same.log_evidence(z, prior), 0, atol=1e-12)
    near = Mixture(np.full(2, 0.5), np.array([[-0.3, 0], [0.3, 0]]), np.repeat(np.eye(2)[None], 2, 0))
    assert near.modes() == 1
