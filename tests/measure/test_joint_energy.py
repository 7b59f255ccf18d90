"""The energy of activity and synapses together: closed forms, gradients, and decrease in simulations."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, RecordingError, ShapeError
from tests.measure.test_driven_exponents import normal

PAIR = torch.tensor([[0.2, 0.7], [0.7, -0.4]], dtype=torch.float64)
MEMORY = fw.Hebbian(tau=[0.05, 0.4], eta_rate=[4.0, 0.5])


def network(weights=PAIR, **options):
    return fw.RateNetwork(
        fw.Projection(weights), **{"tau": 0.01, "dt": 5e-4, "gain": fw.tanh, "memory": MEMORY} | options
    ).double()


def test_two_units_by_hand():
    h, I = np.array([0.3, -0.8]), np.array([0.5, 0.1])  # noqa: E741
    r = np.tanh(h)
    A = np.array([[[0.1, 0.2], [0.2, 0.05]], [[-0.3, 0.4], [0.4, 0.0]]])
    units = sum(x * np.tanh(x) - np.log(np.cosh(x)) for x in h)
    fixed = 0.5 * (0.2 * r[0] ** 2 + 2 * 0.7 * r[0] * r[1] - 0.4 * r[1] ** 2)
    learned = 0.5 * sum(a[0, 0] * r[0] ** 2 + 2 * a[0, 1] * r[0] * r[1] + a[1, 1] * r[1] ** 2 for a in A)
    cost = (A[0] ** 2).sum() / (4 * 4.0 * 0.05) + (A[1] ** 2).sum() / (4 * 0.5 * 0.4)
    state = fw.State(torch.tensor(h)[None], torch.tensor(A)[None])
    found = fw.measure.joint_energy(network(), state, torch.tensor(I))
    assert float(found) == pytest.approx(units - I @ r - fixed - learned + cost, abs=1e-12)


@pytest.mark.parametrize("gain", [fw.relu, fw.tanh, fw.softplus(0.5), lambda h: h / (1 + h.abs())])
def test_its_fall_is_the_speed_of_activity_and_synapses(gain):
    """dE/dt = −Σ τ gain' (dh/dt)² − Σ ‖dA/dt‖²/(2η), with derivatives written down here."""
    W = normal(5, 5, seed=1)
    W = (W + W.T) / 4
    tau = torch.linspace(0.005, 0.02, 5, dtype=torch.float64)
    net = network(W, gain=gain, tau=tau, kernel="reference")
    h = normal(3, 5, seed=2)
    A = normal(3, 2, 5, 5, seed=3) / 4
    A, drive = (A + A.mT) / 2, normal(5, seed=4)
    times, rates = (torch.tensor(each).double() for each in ([0.05, 0.4], [4.0, 0.5]))
    r = gain(h)
    outer = torch.einsum("bi,bj->bij", r, r)[:, None]
    dh = (-h + r @ W.T + torch.einsum("bkij,bj->bi", A, r) + drive) / tau
    dA = -A / times[:, None, None] + rates[:, None, None] * outer
    slope = torch.func.vmap(torch.func.vmap(torch.func.grad(gain)))(h)
    expected = -(tau * slope * dh**2).sum(1) - (dA.square().sum((2, 3)) / (2 * rates)).sum(1)
    bump = 1e-6

    def at(sign):
        state = fw.State(h + sign * bump * dh, A + sign * bump * dA)
        return fw.measure.joint_energy(net, state, drive)

    assert ((at(1) - at(-1)) / (2 * bump)).numpy() == pytest.approx(expected.numpy(), rel=1e-6)
    assert (expected < 0).all()


@pytest.mark.parametrize("self_connections", [True, False])
def test_it_decreases_along_simulations(self_connections):
    W = normal(8, 8, seed=5)
    net = network((W + W.T) / 3, self_connections=self_connections)
    drive = normal(4, 8, seed=6)
    state = fw.State(2 * normal(4, 8, seed=7), torch.zeros(4, 2, 8, 8).double())
    held = drive[:, None].expand(-1, 300, -1)
    run = fw.simulate(net, held, state=state, record=["hidden", "memory"])
    found = fw.measure.joint_energy(net, run, drive)
    assert found.dims == ("trial", "time")
    fall = found.diff("time").values
    assert (fall < 1e-9).all()
    assert (found.values[:, 0] - found.values[:, -1] > 0.1).all()
    last = run.isel(time=-1)
    end = fw.State(torch.tensor(last.hidden.values), torch.tensor(last.memory.values))
    assert fw.measure.joint_energy(net, end, drive).numpy() == pytest.approx(found.values[:, -1])


def test_a_network_without_memory_has_that_of_hopfield():
    net = network(memory=None)
    h = normal(2, 2, seed=8)
    r = torch.tanh(h)
    entropy = (r * torch.atanh(r) + torch.log(1 - r**2) / 2).sum(1)
    expected = entropy - ((r @ PAIR) * r).sum(1) / 2
    assert torch.allclose(fw.measure.joint_energy(net, fw.State(h)), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()}, "projection 0 is not symmetric"),
        ({"memory": fw.Hebbian(tau=0.1, eta_rate=-1.0)}, "strength of 0 or below"),
        ({"normalise": "divisive"}, "normalises its fields"),
        ({"noise": 0.1}, "give noise=0"),
        ({"gain": torch.sin}, "gain decreases"),
        ({"connected": torch.tensor([[True, True], [False, True]])}, "connected is not symmetric"),
    ],
)
def test_networks_without_an_energy_are_refused(options, said):
    net = network(**options)
    state = fw.State(torch.tensor([[3.0, 1.0]]).double(), torch.zeros(1, len(net.memory.tau), 2, 2).double())
    with pytest.raises(ConfigError, match=said):
        fw.measure.joint_energy(net, state)


def test_it_grows_downwards_without_limit_with_relu():
    """A memory that grows with the rates it feeds: no lower bound, and rates go to infinity."""
    net = network(torch.zeros(1, 1).double(), gain=fw.relu, memory=fw.Hebbian(tau=0.1, eta_rate=20.0))
    drive = torch.full((1, 66, 1), 2.0, dtype=torch.float64)
    run = fw.simulate(net, drive, record=["hidden", "memory"])
    found = fw.measure.joint_energy(net, run, drive[0, 0])
    assert (found.diff("time") < 0).all()
    assert float(run.hidden[0, -1, 0]) > 50
    silent = fw.State(torch.tensor([[-1.0], [-2.0]]).double(), torch.zeros(2, 1, 1, 1).double())
    assert fw.measure.joint_energy(net, silent).tolist() == [0, 0]


def test_each_trial_has_its_own_weights_time_constants_and_drive():
    """Networks for a batch give the energies of networks for one trial each."""
    weights, drive = torch.stack([PAIR, 2 * PAIR, -PAIR]), normal(3, 2, seed=4)
    tau = torch.tensor([[0.1], [0.2], [0.3]])
    h, A = normal(3, 2, seed=2), normal(3, 1, 2, 2, seed=3)
    state = fw.State(h, A + A.mT)
    one = network(weights, memory=fw.Hebbian(tau=tau, eta_rate=1.0))
    for given in (None, drive):
        found = fw.measure.joint_energy(one, state, given)
        for k in range(3):
            single = network(weights[k], memory=fw.Hebbian(tau=float(tau[k]), eta_rate=1.0))
            alone = fw.State(h[k : k + 1], state.memory[k : k + 1])
            expected = fw.measure.joint_energy(single, alone, None if given is None else given[k])
            assert float(found[k]) == pytest.approx(float(expected), abs=1e-12)
    alone = network(PAIR[None], memory=None)
    assert fw.measure.joint_energy(alone, fw.State(h[:1])).shape == (1,)


def state(trials=1, timescales=2, units=2):
    memory = torch.zeros(trials, timescales, units, units) if timescales else None
    return fw.State(torch.zeros(trials, 2), memory)


@pytest.mark.parametrize(
    ("given", "drive", "error", "said"),
    [
        (state(), torch.zeros(3, 2), ShapeError, r"drive has shape \[3, 2\].* trial=1"),
        (state(3), torch.zeros(2, 2), ShapeError, r"drive has shape \[2, 2\].* trial=3"),
        (state(), torch.tensor([np.nan, 0]), ConfigError, "drive is NaN"),
        (state(), ["a", "b"], ConfigError, "drive is <U1"),
        (state(1, 1), None, ShapeError, r"state.memory has shape \[1, 1, 2, 2\]"),
        (state(1, 2, 3), None, ShapeError, r"state.memory has shape \[1, 2, 3, 3\]"),
        (state(1, 0), None, ConfigError, "carries nothing, this network a memory"),
        (fw.State(torch.zeros(1, 3)), None, ShapeError, r"state.hidden has shape \[1, 3\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(given, drive, error, said):
    with pytest.raises(error, match=said):
        fw.measure.joint_energy(network(), given, drive)


def test_recordings_that_do_not_fit_are_refused():
    run = fw.simulate(network(), torch.zeros(1, 3, 2).double(), record=["hidden", "memory"])
    assert fw.measure.joint_energy(network(), run.isel(trial=0)).dims == ("trial", "time")
    for wrong, said in (
        (run.isel(time=-1), "it needs time"),
        (run.isel(time=[]), "empty along time"),
        (run.expand_dims("network"), r"\['network', 'trial'"),
        (run.isel(timescale=[0]), r"state.memory has shape \[1, 1, 2, 2\]"),
    ):
        with pytest.raises(ShapeError, match=said):
            fw.measure.joint_energy(network(), wrong)


def test_other_refusals():
    plastic = fw.RateNetwork(
        fw.Projection(PAIR, synapse=fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)), tau=0.01
    )
    rest = fw.State(torch.zeros(1, 2).double(), torch.zeros(1, 2, 2, 2).double())
    with pytest.raises(ConfigError, match="presynaptic plasticity"):
        fw.measure.joint_energy(plastic, rest)
    with pytest.raises(ConfigError, match="net is a Linear"):
        fw.measure.joint_energy(torch.nn.Linear(2, 2), rest)
    with pytest.raises(ConfigError, match="states is a str"):
        fw.measure.joint_energy(network(), "rest")
    with pytest.raises(ShapeError, match=r"drive has shape \[3\]"):
        fw.measure.joint_energy(network(), rest, torch.ones(3))
    lopsided = fw.State(rest.hidden, torch.tensor([[0.0, 1.0], [0.0, 0.0]]).double().expand(1, 2, 2, 2))
    with pytest.raises(ConfigError, match="the memory is not symmetric"):
        fw.measure.joint_energy(network(), lopsided)
    run = fw.simulate(network(), torch.zeros(1, 3, 2).double(), record=["hidden"])
    with pytest.raises(RecordingError, match="memory"):
        fw.measure.joint_energy(network(), run)
