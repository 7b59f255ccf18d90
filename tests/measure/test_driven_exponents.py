"""Lyapunov exponents of driven systems and of networks; bands were set before the run."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.engine.native import library
from fwsim.errors import ConfigError, RecordingError, ShapeError
from tests.measure.driven_flows import PRINTED, coupled_lorenz, exponents, normal, runge_kutta


@pytest.mark.parametrize(
    ("name", "trials", "steps", "transient"),
    [
        ("Duffing's oscillator", 10, 20, 0),
        ("Lorenz, driven by y", 10, 20, 0),
        pytest.param("Duffing's oscillator", 1000, 500, 500, marks=pytest.mark.slow),
        pytest.param("Lorenz, driven by x", 100, 3000, 1000, marks=pytest.mark.slow),
        pytest.param("Lorenz, driven by z", 100, 3000, 1000, marks=pytest.mark.slow),
    ],
)
def test_exponents_of_driven_systems_are_those_in_print(name, trials, steps, transient):
    """Sums are minus the damping at any time. Driven by y, the response is linear, with −β and −σ at any time."""
    found = exponents(name, trials, steps, transient)
    printed = PRINTED[name]
    assert found.sum(1) == pytest.approx(np.full(trials, printed.total), abs=1e-3)
    if name.endswith("y"):
        assert found == pytest.approx(np.tile([-8 / 3, -10.0], (trials, 1)), abs=2e-3)
    if transient or name.endswith("y"):
        first = found.mean(0)[: len(printed.exponents)]
        assert first == pytest.approx(printed.exponents, abs=0.01 if len(first) == 1 else 0.02)


def test_a_response_must_not_act_on_what_drives_it():
    step = runge_kutta(coupled_lorenz(0), 0.005)
    with pytest.raises(ConfigError, match="act on others"):
        fw.measure.lyapunov_exponents(step, normal(2, 5), 10, response=[1, 2])


synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)


def rate_network(kernel="auto", noise=0.0):
    W = 4 * normal(3, 3, seed=2)
    return fw.RateNetwork(
        [fw.Projection(W, synapse=synapse), fw.Projection(W.T), fw.Projection(W.T, synapse=fw.Varela())],
        tau=0.01,
        gain=fw.softplus(1.5),
        memory=fw.Hebbian(tau=0.5, eta_rate=0.01),
        dt=0.001,
        noise=noise,
        kernel=kernel,
    )


def fast_network(**options):
    torch.manual_seed(0)
    return fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=[5.0, 20.0], eta=[0.3, -0.1]), inner_steps=2, **options)


native = pytest.mark.skipif(library.obstacle() is not None, reason=f"native engine {library.obstacle()}")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: rate_network("native"), marks=native),
        lambda: rate_network("reference"),
        lambda: fast_network().double(),
        lambda: fast_network(write="before", self_connections=False, activation="tanh").double(),
        pytest.param(lambda: fast_network(form="attention", kernel="native").double(), marks=native),
        lambda: fast_network(pre=("inputs", "units"), gates=("keep", "store")).double(),
    ],
)
def test_the_map_of_a_network_is_its_step(make):
    net = make()
    x = normal(4, 6, net.inputs, seed=3)
    _, state = net(x[:, :5])
    step = fw.measure.NetworkMap(net)
    states = step.rest(4)
    for t in range(5):
        states = step(states, x[:, t])
    assert torch.allclose(states, step.join(state), rtol=1e-10, atol=1e-12)
    _, after = net(x[:, 5:], step.split(states))
    assert torch.allclose(step(states, x[:, 5]), step.join(after), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: rate_network("native"), marks=native),
        lambda: fast_network(activation="tanh", normalise="none").double(),
    ],
)
def test_exponents_of_a_network_and_along_its_recording(make):
    """Their sum is the mean log determinant, here from the network's own calls by finite differences."""
    net = make()
    drive = normal(2, 7, net.inputs, seed=4)
    _, state = net(drive[:, :1])
    found = fw.measure.lyapunov_exponents(net, state, 6, drive=drive[:, 1:])
    step = fw.measure.NetworkMap(net)
    units = step.join(state).shape[1]
    logs, states, bumps = torch.zeros(2, dtype=torch.float64), step.join(state), torch.eye(units).double()
    for t in range(1, 7):
        for trial in range(2):
            ends = []
            for sign in (1, -1):
                near = step.split(states[trial] + sign * 1e-6 * bumps)
                ends.append(step.join(net(drive[trial, t].expand(units, 1, -1), near)[1]))
            logs[trial] += torch.linalg.slogdet((ends[0] - ends[1]) / 2e-6).logabsdet
        states = step.join(net(drive[:, t : t + 1], step.split(states))[1])
    assert found.exponent.sum("mode").values == pytest.approx((logs / (6 * net.dt)).numpy(), rel=1e-4)
    assert found.sizes["mode"] == units

    names = [name for name in net.recordable() if name in ("hidden", "memory", *state.variables)]
    run = fw.simulate(net, drive, record=names)
    along = fw.measure.lyapunov_exponents(net, run, 6, drive=drive)
    assert along.exponent.values == pytest.approx(found.exponent.values, rel=1e-8)
    with pytest.raises(RecordingError, match="holds no 'memory'"):
        fw.measure.lyapunov_exponents(net, run.drop_vars("memory"), 5, drive=drive)
    with pytest.raises(ShapeError, match="7 times; 7 steps need 8"):
        fw.measure.lyapunov_exponents(net, run, 7)


def test_noise_of_a_seed_is_that_of_the_simulation():
    net, drive = rate_network(noise=2.0), normal(2, 5, 3, seed=5)
    _, state = net(drive[:, :1], seed=7)
    found = fw.measure.lyapunov_exponents(net, state, 4, drive=drive[:, 1:], seed=7, modes=3)
    run = fw.simulate(net, drive, record=["hidden", *state.variables, "memory"], seed=7)
    along = fw.measure.lyapunov_exponents(net, run, 4, drive=drive, modes=3)
    assert along.exponent.values == pytest.approx(found.exponent.values, rel=1e-8)
    other = fw.measure.lyapunov_exponents(net, state, 4, drive=drive[:, 1:], seed=8, modes=3)
    assert not np.allclose(other.exponent, found.exponent, rtol=1e-8)


def test_a_silent_network_relaxes_with_its_time_constants():
    net = fw.RateNetwork([fw.Projection([[0.5]], synapse=synapse)], tau=0.01, dt=0.001).double()
    found = fw.measure.lyapunov_exponents(net, None, 20)
    assert found.exponent.values[0] == pytest.approx([-1 / 1.5, -1 / 0.2, -1 / 0.01])


def test_bad_drives_are_refused():
    net, step = rate_network(), lambda x, u: x + u
    with pytest.raises(ShapeError, match="at least 10"):
        fw.measure.lyapunov_exponents(net, None, 10, drive=normal(1, 9, 3))
    with pytest.raises(ConfigError, match=r"the network's 0\.001 s"):
        fw.measure.lyapunov_exponents(net, None, 10, 1.0)
    with pytest.raises(ConfigError, match="start is a str"):
        fw.measure.lyapunov_exponents(net, "rest", 10)
    with pytest.raises(ShapeError, match=r"drive is a tensor \[3, 9\]"):
        fw.measure.lyapunov_exponents(step, normal(2, 1), 5, drive=normal(3, 9))
    with pytest.raises(ShapeError, match="3 or 1, at least 5"):
        fw.measure.lyapunov_exponents(step, normal(3, 1), 5, drive=normal(2, 9, 1))
    with pytest.raises(ConfigError, match=r"response=\[0, 3\]"):
        fw.measure.lyapunov_exponents(lambda x: x, normal(3, 2), 5, response=[0, 3])
    for wrong in (1, [True, False], [0.0]):
        with pytest.raises(ConfigError, match="give different units of 0 … 1"):
            fw.measure.lyapunov_exponents(lambda x: x, normal(3, 2), 5, response=wrong)
    with pytest.raises(ConfigError, match="step is 'map'"):
        fw.measure.lyapunov_exponents("map", normal(3, 2), 5, drive=normal(3, 9, 1))
    with pytest.raises(ConfigError, match="net is a Linear"):
        fw.measure.NetworkMap(torch.nn.Linear(2, 2))


def test_a_recording_that_begins_later_has_the_later_inputs():
    net = fast_network(activation="tanh", normalise="none").double()
    drive = normal(2, 12, 2, seed=6)
    run = fw.simulate(net, drive, record=["hidden", "memory"])
    late = fw.simulate(net, drive, record=[fw.Record(name, start=5.0) for name in ("hidden", "memory")])
    wanted = fw.measure.lyapunov_exponents(net, net(drive[:, :6])[1], 6, drive=drive[:, 6:])
    for part in (run.isel(time=slice(5, None)), late):
        found = fw.measure.lyapunov_exponents(net, part, 6, drive=drive)
        assert found.exponent.values == pytest.approx(wanted.exponent.values, rel=1e-8)
    one = fw.measure.lyapunov_exponents(net, run.isel(trial=1), 6, drive=drive[1:])
    both = fw.measure.lyapunov_exponents(net, run, 6, drive=drive)
    assert one.exponent.values[0] == pytest.approx(both.exponent.values[1], rel=1e-8)
    with pytest.raises(ShapeError, match="at least 12"):
        fw.measure.lyapunov_exponents(net, late, 6, drive=drive[:, :11])


@pytest.mark.parametrize(
    "net",
    [
        fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=[[5.0], [9.0]], eta=0.1), activation="tanh").double(),
        fw.RateNetwork(
            fw.Projection(torch.eye(2)),
            tau=0.01,
            memory=fw.Hebbian(tau=[[0.5], [0.9]], eta_rate=0.1),
            dt=0.001,
        ).double(),
    ],
)
def test_parameters_for_each_trial(net):
    step = fw.measure.NetworkMap(net)
    drive = normal(1, 4, 2, seed=7)
    found = [
        fw.measure.lyapunov_exponents(net, None, 4, drive=each) for each in (drive, drive.expand(2, -1, -1))
    ]
    assert found[0].equals(found[1])
    assert fw.measure.lyapunov_exponents(net, None, 4).sizes["trial"] == 2
    with pytest.raises(ShapeError, match="the network's parameters are for 2 trials"):
        step(step.rest(2)[:1])


def test_a_seed_is_checked_for_maps_too():
    with pytest.raises(ConfigError, match="seed='a' is not allowed"):
        fw.measure.lyapunov_exponents(lambda x: 0.5 * x, normal(1, 2), 3, seed="a")


def test_every_step_has_its_own_input():
    """x → u(t) x has the mean of ln |u| as its exponent."""
    drive = normal(3, 50, 1, seed=5)
    found = fw.measure.lyapunov_exponents(lambda x, u: u * x, normal(3, 1), 40, transient=10, drive=drive)
    expected = drive[:, 10:, 0].abs().log().mean(1)
    assert found.exponent[:, 0].values == pytest.approx(expected.numpy(), abs=1e-12)


def test_rounding_in_the_driving_system_does_not_grow():
    """Chaotic maps drive a linear one for so long that rounding along the first would be all that is left."""
    mix = normal(3, 3, seed=7)

    def step(x):
        driving, response = x[:, :3], x[:, 3:]
        return torch.cat([4 * driving * (1 - driving), response @ mix.T / 4 + driving], 1)

    start = torch.rand(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    found = fw.measure.lyapunov_exponents(step, start, 400, transient=100, response=[3, 4, 5])
    alone = fw.measure.lyapunov_exponents(lambda x: x @ mix.T / 4, start[:, 3:], 400, transient=100)
    assert found.exponent.values == pytest.approx(alone.exponent.values, abs=1e-9)
