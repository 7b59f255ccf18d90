"""Ablations remove what they say, and the analyses of trained networks find what is known of constructed ones."""

import sys
import warnings

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from analysis import ablation, trained_dynamics, trained_spikes
from fwsim import study
from fwsim.errors import ConfigError, RecordingError
from fwsim.models import MatchingNetwork, mixed_synapses
from fwsim.recording import labelled_dataset
from fwsim.study import load_experiment

SETTINGS = {
    "plasticity": "presynaptic", "task": "dms", "units": 16, "fast": 0.2, "slow": 1.5, "noise": 0.0, "delay": 0.5,
    "dt": 0.05,
}  # fmt: skip


@pytest.fixture(scope="module")
def functions():
    """The functions of the experiment."""
    return sys.modules[load_experiment("ablation").config.__module__]


@pytest.mark.parametrize("plasticity", ["presynaptic", "anti_hebbian", "none"])
def test_connections_are_removed(functions, plasticity):
    """With all of them the network is the same; without any, units answer to their inputs alone."""
    torch.manual_seed(0)
    task = fw.tasks.DelayedMatch(dt=0.05)
    model = MatchingNetwork(task, 12, plasticity=plasticity)
    test = task.sample(20, torch.Generator().manual_seed(1))
    order = torch.rand(12, 12, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        drive = model.drive(test.inputs)
        whole, _ = model.core(drive, seed=3)
        same, _ = functions.without(model.core, functions.connections(order, 0.0))(drive, seed=3)
        torch.testing.assert_close(same, whole, rtol=1e-4, atol=1e-4)
        alone, _ = functions.without(model.core, functions.connections(order, 1.0))(drive, seed=3)
        empty = fw.RateNetwork(fw.Projection(torch.zeros(12, 12)), tau=0.1, dt=0.05, noise=0.5)
        torch.testing.assert_close(alone, empty(drive, seed=3)[0], rtol=1e-4, atol=1e-4)
    assert (alone - whole).abs().max() > 0.1


def test_shares_of_connections(functions):
    order = torch.rand(10, 10, generator=torch.Generator().manual_seed(0))
    few, many = functions.connections(order, 0.9), functions.connections(order, 0.2)
    assert (int(many.sum()) - 10, int(few.sum()) - 10) == (72, 9)  # besides the diagonal
    assert few.diagonal().all()
    assert (many | ~few).all()  # what is removed first stays removed
    with pytest.raises(ConfigError, match=r"removed\.0=1\.5 is not allowed"):
        load_experiment("ablation").configure({"removed": [1.5]})


def test_a_quick_run(tmp_path):
    """Bands, set before the run: without connections between units nobody remembers the sample."""
    run = study.run(
        "ablation", {"plasticity": "anti_hebbian"}, quick=True, seed=5, folder=tmp_path / "run", device="cpu"
    )
    recording = run.recording.load()
    assert abs(float(recording["ablated_accuracy"].sel(removed=1.0).mean()) - 50) < 20
    assert float(recording["eta"]) != -0.1  # it is trained
    assert (recording["weights"].values[:, :20] >= 0).all()
    assert (recording["weights"].values[:, 20:] <= 0).all()
    assert ablation.table(ablation.analyse(recording))[0]["networks"] == "1"
    dynamics = trained_dynamics.analyse(recording)
    assert trained_dynamics.table(dynamics)[0]["networks"] == "0"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # figures without a network have no legend
        trained_dynamics.plot(dynamics)
        ablation.plot(ablation.analyse(recording.assign(accuracy=50.0)))


def test_verdicts_on_made_up_networks():
    """Plasticity keeps half, none keeps a tenth; one network of each has not learned."""
    random, kinds = np.random.default_rng(0), ["presynaptic", "none"]
    accuracy = xr.DataArray([[90.0, 96.0, 94.0, 60.0]] * 2, {"plasticity": kinds}, ("plasticity", "seed"))
    share = xr.DataArray(
        [[0.6, 0.4], [0.1, 0.1]], {"plasticity": kinds, "removed": [0.1, 0.5]}, ("plasticity", "removed")
    )
    noise = xr.DataArray(random.normal(0, 0.01, (4, 3)), dims=("seed", "draw"))
    after = 50 + (accuracy - 50) * (share + noise - noise.mean("draw"))
    recording = xr.Dataset({"accuracy": accuracy, "ablated_accuracy": after, "eta": 0 * accuracy})
    recording.attrs["experiment_configuration"] = '{"plasticity": "presynaptic"}'
    result = ablation.analyse(recording)
    plastic, plain, change = ablation.table(result)
    assert (plastic["learned"], plastic["networks"]) == ("3", "4")
    assert plastic["robustness"].startswith("0.50")
    assert plain["kept, 50% removed"].startswith("0.10")
    assert (change["plasticity"], change["verdict"]) == ("presynaptic − none", "more robust")
    assert change["robustness"].startswith("+0.40")
    assert ablation.verdict(np.array([-0.2, -0.3, -0.1])) == "less robust"
    assert ablation.verdict(np.array([-0.2, -0.3, 0.1])) == "undecided"
    assert set(ablation.plot(result)) == {"ablation"}


def test_runs_are_joined_by_plasticity_and_seed():
    """Eight runs, of which one is missing."""
    runs = []
    for number, (kind, seed) in enumerate(
        (kind, seed) for kind in ("presynaptic", "none") for seed in range(4)
    ):
        after = xr.DataArray([[90.0 - number], [70.0 - number]], {"removed": [0.1, 0.5]}, ("removed", "draw"))
        one = xr.Dataset({"accuracy": 100.0, "ablated_accuracy": after, "eta": np.nan})
        runs.append(
            one.assign_attrs(experiment_configuration=f'{{"plasticity": "{kind}"}}', experiment_seed=seed)
        )
    result = ablation.join(runs[:-1])
    assert dict(result.sizes) == {"plasticity": 2, "seed": 4, "removed": 2}
    assert float(result["robustness"].sel(plasticity="none", seed=1)) == pytest.approx(0.5)
    rows = {row["plasticity"]: row["networks"] for row in ablation.table(result) if "networks" in row}
    assert rows == {"presynaptic": "4", "none": "3"}


def constructed(weights, strength=3.0, settings=SETTINGS, trials=160):
    """A recording of a network whose unit 2k alone is driven by direction k."""
    task = fw.tasks.DelayedMatch(dt=0.05, delay=0.5)
    sample = torch.arange(trials) % 8
    inputs = torch.zeros(trials, task.length, 8)
    inputs[:, 10:20] = torch.nn.functional.one_hot(sample, 8)[:, None].float()
    into = torch.zeros(16, 8)
    into[torch.arange(0, 16, 2), torch.arange(8)] = strength
    out = torch.zeros(3, 12)
    values = {
        "weights": (("post", "pre"), weights.numpy(), "1", "weights"),
        "weights_in": (("unit", "input"), into.numpy(), "1", "weights of inputs"),
        "bias_in": ("unit", np.zeros(16), "1", "constant input"),
        "weights_out": (("answer", "excitatory"), out.numpy(), "1", "weights of answers"),
        "bias_out": ("answer", np.array([0.0, 0.0, 1.0]), "1", "bias of answers"),
        "inputs": (("trial", "time", "input"), inputs.numpy(), "1", "inputs"),
        "target": (("trial", "time"), np.full((trials, task.length), 2), "1", "right answer"),
        "sample": ("trial", sample.numpy(), "1", "direction"),
        "accuracy": ((), 100.0, "%", "right answers"),
    }
    return labelled_dataset(values), dict(settings)


@pytest.fixture
def few_trials(monkeypatch):
    """Conditional exponents over two trials: no test asks for more than that there are some."""
    monkeypatch.setattr(trained_dynamics, "ALIGNED", 1)
    monkeypatch.setattr(trained_dynamics, "AVERAGED", 1)


def test_a_network_without_connections_returns_to_rest(few_trials):
    """All modes are known: 0.1 s of units, 0.2 and 1.5 s of synapses."""
    found = trained_dynamics.network(*constructed(torch.zeros(16, 16)))
    assert (float(found["attractors"]), float(found["stable"])) == (1, 1)
    assert float(found["slowest"]) == pytest.approx(1.5, rel=1e-6)
    assert float(found["exponent"]) == pytest.approx(-1 / 1.5, rel=1e-6)
    assert float(found["kept_rate"]) == pytest.approx(np.exp(-5), rel=1e-3)
    assert found["separation"].sizes["time"] == 30
    assert -1 / 0.1 < float(found["conditional"]) < 0
    result = found.assign_attrs(experiment_configuration="{}", plasticity="presynaptic")
    assert trained_dynamics.table(result)[0]["held by"] == "undecided"  # one network has no interval
    assert set(trained_dynamics.plot(result)) == {"separation"}


@pytest.mark.parametrize("analysis", [trained_dynamics, trained_spikes])
def test_too_few_trials_are_one_line(analysis):
    with pytest.raises(RecordingError, match="keeps 15 trials; run ablation with --kept-trials 256"):
        analysis.network(*constructed(torch.zeros(16, 16), trials=15))


def test_a_direction_that_no_trial_has_is_one_line():
    one, settings = constructed(torch.zeros(16, 16))
    with pytest.raises(RecordingError, match=r"keeps 160 trials; .* all 8 directions"):
        trained_dynamics.network(one.assign(sample=one["sample"] % 7), settings)


def test_units_that_excite_themselves_are_attractors(few_trials):
    """With a weight of 4 a facilitating unit has two stable rates: w U < 1 at rest, and w u x = 1 at about 13 Hz."""
    weights = torch.diag(torch.tensor([4.0, 0.0] * 8))
    found = trained_dynamics.network(*constructed(weights, strength=20.0))
    assert (float(found["attractors"]), float(found["stable"])) == (8, 1)
    assert float(found["exponent"]) < 0
    result = found.assign_attrs(experiment_configuration="{}", plasticity="presynaptic")
    assert trained_dynamics.table(result)[0]["held by"] == "attractors"


def test_neurons_have_the_rates_of_units():
    """Units 0 and 2 excite unit 1 through facilitating synapses; λ 10 Hz, 20 neurons for each unit."""
    weights = torch.zeros(16, 16)
    weights[1, [0, 2]] = 6.0
    one, settings = constructed(weights, strength=4.0)
    one["inputs"] = one["inputs"] * 0 + 1.0  # always
    drive = torch.as_tensor(one["inputs"].values @ one["weights_in"].values.T).double()
    trials = trained_spikes.Trials(drive[:2], one["sample"].values[:2], np.full(2, 2))
    one = one.assign(excitatory=("excitatory", np.arange(12)))
    expected = trained_spikes.as_units(one, settings, trials)
    found = trained_spikes.as_neurons(one, settings, trials, 10.0, 20)
    assert expected.rate[0, 1] > 2
    # With ten times as many spikes synapses are those of units at 40 Hz, which answers less than ten times as much.
    rule = mixed_synapses(16, 0.2, 1.5)
    u = rule.U[0] * (1 + 1.5 * 40) / (1 + rule.U[0] * 1.5 * 40)
    release = u / (1 + u * 0.2 * 40)
    np.testing.assert_allclose(found.rate[:, [0, 2]] / 10, 4.0, rtol=0.1)
    np.testing.assert_allclose(found.rate[:, 1] / 10, 2 * 6 * 4 * release, rtol=0.2)
    np.testing.assert_allclose(found.efficacy[:, 0], release, rtol=0.2)
    assert (found.answer == 2).all()


def test_input_is_filtered_as_by_a_unit():
    settings = {**SETTINGS, "noise": 0.5}
    still = trained_spikes.filtered(torch.ones(1, 4, 3), SETTINGS)
    np.testing.assert_allclose(still[0, :, 0], 1 - np.exp(-0.1 * np.arange(1, 21)))
    noisy = trained_spikes.filtered(torch.zeros(400, 40, 3), settings)
    assert noisy[:, -1].std() == pytest.approx(0.5, rel=0.1)


def test_versions_of_a_network_and_verdicts_in_spikes():
    """Numbers of one network as `fwsim compare` takes them."""
    dims = {"copies": ("copies", [1, 10])}
    values = {f"spiking_{name}": ("copies", np.array([0.5, 0.75])) for name in trained_spikes.VALUES}
    result = xr.Dataset(values | {f"unit_{name}": 1.0 for name in trained_spikes.VALUES}, dims)
    result["scale"] = ("copies", [1.0, 3.0])
    found = trained_spikes.versions(result)
    assert len(found) == len(trained_spikes.VALUES)
    assert all(each.tensor.dims == each.spiking.dims == ("copies",) for each in found)
    units, one, ten = trained_spikes.table(result)
    assert (units["neurons for each unit"], one["gain in rates"], ten["gain in rates"]) == (
        "units",
        "0.50",
        "0.75",
    )
