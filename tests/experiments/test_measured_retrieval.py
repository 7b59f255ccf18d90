"""Synapses are drawn from what was measured, and verdicts on networks that retrieve do as their definitions say."""

import sys

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from analysis.measured_retrieval import analyse, binds, helps, join, plot, table
from fwsim import study
from fwsim.errors import ConfigError
from fwsim.study import load_experiment
from fwsim.tasks import AssociativeRetrieval

WANG = {(0.09, 0.138, 0.670), (0.5, 0.671, 0.017), (0.29, 0.329, 0.326), (0.28, 0.194, 0.507)}
GUPTA = {(0.016, 0.045, 0.376), (0.25, 0.706, 0.021), (0.32, 0.144, 0.062)}


@pytest.fixture(scope="module")
def experiment():
    return load_experiment("measured_retrieval")


@pytest.fixture(scope="module")
def functions(experiment):
    return sys.modules[experiment.config.__module__]


def test_each_unit_draws_a_class_of_its_kind(functions):
    """The classes are those of the table of measurements, copied here."""
    rule, drawn = functions.measured(200, torch.Generator().manual_seed(0))
    rows = [
        tuple(round(float(drawn[name][unit]), 6) for name in ("U", "tau_rec", "tau_facil"))
        for unit in range(200)
    ]
    assert set(rows[:160]) == WANG
    assert set(rows[160:]) == GUPTA
    assert min(rows[:160].count(each) for each in WANG) > 20
    for unit in (0, 170):
        one = fw.TsodyksMarkram(U=float(rule.U[unit]), tau_rec=0.1, tau_facil=0.1)
        assert fw.spiking.first_release(one) == pytest.approx(rows[unit][0])


@pytest.mark.parametrize("synapses", ["measured", "static", "fast_weights"])
def test_a_network_has_its_synapses_dales_law_and_divisive_inhibition(experiment, functions, synapses):
    config = experiment.configure({"synapses": synapses}, quick=True)
    task = AssociativeRetrieval(pairs=2)
    torch.manual_seed(0)
    rule, _ = functions.measured(config.units, torch.Generator().manual_seed(0))
    model = functions.Retrieval(config, task, 2, rule)
    weights = model.core.weights[0].detach()
    assert (weights[:, :16] >= 0).all()
    assert (weights[:, 16:] <= 0).all()
    assert not weights.diagonal().any()
    # Four times as many units excite, each a quarter as strongly, whose sizes before training are between 0 and 1.
    assert 3.6 < float(weights[:, :16].max()) * config.units <= 4
    assert 14 < -float(weights[:, 16:].min()) * config.units <= 16
    assert (model.core.projections[0].synapse is rule) == (synapses == "measured")
    assert (model.core.memory is not None) == (synapses == "fast_weights")
    tokens = task.sample(6, torch.Generator().manual_seed(1)).tokens
    scores = model(tokens)
    assert scores.shape == (6, 10)
    rate, _ = model.core(1e4 * torch.ones(1, 40, config.units))
    assert float(rate.detach().mean()) < functions.USUAL_RATE * 1.01
    scores.sum().backward()
    assert model.tokens.grad[tokens.unique()].abs().sum() > 0
    if synapses == "fast_weights":
        assert model.core.memory.eta_rate.tolist() == pytest.approx([config.eta_fast_weights])


def test_a_quick_run(tmp_path):
    """Nobody retrieves after ten training steps; chance is 90 %."""
    run = study.run("measured_retrieval", quick=True, seed=1, folder=tmp_path / "run", device="cpu")
    result = analyse(run.recording)
    (row,) = table(result)
    assert float(row["error (%)"]) > 60
    assert (row["plateau (%)"], row["networks"]) == ("45.0", "1")
    assert set(plot(result)) == {"learning"}
    with pytest.raises(ConfigError, match="multiple of dt"):
        study.run("measured_retrieval", {"token": 0.12}, quick=True, folder=tmp_path / "other")


def test_runs_are_joined_by_synapses_and_seed():
    """One run is missing, which leaves fewer networks and no line."""
    runs = []
    for synapses in ("measured", "static", "fast_weights"):
        for seed in range(3):
            error = 50.0 + seed if synapses == "measured" else 60.0 + seed
            one = xr.Dataset({"test_error": error, "validation": ("epoch", [0.9, error / 100])})
            configuration = f'{{"synapses": "{synapses}", "pairs": 2}}'
            runs.append(one.assign_attrs(experiment_configuration=configuration, experiment_seed=seed))
    result = join(runs[:-1])
    rows = {row["synapses"]: row for row in table(result)}
    assert {name: row["networks"] for name, row in rows.items()} == {
        "measured": "3",
        "static": "3",
        "fast_weights": "2",
    }
    assert rows["measured"]["to static (%)"].startswith("-10.0")
    assert {row["plateau (%)"] for row in rows.values()} == {"45.0"}
    lines = plot(result)["learning"].axes[0].get_lines()
    assert sum(len(line.get_ydata()) == 2 and np.isfinite(line.get_ydata()).all() for line in lines) >= 8


def test_verdicts_on_made_up_networks():
    kinds = ["measured", "static"]
    error = xr.DataArray([[40.0, 41.0, 42.0], [60.0, 62.0, 61.0]], {"synapses": kinds}, ("synapses", "seed"))
    recording = xr.Dataset({"test_error": error, "validation": error.expand_dims(epoch=[1, 2]) / 100})
    recording.attrs["experiment_configuration"] = '{"synapses": "measured", "pairs": 2}'
    measured, static = table(analyse(recording))
    assert (measured["binds"], static["binds"]) == ("yes", "no")
    assert measured["to static (%)"].startswith("-20.0")
    assert (measured["synapses that change"], static["synapses that change"]) == ("help", "")
    assert binds(np.array([45.0, 44.0, 46.0]), 45.0) == "undecided"
    assert helps(np.array([1.0, 0.5, 2.0])) == "harm"
    assert helps(np.array([1.0, -0.5, 2.0])) == "undecided"
