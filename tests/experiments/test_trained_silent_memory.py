"""A small network that is trained quickly answers from its synapses, and the verdicts do as their definitions say."""

import sys
from typing import get_args

import numpy as np
import pytest
import torch
import xarray as xr

from analysis.trained_silent_memory import analyse, network, plot, table
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
        end = functions.epochs(task).delay.stop
        _, state = model.core(model.drive(trials.inputs[:, :end]), seed=1)
        expected = 100 * float(trials.correct(whole.argmax(-1)).mean())
        assert functions.share(model, trials, end, state, 1) == pytest.approx(expected)


def test_a_delay_that_does_not_fit_the_samples(tmp_path):
    with pytest.raises(ConfigError, match=r"multiple of 0\.1 s"):
        study.run("trained_silent_memory", {"delay": 1.05}, quick=True, folder=tmp_path / "run", device="cpu")


@pytest.fixture
def functions():
    """The module of the experiment."""
    return sys.modules[load_experiment("trained_silent_memory").config.__module__]


def guess(task, trials):
    """Share of second tests answered right by the best guess from which fields and tests are the same (%)."""
    same = (trials.test[:, 0] == trials.test[:, 1]) * 2 + (trials.asked[:, 0] == trials.asked[:, 1])
    right = [trials.match[same == kind, 1].float() for kind in same.unique()]
    return 100 * sum(max(each.sum(), len(each) - each.sum()) for each in right) / len(same)


@pytest.mark.parametrize(("name", "chance"), [("abba", 62.5), ("abca", 75.0), ("dual", (250 / 3.5 + 50) / 2)])
def test_only_the_sample_tells_whether_the_second_test_matches(functions, name, chance):
    """Chances worked out by hand: by which of the tests match, and whether they repeat each other."""
    task, generator = functions.TASKS[name](dt=0.05), torch.Generator().manual_seed(0)
    assert guess(task, task.sample(5_000, generator)) == pytest.approx(chance, abs=2.8)  # 4 standard errors
    trials = functions.asked_trials(task, 1_001, generator)
    assert len(trials.match) == 1_001
    assert trials.match[:, 1].sum() == 500
    if name == "dual":
        assert (trials.asked[:, 0] != trials.asked[:, 1]).all()
    else:
        assert (trials.test[:, 0] != trials.sample[:, 0]).all()
        assert (trials.test[:, 1] != trials.test[:, 0]).all()
    assert guess(task, trials) == pytest.approx(50, abs=6.5)
    counts = trials.weight.bool() & (trials.target != 0)
    test = functions.epochs(task).test
    assert counts.any(0).nonzero()[:, 0].tolist() == list(
        range(test.start + 1, test.stop)
    )  # the first step is grace
    known = trials.test[:, 1] == trials.sample.gather(1, trials.asked[:, 1:])[:, 0]
    assert torch.equal(known, trials.match[:, 1])


@pytest.mark.parametrize("name", ["dmrs90ccw", "abba", "dual"])
def test_every_kind_of_task_is_trained_tested_and_analysed(name, tmp_path):
    """A network that has hardly been trained: what is recorded, and that the analysis shows it."""
    tiny = {
        "task": name,
        "units": 10,
        "dt": 0.05,
        "steps": 20,
        "batch": 2,
        "test_trials": 100,
        "repetitions": 1,
    }
    recording = study.run(
        "trained_silent_memory", tiny, folder=tmp_path / "run", device="cpu"
    ).recording.load()
    began, ended = recording["began"].values, recording["ended"].values
    times = {"dmrs90ccw": (0.5, 1, 1, 2), "abba": (0.5, 0.9, 1.7, 2.1), "dual": (0.5, 1, 2.5, 3.5)}[name]
    assert (began[0], ended[0], began[1], ended[1]) == pytest.approx(times)
    assert ("other" in recording) == (name == "dual")
    assert ("task_accuracy" in recording) == (name != "dmrs90ccw")
    result = analyse(recording)
    (row,) = table(result)
    assert row["task"] == name
    assert ("gain in rates, other sample" in row) == (name == "dual")
    assert set(plot(result)) == {"decoding", "exchange"}


def test_all_tasks_can_be_named(functions):
    assert tuple(functions.TASKS) == get_args(functions.Name)


def test_tasks_with_trials_of_different_lengths_are_analysed_together(functions):
    """What a sweep pads with NaN at the end of the shorter trials counts for nothing."""
    short = made("dms", 0)
    padded = short.reindex(time=[*short["time"].values, 3.0, 3.5])
    for name in ("decoding", "gain"):
        alone, longer = (network(each)[name] for each in (short, padded))
        xr.testing.assert_allclose(alone, longer.sel(time=alone["time"]))
        assert longer.isel(time=slice(-2, None)).isnull().all()


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
        "began": ("moment", [0.5, 1.0], "s", "begin"),
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
