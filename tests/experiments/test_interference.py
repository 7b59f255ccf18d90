"""The old value of a re-used key comes back when theory says, with several time scales only; delta replaces it."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import study
from fwsim.study import files


@pytest.fixture(scope="module", params=[0, pytest.param(1, marks=pytest.mark.slow)])
def result(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("interference") / "run"
    return study.analyse(study.run("interference", quick=True, seed=request.param, folder=folder)).result


def test_one_time_scale_decides_for_good(result):
    """κ(new) against Σ κ(old) at once: new wins at τ = 5 s, old at 500 s, whatever the delay."""
    assert bool((result.answers_old.sel(memory="short") < 0.05).all())
    assert bool((result.answers_old.sel(memory="long") > 0.95).all())


def test_with_several_the_old_value_comes_back_when_theory_says(result):
    """Bands, set before the run: within 25 % of the delay at which Σ κ(old) = κ(new), at 60 lists."""
    several = result.sel(memory=["two", "power law"])
    assert float(several.answers_old.sel(delay=0).max()) < 0.1
    assert float(several.answers_old.sel(delay=100).min()) > 0.9
    np.testing.assert_allclose(several.crossing, several.expected_crossing, rtol=0.25)


def test_the_delta_rule_replaces_and_forgets_more_of_what_was_before(result):
    delta, hebbian = result.sel(memory="delta, long"), result.sel(memory="long")
    assert float(delta.answers_old.max()) == 0
    last = {"distractors": -1}
    assert float(delta.retroactive_right.isel(last)) <= float(hebbian.retroactive_right.isel(last))


def test_errors_are_those_of_the_mean(result):
    """Of 60 lists that are right or wrong: the root of p (1 − p)/59."""
    for name in ("answers_old", "proactive_right"):
        share = result[name]
        np.testing.assert_allclose(result[f"{name}_error"], np.sqrt(share * (1 - share) / 59), rtol=1e-9)


def test_without_similarity_and_distractors_all_is_right(result):
    assert float(result.similar_right.sel(correlation=0).min()) > 0.9
    assert float(result.proactive_right.sel(distractors=0).min()) == 1
    assert float(result.retroactive_right.sel(distractors=0).min()) == 1


def test_a_delay_leaves_of_every_time_scale_what_its_time_constant_says():
    kept = files.load(files.find("interference"), ("run",)).kept
    left = kept(fw.Hebbian(tau=[2.0, 8.0], eta=[1.0, 1.0]), torch.ones(1, 2, 3, 3, dtype=torch.float64), 4.0)
    np.testing.assert_allclose(left[0, :, 0, 0], np.exp([-2.0, -0.5]), rtol=1e-6)
