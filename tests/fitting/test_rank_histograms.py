"""Places of true parameters among draws of the posterior are uniform; see rank_histograms.py."""

import numpy as np
import pandas as pd
import pytest

from fwsim.rules.rule import PresynapticRule
from tests.fitting.rank_histograms import NOISES, RULES, inside, places, places_of_one, smallest_p
from tests.rules.cases import IN_TABLE

WRONG = 1e-3  # p below which places are not uniform


def test_a_short_run_has_uniform_places():
    place = places(RULES["Tsodyks–Markram"], "many sites", 40, 600, 900)
    assert smallest_p(place) > WRONG
    assert 0.85 < inside(place) < 0.99  # so few draws of chains are too narrow


def test_places_of_a_wrong_posterior_are_found():
    place = pd.DataFrame({"U": np.linspace(0.0, 1.0, 200) ** 1.5, "tau": np.linspace(0, 1, 200)})
    assert smallest_p(place) < WRONG < smallest_p(place[["tau"]])
    assert inside(place[["tau"]]) == pytest.approx(0.95, abs=0.01)


@pytest.mark.slow
def test_places_of_longer_chains():
    place = places(RULES["Tsodyks–Markram"], "many sites", 60, 1000, 2000)
    assert smallest_p(place) > WRONG
    assert 0.9 < inside(place) < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_places_with_outliers(noise):
    place = places(RULES["Tsodyks–Markram"], noise, 60, 1000, 2000, outliers=0.05)
    assert smallest_p(place) > WRONG
    assert 0.9 < inside(place) < 0.99


@pytest.mark.slow
@pytest.mark.parametrize("outliers", [0.0, 0.05])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("rule", RULES)
def test_places_of_every_rule_and_noise(rule, noise, outliers):
    place = places_of_one(RULES[rule], noise, 60, outliers=outliers)
    assert smallest_p(place) > WRONG
    assert 0.9 < inside(place) < 0.99


def test_a_likelihood_with_another_noise_is_found():
    right = places_of_one(RULES["Tsodyks–Markram"], "many sites", 40)
    assert smallest_p(right) > WRONG
    wrong = places_of_one(RULES["Tsodyks–Markram"], "many sites", 40, assumed=1.0)
    assert smallest_p(wrong) < WRONG


def test_every_presynaptic_rule_has_its_places():
    """Those whose sites have more than two states cannot have a likelihood of single sites."""
    known = {kind for kind in IN_TABLE if issubclass(kind, PresynapticRule)}
    assert {type(rule) for rule in RULES.values()} == known
