"""Random release: moments, streams of random numbers, depletion site by site."""

import math

import pytest
import torch

import fwsim as fw
from tests.rules.cases import exact

RULE = fw.TsodyksMarkram(0.3, 0.2, 0.5)
TIMES = (torch.arange(6, dtype=torch.float64) / 15).expand(40_000, 6)


@pytest.mark.parametrize(("sites", "cv"), [(1, 0.0), (5, 0.0), (5, 0.4)])
def test_mean_and_variance_are_those_of_the_quantal_model(sites, cv):
    response = fw.StochasticRelease(RULE, sites=sites, cv=cv).respond(TIMES)
    p = RULE.respond(TIMES[0])
    variance = (p * (1 - p) + cv**2 * p) / sites
    assert bool((response.mean(0) - p).abs().le(4 * (variance / len(TIMES)).sqrt()).all())
    torch.testing.assert_close(response.var(0), variance, rtol=0.05, atol=0)
    if cv == 0:
        torch.testing.assert_close(response * sites, (response * sites).round())


def test_randomness_is_its_own():
    noisy, state = fw.StochasticRelease(RULE, sites=3, cv=0.2), torch.get_rng_state()
    one, same = noisy.respond(TIMES[:9]), noisy.respond(TIMES[:9])
    other = noisy.respond(TIMES[:9], generator=torch.Generator().manual_seed(1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_mean_quantities_are_those_of_the_rule():
    noisy = fw.StochasticRelease(RULE, sites=3, cv=0.2)
    for train in ("regular", "poisson", "mean_field"):
        assert math.isclose(noisy.steady_state(9.0, train).release, RULE.steady_state(9.0, train).release)


def test_padding_stays_nan():
    times = exact([0.0, 0.1, torch.nan])
    assert fw.StochasticRelease(RULE).respond(times).isnan().tolist() == [False, False, True]


def test_what_is_no_probability_is_refused():
    with pytest.raises(fw.ConfigError, match="no probability"):
        fw.StochasticRelease(fw.Varela(amplitude=1.5)).respond(TIMES[0])
    for wrong, said in (({"sites": 0}, "sites=0"), ({"sites": 1.5}, "sites=1.5"), ({"cv": -1.0}, "cv=-1.0")):
        with pytest.raises(fw.ConfigError, match=said):
            fw.StochasticRelease(RULE, **wrong)
    with pytest.raises(fw.ConfigError, match="presynaptic"):
        fw.StochasticRelease(fw.BCPNN())


def correlation(response):
    return float(torch.corrcoef(response[:, :2].T)[0, 1])


def test_sites_that_deplete_one_by_one_make_successive_responses_differ():
    # the value that NEST's quantal_stp_synapse gives, and the exact one for n = 1
    rule, times = fw.TsodyksMarkram(0.5, 0.8, 0.0), exact([0.0, 0.03, 0.2]).expand(40_000, 3)
    p, r = 0.5, 1 - math.exp(-0.03 / 0.8)
    second = p * (p * r + 1 - p)
    truth = (p * p * r - p * second) / math.sqrt(p * (1 - p) * second * (1 - second))
    for sites in (1, 6):
        by_site = fw.StochasticRelease(rule, sites=sites, depletion="site").respond(times)
        assert abs(correlation(by_site) - truth) < 0.02
        torch.testing.assert_close(by_site.mean(0), rule.respond(times[0]), atol=0.01, rtol=0)
    assert abs(truth + 0.55) < 0.001
    assert abs(correlation(fw.StochasticRelease(rule, sites=6).respond(times))) < 0.02


def test_brian2_depletes_sites_one_by_one_too():
    rule, times = fw.TsodyksMarkram(0.5, 0.8, 0.1), exact([0.0, 0.03, 0.2]).expand(2000, 3)
    noisy = fw.StochasticRelease(rule, sites=300, cv=0.2, depletion="site")
    found, expected = fw.spiking.respond(noisy, times, dt=1e-3), noisy.respond(times)
    torch.testing.assert_close(found.mean(0), rule.respond(times[0]), atol=0.003, rtol=0)
    torch.testing.assert_close(found.std(0), expected.std(0), rtol=0.08, atol=0)
    assert abs(correlation(found) - correlation(expected)) < 0.07


@pytest.mark.parametrize("depletion", ["mean", "site"])
def test_times_are_given_as_to_every_rule(depletion):
    noisy = fw.StochasticRelease(RULE, sites=4, depletion=depletion)
    expected = noisy.respond(exact([0.0, 0.02, 0.05]))
    assert torch.equal(noisy.respond([0.0, 0.02, 0.05]), expected)
    assert torch.equal(noisy.respond(["0 ms", "20 ms", "50 ms"]), expected)
