"""Likelihoods of responses from single release sites, against enumeration and moments."""

import math
from math import comb

import numpy as np
import pytest
import torch
from scipy.stats import cauchy, norm

import fwsim as fw
from fwsim.fitting import compiled
from fwsim.fitting.quanta import approximate_log_likelihood, exact_log_likelihood, simulate
from fwsim.rules.derive.sites import SiteChances
from tests.rules.cases import exact

RULE = fw.TsodyksMarkram(0.3, 0.2, 0.5)
TIMES = exact([0.0, 0.02, 0.05, 0.3, 0.31, 0.33])


def several(chances, count):
    return SiteChances(*(part.expand(count, -1) for part in chances))


def by_enumeration(response, chances, sites, quantum, noise, cv, outliers=0.0):
    """Every number of released and refilled sites, one after the other."""

    def density(y, k):
        if math.isnan(y):
            return 1.0
        wild = cauchy(0, quantum * sites)
        usual = norm(quantum * k, math.sqrt(k * (cv * quantum) ** 2 + noise**2))
        at = (lambda each: each.cdf(0)) if y == 0 else (lambda each: each.pdf(y))
        return (1 - outliers) * at(usual) + outliers * at(wild)

    seen = [[density(y, k) for k in range(sites + 1)] for y in response]

    def rest(pulse, full):
        if pulse == len(response):
            return 1.0
        p, r = float(chances.release[pulse]), float(chances.refill[pulse])
        total = 0.0
        for k in range(full + 1):
            empty = sites - full + k
            after = sum(
                comb(empty, f) * r**f * (1 - r) ** (empty - f) * rest(pulse + 1, full - k + f)
                for f in range(empty + 1)
            )
            total += comb(full, k) * p**k * (1 - p) ** (full - k) * seen[pulse][k] * after
        return total

    return math.log(rest(0, sites))


@pytest.mark.parametrize("outliers", [0.0, 0.2])
@pytest.mark.parametrize("sites", [1, 3])
def test_the_exact_likelihood_sums_over_all_hidden_sites(sites, outliers):
    response, quantum, noise = [1.2 / sites, 0.0, 0.5, math.nan, 0.4], 1.0 / sites, 0.2
    chances = SiteChances(*(part[:5] for part in RULE.site_chances(TIMES)))
    found = exact_log_likelihood(
        exact(response), chances, exact(float(sites)), exact(quantum), exact(noise), 0.3, outliers
    )
    plain = by_enumeration(response, chances, sites, quantum, noise, 0.3, outliers)
    assert math.isclose(found, plain, rel_tol=1e-12)


@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_the_approximation_holds_for_many_sites(outliers):
    one = torch.ones(400, dtype=torch.float64)
    chances = several(RULE.site_chances(TIMES), 400)
    off = []
    for sites in (5, 20):
        generator = torch.Generator().manual_seed(1)
        y = simulate(chances, one * sites, one / sites, one * 0.1, 0.3, generator, outliers)
        arguments = y, chances, one * sites, one / sites, one * 0.1, 0.3, outliers
        off.append(
            float((exact_log_likelihood(*arguments) - approximate_log_likelihood(*arguments)).abs().mean())
        )
    assert off[1] < 0.1 < off[0]  # nats of a sweep of six responses


LIKELIHOODS = {"exact": exact_log_likelihood, "approximate": approximate_log_likelihood}


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_the_density_of_a_sweep_with_outliers_integrates_to_one(kind):
    # over the second response, for each first one, which may be an outlier; and over the first
    chances = SiteChances(*(part[None, :2] for part in RULE.site_chances(TIMES)))
    grid = (
        torch.cat([torch.linspace(1e-6, 6, 6001), torch.logspace(math.log10(6), 8, 6001)]).double().unique()
    )

    def densities(y):
        return LIKELIHOODS[kind](y, chances, *exact([[3.0], [0.5], [0.2]]), 0.3, 0.1).exp()

    def over_all(first):
        last = torch.stack([torch.full_like(grid, first), grid], -1)
        return float(torch.trapezoid(densities(last), grid) + densities(exact([[first, 0.0]]))[0])

    for first in (0.0, 0.3, 1.1, 20.0):
        assert math.isclose(over_all(first), densities(exact([[first, math.nan]]))[0], rel_tol=1e-4)
    assert math.isclose(over_all(math.nan), 1.0, rel_tol=1e-4)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_hardly_any_outliers_are_none(kind):
    one = torch.ones(50, dtype=torch.float64)
    chances = several(RULE.site_chances(TIMES), 50)
    arguments = chances, one * 4, one / 4, one * 0.1, 0.3
    y = simulate(*arguments, torch.Generator().manual_seed(1))
    none, few, some = (LIKELIHOODS[kind](y, *arguments, share) for share in (0.0, 1e-9, 0.1))
    torch.testing.assert_close(few, none, rtol=0, atol=1e-5)
    assert (some - none).abs().max() > 0.1
    torch.testing.assert_close(simulate(*arguments, torch.Generator().manual_seed(1), 0.0), y)


def test_outliers_have_their_share_and_distribution():
    one = torch.ones(40_000, dtype=torch.float64)
    chances = several(RULE.site_chances(TIMES[:1]), 40_000)
    generator = torch.Generator().manual_seed(0)
    y = simulate(chances, one * 5, one * 0.4, one * 0.01, 0.0, generator, 0.25)[:, 0]
    far = 2.5  # more than the five quanta of 0.4
    assert float((y > far).double().mean()) == pytest.approx(0.25 * cauchy(0, 2.0).sf(far), abs=0.005)
    assert float((y > 20).double().mean()) == pytest.approx(0.25 * cauchy(0, 2.0).sf(20), abs=0.002)


def test_after_a_response_that_may_be_an_outlier_sites_have_the_moments_of_both_cases():
    chances = SiteChances(exact([[0.6, 0.5]]), exact([[0.3, 1.0]]))
    share, scale, first = 0.2, 6.0, 1.5  # of 3.6 expected
    points = exact([0.5, 1.5, 2.5])

    def second(outliers, y):
        """Mean and variance of the second response that is no outlier, from its density at three points."""
        arguments = *exact([[30.0], [0.2], [0.1]]), 0.3, outliers
        before = approximate_log_likelihood(exact([[y, math.nan]]), chances, *arguments)
        both = approximate_log_likelihood(torch.stack([0 * points + y, points], -1), chances, *arguments)
        wild = torch.as_tensor(cauchy(0, scale).pdf(points.numpy()))
        usual = ((both - before).exp() - outliers * wild) / (1 - outliers)
        quadratic, linear, _ = np.polyfit(points.numpy(), usual.log().numpy(), 2)
        return -linear / (2 * quadratic), -1 / (2 * quadratic), float(before.exp())

    (known, narrow, density), (unknown, wide, _) = second(0.0, first), second(0.0, math.nan)
    mean, variance, total = second(share, first)
    usual = (1 - share) * density / total
    assert 0.1 < usual < 0.9
    assert total == pytest.approx((1 - share) * density + share * cauchy(0, scale).pdf(first))
    assert mean == pytest.approx(usual * known + (1 - usual) * unknown)
    between = usual * (1 - usual) * (known - unknown) ** 2
    assert between > 0.01 * variance
    assert variance == pytest.approx(usual * narrow + (1 - usual) * wide + between)


def test_an_outlier_says_nothing_about_the_sites():
    chances = SiteChances(exact([[0.5] * 4]), exact([[0.1] * 4]))
    synapse = *exact([[6.0], [0.2], [0.05]]), 0.3, 0.05
    for kind in LIKELIHOODS.values():
        rest = {}
        for first in (0.6, 1e3, math.nan):
            y = exact([[first, 0.5, 0.3, 0.4]])
            alone = kind(y[:, :1], SiteChances(*(part[:, :1] for part in chances)), *synapse)
            rest[first] = float(kind(y, chances, *synapse) - alone)
        assert rest[1e3] == pytest.approx(rest[math.nan], abs=1e-6)
        assert abs(rest[0.6] - rest[math.nan]) > 0.01


@pytest.mark.skipif(not compiled.available(0), reason="the native engine is not compiled here")
@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_the_native_engine_computes_the_same(outliers):
    # more sweeps than a register holds, few and many sites mixed, with responses that are 0 or missing everywhere
    generator = torch.Generator().manual_seed(2)
    chances = RULE.site_chances(TIMES)
    sites = exact([1.0, 7.3, 2.0, 8.3, 40.0, 7.0, 1.2, 3e3, 7.0, 7.0, 90.0] * 3)
    count = len(sites)
    gain = 0.2 + torch.rand(count, generator=generator, dtype=torch.float64)
    noise = 0.02 + 0.5 * torch.rand(count, generator=generator, dtype=torch.float64)
    whole = torch.where(sites < 7.5, sites.round(), sites)
    arguments = several(chances, count), whole, gain / whole, noise, 0.3
    y = simulate(arguments[0], sites.round(), *arguments[2:], generator)
    y[torch.rand(y.shape, generator=generator) < 0.2] = 0.0
    y[torch.rand(y.shape, generator=generator) < 0.2] = torch.nan
    y[3, 2] = 1e3  # an outlier
    trains = SiteChances(*(torch.stack([torch.zeros_like(c), c])[None] for c in chances))
    found = compiled.sweep_log_likelihood(
        y, torch.ones(count, dtype=torch.long), trains, sites[None], gain[None], noise[None], 0.3, 7, outliers
    )
    plain = approximate_log_likelihood(y, *arguments, outliers)
    for k in (sites < 7.5).nonzero()[:, 0].tolist():
        one = [part[k : k + 1] for part in (y, whole, gain / whole, noise)]
        plain[k] = exact_log_likelihood(one[0], several(chances, 1), *one[1:], 0.3, outliers)[0]
    torch.testing.assert_close(found[0], plain, rtol=1e-12, atol=1e-12)


def test_an_outlier_makes_a_sweep_unlikely_but_not_impossible():
    one = torch.ones(1, dtype=torch.float64)
    arguments = RULE.site_chances(TIMES[:1]), 3 * one, one, 0.1 * one, 0.3
    y = torch.full((1, 1), 60.0, dtype=torch.float64)
    assert -1e5 < float(exact_log_likelihood(y, *arguments)) < -700


def test_chances_of_sites_have_the_means_of_the_rule():
    for rule in (
        RULE,
        fw.TsodyksMarkram(0.3, 0.2, 0.5, "mongillo2008"),
        fw.TsodyksMarkram(0.4, 0.8, 0.0),
        fw.LinearNonlinear(),
        fw.AugmentedRelease(A=0.1),
        fw.IndependentDepression(),
        fw.CalciumRecovery(),
    ):
        release, refill = rule.site_chances(TIMES)
        full, means = 1.0, []
        for p, r in zip(release.tolist(), refill.tolist()):
            means.append(p * full)
            full -= p * full * (r < 1)  # without resources, sites are full at once
            full += r * (1 - full)
        np.testing.assert_allclose(means, rule.respond(TIMES), rtol=1e-12)
    with pytest.raises(fw.ConfigError, match="no two-state form"):
        fw.TsodyksMarkram(convention="tm1998", tau_inact=0.03).site_chances(TIMES)
