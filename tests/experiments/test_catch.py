"""An agent learns a small game from experiment to analysis; the analysis on episodes and curves that are known."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim import study
from fwsim.study import files


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = study.run("catch", quick=True, folder=tmp_path_factory.mktemp("catch") / "run")
    return study.analyse(run)


@pytest.fixture(scope="module")
def analysis():
    return files.load(files.find("catch", "analysis"), ("analyse", "plot"))


def test_a_small_game_is_learned_to_near_the_optimum(report):
    """Bands, set before the run: a return above 0.8 after 60,000 frames; blind players have −0.2, the best has 1."""
    result = report.result.squeeze()
    assert float(result["test_return"]) > 0.8
    players = result["players"]
    assert float(players.sel(player="optimal")) == 1
    assert float(players.sel(player="random")) == pytest.approx(2 * 2 / 5 - 1, abs=0.2)
    assert float(players.sel(player="while seen")) < 1


def test_erasing_nothing_is_the_test(report):
    result = report.result.squeeze()
    assert float(result["erased_return"].sel(erased="nothing")) == float(result["test_return"])


def test_what_is_erased_is_0_and_all_else_stays():
    erased = files.load(files.find("catch"), ("run",)).ERASED
    full = fw.State(torch.ones(2, 3), torch.ones(2, 1, 3, 3), variables={"cell": torch.ones(2, 3)})
    for what, kept in {"nothing": (1, 1, 1), "hidden state": (0, 1, 1), "memory": (1, 0, 0)}.items():
        state = erased[what](full)
        parts = state.hidden, state.memory, state.variables["cell"]
        assert tuple(float(each.unique()) for each in parts) == kept


def test_an_episode_is_shown_with_its_attention(report):
    result = report.result.squeeze()
    share = result["example_attention"].sum("past")
    np.testing.assert_allclose(share[1:], 1, rtol=1e-5)
    gif = next(path for path in report.files if path.suffix == ".gif")
    assert gif.read_bytes()[:6] in (b"GIF87a", b"GIF89a")
    assert gif.stat().st_size < 300_000


def recording(curves):
    """Of two agents on (4, 2), `curves [model, seed, epoch]`, whose attention is the decay's alone."""
    lag = np.subtract.outer(np.arange(3), np.arange(3))
    attention = np.where(lag > 0, 0.5 * np.exp(-(lag - 1) / 2.0), 0.0)
    models, seeds, epochs = curves.shape
    dims = ("model", "seed")
    every = xr.DataArray(np.ones((models, seeds)), dims=dims)
    config = {"size": 4, "visible": 2, "paddle": 2, "tau": [2.0], "eta": [0.5]}
    data = {
        "learned_return": ((*dims, "epoch"), curves),
        "frames_played": 100 * (np.arange(epochs) + 1) * every.expand_dims(epoch=epochs, axis=-1),
        "test_return": every,
        "parameters": every,
        "erased_return": every.expand_dims(erased=["nothing", "memory"]),
        "reference_return": every.expand_dims(player=["random", "while seen", "optimal"]),
        "attention": every.expand_dims(trial=2, iteration=2) * xr.DataArray(attention, dims=("time", "past")),
        "ball": every.expand_dims(trial=2),
        "paddle": every.expand_dims(trial=2, time=3),
        "hidden": every.expand_dims(trial=2, time=3, unit=4),
        "return": every.expand_dims(trial=2),
    }
    coords = {"model": ["fast_weights", "lstm"][:models], "seed": range(seeds), "time": [1.0, 2.0, 3.0]}
    attrs = {"experiment_configuration": json.dumps(config), "dt": 1.0}
    return xr.Dataset(data, {**coords, "past": [1, 2, 3]}, attrs)


def test_attention_that_follows_the_decay_is_found_to(analysis):
    result = analysis.analyse(recording(np.zeros((2, 3, 4)))).squeeze()
    seen = result["seen_share"].sel(of="mean")
    np.testing.assert_allclose(seen[1:], result["seen_by_decay"][1:], rtol=1e-6)
    assert float(seen[1]) == pytest.approx(1)
    assert np.isnan(seen[0])  # the first step has no past


def test_frames_to_learn_are_where_the_curve_first_arrives(analysis):
    curves = np.array([[[0.1, 0.79, 0.8, 0.7]] * 3, [[0.0, 0.1, 0.2, 0.3]] * 3])
    result = analysis.analyse(recording(curves)).squeeze()
    assert result["frames_needed"].values.tolist() == [[300.0] * 3, [np.inf] * 3]
    rows = analysis.table(analysis.analyse(recording(curves)))
    assert [row["agent"] for row in rows[:2]] == ["fast weights", "LSTM"]
    assert rows[1]["frames to 0.8 (10⁶, median)"] == "never"


def test_balls_are_counted_by_the_moves_that_they_took(analysis):
    given = recording(np.zeros((1, 2, 4)))
    given["ball"] = given["ball"] * 0 + xr.DataArray(
        [0, 3], dims="trial"
    )  # the paddle starts at columns 1 and 2
    given["return"] = given["return"] * xr.DataArray([-1, 1], dims="trial")
    result = analysis.analyse(given).squeeze()
    np.testing.assert_array_equal(result["caught"], [np.nan, 0.5, np.nan, np.nan])
    np.testing.assert_allclose(result["similarity"], [np.nan, 1, 1])
