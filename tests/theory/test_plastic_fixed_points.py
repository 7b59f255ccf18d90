"""Number and stability of fixed points with Hebbian plasticity, against counting and closed forms."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from fwsim import theory
from fwsim.errors import ConfigError
from fwsim.theory.plastic_fixed_points import _stable


def stable_fixed_points(units, coupling, plasticity, seed):
    """Rates of all stable fixed points of a small network that signs lead to, `[point, unit]`."""
    weights = coupling * np.random.default_rng(seed).standard_normal((units, units)) / math.sqrt(units)
    h = 6.0 * ((np.arange(2**units)[:, None] >> np.arange(units)) & 1) - 3.0

    def change(h):  # the memory is where it is going
        rate = np.tanh(h)
        return rate @ weights.T + plasticity * np.mean(rate**2, 1, keepdims=True) * rate - h

    for _ in range(300):
        h = h + 0.3 * change(h)
    rate = np.tanh(h[(np.abs(change(h)).max(1) < 1e-5) & (np.abs(h).max(1) > 1e-2)])
    return np.unique(rate.round(3), axis=0)


@pytest.mark.parametrize(
    ("coupling", "plasticity", "networks"),
    [(0.5, 2.5, 6), pytest.param(1.5, 3.0, 20, marks=pytest.mark.slow)],
)
def test_their_number_is_that_of_small_networks(coupling, plasticity, networks):
    """ln(mean number)/N at N = 9; corrections are of order 1/N. Of all signs it would be ln 2 = 0.693."""
    counts = [len(stable_fixed_points(9, coupling, plasticity, seed)) for seed in range(networks)]
    expected = theory.plastic_fixed_points(coupling, plasticity).complexity
    assert math.log(np.mean(counts)) / 9 == pytest.approx(expected, abs=0.04)
    assert expected < math.log(2) - 0.045


def test_without_random_weights_every_pattern_of_signs_is_one():
    found = theory.plastic_fixed_points(0.02, 3.0)
    assert found.complexity == pytest.approx(math.log(2), abs=1e-3)
    h = math.atanh(math.sqrt(found.square))
    assert h == pytest.approx(3.0 * math.tanh(h) ** 3, abs=0.02)
    assert found.radius < 0.01
    assert theory.plastic_fixed_points(0.02, 1.5).complexity < 0


def test_thresholds():
    """With weak weights near that of patterns, from below: those with the best fields persist longest."""
    weak = theory.fixed_point_threshold(0.02)
    assert 1.9 < weak < theory.pattern_threshold(0.0)
    low = theory.fixed_point_threshold(1.5)
    assert low < weak
    assert theory.plastic_fixed_points(1.5, low + 0.01).complexity > 0
    assert theory.plastic_fixed_points(1.5, low - 0.01).complexity < 0


def test_the_most_numerous_are_stable_and_as_many_as_their_fields_allow():
    """Where no tilt is needed, the number is 2^N times the probability that a unit's own branch exists."""
    found = theory.plastic_fixed_points(1.0, 2.5)
    assert found.radius < 1
    feedback = 2.5 * found.square
    edge = math.acosh(math.sqrt(feedback))
    least = edge - feedback * math.tanh(edge)
    chance = 0.5 * (1 + math.erf(-least / math.sqrt(2 * found.square)))
    assert found.complexity == pytest.approx(math.log(2 * chance), abs=1e-3)


def test_a_pattern_of_small_rates_is_not_stable():
    """h = k tanh³h has two solutions; the rates of the smaller one grow or vanish, in the direction that they have."""
    small, large = (
        math.tanh(brentq(lambda h: h - 3 * math.tanh(h) ** 3, *ends)) ** 2
        for ends in ((0.3, 1.2), (1.3, 3.1))
    )
    assert _stable(0.02, 3.0, large).complexity == pytest.approx(math.log(2), abs=1e-3)
    assert _stable(0.02, 3.0, small).complexity == -math.inf


@pytest.mark.parametrize("values", [(0.0, 1.0), (6.0, 1.0), (1.0, 0.0), (1.0, math.nan)])
def test_bad_values_are_refused(values):
    with pytest.raises(ConfigError, match=r"coupling=|plasticity="):
        theory.plastic_fixed_points(*values)
