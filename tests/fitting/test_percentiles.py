"""Limits of intervals from draws, against closed forms."""

import pytest
import scipy.stats
import torch

import fwsim as fw
from fwsim.fitting import synthetic_table
from fwsim.fitting.percentiles import central, expanded
from fwsim.fitting.posterior import Curvature, curvature

RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.12, tau_facil=0.4)


def test_limits_hold_one_more_draw_with_their_probability():
    """Between the 5th smallest and largest of 199 uniform numbers lie 190 of 200 gaps, and one more is in any gap."""
    draws = torch.rand(199, 3000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = central(draws, 0.95)
    torch.testing.assert_close(low, draws.sort(0).values[4])
    torch.testing.assert_close(high, draws.sort(0).values[-5])
    assert float((high - low).mean()) == pytest.approx(0.95, abs=0.002)
    low, high = central(
        draws[:20], 0.95
    )  # these held 0.88 of the rest, counted from the smallest to the largest
    assert float((high - low).mean()) == pytest.approx(19 / 21, abs=0.004)


def test_few_draws_give_all_that_they_have():
    one = torch.tensor([[2.0]], dtype=torch.float64)
    assert [float(end) for end in central(one, 0.9)] == [2.0, 2.0]


def test_expanded_percentiles_give_the_interval_of_student():
    """Means of resampled normal values have the variance (n - 1)/n s²/n: their percentiles are those of a normal."""
    for n in (3, 8, 40):
        level = expanded(0.95, n, 1)
        reach = scipy.stats.norm.ppf(0.5 + level / 2) * ((n - 1) / n) ** 0.5
        assert reach == pytest.approx(scipy.stats.t.ppf(0.975, n - 1))
    assert expanded(0.95, 10**6, 5) == pytest.approx(0.95, abs=1e-5)


def test_two_units_have_the_interval_of_all_replicates():
    draws = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    level = expanded(0.95, 2, 1)
    assert 0.999999 < level < 1
    low, high = central(draws, level)
    assert (low, high) == (draws.min(), draws.max())


def test_intervals_of_few_sweeps_are_longer_than_percentiles():
    table = synthetic_table(RULE, sweeps=4, cv=0.4)
    fit = fw.fit(RULE, table, starts=2, replicates=50)
    low, high = torch.quantile(fit.replicates[:, 0], torch.tensor([0.025, 0.975], dtype=torch.float64))
    found = fit.intervals["U"]
    assert found.low < torch.sigmoid(low)
    assert found.high > torch.sigmoid(high)


def test_covariance_is_corrected_for_few_sweeps():
    """By the factor of Cameron & Miller 2015, eq. 12, for 20 sweeps, 152 responses and 6 parameters."""
    fit = fw.fit(RULE, synthetic_table(RULE, sweeps=4, cv=0.4), starts=2, replicates=2)
    bend = curvature(fit.problem, fit.responses, fit.posterior.mode)
    inverse = torch.linalg.inv(bend.expected)
    plain = inverse @ bend.sweeps @ inverse
    torch.testing.assert_close(fit.posterior.covariance, 20 / 19 * 151 / 146 * plain)
    assert fit.posterior.freedom == 19


def test_a_direction_without_effect_is_wide_and_counts_for_nothing():
    known = torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = Curvature(known, 1.5 * known, units=4, count=100)
    few = 4 / 3 * 99 / 98
    torch.testing.assert_close(found.covariance.diagonal(), torch.tensor([few * 1.5 / 2, 1e6]).double())
    assert found.penalty == pytest.approx(1.5)
    assert found.weight == pytest.approx(1 / 1.5)


def test_sweeps_of_a_single_cell_are_the_units():
    """The only cell cannot be resampled: intervals had no length."""
    table = synthetic_table(RULE, sweeps=4, cv=0.4)
    plain, named = (fw.fit(RULE, each, starts=2, replicates=20) for each in (table, table.assign(cell="a")))
    assert named.intervals == plain.intervals
    assert named.posterior.intervals() == plain.posterior.intervals()
    several = fw.fit(RULE, table.assign(cell=table.sweep.map("abcd".__getitem__)), starts=2, replicates=20)
    assert several.posterior.freedom == 3


def test_draws_of_the_posterior_have_the_length_of_its_intervals():
    fit = fw.fit(RULE, synthetic_table(RULE, sweeps=2, cv=0.2), starts=2, replicates=2)
    draws = fit.posterior.sample(20000)[:, 0]
    low, high = fit.posterior.intervals()["U"]
    inside = (torch.sigmoid(draws) > low) & (torch.sigmoid(draws) < high)
    assert float(inside.double().mean()) == pytest.approx(0.95, abs=0.005)
