"""Intervals over repetitions cover the true value as often as they say, however few there are."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from fwsim.errors import ConfigError
from fwsim.measure import bootstrap, welch


@pytest.mark.parametrize("count", [3, 5, 30])
def test_intervals_of_a_function_of_the_mean_cover_the_truth(count):
    """The band is 95 % ± three standard errors of 400 trials; resampling three repetitions would cover 75 %."""
    random = np.random.default_rng(count)
    inside = 0
    for seed in range(400):
        values = 3 + random.normal(size=(count, 2))
        _, low, high = bootstrap(values, lambda mean: np.exp(mean[0] - mean[1]), draws=400, seed=seed)
        inside += low <= 1 <= high
    assert 0.917 < inside / 400 < 0.983


def test_the_interval_of_a_mean_is_that_of_the_t_test():
    values = np.random.default_rng(0).normal(size=(4, 3))
    estimate, low, high = bootstrap(values)
    expected = ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(estimate, values.mean(0))
    np.testing.assert_allclose([low, high], [expected.low, expected.high])
    drawn = bootstrap(values, lambda mean: mean, draws=100_000)
    np.testing.assert_allclose(drawn, [estimate, low, high], atol=0.05 * (high - low).max())


def test_statistics_of_one_repetition_have_no_interval():
    values = np.arange(12.0).reshape(4, 3)
    assert bootstrap(values, lambda mean: mean.max())[0] == 6.5
    assert np.isnan(bootstrap(values, lambda mean: np.nan)).all()
    single = bootstrap(np.ones((1, 2)))
    assert single.shape == (3, 2)
    assert (single[0] == 1).all()
    assert np.isnan(single[1:]).all()


def test_the_interval_of_a_difference_is_that_of_scipy():
    random = np.random.default_rng(0)
    one, other = random.normal(1, 1, 5), random.normal(0, 0.3, 4)
    expected = ttest_ind(one, other, equal_var=False).confidence_interval(0.9)
    found = welch(one, [*other, np.nan], level=0.9)
    np.testing.assert_allclose(found, [one.mean() - other.mean(), expected.low, expected.high])
    assert welch([1, 1, 1], [0, 0]).tolist() == [1, 1, 1]
    assert np.isnan(welch([1.0], [0.0, 0.5])).tolist() == [False, True, True]
    assert np.isnan(welch([np.nan], [0.0, 0.5])).all()
    for name, groups in (("values", (["a"], [1.0])), ("others", ([1.0], ["a"]))):
        with pytest.raises(ConfigError, match=f"{name} is"):
            welch(*groups)
