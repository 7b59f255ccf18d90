"""The memory of a rate network, and what it has in common with fast weights in steps."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import ms
from fwsim.engine.rate.matrix import matrix
from tests.engine.rates import DOUBLE, random, tensor


@pytest.mark.parametrize("self_connections", [True, False])
@pytest.mark.parametrize("tau", [0.3, [0.05, 0.3, math.inf]])
def test_memory_of_a_held_state_is_exact(tau, self_connections):
    """A_k = η τ_k (1 − e^{−t/τ_k}) r rᵀ; the rates are held by fields that the memory cannot move."""
    memory, rate = fw.Hebbian(tau=tau, eta_rate=0.5), tensor(2.0, 1.0)
    net = fw.RateNetwork(
        fw.Projection(np.zeros((2, 2))),
        tau=1.0,
        gain=lambda h: rate.expand(h.shape[0], -1),
        memory=memory,
        dt=40 * ms,
        self_connections=self_connections,
    )
    _, state = net(torch.zeros(1, 5, 2, dtype=DOUBLE))
    outer = torch.outer(rate, rate) * (1 if self_connections else 1 - torch.eye(2))
    for k, each in enumerate(np.atleast_1d(tau)):
        grown = 0.2 if math.isinf(each) else each * (1 - math.exp(-0.2 / each))
        np.testing.assert_allclose(state.memory[0, k].detach(), 0.5 * grown * outer, rtol=1e-13)


def test_per_second_keeps_the_strength_of_one_write():
    memory = fw.Hebbian(tau=[0.5, 19.5], eta=[0.3, 0.5])
    rate = fw.per_second(memory, 0.2)
    np.testing.assert_allclose(rate.strength(0.2), memory.eta, rtol=1e-13)
    np.testing.assert_allclose(rate.tau, memory.tau)
    assert fw.per_second(rate, 0.2) is rate


def fast(seed=0, **options):
    torch.manual_seed(seed)
    memory = options.pop("memory", fw.Hebbian(tau=2.0, eta_rate=0.2))
    return fw.FastWeightNetwork(3, 12, memory, **options).double()


def test_inner_iterations_are_so_many_time_constants_of_settling():
    """From the same h_0 = z, with A held: the gap between S iterations and S·τ of settling vanishes with S."""
    net = fast(identity_scale=0.0, inner_steps=1)
    _, state = net(random(4, 6, 3))
    z = torch.nn.functional.linear(random(4, 3, seed=3), net.C, net.b)
    frozen = fw.Hebbian(tau=math.inf, eta_rate=0.0)
    circuit = fw.RateNetwork(
        fw.Projection(np.zeros((12, 12))), tau=10 * ms, memory=frozen, normalise="layer", dt=1 * ms
    )
    gaps = []
    for S in (2, 4, 8, 16, 64):
        _, path = net.recall(state, torch.relu(z), S, sustained=z)
        rate, _ = circuit(z[:, None].expand(-1, 10 * S, -1).detach(), fw.State(z, state.memory))
        gaps.append(float((rate[:, -1] - path[:, -1]).abs().max().detach()))
    assert gaps[-1] < 1e-8
    assert all(later < 0.7 * earlier for earlier, later in pairwise(gaps))


def test_the_whole_network_agrees_where_time_scales_are_apart():
    """τ ≪ dt ≪ τ_k: halving both gaps halves the difference of rates and memories."""
    gaps = []
    for steps in (10, 20, 40):  # of the discrete network for each of 3 inputs, which last 0.4 s
        weak = fw.Hebbian(tau=2.0, eta_rate=0.02)  # a strong memory has several attractors to choose from
        net = fast(identity_scale=0.0, inner_steps=40, dt=0.4 / steps, memory=weak)
        x = random(2, 3, 3)
        hidden, state = net(x.repeat_interleave(steps, 1))
        circuit = fw.continuous(net, tau=net.dt / 20, dt=net.dt / 20)
        rate, end = circuit(fw.held(net, x, 20 * steps))
        gaps.append(
            [
                float((rate[:, -1] - hidden[:, -1]).abs().max().detach()),
                float((end.memory - state.memory).abs().max().detach()),
            ]
        )
    gaps = np.array(gaps)
    assert gaps[-1, 0] < 0.01
    assert gaps[-1, 1] < 0.01
    np.testing.assert_allclose(gaps[:-1] / gaps[1:], 2.0, atol=0.5)


def test_a_trained_network_carries_over():
    net = fast(
        memory=fw.Hebbian.from_decay(0.95, eta=0.5, dt=0.1), dt=0.1, self_connections=False, activation="tanh"
    )
    with torch.no_grad():
        net.gain += 1.0
        net.bias -= 0.2
    circuit = fw.continuous(net, tau=5 * ms, dt=1 * ms)
    assert float(circuit.memory.tau) == pytest.approx(fw.theory.tau_from_decay(0.95, 0.1))
    assert float(fw.theory.decay_from_tau(float(circuit.memory.tau), 0.1)) == pytest.approx(0.95)
    np.testing.assert_allclose(circuit.memory.strength(0.1), 0.5)
    field = random(2, 12)
    np.testing.assert_allclose(circuit.normalise(field), net.cell().normal(field).detach())
    assert circuit.gain is fw.tanh
    assert not circuit.self_connections


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"activation": "sign"}, "sign"),
        ({"inner_steps": 0}, "inner_steps"),
        ({"memory": fw.Delta()}, "Delta"),
    ],
)
def test_what_has_no_continuous_form(options, says):
    with pytest.raises(fw.ConfigError, match=says):
        fw.continuous(fast(**options), tau=5 * ms, dt=1 * ms)


CONNECTED = torch.tensor([[True, True, False], [False, False, True], [True, False, True]])


@pytest.mark.parametrize("self_connections", [True, False])
def test_a_memory_connects_only_some_pairs(self_connections):
    """The same equations in NumPy by Euler's method with steps a hundred times as short; its error is 0.3 % here."""
    W, tau, decay, eta, dt = random(3, 3, seed=1) / 3, 0.05, 0.4, -3.0, 2 * ms
    drive = random(1, 200, 3, seed=2).abs() * 2
    net = fw.RateNetwork(
        fw.Projection(W),
        tau=tau,
        memory=fw.Hebbian(tau=decay, eta_rate=eta),
        dt=dt,
        self_connections=self_connections,
        connected=CONNECTED,
    )
    rate, state = net(drive)
    mask = CONNECTED.numpy() & (self_connections | ~np.eye(3, dtype=bool))
    h, A, fine = np.zeros(3), np.zeros((3, 3)), dt / 100
    for field in drive[0].numpy():
        for _ in range(100):
            r = np.maximum(h, 0)
            h, A = (
                h + fine / tau * (-h + W.numpy() @ r + A @ r + field),
                A + fine * (-A / decay + eta * mask * np.outer(r, r)),
            )
    np.testing.assert_allclose(state.memory[0, 0].detach(), A, rtol=0.01, atol=1e-9)
    np.testing.assert_allclose(rate[0, -1].detach(), np.maximum(h, 0), rtol=0.01)
    assert not state.memory[0, 0][~torch.as_tensor(mask)].any()


def test_what_a_state_holds_elsewhere_does_not_act():
    """A memory of a whole network that is continued with fewer connections answers through those alone."""
    options = {"tau": 0.05, "memory": fw.Hebbian(tau=math.inf, eta_rate=0.0), "dt": 1 * ms}
    whole, memory = fw.RateNetwork(fw.Projection(np.zeros((3, 3))), **options), random(1, 1, 3, 3, seed=3)
    part = fw.RateNetwork(fw.Projection(np.zeros((3, 3))), **options, connected=CONNECTED)
    drive, rest = random(1, 50, 3, seed=4).abs(), whole.initial_state(1)
    rate, _ = part(drive, fw.State(rest.hidden, memory))
    expected, _ = whole(drive, fw.State(rest.hidden, memory * CONNECTED))
    torch.testing.assert_close(rate, expected)
    assert part.plan().kernel == "reference"
    assert "some pairs" in part.plan().why


@pytest.mark.parametrize("self_connections", [True, False])
def test_what_some_connections_will_answer_is_what_they_answer_then(self_connections):
    """The answer that is predicted without a matrix is that of the matrix after the step."""
    rule = fw.Hebbian(tau=[0.1, 0.7], eta_rate=[0.5, -2.0])
    prepared = matrix(rule, 20 * ms, self_connections, random(1), CONNECTED)
    memory, written, rate = random(2, 2, 3, 3, seed=1), random(2, 3, seed=2), random(2, 3, seed=3)
    then = prepared.write(memory, written, written)
    torch.testing.assert_close(prepared.read_predicted(memory, written, rate), prepared.read(then, rate))
