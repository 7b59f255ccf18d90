"""Recordings of the engine: schema, attention, memory, streams, states, errors."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import fwsim as fw
from tests.engine.test_network import BATCH, ONE, THREE, assert_close, inputs, network

ALL = ("hidden", "inner", "attention", "memory")


def test_schema():
    net, x = network(THREE), inputs(time=6)
    run = fw.simulate(net, x, record=ALL)
    assert run["hidden"].dims == ("trial", "time", "unit")
    assert run["inner"].dims == ("trial", "time", "iteration", "unit")
    assert run["attention"].dims == ("trial", "time", "iteration", "past")
    assert run["memory"].dims == ("trial", "time", "timescale", "post", "pre")
    assert fw.simulate(network(), x, record="memory")["memory"].dims == ("trial", "time", "post", "pre")
    assert run.sizes["iteration"] == 4
    np.testing.assert_allclose(run["time"], np.arange(1, 7))
    np.testing.assert_allclose(run["timescale"], [2.0, 19.5, 300.0])
    np.testing.assert_array_equal(run["past"], np.arange(1, 7))
    assert run["time"].attrs["units"] == "s"
    for name in ALL:
        assert run[name].attrs["units"] == "1"
        assert run[name].attrs["long_name"]
    for name in (
        "fwsim_schema",
        "configuration",
        "seed",
        "versions",
        "commit",
        "device",
        "dtype",
        "wall_time",
    ):
        assert isinstance(run.attrs[name], str | int | float), name


def test_what_is_recorded_is_what_the_network_does():
    net, x = network(THREE), inputs(time=6)
    hidden, state = net(x)
    run = fw.simulate(net, x, record=ALL)
    np.testing.assert_array_equal(run["hidden"], hidden.detach())
    np.testing.assert_array_equal(run["inner"][:, :, -1], hidden.detach())
    np.testing.assert_allclose(run["memory"][:, -1], state.memory.detach(), rtol=1e-12)
    np.testing.assert_allclose(run["memory"][:, 3], net(x[:, :4])[1].memory.detach(), rtol=1e-12)


@pytest.mark.parametrize("memory", [ONE, THREE, BATCH], ids=["one", "three", "batch"])
@pytest.mark.parametrize("form", ["dense", "attention"])
def test_attention_is_what_the_memory_answers(memory, form):
    """Σ_τ attention[s, τ] h(τ) = A(t) h_s, and attention = κ(t−τ) h(τ)·h_s."""
    net, x = network(memory, form=form), inputs(time=9)
    run = fw.simulate(net, x, record=ALL)
    answer = np.einsum("btsp,bpi->btsi", run["attention"], run["hidden"])
    matrix = run["memory"].sum("timescale") if "timescale" in run["memory"].dims else run["memory"]
    expected = np.einsum("btij,btsj->btsi", matrix[:, :-1], run["inner"][:, 1:])
    np.testing.assert_allclose(answer[:, 1:], expected, rtol=1e-10, atol=1e-10)
    assert float(abs(run["attention"][:, 0]).max()) == 0.0
    for step in range(9):
        assert float(abs(run["attention"][:, step, :, step:]).max()) == 0.0
    kappa = net.memory.kernel(torch.tensor([5 - 2]), 1.0).reshape(-1)  # at t = 5 back to τ = 2
    expected = kappa.numpy() * (run["hidden"][:, 1] * run["inner"][:, 5, 1]).sum("unit")
    np.testing.assert_allclose(run["attention"][:, 5, 1, 1], expected, rtol=1e-12)


def test_a_stream_of_blocks_is_the_run_in_one(monkeypatch, tmp_path):
    net, x = network(THREE), inputs(time=25)
    whole = fw.simulate(net, x, record=ALL)
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 3 * 4 * 60)  # a few steps a block
    calls = []

    def drive(start, stop):
        calls.append((start, stop))
        return x[:, start:stop]

    parts = fw.simulate(net, drive, steps=25, record=ALL, to=tmp_path / "run.zarr")
    assert len(calls) > 5
    for name in ALL:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-10, atol=1e-12)


def test_every_and_records_of_their_own():
    net, x = network(), inputs(time=20)
    run = fw.simulate(net, x, record=["hidden", fw.Record("memory", every=10, dtype="float16")], every=5)
    full = fw.simulate(net, x, record=["hidden", "memory"])
    np.testing.assert_allclose(run["time"], [5, 10, 15, 20])
    np.testing.assert_array_equal(run["hidden"], full["hidden"].sel(time=run["time"]))
    np.testing.assert_allclose(run["memory_time"], [10, 20])
    assert run["memory"].dtype == np.float16
    np.testing.assert_allclose(run["memory"], full["memory"][:, [9, 19]], rtol=1e-3, atol=1e-3)


def test_recording_more_never_changes_the_run_or_the_plan():
    for form in ("auto", "dense", "attention", "hybrid"):
        net, x = network(THREE, form=form), inputs(time=30)
        some, every = fw.simulate(net, x, record="hidden"), fw.simulate(net, x, record=ALL)
        np.testing.assert_array_equal(some["hidden"], every["hidden"])


def test_load_state_goes_on_where_the_run_stopped(tmp_path):
    net, x = network(THREE), inputs(time=20)
    whole = fw.simulate(net, x, record=ALL)
    first = fw.simulate(net, x[:, :12], record=ALL, to=tmp_path / "first.zarr")
    second = fw.simulate(net, x[:, 12:], state=fw.load_state(first), record=ALL)
    np.testing.assert_allclose(second["hidden"], whole["hidden"][:, 12:], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(second["time"], whole["time"][12:])
    np.testing.assert_array_equal(second["past"], whole["past"][12:])
    np.testing.assert_allclose(
        second["attention"], whole["attention"][:, 12:].sel(past=second["past"]), rtol=1e-10, atol=1e-12
    )


def test_file_and_memory_are_identical(tmp_path):
    net, x = network(THREE), inputs(time=6)
    here, there = fw.simulate(net, x, record=ALL), fw.simulate(net, x, record=ALL, to=tmp_path / "run.zarr")
    assert there["hidden"].chunks is not None
    xr.testing.assert_identical(here.drop_attrs(deep=False), there.load().drop_attrs(deep=False))
    resumed_by = {"inputs_sha256"}  # what only a stored run can be: gone on with, from the same inputs
    assert here.attrs.keys() == there.attrs.keys() - resumed_by


def test_no_drive_runs_from_a_state():
    net = network()
    state = net.initial_state(2)
    state = fw.State(torch.rand(2, 20).double(), state.memory, 0)
    run = fw.simulate(net, steps=5, state=state)
    assert_close(torch.tensor(run["hidden"].values), net(torch.zeros(2, 5, 4).double(), state)[0])


def test_networks_without_memory_offer_no_memory():
    run = fw.simulate(network(None), inputs(), record=("hidden", "inner"))
    assert fw.load_state(run).memory is None
    with pytest.raises(fw.ConfigError, match="memory"):
        fw.simulate(network(None), inputs(), record="memory")


def test_the_lstm_control_is_recorded_alike():
    from fwsim.models import LSTM

    torch.manual_seed(0)
    net, x = LSTM(4, 6), inputs().float()
    run = fw.simulate(net, x)
    with torch.no_grad():  # with gradients torch takes other code, whose last bits differ on some processors
        np.testing.assert_array_equal(run["hidden"], net(x)[0])


def test_divergence_names_step_and_trial():
    net = network({"tau": 100.0, "eta": 5.0}, normalise="none").float()
    x = 10 * inputs(time=60).float()
    x[0] /= 2  # diverges too, but later
    x[1] = 0
    with torch.no_grad():
        net.b.zero_()
    with pytest.raises(fw.DivergedError, match="hidden became NaN or infinite") as caught:
        fw.simulate(net, x)
    assert caught.value.trial == 2
    assert caught.value.variable == "hidden"
    assert not bool(net(x)[0][0].isfinite().all())
    hidden, _ = net(x[:, : caught.value.step + 1])
    assert not bool(hidden[2, -1].isfinite().all())
    assert bool(hidden[2, -2].isfinite().all())


def test_without_drive_and_state_a_memory_says_how_many_trials_there_are():
    net = fw.FastWeightNetwork(1, 3, fw.Hebbian(tau=[[1.0], [2.0]], eta=0.1))
    assert fw.simulate(net, steps=4, record="hidden").sizes["trial"] == 2
    assert fw.simulate(network(), steps=4, record="hidden").sizes["trial"] == 1


def test_progress_is_called():
    seen = []
    fw.simulate(network(), inputs(time=7), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (7, 7)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"drive": inputs(), "record": "voltage"}, fw.ConfigError, "voltage"),
        ({"drive": inputs(channels=3)}, fw.ShapeError, "input=4"),
        ({"drive": inputs(), "steps": 3}, fw.ConfigError, "steps=3"),
        ({}, fw.ConfigError, "steps"),
        ({"drive": 3.0, "steps": 3}, fw.ConfigError, "float"),
        ({"drive": lambda start, stop: torch.zeros(1, 1, 4), "steps": 3}, fw.ShapeError, "drive"),
        ({"drive": inputs() / 0}, fw.ConfigError, "NaN"),
        ({"drive": inputs(), "every": 0}, fw.ConfigError, "every"),
        ({"drive": inputs() + 0j}, fw.ConfigError, "drive is torch.complex128; give real"),
        ({"drive": inputs().to_sparse()}, fw.ConfigError, "layout torch.sparse_coo"),
        ({"drive": inputs().numpy() + 0j}, fw.ConfigError, "complex128, not real numbers"),
        ({"drive": inputs().numpy().astype(str)}, fw.ConfigError, "not real numbers"),
        ({"drive": inputs().numpy().astype(object)}, fw.ConfigError, "object, not real numbers"),
        ({"drive": "x", "steps": 3}, fw.ConfigError, "drive is a str"),
        ({"drive": [[[1.0, 2.0]], [[1.0]]]}, fw.ShapeError, "different lengths"),
        ({"drive": inputs().numpy()[0]}, fw.ShapeError, "input=4"),
        ({"drive": np.ma.masked_less(inputs().numpy(), 0)}, fw.ConfigError, "masked"),
        ({"drive": xr.Dataset()}, fw.ConfigError, "give one of its variables"),
        (
            {"drive": xr.DataArray(inputs().numpy(), dims=("time", "trial", "input"))},
            fw.ShapeError,
            r"dimensions \(time, trial, input\); give \(trial, time, input\)",
        ),
        ({"drive": pd.DataFrame({name: ["x"] for name in "abcd"})}, fw.ConfigError, "not real numbers"),
        ({"drive": inputs(), "overwrite": True}, fw.ConfigError, "nothing to replace"),
        ({"drive": inputs(), "to": "x", "overwrite": 1}, fw.ConfigError, "overwrite=1"),
        ({"drive": inputs(), "to": "x", "overwrite": True, "resume": True}, fw.ConfigError, "give one"),
        ({"drive": inputs(), "to": "s3://bucket/x"}, fw.ConfigError, "not on this machine"),
        ({"drive": inputs(), "to": "a::b"}, fw.ConfigError, "not on this machine"),
        ({"drive": inputs(), "to": ""}, fw.ConfigError, "is no path"),
        ({"drive": inputs(), "to": "."}, fw.ConfigError, "current folder"),
        ({"drive": inputs(), "to": 3}, fw.ConfigError, "is no path"),
        ({"drive": lambda start, stop: None, "steps": 3}, fw.ConfigError, r"drive\(0, 1\) is None"),
        ({"drive": inputs(), "device": "gpu"}, fw.ConfigError, "device='gpu'"),
        ({"drive": inputs(), "device": "meta"}, fw.ConfigError, "device='meta' is unknown; use 'cpu'"),
        ({"drive": inputs(), "device": "xpu"}, fw.ConfigError, "device='xpu' is not there; use 'cpu'"),
        ({"drive": inputs(), "device": "cuda:7"}, fw.ConfigError, "cuda:7"),
        ({"drive": inputs(), "seed": "a"}, fw.ConfigError, "seed='a'"),
        ({"drive": inputs(), "seed": -1}, fw.ConfigError, "seed=-1"),
        ({"drive": inputs(), "progress": "x"}, fw.ConfigError, "progress='x'"),
        ({"drive": inputs(), "state": "a"}, fw.ConfigError, "state is a str"),
        ({"steps": -1}, fw.ConfigError, "steps=-1"),
        ({"steps": 2.5}, fw.ConfigError, "steps=2.5"),
    ],
)
def test_bad_arguments(arguments, kind, says):
    with pytest.raises(kind, match=says):
        fw.simulate(network(), **arguments)


def test_what_is_no_network_and_no_recording():
    with pytest.raises(fw.ConfigError, match="net is a str"):
        fw.simulate("net", inputs())
    with pytest.raises(fw.ConfigError, match="open_recording"):
        fw.load_state("run.zarr")


def test_a_rate_network_refuses_a_drive_that_is_not_a_number():
    rate = fw.RateNetwork(fw.Projection(torch.eye(2)), tau=0.01, dt=0.001)
    drive = torch.full((1, 5, 2), float("nan"))
    for run in (lambda: fw.simulate(rate, drive, record="rate"), lambda: rate(drive)):
        with pytest.raises(fw.ConfigError, match="batch 0, time 0, unit 0"):
            run()


def test_an_existing_path_is_kept(tmp_path):
    path = tmp_path / "run.zarr"
    path.mkdir()
    (path / "mine").write_text("x")
    with pytest.raises(fw.RecordingError, match="exists"):
        fw.simulate(network(), inputs(), to=path)
    assert (path / "mine").read_text() == "x"


def test_calls_take_what_simulate_takes():
    x = inputs()
    plastic = fw.RateNetwork(fw.Projection([[0.1] * 4] * 4), tau=0.1, dt=0.01)
    for net in (fw.FastWeightNetwork(4, 3, fw.Hebbian(tau=2.0, eta=0.1)), plastic, fw.models.LSTM(4, 3)):
        like = next(net.parameters()).dtype
        expected = net(x.to(like))[0]
        array = x.double().numpy()
        for given in (array, array.tolist(), xr.DataArray(array, dims=("trial", "time", "unit"))):
            assert torch.equal(net(given)[0], expected)
        one = (pd.DataFrame(array[0]), xr.DataArray(array[0], dims=("time", "input")))
        for given in one:
            torch.testing.assert_close(net(given)[0], expected[:1])
        for dims in (("time", "trial", "unit"), ("trial", "unit", "time")):
            with pytest.raises(fw.ShapeError, match="by these names in this order"):
                net(xr.DataArray(array, dims=dims))
    circuit = fw.spiking.Circuit([fw.spiking.Population("E", 2, noise=0.001)])
    swapped = xr.DataArray(np.zeros((3, 1, 1)), dims=("time", "trial", "unit"))
    with pytest.raises(fw.ShapeError, match=r"\(time, trial, unit\)"):
        fw.spiking.simulate_rates(circuit, swapped)
