"""A memory must last as long as the delay; trained time constants are recorded, and really trained."""

import warnings

import numpy as np
import pytest

import fwsim as fw
from fwsim import study


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Time constants far below and above the delay of five steps, as `--quick` runs them."""
    folder = tmp_path_factory.mktemp("match") / "run"
    run = fw.sweep(
        "timescale_match", {"tau": [0.4, 20.0]}, 1, {"epochs": 4}, quick=True, workers=1, folder=folder
    )
    return study.analyse(run.attrs["folder"]).result


def test_a_memory_of_the_length_of_the_delay_learns_and_a_shorter_one_cannot(swept):
    """Bands, set before the run: plateau 45 %; e^(−5/0.4) is nothing, so within 8 points of it; else below 35 %."""
    error = swept.test_error.isel(task_delay=0)
    np.testing.assert_allclose(error.sel(tau=0.4), 45, atol=8)
    assert float(error.sel(tau=20.0).max()) < 35


def test_a_spectrum_is_trained_on_two_delays(tmp_path):
    values = {"tau": (2.0, 20.0), "learn": ("tau", "eta"), "delays": (1, 6), "training_sequences": 640}
    done = study.run("timescale_match", values, quick=True, folder=tmp_path / "run")
    result = study.analyse(done).result
    np.testing.assert_array_equal(result.delay.isel(seed=0), [1, 6])
    assert float(abs(result.moved).min()) > 0
    np.testing.assert_allclose(result.share_after.sum("timescale"), 1)


def test_a_memory_that_decays_at_once_has_a_mean_time_constant_of_0(tmp_path):
    values = {"tau": 0.0, "training_sequences": 64, "epochs": 1}
    done = study.run("timescale_match", values, quick=True, folder=tmp_path / "run", device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        (row,) = study.analyse(done).table.to_dict("records")
    assert float(row["mean τ (s)"]) == 0
