"""A small network that is trained quickly answers from its synapses, and the verdicts do as their definitions say."""

import sys

import numpy as np
import pytest
import torch
import xarray as xr

from analysis.trained_silent_memory import analyse, plot, table
from fwsim import study
from fwsim.errors import ConfigError
from fwsim.recording import labelled_dataset
from fwsim.study import load_experiment


def test_a_quick_network_answers_from_its_synapses(tmp_path):
    """Bands, set before the run with this seed; a network that is not trained is right in less than half."""
    run = study.run("trained_silent_memory", quick=True, seed=5, folder=tmp_path / "run", device="cpu")
    recording = run.recording.load()
    right = recording["exchanged_accuracy"].sel(moment="delay").mean("repetition")
    assert float(recording["accuracy"]) > 65
    assert float(right.sel(exchanged="activity")) > float(right.sel(exchanged="efficacy")) + 10
    assert abs(float(right.sel(exchanged="both")) - 50) < 10
    assert float(recording["efficacy"].min()) >= 0
    assert float(recording["efficacy"].max()) <= 1
    delay = recording["rate"].sel(time=slice(1.05, 2.05))
    assert delay.sizes["time"] == 10
    assert recording["ended"].values.tolist() == [1.0, 2.0]


def test_states_are_exchanged_within_tests_and_trials_go_on():
    experiment = load_experiment("trained_silent_memory")
    config, functions = (
        experiment.configure({"task": "dmrs90"}, quick=True),
        sys.modules[experiment.config.__module__],
    )
    task = functions.task_of(config)
    torch.manual_seed(0)
    model, generator = functions.MatchingNetwork(task, config.units), torch.Generator().manual_seed(0)
    trials = task.sample(40, generator)
    group = trials.test[:, 0]
    order = functions.within(group, generator)
    assert sorted(order.tolist()) == list(range(40))
    assert (order != torch.arange(40)).any()
    torch.testing.assert_close(group[order], group)

    weights = model.core.weights[0]
    assert (weights[:, : model.excitatory] >= 0).all()
    assert (weights[:, model.excitatory :] <= 0).all()
    assert not weights.diagonal().any()
    with torch.no_grad():
        whole, _ = model(trials.inputs, seed=1)
        _, state = model.core(model.drive(trials.inputs[:, : functions.ends(task).delay]), seed=1)
        expected = 100 * float(trials.correct(whole.argmax(-1)).mean())
        assert functions.share(model, trials, functions.ends(task).delay, state, 1) == pytest.approx(expected)


def test_a_delay_that_does_not_fit_the_samples(tmp_path):
    with pytest.raises(ConfigError, match=r"multiple of 0\.1 s"):
        study.run("trained_silent_memory", {"delay": 1.05}, quick=True, folder=tmp_path / "run", device="cpu")


def made(task, seed):
    """A network whose efficacies have the sample; with `dmrs90` its rates have it too, and answers need both."""
    random, manipulates = np.random.default_rng(seed), task == "dmrs90"
    trials, units, time = 160, 12, np.array([0.5, 1.0, 1.5, 2.0, 2.5])
    sample = random.integers(0, 8, trials)
    code = np.eye(8, units)[sample][:, None, :] * 8
    shown = np.array([0, 1, manipulates, manipulates, 1])[:, None]
    noise = random.standard_normal((2, trials, len(time), units))
    right = np.array([[98, 50, 50], [70 if manipulates else 98, 60, 50]]) + random.normal(0, 0.5, (2, 3))
    dims = ("trial", "time", "unit")
    values = {
        "rate": (dims, noise[0] + code * shown, "Hz", "rate"),
        "efficacy": (dims, noise[1] + code * (time >= 1)[:, None], "1", "efficacy"),
        "pinged_rate": (("trial", "unit"), noise[0, :, 3] + code[:, 0], "Hz", "rate"),
        "remembered": ("trial", sample, "1", "direction"),
        "ended": ("moment", [1.0, 2.0], "s", "end"),
        "accuracy": ((), 98 + random.normal(0, 0.5), "%", "right answers"),
        "pinged_accuracy": ((), 97 + random.normal(0, 0.5), "%", "right answers"),
        "exchanged_accuracy": (("moment", "exchanged", "repetition"), right[..., None], "%", "right answers"),
    }
    coords = {"time": time, "moment": ["sample", "delay"], "exchanged": ["activity", "efficacy", "both"]}
    return labelled_dataset(values, coords=coords)


def test_verdicts_on_made_up_networks():
    """Three networks for each task, of which the training of one failed."""
    tasks, seeds = ["dms", "dmrs90"], [0, 1, 2]
    runs = [[made(task, 10 * seed + place) for seed in seeds] for place, task in enumerate(tasks)]
    recording = xr.combine_nested(runs, ["task", "seed"], combine_attrs="drop")
    recording = recording.assign_coords(task=tasks, seed=seeds)
    recording = recording.where((recording["task"] != "dmrs90") | (recording["seed"] != 0))
    recording.attrs["experiment_configuration"] = '{"task": "dms"}'
    result = analyse(recording)
    silent, raised, change = table(result)
    assert (silent["networks"], raised["networks"]) == ("3", "2")
    assert (silent["silent networks"], raised["silent networks"]) == ("3", "0")
    assert silent["verdict"] == "held silently: yes"
    assert raised["verdict"] == "held silently: no"
    assert change["task"] == "dmrs90 − dms"
    assert change["verdict"] == "raises activity: yes"
    assert float(silent["kept, activity exchanged"].split()[0]) == pytest.approx(1, abs=0.03)
    assert float(raised["kept, activity exchanged"].split()[0]) == pytest.approx(20 / 48, abs=0.03)
    assert float(silent["gain in rates after a ping"].split()[0]) > 0.8
    assert set(plot(result)) == {"decoding", "exchange"}
