"""Intervals cover as often as they say, and verdicts are wrong no more often than they say: simulated data sets."""

import pytest

from tests.measure.calibration import CASES, CLOUDS, SETS, band


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_rates_are_the_nominal_ones(name):
    if "decode" in name:
        pytest.importorskip("sklearn", reason="scikit-learn is an optional dependency")
    if "loops" in name:
        pytest.importorskip("gudhi", reason="gudhi is an optional dependency")
    function, expected = CASES[name]
    low, high = band(expected, CLOUDS if "loops" in name else SETS)
    assert low <= function(SETS) <= high
