"""Limit cycles against closed forms, and against an integrator of scipy."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.measure.arclength import Curve
from fwsim.measure.collocation import Mesh
from fwsim.measure.cycle_starts import Guess
from fwsim.measure.cycles import _between, _Follower
from tests.measure.test_continuation import columns, cortes, hopf_form


def circle(phases, radius=1.0):
    return radius * torch.tensor(np.stack([np.cos(2 * np.pi * phases), np.sin(2 * np.pi * phases)], 1))


PHASES = np.arange(40) / 40


def from_rest(field, units, bounds, **options):
    start = torch.zeros(1, units, dtype=torch.float64)
    rest = fw.measure.continuation(field, start, bounds[0], bounds, kind="flow", length=0.1, switch=False)
    return fw.measure.limit_cycles(field, rest, bounds, **{"length": 0.2, "intervals": 10} | options)


def known(found, branch=0):
    return found.isel(branch=branch, point=found["parameter"].notnull().values[branch])


def labels(found):
    return [
        (str(label), float(p))
        for label, p in zip(found.bifurcation.values, found.parameter.values)
        if label != ""
    ]


def test_lambda_omega_cycles_have_their_radius_period_and_multiplier():
    """r' = r(p − r²), angle' = 1 + r²: radius √p, period 2π/(1 + p), multiplier exp(−2pT)."""

    def field(x, p):
        square = x.square().sum(1, keepdim=True)
        return (p - square) * x + (1 + square) * columns(-x[:, 1], x[:, 0])

    found = known(from_rest(field, 2, (-0.5, 1.0)))
    p, period = found.parameter.values, found.period.values
    radius = np.linalg.norm(found.state.values, axis=-1)
    assert radius == pytest.approx(np.sqrt(p)[:, None] * np.ones_like(radius), abs=1e-6)
    assert period == pytest.approx(2 * np.pi / (1 + p), abs=1e-8)
    assert found.multiplier.values[:, 0] == pytest.approx(np.exp(-2 * p * period), abs=1e-8)
    assert found.maximum.values == pytest.approx(np.sqrt(p)[:, None] * [1, 1], abs=1e-4)
    assert found.minimum.values == pytest.approx(-np.sqrt(p)[:, None] * [1, 1], abs=1e-4)
    assert found.stable.all()
    assert (found.error < 1e-6).all()
    assert found.end.values.tolist() == ["hopf", "bound"]
    assert p[-1] == 1.0
    assert not labels(found)


def test_a_subcritical_hopf_point_and_the_fold_of_its_cycles():
    """r' = r(p + r² − r⁴), angle' = 1: r² = (1 ± √(1 + 4p))/2, which meet at p = −1/4."""

    def field(x, p):
        square = x.square().sum(1, keepdim=True)
        return (p + square - square**2) * x + columns(-x[:, 1], x[:, 0])

    found = known(from_rest(field, 2, (-0.5, 0.5)))
    assert [label for label, _ in labels(found)] == ["fold"]
    assert labels(found)[0][1] == pytest.approx(-0.25, abs=1e-6)
    square = (found.state.values**2).sum(-1).mean(-1)
    p = found.parameter.values
    assert p + square - square**2 == pytest.approx(np.zeros(len(p)), abs=1e-6)
    ordinary = np.abs(square - 0.5) > 1e-3
    assert (found.stable.values == (square > 0.5))[ordinary].all()
    rate = 2 * square - 4 * square**2
    assert found.multiplier.values[:, 0].real == pytest.approx(np.exp(2 * np.pi * rate), rel=1e-4)
    assert p[-1] == 0.5


def test_a_branch_between_two_hopf_points_ends_at_both_and_is_followed_once():
    """r' = r(1/4 − p² − r²): cycles between p = −1/2 and 1/2."""

    def field(x, p):
        return hopf_form(x, 0.25 - p**2)

    found = from_rest(field, 2, (-1.0, 1.0), length=0.15)
    assert found.end.values.tolist() == [["hopf", "hopf"]]
    cycles = known(found)
    radius = np.linalg.norm(cycles.state.values, axis=-1).mean(1)
    assert radius == pytest.approx(np.sqrt(0.25 - cycles.parameter.values**2), abs=1e-6)
    assert radius.max() > 0.49
    assert not labels(cycles)
    both = from_rest(field, 2, (-1.0, 1.0), length=0.1, points=3)
    assert both.end.values.tolist() == [["hopf", "points"]] * 2  # the first has not reached the second
    assert (both.parameter.notnull().sum("point") == 4).all()


def test_hopf_points_of_other_branches_are_not_left_out():
    """r' = r(1/4 − (|p| − 1)² − r²): cycles from −3/2 to −1/2, and from 1/2 to 3/2."""

    def field(x, p):
        return hopf_form(x, 0.25 - (p.abs() - 1) ** 2)

    found = from_rest(field, 2, (-2.0, 2.0), length=0.1)
    assert found.sizes["branch"] == 2
    assert (found.end.values == "hopf").all()
    assert found.parameter.mean("point").values == pytest.approx([-1, 1], abs=0.1)


def isola(x, p):
    """r' = r(1/4 − (r − 2)² − p²), angle' = 1: cycles form a circle over p, with folds at −1/2 and 1/2."""
    r = x[:, :2].norm(dim=1, keepdim=True)
    return (0.25 - (r - 2) ** 2 - p**2) * x[:, :2] + columns(-x[:, 1], x[:, 0])


def followed(x, p):
    """The same with a third unit whose phase and size vary along the branch, so that the phase does not come back."""
    pull = 2 * x[:, :2].square().sum(1) * x[:, 0] - (1.5 + 2 * p[:, 0]) * x[:, 2]
    return torch.cat([isola(x, p), pull[:, None]], 1)


@pytest.mark.parametrize(
    ("field", "length"),
    [
        (isola, 0.05),
        (followed, 0.2),
        pytest.param(isola, 0.2, marks=pytest.mark.slow),
        pytest.param(followed, 0.05, marks=pytest.mark.slow),
    ],
)
def test_a_closed_branch_ends_where_it_began(field, length):
    start = circle(PHASES, 2.5)
    if field is followed:
        lag = np.arctan(1 / 1.5)
        third = 2 * 2.5**3 / np.hypot(1.5, 1) * np.cos(2 * np.pi * PHASES - lag)
        start = torch.cat([start, torch.tensor(third)[:, None]], 1)
    found = known(
        fw.measure.limit_cycles(
            field, start, (-1.0, 1.0), parameter=0.0, period=6.3, length=length, intervals=10
        )
    )
    assert found.end.values.tolist() == ["closed", "closed"]
    assert sorted(p for _, p in labels(found)) == pytest.approx([-0.5, 0.5], abs=1e-5)
    assert {label for label, _ in labels(found)} == {"fold"}
    assert found.isel(point=0).equals(found.isel(point=-1))
    radius = np.linalg.norm(found.state.values[..., :2], axis=-1).mean(1)
    assert (radius - 2) ** 2 + found.parameter.values**2 == pytest.approx(
        np.full(len(radius), 0.25), abs=1e-5
    )
    turns = np.unwrap(np.arctan2(found.parameter.values, radius - 2))
    assert abs(turns[-1] - turns[0]) == pytest.approx(2 * np.pi)
    assert (np.diff(turns) * np.sign(turns[-1]) > 0).all()


def test_a_cycle_is_recognised_at_any_phase():
    plain = Curve(hopf_form, "flow", 0.1, 2.0, torch.device("cpu"))
    follower = _Follower(plain, Mesh(np.linspace(0, 1, 11), 4), 0.1, 10, 100.0, lambda: None)

    def at(p, shift):
        return follower.first(
            Guess(np.zeros(2), lambda phases: circle(phases + shift, p**0.5).numpy(), 6.28, p, False)
        )

    for shift in (0.0, 0.3, 0.7):
        assert _between(at(0.9, 0.0), at(1.1, 0.0), at(1.0, shift))
        assert not _between(at(0.9, 0.0), at(1.1, 0.0), at(1.15, shift))


def test_points_count_in_each_direction():
    found = fw.measure.limit_cycles(
        hopf_form, circle(PHASES), (0.1, 2.0), parameter=1.0, period=6.28, points=3, length=0.01, intervals=10
    )
    assert found.sizes["point"] == 7
    assert found.end.values.tolist() == [["points", "points"]]


@pytest.mark.parametrize("count", [2, 4])
def test_several_periods_are_refused(count):
    start = circle(count * np.arange(120) / 120)
    with pytest.raises(ConfigError, match=f"holds {count} periods"):
        fw.measure.limit_cycles(hopf_form, start, (0.1, 2.0), parameter=1.0, period=count * 6.28)


def test_continuations_that_do_not_fit_are_refused():
    rest = fw.measure.continuation(
        hopf_form, torch.zeros(1, 2).double(), -0.5, (-0.5, 1.0), kind="flow", length=0.1
    )
    for field, bounds, error, said in (
        (
            hopf_form,
            (0.5, 1.0),
            ConfigError,
            "no Hopf point of the continuation has a parameter from 0.5 to 1",
        ),
        (lambda x, p: x[:, :1], (-0.5, 1.0), ShapeError, r"\[1, 2\] to \[1, 1\]"),
        (lambda x, p: p * x, (-0.5, 1.0), ConfigError, "give the field of the continuation"),
    ):
        with pytest.raises(error, match=said):
            fw.measure.limit_cycles(field, rest, bounds)


def around(inner, turn):
    """A cycle of radius 1, and inner(w) for deviations w = (r − 1, z) in a frame that turns `turn` times around it."""

    def field(x, p):
        radius = x[:, :2].norm(dim=1)
        cos, sin = x[:, 0] / radius, x[:, 1] / radius
        u, z = radius - 1, x[:, 2]
        c, s = (cos, sin) if turn == 0.5 else (torch.ones_like(cos), torch.zeros_like(sin))
        slow, fast = inner(p[:, 0])
        # R(a) diag(slow, fast) R(−a) with 2a = the angle for a half turn
        mean, half = (slow + fast) / 2, (slow - fast) / 2
        du = mean * u + half * (c * u + s * z) - turn * z
        dz = mean * z + half * (s * u - c * z) + turn * u
        return columns(cos * du - radius * sin, sin * du + radius * cos, dz)

    return field


def test_period_doubling_where_a_direction_turns_by_half():
    """Beyond p = 0 what is left after a period is −exp(2πp)."""
    field = around(lambda p: (-0.3 * torch.ones_like(p), p), 0.5)
    start = torch.cat([circle(PHASES), torch.zeros(40, 1).double()], 1)
    found = known(
        fw.measure.limit_cycles(
            field, start, (-0.2, 0.2), parameter=-0.1, period=6.0, length=0.2, intervals=10
        )
    )
    assert [label for label, _ in labels(found)] == ["flip"]
    assert labels(found)[0][1] == pytest.approx(0, abs=1e-6)
    p = found.parameter.values
    expected = -np.exp(2 * np.pi * np.stack([p, np.full_like(p, -0.3)], 1))
    assert np.sort(found.multiplier.values.real) == pytest.approx(np.sort(expected), abs=1e-6)
    assert found.end.values.tolist() == ["bound", "bound"]
    assert p[[0, -1]].tolist() == [-0.2, 0.2]
    assert found.period.values == pytest.approx(np.full(len(p), 2 * np.pi), abs=1e-7)


def test_a_torus_is_born_where_a_pair_of_multipliers_leaves_the_circle():
    """Deviations that turn by 0.3 rad per second and grow with p: multipliers exp(2π(p ± 0.3i))."""
    field = around(lambda p: (p, p), 0.3)
    start = torch.cat([circle(PHASES), torch.zeros(40, 1).double()], 1)
    found = known(
        fw.measure.limit_cycles(
            field, start, (-0.2, 0.2), parameter=-0.1, period=6.0, length=0.2, intervals=10
        )
    )
    assert [label for label, _ in labels(found)] == ["neimark-sacker"]
    assert labels(found)[0][1] == pytest.approx(0, abs=1e-6)
    angles = np.abs(np.angle(found.multiplier.values))
    assert angles == pytest.approx(np.full(angles.shape, 2 * np.pi * 0.3), abs=1e-6)


def integrated(field, start, parameter, settle):
    """Period and extremes of a cycle by scipy, from upward passages of the first unit through its mean."""

    def flow(_, x):
        state, p = torch.tensor(x)[None], torch.tensor([[parameter]], dtype=torch.float64)
        return field(state, p)[0].numpy()

    options = {"method": "LSODA", "rtol": 1e-9, "atol": 1e-11}
    settled = solve_ivp(flow, (0, settle), start, **options).y
    level = settled[0, settled.shape[1] // 2 :].mean()

    def passage(_, x):
        return x[0] - level

    passage.direction = 1
    found = solve_ivp(flow, (0, settle), settled[:, -1], events=passage, dense_output=True, **options)
    first, second = found.t_events[0][:2]
    dense = found.sol(np.linspace(first, second, 4000))
    return second - first, dense.min(1), dense.max(1)


def test_van_der_pol_from_a_simulation():
    """x'' − p(1 − x²)x' + x = 0; a relaxation oscillation at p = 5."""

    def field(x, p):
        return columns(x[:, 1], p[:, 0] * (1 - x[:, 0] ** 2) * x[:, 1] - x[:, 0])

    found = known(
        fw.measure.limit_cycles(
            field, circle(-PHASES, 2.0), (0.5, 5.0), parameter=1.0, period=6.6, intervals=30
        )
    )
    assert found.end.values.tolist() == ["bound", "bound"]
    for point, p in ((0, 0.5), (-1, 5.0)):
        cycle = found.isel(point=point)
        assert float(cycle.parameter) == p
        period, low, high = integrated(field, [2.0, 0.0], p, 60.0)
        assert float(cycle.period) == pytest.approx(period, rel=1e-5)
        assert cycle.minimum.values == pytest.approx(low, rel=1e-3)
        assert cycle.maximum.values == pytest.approx(high, rel=1e-3)
    assert found.stable.all()


@pytest.mark.slow
def test_cycles_of_a_network_with_plastic_synapses():
    """Cortes et al. 2013: those that begin at both Hopf points, against scipy where they are stable."""
    start = torch.tensor([[0.238616, 0.982747, 0.367876]], dtype=torch.float64)
    rest = fw.measure.continuation(cortes, start, -2.0, (-4.0, -0.9), kind="flow", length=0.1)
    found = fw.measure.limit_cycles(cortes, rest, (-4.0, -0.9), length=0.05, intervals=40, longest=20.0)
    assert found.sizes["branch"] == 2
    branch = known(found, 1)  # from the Hopf point at −1.15
    at = np.abs(branch.parameter.values + 1.3).argmin()
    cycle = branch.isel(point=int(at))
    assert bool(cycle.stable)
    period, low, high = integrated(cortes, cycle.state.values[0], float(cycle.parameter), 20.0)
    assert float(cycle.period) == pytest.approx(period, rel=1e-4)
    assert cycle.minimum.values == pytest.approx(low, rel=2e-3)
    assert cycle.maximum.values == pytest.approx(high, rel=2e-3)
    assert float(cycle.error) < 1e-3


def test_multipliers_that_are_not_resolved_are_not_reported():
    """A direction that grows by exp(20π p) in a period, in mixed coordinates: rounding hides what it hides."""
    mixing = torch.linalg.qr(torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 10]]).double())[0]

    def field(x, p):
        y = x @ mixing
        plane = hopf_form(y[:, :2], torch.ones_like(p))
        return columns(plane[:, 0], plane[:, 1], 10 * p[:, 0] * y[:, 2]) @ mixing.T

    start = torch.cat([circle(PHASES), torch.zeros(40, 1).double()], 1) @ mixing.T
    found = known(
        fw.measure.limit_cycles(field, start, (0.1, 3.0), parameter=0.2, period=6.2, length=0.2, intervals=10)
    )
    unknown = found.error.values > 0.01
    assert unknown.any()
    assert np.isnan(found.multiplier.values[unknown]).all()
    assert not np.isnan(found.multiplier.values[~unknown]).any()
    assert (found["index"].values[unknown] == -1).all()
    assert not found.stable.values.any()
    assert not labels(found)


def test_polynomials_of_the_mesh_are_exact_up_to_their_degree():
    mesh = Mesh(np.array([0.0, 0.1, 0.4, 1.0]), 4)
    profile = (mesh.nodes**4 - mesh.nodes)[:, None]
    phases = np.linspace(0, 1, 23)
    assert mesh.at(profile, phases)[:, 0] == pytest.approx(phases**4 - phases, abs=1e-12)
    assert mesh.weights.sum() == pytest.approx(1)


def test_intervals_become_short_where_a_cycle_is_fast():
    adapted = Mesh(np.linspace(0, 1, 21), 4)
    for _ in range(3):
        adapted = adapted.adapted(np.tanh(20 * np.sin(2 * np.pi * adapted.nodes))[:, None])
    assert np.diff(adapted.edges).min() < 0.02
    assert (np.diff(adapted.edges) > 0).all()
    middle = (adapted.edges[1:] + adapted.edges[:-1]) / 2
    fast = np.abs(np.sin(2 * np.pi * middle)) < 0.2
    assert np.diff(adapted.edges)[fast].mean() < np.diff(adapted.edges)[~fast].mean()


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"bounds": (1.0, 0.0)}, ConfigError, "bounds"),
        ({"period": None}, ConfigError, "give parameter=..., period=..."),
        ({"parameter": 3.0}, ConfigError, "parameter=3.0"),
        ({"intervals": 2}, ConfigError, "intervals=2"),
        ({"longest": 1.0}, ConfigError, "longest=1.0"),
        ({"start": torch.zeros(40, 2)}, ShapeError, "float64"),
        ({"start": torch.zeros(5, 2).double()}, ShapeError, "at least 8 times"),
        ({"start": circle(PHASES, 1e-6)}, ConfigError, "no limit cycle|fixed point"),
        ({"field": 3}, ConfigError, "field is 3"),
        ({"intervals": 1000}, ConfigError, "more than 6000"),
    ],
)
def test_bad_requests_are_refused(change, error, said):
    given = {
        "field": hopf_form,
        "start": circle(PHASES),
        "bounds": (-1.0, 2.0),
        "parameter": 1.0,
        "period": 6.28,
    } | change
    with pytest.raises(error, match=said):
        fw.measure.limit_cycles(given.pop("field"), given.pop("start"), given.pop("bounds"), **given)


def test_a_continuation_without_hopf_points_is_refused():
    start = torch.zeros(1, 1, dtype=torch.float64)
    for kind, said in (("flow", "no Hopf point"), ("map", "kind='flow'")):
        rest = fw.measure.continuation(lambda x, p: p * x - x**3, start, -1.0, (-1.0, 1.0), kind=kind)
        with pytest.raises(ConfigError, match=said):
            fw.measure.limit_cycles(lambda x, p: p * x - x**3, rest, (-1.0, 1.0))
