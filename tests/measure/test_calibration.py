"""Intervals cover as often as they say, and verdicts are wrong no more often than they say: simulated data sets."""

import pytest

from tests.measure.calibration import CASES, SETS, band


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_rates_are_the_nominal_ones(name):
    if "decode" in name:
        pytest.importorskip("sklearn", reason="scikit-learn is an optional dependency")
    function, expected = CASES[name]
    low, high = band(expected, SETS)
    assert low <= function(SETS) <= high
