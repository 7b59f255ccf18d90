"""Attention sharpens where Hopfield's theory says so; a trained network attends to the right pair and forgets it."""

import numpy as np
import pytest
import xarray as xr

from analysis import attention_sharpening
from fwsim import study


@pytest.fixture(scope="module", params=[3, pytest.param(4, marks=pytest.mark.slow)])
def result(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention") / "run"
    return study.analyse(
        study.run("attention_sharpening", quick=True, seed=request.param, folder=folder)
    ).result


def test_attention_of_a_hopfield_network_sharpens_as_in_theory(result):
    """Bands, set before the run: overlap after one iteration within 0.06 of erf(m/√(2α)), at 64 cues of 100 units.

    The item nearest to the cue is the most likely one: no loop can point to the right item more often (+ 0.03).
    """
    sign = result.sel(kind="sign units")
    cue, once, _ = result.hopfield_overlap.values
    assert float(sign.random_overlap.sel(iteration=1)) == pytest.approx(once, abs=0.06)
    assert once > cue + 0.2
    assert float(sign.random_hit.max()) < float(sign.random_hit.sel(iteration=0)) + 0.03
    assert float(sign.random_share.sel(iteration=1)) > float(sign.random_share.sel(iteration=0)) + 0.05


def test_the_trained_network_attends_to_the_right_pair(result):
    """Bands, set before the run: before the loop and after it in more than 75 % of queries; chance is 50 %."""
    hit = result.hit.sel(inner_steps=1, iteration=[0, 1])
    assert float(hit.min()) > 0.75
    assert float(result.test_error.max()) < 15


def test_the_trained_network_is_no_attractor_memory(result):
    """Set before the run: its loop settles, away from the answer in at least twice as many queries as it got wrong."""
    error = result.error.sel(inner_steps=1)
    assert bool((error.isel(iteration=-1) > 2 * error.sel(iteration=1) + 0.1).all())
    assert float(result.end.sel(kind_of_end="wanders").max()) < 0.1


def test_shares_and_ends_are_complete(result):
    np.testing.assert_allclose(result.end.sum("kind_of_end"), 1)
    np.testing.assert_allclose(result.random_end.sum("kind_of_end"), 1)
    assert bool((result.share + result.elsewhere <= 1 + 1e-6).all())


def test_ends_of_loops_that_are_known():
    """Six loops of a unit: two stay at the right end, one at a wrong one, one alternates, two grow."""
    steps = np.arange(40)
    still, grows = np.ones(40), 1.0 + steps
    path = np.stack([still, 2 * still, 3 * still, (-1.0) ** steps, grows, -grows])[..., None]
    right = xr.DataArray([True, True, False, True, True, False], dims="trial")
    found = attention_sharpening.ends(xr.DataArray(path, dims=("trial", "iteration", "unit")), right, "unit")
    assert dict(zip(found["kind_of_end"].values.tolist(), (6 * found).values.tolist())) == pytest.approx(
        {"settled, right": 2, "settled, wrong": 1, "cycle": 1, "wanders": 2}
    )
