"""ring_drift: the same bump with and without facilitation, slower drift. ring_states: three states of depression."""

import warnings

import numpy as np
import pytest
import xarray as xr

from analysis import ring_drift, ring_states
from fwsim import ConfigError, study

SMALL = {"seeds": 20, "delay": 1.0}
DEPRESSED = {"couplings": (1.5, 3.0), "backgrounds": (0.2, 5.0, 50.0), "units": 32, "watching": 1.5}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ring") / "run"
    return study.analyse(study.run("ring_drift", SMALL, seed=1, folder=folder)).result


def test_facilitation_slows_the_drift_by_a_large_factor(result):
    low = result["factor_interval"].sel(bound="low")
    assert float(low.sel(perturbation="mistuned", span="early")) > 8
    assert float(low.sel(perturbation="noise", span="late")) > 3


def test_drift_is_what_perturbation_theory_says(result):
    early = result.sel(perturbation="mistuned", span="early")
    np.testing.assert_allclose(early["rms"], early["predicted_rms"], rtol=0.4)  # 20 seeds, first order
    noise = result.sel(perturbation="noise", span="late", synapse="static")
    assert float(noise["rms"]) == pytest.approx(float(noise["predicted_rms"]), rel=0.4)


def test_both_rings_hold_the_same_bump(result):
    np.testing.assert_allclose(result["peak"].sel(perturbation="mistuned"), 40.0, rtol=0.02)
    assert float(abs(result["position"].isel(time=0)).max()) < 5


def test_without_perturbation_nothing_moves(tmp_path):
    still = {**SMALL, "seeds": 2, "mistuning": 0.0, "noise": 0.0}
    found = study.run("ring_drift", still, folder=tmp_path / "run").recording
    np.testing.assert_allclose(found["rate"].isel(time=-1), found["rate"].isel(time=0), atol=1e-3)


def test_theory_of_a_static_ring_is_its_closed_form():
    """ℓ = sin θ where units are active: variance 2σ²t/(τ A² Σ sin²) with h = A (cos θ − cos 60°)."""
    config = study.load_experiment("ring_drift").configure({"units": 1000, "delay": 2.4}).model_dump()
    theta = 2 * np.pi * np.arange(1000) / 1000
    amplitude, active = 40 / (1 - 0.5), np.cos(theta) > 0.5
    variance = 2 * 2.0**2 * 2.0 / (0.01 * amplitude**2 * (np.sin(theta[active]) ** 2).sum())
    found = ring_drift.predicted(config).sel(synapse="static", perturbation="noise", span="late")
    assert float(found) == pytest.approx(variance**0.5, rel=2e-3)


def moved(static, facilitating):
    """Drift of every seed with both kinds of synapse, as of one span and one perturbation."""
    dims = ("synapse", "seed", "span", "perturbation")
    return xr.DataArray(
        np.array([static, facilitating])[..., None, None], {"span": ["late"]}, dims
    ).assign_coords(perturbation=["noise"])


def test_a_drift_that_may_be_none_makes_the_factor_0_or_infinite():
    """One seed of five has all of the drift: its mean square ± 2.8 of itself contains 0; of equal ones it does not."""
    alone, alike, none = [1.0, 0, 0, 0, 0], [1.0, -1, 1, -1, 1], [0.0] * 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        static, facilitating, neither, nothing = (
            ring_drift.factor_interval(moved(*drifts)).values.ravel().tolist()
            for drifts in ((alone, alike), (alike, alone), (alike, alike), (none, none))
        )
    assert static == [0, pytest.approx((1 / 5 * (1 + 2.776)) ** 0.5, rel=0.03)]
    assert facilitating == [pytest.approx(1 / static[1], rel=0.03), np.inf]
    assert neither == pytest.approx([1, 1])
    assert np.isnan(nothing).all()


def test_what_theory_does_not_say_is_a_dash(result):
    """Theory is for facilitation alone."""
    rows = ring_drift.table(result.assign(predicted_rms=np.nan * result["predicted_rms"],
                                          factor_interval=np.nan * result["factor_interval"]))  # fmt: skip
    assert {row["theory"] for row in rows} == {"–", "19.9", "17.1"}
    assert {row["95 % interval"] for row in rows} == {"", "–"}


def test_a_bump_is_watched_for_two_windows_at_least(tmp_path):
    with pytest.raises(ConfigError, match=r"delay=0\.5 is not allowed"):
        study.run("ring_drift", {"delay": 0.5}, folder=tmp_path / "run")


@pytest.fixture(scope="module")
def depressed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states") / "run"
    return study.analyse(study.run("ring_states", DEPRESSED, folder=folder)).result


def test_the_three_states_of_a_depressing_ring(depressed):
    state = depressed["state"].sel(coupling=3.0)
    np.testing.assert_array_equal(state.sel(background=[0.2, 5.0, 50.0]), [1, 2, 0])
    assert bool((depressed["state"].sel(coupling=1.5) == 0).all())
    assert float(depressed["speed"].sel(coupling=3.0, background=5.0)) > 0.3


def test_uniform_states_are_where_linear_stability_says(depressed):
    np.testing.assert_array_equal(depressed["state"] == 0, depressed["uniform_is_stable"].astype(bool))


def test_states_and_speeds_that_are_known():
    """A uniform state, a bump that stays, and one that makes 3 turns in 2 s against the direction of the angles."""
    time, theta = np.arange(0, 2.001, 0.01), 2 * np.pi * np.arange(32) / 32
    turned = [0 * time, 0 * time, -3 * np.pi * time]
    rate = np.stack(
        [5 + size * np.cos(theta - angle[:, None]) for size, angle in zip((0, 5, 5), turned, strict=True)]
    )
    recording = xr.Dataset(
        {"rate": (("coupling", "background", "time", "unit"), rate[None])},
        {"coupling": [3.0], "background": [0.2, 1.0, 5.0], "time": time},
    )
    config = study.load_experiment("ring_states").configure().model_dump_json()
    found = ring_states.analyse(recording.assign_attrs(experiment_configuration=config)).isel(coupling=0)
    assert found["state"].values.tolist() == [0, 1, 2]
    assert found["speed"].values.tolist() == pytest.approx([np.nan, np.nan, 1.5], nan_ok=True)
    assert found["modulation"].values.tolist() == pytest.approx([0, 0.5, 0.5])
