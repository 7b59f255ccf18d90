"""Rate networks against closed forms, an integrator that nobody here wrote, and themselves at smaller steps."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import fwsim as fw
from fwsim import ms
from tests.engine.rates import (
    ASSOCIATIVE,
    DOUBLE,
    PRESYNAPTIC,
    TM,
    constant,
    identity,
    last,
    random,
    rich,
    tensor,
)


def test_a_leaky_unit_is_exact_at_any_step():
    tau, drive = tensor(8 * ms, 30 * ms), constant([2.0, -1.0], 6)
    net = fw.RateNetwork(fw.Projection(np.zeros((2, 2))), tau=tau, gain=identity, dt=11 * ms)
    rate, _ = net(drive)
    t = 11 * ms * torch.arange(1, 7, dtype=DOUBLE)[:, None]
    np.testing.assert_allclose(rate[0], drive[0] * (1 - torch.exp(-t / tau)), rtol=1e-13)


def test_two_linear_units_converge_on_the_matrix_exponential_at_second_order():
    W, drive, tau, time = (
        np.array([[0.2, -1.5], [0.7, -0.1]]),
        np.array([1.0, 0.5]),
        np.array([8 * ms, 20 * ms]),
        40 * ms,
    )
    J = (W - np.eye(2)) / tau[:, None]
    expected = np.linalg.solve(J, (expm(J * time) - np.eye(2)) @ (drive / tau))
    errors = []
    for steps in (20, 40, 80):
        net = fw.RateNetwork(fw.Projection(W), tau=torch.tensor(tau), gain=identity, dt=time / steps)
        errors.append(float(abs(last(net, constant(drive, steps))[0][0] - torch.tensor(expected)).max()))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1e-4
    np.testing.assert_allclose(orders, 2.0, atol=0.1)


def test_fixed_points_do_not_depend_on_the_step():
    """Exponential differencing keeps them: here the root of h = W relu(h) + I, far from a small step."""
    W, drive = 0.2 * random(5, 5), random(5, seed=1).abs()
    fixed = torch.linalg.solve(torch.eye(5, dtype=DOUBLE) - W, drive)
    for dt in (1 * ms, 5 * ms):
        net = fw.RateNetwork(fw.Projection(W), tau=8 * ms, gain=identity, dt=dt)
        np.testing.assert_allclose(last(net, constant(drive, 400))[0][0], fixed, rtol=1e-12)


@pytest.mark.parametrize("name", [*PRESYNAPTIC, *ASSOCIATIVE])
def test_silent_synapses_relax_exactly(name):
    """Without rates a rule's state after n large steps is that of its own exact propagation."""
    rule = {**PRESYNAPTIC, **ASSOCIATIVE}[name]
    net = fw.RateNetwork(fw.Projection(np.zeros((3, 3)), synapse=rule), tau=8 * ms, dt=7 * ms)
    rest = net.initial_state(2)
    away = {key: value + 0.3 * random(*value.shape).abs() for key, value in rest.variables.items()}
    _, state = last(net, torch.zeros(2, 5, 3, dtype=DOUBLE), fw.State(rest.hidden, None, 0, away))
    places = net.projections[0].places
    spread = {
        "pre": lambda v: v[:, 0, None, :],
        "post": lambda v: v[:, 0, :, None],
        "synapse": lambda v: v[:, 0],
    }
    expected = rule.propagate({key: spread[places[key]](value) for key, value in away.items()}, 35 * ms)
    for key, value in state.variables.items():
        np.testing.assert_allclose(spread[places[key]](value), expected[key], rtol=1e-11, atol=1e-13)


def tm_rates(convention):
    """du/dt, dx/dt and release for rates r, by hand."""
    U, tau_rec, tau_facil = TM["U"], TM["tau_rec"], TM["tau_facil"]

    def slope(u, x, r):
        raised = u + U * (1 - u)
        p = u if convention == "maass2002" else raised
        floor = 0.0 if convention == "tm1998" else U
        return (floor - u) / tau_facil + U * (1 - u) * r, (1 - x) / tau_rec - p * x * r, p * x

    return slope


@pytest.mark.parametrize("convention", ["maass2002", "mongillo2008", "tm1998"])
def test_clusters_that_take_turns_against_scipy(convention):
    """Mi, Katkov & Tsodyks 2017 with two clusters and inhibition, written out by hand."""
    alpha, tau, J_EE, J_IE, J_EI, background = 1.5, 8 * ms, 8.0, 1.75, 1.1, 8.0
    slope = tm_rates(convention)

    def gain(h):
        return alpha * np.logaddexp(0, h / alpha)

    def cue(t):
        return np.array([225.0 * (t < 30 * ms), 225.0 * (60 * ms <= t < 90 * ms)])

    def flow(t, y):
        h, h_I, u, x = y[:2], y[2], y[3:5], y[5:7]
        R, R_I = gain(h), gain(h_I)
        du, dx, release = slope(u, x, R)
        dh = (-h + J_EE * release * R - J_EI * R_I + background + cue(t)) / tau
        return np.concatenate([dh, [(-h_I + J_IE * R.sum()) / tau], du, dx])

    rest = 0.0 if convention == "tm1998" else TM["U"]
    y, samples = np.array([0, 0, 0, rest, rest, 1, 1]), []
    for start, stop in [(0, 0.03), (0.03, 0.06), (0.06, 0.09), (0.09, 0.4)]:
        done = solve_ivp(flow, (start, stop - 1e-12), y, "DOP853", rtol=1e-11, atol=1e-11)
        y = done.y[:, -1]
        samples.append(y)
    dt, static, plastic = 0.05 * ms, np.zeros((3, 3)), np.diag([J_EE, J_EE, 0.0])
    static[:2, 2], static[2, :2] = -J_EI, J_IE
    rule = fw.TsodyksMarkram(**TM, convention=convention)
    net = fw.RateNetwork(
        [fw.Projection(plastic, synapse=rule), fw.Projection(static)], tau=tau, gain=fw.softplus(alpha), dt=dt
    )
    drive = torch.zeros(1, 8000, 3, dtype=DOUBLE)
    drive[..., :2] = background
    drive[:, :600, 0] += 225
    drive[:, 1200:1800, 1] += 225
    run = fw.simulate(net, drive, record=["hidden", "u", "x"])
    for at, expected in zip((600, 1200, 1800, 8000), samples):
        np.testing.assert_allclose(run["hidden"][0, at - 1], expected[:3], rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(run["u"][0, at - 1, 0, :2], expected[3:5], rtol=2e-4, atol=1e-5)
        np.testing.assert_allclose(run["x"][0, at - 1, 0, :2], expected[5:7], rtol=2e-3, atol=1e-5)


def test_the_memory_against_scipy():
    N, tau, tau_k, eta, time = 3, 10 * ms, np.array([0.05, 2.0]), np.array([3.0, 1.0]), 0.1
    W, drive = 0.3 * random(N, N).numpy(), np.array([1.0, -0.5, 0.7])

    def flow(t, y):
        h, A = y[:N], y[N:].reshape(2, N, N)
        r = np.maximum(h, 0)
        field = W @ r + A.sum(0) @ r + drive
        field = (field - field.mean()) / np.sqrt(field.var() + 1e-5)
        dA = -A / tau_k[:, None, None] + eta[:, None, None] * np.outer(r, r)
        return np.concatenate([(-h + field) / tau, dA.ravel()])

    expected = solve_ivp(flow, (0, time), np.zeros(N + 2 * N * N), "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    memory = fw.Hebbian(tau=tau_k.tolist(), eta_rate=eta.tolist())
    net = fw.RateNetwork(fw.Projection(W), tau=tau, memory=memory, normalise="layer", dt=0.05 * ms)
    _, state = net(constant(drive, 2000))
    np.testing.assert_allclose(state.hidden[0].detach(), expected[:N], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.memory[0].flatten().detach(), expected[N:], rtol=1e-4, atol=1e-6)


def test_order_of_convergence_is_two():
    time, drive = 0.1, torch.tensor([8.0, 3.0, -2.0, 5.0], dtype=DOUBLE)
    ends = []
    for steps in (100, 200, 400, 800):
        _, state = last(rich(time / steps), constant(drive, steps))
        ends.append(
            torch.cat([state.hidden.flatten(), state.memory.flatten(), state.variables["w"].flatten()])
        )
    ends = [end[end.isfinite()].detach() for end in ends]
    differences = [float((a - b).abs().max()) for a, b in pairwise(ends)]
    orders = np.log2(np.array(differences[:-1]) / differences[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


def test_the_error_of_a_step_on_request():
    """What is recorded is the distance of one step from the exact solution, here by many small ones."""
    drive = constant([8.0, 3.0, -2.0, 5.0], 1)
    run = fw.simulate(rich(2 * ms), drive, record="step_error")
    coarse, fine = rich(2 * ms)(drive)[1], rich(2 * ms / 200)(drive.expand(-1, 200, -1))[1]
    true = float((coarse.hidden - fine.hidden).abs().max())
    assert float(run["step_error"][0, 0]) == pytest.approx(true, rel=0.2)
    assert true > 1e-6
