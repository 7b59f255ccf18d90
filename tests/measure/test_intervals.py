"""Bootstrap intervals cover the truth as often as they say, and follow the statistic."""

import numpy as np

from fwsim.measure import bootstrap


def test_intervals_cover_the_mean():
    """Percentile intervals of 30 values cover a little less than 95 %; band for 400 trials: 0.90 to 0.97."""
    random = np.random.default_rng(1)
    inside = 0
    for seed in range(400):
        _, low, high = bootstrap(random.normal(size=30), draws=400, seed=seed)
        inside += low <= 0 <= high
    assert 0.90 < inside / 400 < 0.97


def test_statistics_and_shapes():
    values = np.arange(12.0).reshape(4, 3)
    estimate, low, high = bootstrap(values)
    np.testing.assert_allclose(estimate, values.mean(0))
    assert (low < estimate).all()
    assert (estimate < high).all()
    assert bootstrap(values, lambda mean: mean.max())[0] == 6.5
    assert np.isnan(bootstrap(values, lambda mean: np.nan)).all()
    np.testing.assert_array_equal(bootstrap(np.ones((1, 2)))[1:], 1.0)
