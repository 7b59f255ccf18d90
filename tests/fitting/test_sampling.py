"""The sampler against a posterior in closed form, and against Laplace where that is right."""

import sys
from functools import cache

import numpy as np
import pytest
import scipy.stats

import fwsim as fw
from fwsim.fitting import synthetic_table
from fwsim.fitting.posterior import curvature

RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.1, tau_facil=0.5)
CV = 0.4
TABLE = synthetic_table(RULE, {"50Hz": [0.0, 0.02]}, sweeps=12, gain=3.0, cv=CV, seed=3)
KNOWN = {"dispersion": (CV**2 * (1 - 1e-9), CV**2 * (1 + 1e-9)), "exponent": (2 - 1e-9, 2 + 1e-9)}


@cache
def fitted():
    """The gain fitted to the table."""
    return fw.fit(RULE, TABLE, fixed=("U", "tau_rec", "tau_facil"), bounds=KNOWN, replicates=2, starts=1)


def test_draws_of_a_gain_are_those_of_its_inverse_gamma_distribution():
    """Responses to a known rule with known gamma noise: 1/gain is gamma distributed under a flat prior on its log."""
    pytest.importorskip("emcee", reason="needs the extra mcmc")
    chains = fitted().sample_posterior(steps=500, seed=1)
    data = fitted().responses
    releases = (data.moments().total / RULE.respond(data.times)).sum()
    power = curvature(fitted().problem, data, fitted().posterior.mode).weight
    shape, rate = power * data.moments().count.sum() / CV**2, power * releases / CV**2
    exact = scipy.stats.invgamma(float(shape), scale=float(rate))
    draws = chains.at.values(chains.draws)[:, 0].numpy()
    independent = len(draws) / chains.autocorrelation
    assert independent > 100
    assert abs(draws.mean() - exact.mean()) < 4 * exact.std() / np.sqrt(independent)
    assert abs(np.log(draws.std() / exact.std())) < 4 / np.sqrt(2 * independent)
    np.testing.assert_allclose(chains.intervals(0.9)["gain"], exact.ppf([0.05, 0.95]), rtol=0.02)
    assert 0.1 < chains.acceptance < 0.9


def test_a_chain_that_is_too_short_says_so():
    pytest.importorskip("emcee", reason="needs the extra mcmc")
    with pytest.warns(UserWarning, match=r"forget where they were after \d+ of 100 steps; give steps=\d+"):
        chains = fitted().sample_posterior(steps=100)
    assert len(chains.draws) == 75 * 12  # of 4 walkers an axis, without the first quarter


def test_without_the_sampler_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(fw.ConfigError, match=r"needs emcee, which is not installed; .*\[mcmc\]"):
        fitted().sample_posterior()


def test_refusals():
    with pytest.raises(
        fw.ConfigError, match="steps=10 is not allowed; it must be an integer of at least 100"
    ):
        fitted().sample_posterior(steps=10)
