"""Fixed points of systems that have known ones."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.measure.differentiation import jacobian


def double(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 6), st.integers(0, 10**6), st.sampled_from(["map", "flow"]))
@settings(max_examples=20, deadline=None)
def test_a_linear_system_has_the_one_fixed_point_that_algebra_says(units, seed, kind):
    W, b = double(units, units, seed=seed), double(units, seed=seed + 1)
    starts = double(5, units, seed=seed + 2)
    found = fw.measure.fixed_points(lambda x: x @ W.T + b, starts, kind=kind, marginal=0.0)
    system = torch.eye(units, dtype=torch.float64) - W if kind == "map" else -W
    expected = torch.linalg.solve(system, b).numpy()
    assert found.sizes["point"] == 1
    assert found.state[0].values == pytest.approx(expected, rel=1e-6, abs=1e-6 * np.abs(expected).max())
    eigenvalues = torch.linalg.eigvals(W)
    growth = eigenvalues.abs() - 1 if kind == "map" else eigenvalues.real
    assert sorted(np.abs(found.eigenvalue[0].values)) == pytest.approx(sorted(eigenvalues.abs().tolist()))
    assert bool(found.stable[0]) == bool((growth < 0).all())
    assert int(found.index[0]) == int((growth >= 0).sum())
    assert int(found["count"][0]) == 5


def test_a_pitchfork_has_two_stable_points_and_a_saddle_between_them():
    W = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    found = fw.measure.fixed_points(lambda x: torch.tanh(x @ W.T), double(60, 2))
    assert found.converged.all()
    assert not found.slow.any()
    stable = found.where(found.stable, drop=True)
    assert sorted(stable.state[:, 0].values) == pytest.approx([-0.957504, 0.957504], abs=1e-6)
    saddle = found.where(~found.stable, drop=True)
    assert saddle.state.values == pytest.approx(np.zeros((1, 2)), abs=1e-9)
    assert saddle.eigenvalue.values.real == pytest.approx(np.array([[2.0, 0.5]]))
    assert saddle["index"].values.tolist() == [1]
    starts = double(60, 2)[:, 0].numpy()
    assert (np.sign(found.state.values[found.end.values][:, 0]) == np.sign(starts))[
        np.abs(starts) > 0.9
    ].all()
    assert int(found["count"].sum()) == 60


def test_lorenz_has_three_fixed_points_of_known_place_and_stability():
    sigma, rho, beta = 10.0, 28.0, 8 / 3

    def flow(x):
        return torch.stack(
            [
                sigma * (x[:, 1] - x[:, 0]),
                x[:, 0] * (rho - x[:, 2]) - x[:, 1],
                x[:, 0] * x[:, 1] - beta * x[:, 2],
            ],
            1,
        )

    found = fw.measure.fixed_points(flow, 20 * double(60, 3), kind="flow")
    found = found.where(found.converged, drop=True).sortby(found.state[:, 0])
    wing = np.sqrt(beta * (rho - 1))
    expected = np.array([[-wing, -wing, rho - 1], [0, 0, 0], [wing, wing, rho - 1]])
    assert found.state.values == pytest.approx(expected, abs=1e-7)
    assert found["index"].values.tolist() == [2, 1, 2]


def test_slow_points_are_kept_apart_from_fixed_points():
    # A ghost: dx/dt = x² + 0.01 never stands still, but is slowest at 0.
    found = fw.measure.fixed_points(
        lambda x: torch.stack([x[:, 0] ** 2 + 0.01, -x[:, 1]], 1), double(20, 2), kind="flow"
    )
    assert found.sizes["point"] == 1
    assert not found.converged.any()
    assert not found.stable.any()
    assert found.slow.all()
    assert found.speed.values == pytest.approx([0.01])
    assert found.state.values == pytest.approx(np.zeros((1, 2)), abs=1e-3)


def test_hopfield_at_low_load_keeps_all_patterns_and_their_negatives():
    N, P = 200, 5
    patterns = torch.sign(double(P, N, seed=1))
    A = patterns.T @ patterns / N
    A.fill_diagonal_(0)
    wrong = torch.rand(2 * P, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64) < 0.1
    stored = torch.cat([patterns, -patterns])
    found = fw.measure.fixed_points(lambda x: torch.sign(x @ A), torch.where(wrong, -stored, stored))
    assert found.sizes["point"] == 2 * P
    assert found.stable.all()
    ends = found.state.values[found.end.values]
    assert np.array_equal(ends, stored.numpy())


def test_eigenvalues_equal_those_of_finite_differences():
    W, z = double(7, 7, seed=3), double(7, seed=4)

    def step(x):
        return torch.relu(torch.nn.functional.layer_norm(z + x @ W.T, (7,)))

    found = fw.measure.fixed_points(
        step, torch.rand(100, 7, dtype=torch.float64, generator=torch.Generator())
    )
    found = found.where(found.converged, drop=True)
    assert found.sizes["point"] > 0
    for state, eigenvalue in zip(found.state.values, found.eigenvalue.values):
        x = torch.tensor(state)[None]
        bumps = 1e-6 * torch.eye(7, dtype=torch.float64)
        numeric = ((step(x + bumps) - step(x - bumps)) / 2e-6).T
        expected = np.linalg.eigvals(numeric.numpy())
        assert np.sort(np.abs(eigenvalue)) == pytest.approx(np.sort(np.abs(expected)), abs=1e-5)


def test_jacobian_equals_autograd_row_by_row():
    W = double(4, 4, seed=5)
    x = double(6, 4, seed=6)
    batched = jacobian(lambda s: torch.tanh(s @ W.T) * s, x)
    for row in range(6):
        single = torch.autograd.functional.jacobian(lambda s: torch.tanh(W @ s) * s, x[row])
        assert torch.allclose(batched[row], single, atol=1e-14)


def test_composite_states_of_activity_and_synapses():
    # A facilitating self-connection: dr/dt = −r + tanh(2 u r), du/dt = (0.5 − u)/2 + 0.5 (1 − u) r².
    whole = fw.measure.Composite({"r": (1,), "u": (1,)})

    def parts(s):
        r, u = s["r"], s["u"]
        return {"r": -r + torch.tanh(2 * u * r), "u": (0.5 - u) / 2 + 0.5 * (1 - u) * r**2}

    found = fw.measure.fixed_points(whole.step(parts), double(40, 2).abs(), kind="flow")
    good = found.where(found.converged, drop=True)
    rest = whole.split(torch.tensor(good.state.values))
    assert good.sizes["point"] >= 1
    assert torch.allclose(rest["r"], torch.tanh(2 * rest["u"] * rest["r"]), atol=1e-8)
    assert torch.equal(whole.flatten(rest), torch.tensor(good.state.values))
    with pytest.raises(ShapeError, match="'u'"):
        whole.flatten({"r": torch.zeros(3, 1), "u": torch.zeros(3, 2)})


def test_float32_starts_find_the_same_points():
    found = fw.measure.fixed_points(lambda x: torch.tanh(2 * x), double(20, 1).float())
    assert sorted(found.state.values[found.stable.values].ravel()) == pytest.approx(
        [-0.957504, 0.957504], abs=1e-4
    )


@pytest.mark.parametrize(
    ("step", "starts", "error", "match"),
    [
        (lambda x: x, torch.zeros(3), ShapeError, "batch, unit"),
        (lambda x: x, torch.zeros(0, 3), ShapeError, "at least one"),
        (lambda x: x, torch.zeros(2, 3, dtype=torch.long), ShapeError, "floating-point"),
        (lambda x: x[:, :1], torch.zeros(2, 3), ShapeError, "must keep"),
        (lambda x: x, np.array([["a"]]), ShapeError, "ndarray"),
        ("tanh", torch.zeros(2, 3), ConfigError, "step is 'tanh'"),
        (lambda x: x.log(), -torch.ones(2, 3), ConfigError, r"starts\[0\]"),
    ],
)
def test_bad_starts_are_refused(step, starts, error, match):
    with pytest.raises(error, match=match):
        fw.measure.fixed_points(step, starts)


def test_a_memory_of_few_items_has_a_jacobian_of_low_rank():
    patterns = double(3, 100, seed=1).sign()
    A = 2 * patterns.T @ patterns / 100
    found = fw.measure.fixed_points(lambda h: torch.tanh(h @ A.T), torch.cat([patterns, -patterns]))
    assert found.sizes["point"] == 6
    assert found.stable.all()
    eigenvalue = np.sort(np.abs(found.eigenvalue.values))
    assert eigenvalue[:, :-3] == pytest.approx(np.zeros((6, 97)), abs=1e-9)
    assert (eigenvalue[:, -3:] > 0.05).all()


def test_maps_with_trainable_parameters():
    torch.manual_seed(0)
    linear, starts = torch.nn.Linear(3, 3, dtype=torch.float64), double(4, 3)
    with torch.no_grad():
        linear.weight *= 0.5
    found = fw.measure.fixed_points(linear, starts)
    ends = fw.measure.basins(linear, starts)
    inverse = torch.linalg.inv(torch.eye(3, dtype=torch.float64) - linear.weight.detach())
    expected = inverse @ linear.bias.detach()
    assert found.state.values == pytest.approx(expected.numpy()[None])
    assert ends.state.values == pytest.approx(expected.numpy()[None], abs=1e-6)

    net = fw.FastWeightNetwork(2, 3, fw.Hebbian.from_decay(0.9, eta=0.3)).double()
    recall = lambda x: net.recall(net.initial_state(len(x)), x, steps=1)[0].hidden  # noqa: E731
    assert fw.measure.fixed_points(recall, starts).sizes["point"] >= 1
    assert fw.measure.basins(recall, starts).sizes["attractor"] >= 1


def test_an_unknown_kind_is_refused():
    with pytest.raises(ConfigError, match="'map', 'flow'"):
        fw.measure.fixed_points(lambda x: x, torch.zeros(1, 1), kind="ode")


def test_starts_settle_into_attractors_before_the_search():
    """Of x ← tanh(2x), 0 is unstable; starts near it find it, unless they may leave first."""
    starts = torch.tensor([[-1e-3], [1e-3], [2e-3]], dtype=torch.float64)
    step = lambda x: torch.tanh(2 * x)  # noqa: E731
    at_once = fw.measure.fixed_points(step, starts)
    assert at_once.stable.values.tolist() == [False]
    settled = fw.measure.fixed_points(step, starts, settle=60)
    assert settled.stable.values.tolist() == [True, True]
    np.testing.assert_allclose(sorted(settled.state.values[:, 0]), [-0.9575040240772687, 0.9575040240772687])
    assert sorted(settled["count"].values) == [1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settle": -1}, "settle=-1"),
        ({"settle": 1.5}, "settle=1.5"),
        ({"settle": 10, "kind": "flow"}, "settle is for maps"),
    ],
)
def test_settling_that_cannot_be(options, said):
    with pytest.raises(fw.ConfigError, match=said):
        fw.measure.fixed_points(torch.tanh, torch.ones(2, 3, dtype=torch.float64), **options)


def test_starts_that_leave_while_they_settle_are_named():
    with pytest.raises(fw.ConfigError, match="become NaN or infinite within settle=2000"):
        fw.measure.fixed_points(lambda x: 2 * x, torch.ones(2, 3, dtype=torch.float64), settle=2000)
