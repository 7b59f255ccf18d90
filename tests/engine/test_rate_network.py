"""Rate networks: closed forms, independent integrators, order, rules, batches, states, errors."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import fwsim as fw
from fwsim import ms

DOUBLE = torch.float64
TM = {"U": 0.3, "tau_rec": 0.3, "tau_facil": 1.5}
PRESYNAPTIC = {
    "maass2002": fw.TsodyksMarkram(**TM),
    "mongillo2008": fw.TsodyksMarkram(**TM, convention="mongillo2008"),
    "tm1998": fw.TsodyksMarkram(**TM, convention="tm1998", tau_inact=0.003),
    "depressing": fw.TsodyksMarkram(U=0.5, tau_rec=0.8, tau_facil=0.0),
    "instant": fw.TsodyksMarkram(**TM, convention="tm1998"),
    "varela": fw.Varela(),
    "enhancement": fw.Enhancement(potentiation=(0.01,), tau_potentiation=(7.0,)),
}
ASSOCIATIVE = {
    "traces": fw.HebbianTraces(tau=0.5, eta=0.02),
    "benna_fusi": fw.BennaFusi(length=3, tau=0.2, eta=0.05, leak=1.0),
    "bcpnn": fw.BCPNN(tau_p=0.5),
    "product": fw.Product(fw.HebbianTraces(tau=0.5, eta=0.02), fw.TsodyksMarkram(**TM)),
}


def identity(h):
    return h


def tensor(*values):
    return torch.tensor(values, dtype=DOUBLE)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def constant(value, time, batch=1):
    return torch.as_tensor(value, dtype=DOUBLE).expand(batch, time, -1)


def last(net, drive, state=None):
    rate, state = net(drive, state)
    return rate[:, -1], state


# --- closed forms ----------------------------------------------------------------------------------------


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


# --- against an integrator that nobody here wrote ----------------------------------------------------------


def tm_rates(convention):
    """du/dt, dx/dt of SCIENCE §4 for rates r, by hand."""
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


# --- order ------------------------------------------------------------------------------------------------


def rich(dt, **options):
    """Make a network with every nonlinearity: three rules of both kinds, a memory, inhibition."""
    mixed = [
        fw.Projection(0.4 * random(4, 4), synapse=fw.TsodyksMarkram(**TM)),
        fw.Projection(0.3 * random(4, 4, seed=1), synapse=fw.Varela()),
        fw.Projection(0.3 * random(4, 4, seed=2), synapse=fw.HebbianTraces(tau=0.5, eta=0.02)),
        fw.Projection(0.2 * random(4, 4, seed=3)),
    ]
    memory = fw.Hebbian(tau=[0.1, 1.0], eta_rate=[0.2, 0.05])
    return fw.RateNetwork(
        mixed, tau=10 * ms, gain=fw.softplus(2.0), memory=memory, normalise="divisive", dt=dt, **options
    )


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


# --- rules ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESYNAPTIC)
def test_a_population_at_a_rate_settles_where_the_rule_says(name):
    rule, rate = PRESYNAPTIC[name], tensor(0.5, 5.0, 40.0)
    net = fw.RateNetwork(fw.Projection(np.zeros((3, 3)), synapse=rule), tau=1 * ms, dt=25 * ms)
    run = fw.simulate(
        net, steps=8_000, drive=lambda a, b: constant(rate, b - a), record=["release"], every=8_000
    )
    expected = rule.steady_state(rate, "mean_field").release
    np.testing.assert_allclose(run["release"][0, -1, 0], expected, rtol=1e-8)


def test_a_recurrent_population_against_the_steady_state_of_its_rule():
    """Self-consistency r = α ln(1 + e^{(J u x r + I)/α}) holds with the rule's own mean field."""
    rule, J, drive = fw.TsodyksMarkram(**TM), 3.0, 4.0
    net = fw.RateNetwork(fw.Projection([[J]], synapse=rule), tau=8 * ms, gain=fw.softplus(1.5), dt=1 * ms)
    rate, _ = last(net, constant([drive], 5_000))
    release = rule.steady_state(rate[0].detach(), "mean_field").release
    np.testing.assert_allclose(rate[0].detach(), net.gain(J * release * rate[0].detach() + drive), rtol=1e-9)
    assert float(rate) > 5.0


def test_the_mean_field_is_close_to_poisson_trains_and_says_how_far():
    """u of a Poisson train is exact in the mean field; the product u x is not (SCIENCE §4)."""
    rule = fw.TsodyksMarkram(**TM)
    net = fw.RateNetwork(fw.Projection([[0.0]], synapse=rule), tau=1 * ms, dt=5 * ms)
    _, state = last(net, constant([10.0], 5000))
    poisson = rule.steady_state(10.0, "poisson")
    np.testing.assert_allclose(state.variables["u"].flatten().detach(), poisson.state["u"], rtol=1e-8)
    mean_field = state.variables["u"] * state.variables["x"]
    assert 0.005 < abs(float(mean_field) / float(poisson.release) - 1) < 0.3


@pytest.mark.parametrize("name", ASSOCIATIVE)
def test_associative_synapses_settle_where_the_rule_says(name):
    rule, rate = ASSOCIATIVE[name], tensor(4.0, 15.0)
    net = fw.RateNetwork(fw.Projection(np.zeros((2, 2)), synapse=rule), tau=1 * ms, dt=10 * ms)
    run = fw.simulate(
        net, steps=5000, drive=lambda a, b: constant(rate, b - a), record=["weight"], every=5000
    )
    expected = rule.steady_state(rate[None, :], rate[:, None], "mean_field").weight
    np.testing.assert_allclose(run["weight"][0, -1, 0], expected, rtol=1e-5, atol=1e-8)


def test_associative_synapses_scale_the_weights_they_sit_on():
    rule, W = fw.HebbianTraces(tau=0.5, eta=0.02), random(2, 2)
    net = fw.RateNetwork(fw.Projection(W, synapse=rule), tau=1 * ms, gain=fw.tanh, dt=1 * ms)
    run = fw.simulate(net, constant([0.5, 1.0], 4000), record=["weight", "hidden", "rate"], every=4000)
    efficacy, rate = run["weight"][0, 0, 0].values, run["rate"][0, 0].values
    np.testing.assert_allclose(run["hidden"][0, 0], (W.numpy() * efficacy) @ rate + [0.5, 1.0], rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    U=st.floats(0.01, 1.0),
    tau_rec=st.floats(0.01, 3.0),
    tau_facil=st.floats(0.0, 3.0),
    rate=st.floats(0.0, 100.0),
    convention=st.sampled_from(["maass2002", "tm1998", "mongillo2008"]),
)
def test_resources_stay_between_0_and_1(U, tau_rec, tau_facil, rate, convention):
    rule = fw.TsodyksMarkram(U=U, tau_rec=tau_rec, tau_facil=tau_facil, convention=convention)
    net = fw.RateNetwork(fw.Projection([[0.0]], synapse=rule), tau=5 * ms, dt=1 * ms)
    run = fw.simulate(net, constant([rate], 300), record=["u", "x", "release"])
    for name in ("u", "x", "release"):
        assert 0 <= float(run[name].min()) <= float(run[name].max()) <= 1 + 1e-12


# --- memory -----------------------------------------------------------------------------------------------


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


# --- noise ------------------------------------------------------------------------------------------------


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


def test_noise_is_a_function_of_seed_and_step(monkeypatch):
    net = fw.RateNetwork(fw.Projection(random(3, 3)), tau=20 * ms, gain=fw.tanh, noise=0.5, dt=1 * ms)
    drive = random(2, 150, 3, seed=2)
    whole = fw.simulate(net, drive, record="rate", seed=7)
    first = fw.simulate(net, drive[:, :70], record="rate", seed=7)
    second = fw.simulate(net, drive[:, 70:], record="rate", seed=7, state=fw.load_state(first))
    np.testing.assert_allclose(second["rate"], whole["rate"][:, 70:], rtol=1e-12)
    monkeypatch.setattr("fwsim.engine.rate.observer.NUMBERS", 100)
    np.testing.assert_array_equal(fw.simulate(net, drive, record="rate", seed=7)["rate"], whole["rate"])
    np.testing.assert_array_equal(net(drive, seed=7)[0].detach(), whole["rate"])
    assert not np.allclose(fw.simulate(net, drive, record="rate", seed=8)["rate"], whole["rate"])


# --- batches ----------------------------------------------------------------------------------------------

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


# --- recordings and states ----------------------------------------------------------------------------------


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


# --- correspondence with fast weights in steps ----------------------------------------------------------------


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


# --- errors -----------------------------------------------------------------------------------------------


def test_divergence_names_step_and_trial():
    net = fw.RateNetwork(fw.Projection([[60.0]]), tau=8 * ms, dt=1 * ms)
    drive = torch.zeros(3, 4000, 1, dtype=DOUBLE)
    drive[1] = 1.0
    with pytest.raises(fw.DivergedError, match="smaller dt") as caught:
        fw.simulate(net, drive, record="rate", every=1000)
    assert (caught.value.variable, caught.value.trial) == ("hidden", 1)
    rate, _ = net(drive[:, : caught.value.step + 1])
    assert not bool(rate[1, -1].isfinite().all())
    assert bool(rate[1, -2].isfinite().all())


ZEROS = fw.Projection(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: fw.Projection([1.0, 2.0]), fw.ShapeError, r"\[post, pre\]"),
        (lambda: fw.Projection([[math.nan]]), fw.ConfigError, "NaN"),
        (lambda: fw.Projection([["a"]]), fw.ConfigError, "numbers"),
        (lambda: fw.Projection([[1.0]], synapse=fw.Hebbian(tau=1.0, eta=1.0)), fw.ConfigError, "memory="),
        (
            lambda: fw.Projection(np.ones((2, 2)), synapse=fw.TsodyksMarkram(U=torch.full((3,), 0.5))),
            fw.ShapeError,
            "unit=2",
        ),
        (lambda: fw.RateNetwork([], tau=0.01), fw.ConfigError, "Projection"),
        (lambda: fw.RateNetwork([ZEROS, fw.Projection([[1.0]])], tau=0.01), fw.ShapeError, "units"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.0), fw.ConfigError, "tau=0.0"),
        (lambda: fw.RateNetwork(ZEROS, tau=torch.ones(3)), fw.ShapeError, "tau"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, dt=-1.0), fw.ConfigError, "dt=-1.0"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, noise=-1.0), fw.ConfigError, "noise"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, gain="relu"), fw.ConfigError, "fwsim.relu"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, normalise="batch"), fw.ConfigError, "'layer'"),
        (
            lambda: fw.RateNetwork(ZEROS, tau=0.01, memory=fw.Hebbian(tau=1.0, eta=1.0)),
            fw.ConfigError,
            "per_second",
        ),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01, memory=fw.Delta()), fw.ConfigError, "Delta"),
        (
            lambda: fw.RateNetwork(fw.Projection(np.ones((3, 2, 2))), tau=torch.ones(2, 2)),
            fw.ShapeError,
            "batch",
        ),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01)(torch.zeros(1, 5, 3)), fw.ShapeError, "unit=2"),
        (lambda: fw.RateNetwork(ZEROS, tau=0.01)(torch.zeros(1, 5, 2)), fw.ShapeError, "float32"),
        (
            lambda: fw.simulate(fw.RateNetwork(ZEROS, tau=0.01), torch.zeros(1, 5, 2), record="u"),
            fw.ConfigError,
            "'rate'",
        ),
        (
            lambda: fw.simulate(fw.RateNetwork(ZEROS, tau=0.01), torch.zeros(1, 5, 3)),
            fw.ShapeError,
            "unit=2",
        ),
        (lambda: fw.per_second(fw.Hebbian(tau=1.0, eta=1.0), 0.0), fw.ConfigError, "dt=0.0"),
        (lambda: fw.per_second(fw.Hebbian(tau=0.0, eta=1.0), 1.0), fw.ConfigError, "tau=0"),
    ],
)
def test_bad_arguments(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


def test_a_state_of_another_network_is_refused():
    plastic = fw.RateNetwork(fw.Projection(np.zeros((2, 2)), synapse=fw.Varela()), tau=0.01)
    with pytest.raises(fw.ShapeError, match="'F'"):
        plastic(torch.zeros(1, 3, 2, dtype=DOUBLE), fw.RateNetwork(ZEROS, tau=0.01).initial_state(1))
    with pytest.raises(fw.ShapeError, match="hidden"):
        plastic(torch.zeros(1, 3, 2, dtype=DOUBLE), plastic.initial_state(2))
