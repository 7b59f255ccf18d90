"""Fast weights bind what they saw once, the same network without memory does not; runs and sweeps make one table."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import study
from fwsim.study import files

SMALL = {
    "units": 32,
    "pairs": 2,
    "training_sequences": 12_800,
    "epochs": 5,
    "batch": 64,
    "learning_rate": 1e-2,
    "test_sequences": 2_000,
}
TINY = {"units": 8, "pairs": 2, "training_sequences": 128, "validation_sequences": 100, "test_sequences": 100}
analysis = files.load(files.find("associative_retrieval", "analysis"), ("analyse", "join"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both networks after 1,000 steps on two pairs."""
    folder = tmp_path_factory.mktemp("retrieval")
    return {
        model: study.run(
            "associative_retrieval", {**SMALL, "model": model}, quick=True, folder=folder / model
        )
        for model in ("fast_weights", "no_memory")
    }


def test_fast_weights_beat_the_plateau_and_the_network_without_memory_does_not(trained):
    """Bars, set before the run: plateau 45 %; fast weights below 30 %, no memory within 6 points of it or above."""
    errors = {model: float(run.recording["test_error"]) for model, run in trained.items()}
    assert errors["fast_weights"] < 30
    assert errors["no_memory"] > 39


def test_runs_are_joined_by_network_and_seed(trained):
    result = analysis.join([run.recording for run in trained.values()])
    assert list(result["model"].values) == ["fast_weights", "no_memory"]
    np.testing.assert_allclose(result["plateau"], 45.0)
    assert bool(result["paper_error"].isnull().all())  # two pairs are not the paper's task
    first, second = analysis.table(result)
    assert (first["differs"], first["seeds"], first["off the plateau"]) == ("K = 2", "0", "1 of 1")
    assert first["weight decay"] == 0.1
    number = 37 * 100 + 32 * (32 + 100 + 1 + 2) + 33 * 100 + 101 * 10
    assert all(int(run.recording["parameters"]) == number for run in trained.values())
    best = 100 * float(trained["fast_weights"].recording["validation"].min())
    assert float(first["validation error (%)"]) == pytest.approx(best, abs=1e-3)
    assert float(trained["fast_weights"].recording["validation_error"]) == pytest.approx(best)
    assert float(first["median error (%)"]) == pytest.approx(float(result["test_error"][0, 0]), abs=1e-3)
    assert second["right pair after the loop (%)"] == ""
    assert set(analysis.plot(result)) == {"learning", "errors"}


def test_a_sweep_is_analysed_over_its_seeds(tmp_path):
    over = {("units", "epochs"): [[6, 8], [1, 2]], "inner_steps": [1, 3]}
    recording = fw.sweep(
        "associative_retrieval",
        over,
        2,
        {**{name: TINY[name] for name in TINY if name != "units"}},
        quick=True,
        workers=1,
        folder=tmp_path / "sweep",
    )
    result = study.analyse(recording.attrs["folder"]).result
    assert dict(result.sizes) == {"network": 4, "seed": 2, "epoch": 2}
    assert [row["differs"] for row in analysis.table(result)] == ["K = 2", "S = 3, K = 2"] * 2
    one = result.isel(network=1)
    np.testing.assert_array_equal(
        one["test_error"], recording["test_error"].sel(units=6, inner_steps=3).values
    )
    assert bool(one["validation_error"].isel(epoch=1).isnull().all())


def test_the_paper_is_quoted_only_for_its_own_task():
    config = study.load_experiment("associative_retrieval").configure({"units": 20}).model_dump(mode="json")
    assert analysis.paper_error(config) == 1.81
    assert np.isnan(analysis.paper_error({**config, "inner_steps": 2}))
    assert (
        analysis.note({**config, "rule": "delta", "learn": ["tau", "eta"]})
        == "delta rule, tau and eta trained"
    )
    stpn = {**config, "model": "stpn", "rule": "delta", "inner_steps": 3, "learn": ["tau"], "pairs": 2}
    assert analysis.note(stpn) == "K = 2"  # it ignores the rest


def test_one_network_is_looked_at_closely(trained):
    """Attention falls on the right pair, before the loop and after it; a network without memory has none to show."""
    report = study.analyse(trained["fast_weights"], "query_attention")
    result = report.result
    assert result["share_on_pair"].mean() > result["share_elsewhere"].mean()
    joined = study.analyse(trained["fast_weights"]).result.squeeze()
    np.testing.assert_array_equal(
        result["hit"].isel(iteration=[0, -1]), [joined.hit_before, joined.hit_after]
    )
    tokens = trained["fast_weights"].recording["token"][:1].values
    assert str(result["example"].values) == fw.tasks.AssociativeRetrieval(pairs=2).text(tokens)[0]
    assert {"attention.png", "settling.png"} <= {path.name for path in report.files}
    with pytest.raises(fw.RecordingError, match="no attention"):
        study.analyse(trained["no_memory"], "query_attention")


def test_an_stpn_is_trained_and_recorded(tmp_path):
    values = {**TINY, "model": "stpn", "embedding": 10, "epochs": 1}
    run = study.run("associative_retrieval", values, quick=True, folder=tmp_path / "run")
    tau, eta = (run.recording[name].squeeze("timescale") for name in ("trained_tau", "trained_eta"))
    assert dict(tau.sizes) == dict(eta.sizes) == {"post": 8, "pre": 18}
    assert float(tau.min()) > 0 > float(eta.min())
    (row,) = analysis.table(analysis.join([run.recording]))
    assert row["network"] == "STPN"


@pytest.mark.parametrize("values", [{"rule": "delta", "inner_steps": 2}, {"delay": 2, "inner_steps": 3}])
def test_memories_are_trained_and_recorded(values, tmp_path):
    values = {**TINY, "tau": (2.0, 20.0), "eta": (0.5, 0.5), "learn": ("tau", "eta"), "epochs": 1, **values}
    run = study.run("associative_retrieval", values, quick=True, folder=tmp_path / "run")
    after = torch.tensor(run.recording["trained_tau"].values)
    assert bool((after != torch.tensor([2.0, 20.0])).all())
    assert bool((run.recording["trained_eta"] != 0.5).all())
    study.analyse(run)
