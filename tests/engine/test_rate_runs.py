"""Runs of rate networks: noise, batches, recordings, and going on from a state."""

import math

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import ms
from tests.engine.rates import DOUBLE, constant, identity, random, rich, tensor


def test_noise_is_an_ornstein_uhlenbeck_process():
    tau, dt, sd = 20 * ms, 5 * ms, tensor(0.5, 2.0)
    net = fw.RateNetwork(fw.Projection(np.zeros((2, 2))), tau=tau, gain=identity, noise=sd, dt=dt)
    run = fw.simulate(net, torch.zeros(400, 100, 2, dtype=DOUBLE), record="rate", seed=4)
    late = run["rate"][:, 50:].values
    np.testing.assert_allclose(late.std((0, 1)), sd, rtol=0.03)
    np.testing.assert_allclose(
        (late[:, 1:] * late[:, :-1]).mean((0, 1)) / late.var((0, 1)), math.exp(-dt / tau), rtol=0.02
    )
    assert abs(np.corrcoef(late.reshape(-1, 2).T)[0, 1]) < 0.03


@pytest.mark.parametrize("kernel", ["reference", "native"])
def test_noise_is_a_function_of_seed_and_step(kernel, monkeypatch):
    net = fw.RateNetwork(
        fw.Projection(random(3, 3)), tau=20 * ms, gain=fw.tanh, noise=0.5, dt=1 * ms, kernel=kernel
    )
    drive = random(2, 150, 3, seed=2)
    whole = fw.simulate(net, drive, record="rate", seed=7)
    first = fw.simulate(net, drive[:, :70], record="rate", seed=7)
    second = fw.simulate(net, drive[:, 70:], record="rate", seed=7, state=fw.load_state(first))
    np.testing.assert_allclose(second["rate"], whole["rate"][:, 70:], rtol=1e-12)
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", 100)
    np.testing.assert_array_equal(fw.simulate(net, drive, record="rate", seed=7)["rate"], whole["rate"])
    called = net(drive, seed=7)[0].detach()
    if kernel == "reference":  # what a call always runs
        np.testing.assert_array_equal(called, whole["rate"])
    np.testing.assert_allclose(called, whole["rate"], rtol=1e-12)
    assert not np.allclose(fw.simulate(net, drive, record="rate", seed=8)["rate"], whole["rate"])


BATCHED = {
    "weights": lambda i: {"weights": (1 + i) * 0.1 * random(3, 3)},
    "tau": lambda i: {"tau": torch.full((3,), (8 + i) * ms, dtype=DOUBLE)},
    "gain": lambda i: {"alpha": tensor(1.0 + i)},
    "synapse": lambda i: {"U": tensor(0.2 + 0.1 * i)},
    "memory": lambda i: {"eta_rate": tensor(0.1 * i)},
    "traces": lambda i: {"eta": tensor(0.01 * i)},
}


def build(weights=None, tau=None, alpha=1.5, U=0.3, eta_rate=0.1, eta=0.01):
    weights = 0.3 * random(3, 3) if weights is None else weights
    return fw.RateNetwork(
        [
            fw.Projection(weights, synapse=fw.TsodyksMarkram(U=U, tau_rec=0.3, tau_facil=1.5)),
            fw.Projection(0.1 * random(3, 3, seed=5), synapse=fw.HebbianTraces(tau=0.5, eta=eta)),
        ],
        tau=8 * ms if tau is None else tau,
        gain=fw.softplus(alpha),
        memory=fw.Hebbian(tau=0.5, eta_rate=eta_rate),
        dt=1 * ms,
    )


@pytest.mark.parametrize("name", BATCHED)
def test_a_batch_over_any_parameter_is_so_many_runs(name):
    drive = random(1, 60, 3).abs() * 5
    settings = [BATCHED[name](i) for i in range(3)]
    key = next(iter(settings[0]))
    net = build(**{key: torch.stack([each[key] for each in settings])})
    assert net.batch == 3
    whole, _ = net(drive.expand(3, -1, -1))
    for i, each in enumerate(settings):
        alone, _ = build(**{key: each[key]})(drive)
        torch.testing.assert_close(whole[i], alone[0], rtol=1e-12, atol=1e-12)
    with pytest.raises(fw.ShapeError, match="expand"):
        net(drive)


def test_schema():
    run = fw.simulate(
        rich(1 * ms), random(2, 20, 4), record=["rate", "hidden", "release", "u", "F", "w", "memory"]
    )
    assert run["rate"].dims == run["hidden"].dims == ("trial", "time", "unit")
    assert run["u"].dims == run["release"].dims == run["F"].dims == ("trial", "time", "projection", "unit")
    assert run["w"].dims == ("trial", "time", "projection", "post", "pre")
    assert run["memory"].dims == ("trial", "time", "timescale", "post", "pre")
    np.testing.assert_array_equal(run["projection"], [0, 1, 2])
    assert run["rate"].attrs["units"] == "Hz"
    np.testing.assert_allclose(run["time"], np.arange(1, 21) * 1e-3)
    assert bool(run["u"].sel(projection=0).notnull().all())
    assert bool(run["u"].sel(projection=1).isnull().all())
    assert bool(run["release"].sel(projection=[0, 1]).notnull().all())


def test_recording_in_blocks_and_going_on_from_a_file(monkeypatch, tmp_path):
    names, drive = ["rate", "u", "w", "memory", "release", "weight"], random(2, 30, 4).abs()
    net = rich(1 * ms)
    whole = fw.simulate(net, drive, record=names)
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", 700)
    first = fw.simulate(net, drive[:, :12], record=names, to=tmp_path / "run.zarr")
    second = fw.simulate(net, drive[:, 12:], record=names, state=fw.load_state(first))
    for name in names:
        np.testing.assert_allclose(second[name], whole[name][:, 12:], rtol=1e-12)
    np.testing.assert_allclose(second["time"], whole["time"][12:])


def test_records_of_their_own():
    run = fw.simulate(
        rich(1 * ms),
        random(2, 20, 4),
        record=["rate", fw.Record("memory", every=10), fw.Record("u", units=[1])],
    )
    full = fw.simulate(rich(1 * ms), random(2, 20, 4), record=["rate", "memory", "u"])
    np.testing.assert_array_equal(run["memory"], full["memory"][:, [9, 19]])
    np.testing.assert_array_equal(run["u"], full["u"][..., [1]])


def test_forward_and_simulate_agree_in_both_precisions():
    drive = random(2, 50, 4).abs()
    rate, _ = rich(1 * ms)(drive)
    np.testing.assert_array_equal(fw.simulate(rich(1 * ms), drive, record="rate")["rate"], rate.detach())
    single = rich(1 * ms).float()
    low, _ = single(drive.float())
    assert low.dtype == torch.float32
    np.testing.assert_allclose(low.detach(), rate.detach(), rtol=1e-3)


def test_gradients_reach_weights_and_rules():
    def final(weights, U, tau_rec, alpha):
        rule = fw.TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=0.5)
        net = fw.RateNetwork(
            fw.Projection(nn_parameter(weights), synapse=rule), tau=8 * ms, gain=fw.softplus(alpha), dt=2 * ms
        )
        return torch.func.functional_call(net, {"weights.0": weights}, (constant([3.0, 9.0], 12),))[0][:, -1]

    def nn_parameter(weights):
        return torch.nn.Parameter(weights.detach())

    leaves = [random(2, 2), tensor(0.3), tensor(0.2), tensor(1.5)]
    assert torch.autograd.gradcheck(final, [leaf.squeeze().requires_grad_() for leaf in leaves], rtol=1e-5)


def test_only_what_asks_for_it_is_trained():
    net = fw.RateNetwork(
        [fw.Projection(torch.nn.Parameter(random(2, 2))), fw.Projection(random(2, 2))], tau=0.01
    )
    assert [p.requires_grad for p in net.parameters()] == [True, False]


def test_a_run_sees_the_time_constants_of_now():
    """Weights of steps are reused only between runs of the same numbers."""
    net = fw.RateNetwork(
        fw.Projection(random(3, 3), synapse=fw.TsodyksMarkram(0.3, 0.2, 0.5)), tau=20 * ms, dt=5 * ms
    )
    drive = random(2, 20, 3, seed=2)
    before = net(drive)[0]
    net.tau.fill_(40 * ms)
    other = fw.RateNetwork(
        fw.Projection(random(3, 3), synapse=fw.TsodyksMarkram(0.3, 0.2, 0.5)), tau=40 * ms, dt=5 * ms
    )
    torch.testing.assert_close(net(drive)[0], other(drive)[0], rtol=0, atol=0)
    assert not torch.allclose(net(drive)[0], before)


def test_weights_of_steps_from_an_inference_can_be_trained_with():
    """They are made once, here while gradients are off; a number of its own, so that nothing has made them before."""
    weights = torch.nn.Parameter(random(3, 3))
    net = fw.RateNetwork(
        fw.Projection(weights, synapse=fw.TsodyksMarkram(0.3, 0.2137, 0.5)),
        tau=21.37 * ms,
        dt=5 * ms,
        kernel="reference",
    )
    drive = random(2, 20, 3, seed=2)
    with torch.inference_mode():
        net(drive)
    net(drive)[0].sum().backward()
    assert float(weights.grad.abs().sum()) > 0
