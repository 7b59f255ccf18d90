"""The four conventions against numbers and closed forms that were not derived from the code."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

import fwsim as fw
from fwsim import Hz, ms
from tests.reference import synapses
from tests.rules.cases import exact

SETS = [(0.5, 0.0, 0.8, 20), (0.03, 0.53, 0.13, 20), (0.2, 1.5, 0.2, 10)]
TABLE = [  # u before a spike, x and release of maass2002, release of mongillo2008, in six digits
    (0.5, 0.114252, 0.057126, 0.059388),
    (0.255699, 0.647189, 0.165486, 0.174559),
    (0.794930, 0.449361, 0.357211, 0.365264),
]


@pytest.mark.parametrize(("parameters", "expected"), list(zip(SETS, TABLE)))
def test_regular_train_has_known_numbers(parameters, expected):
    U, tau_facil, tau_rec, rate = parameters
    maass = fw.TsodyksMarkram(U, tau_rec, tau_facil).steady_state(rate, "regular")
    mongillo = fw.TsodyksMarkram(U, tau_rec, tau_facil, "mongillo2008").steady_state(rate, "regular")
    got = maass.state["u"], maass.state["x"], maass.release, mongillo.release
    assert [round(float(value), 6) for value in got] == list(expected)


@pytest.mark.parametrize("parameters", SETS)
@pytest.mark.parametrize("convention", ["maass2002", "mongillo2008", "tm1998"])
def test_regular_train_has_its_closed_form(parameters, convention):
    U, tau_facil, tau_rec, rate = parameters
    u, x, release = synapses.regular_tsodyks_markram(convention, U, tau_facil, tau_rec, rate)
    steady = fw.TsodyksMarkram(U, tau_rec, tau_facil, convention).steady_state(rate, "regular")
    assert math.isclose(steady.release, release, rel_tol=1e-12)
    assert math.isclose(steady.state["x"], x, rel_tol=1e-12)
    if convention == "tm1998":  # u⁺ equals the u⁻ of maass2002
        assert math.isclose(steady.state["u"] + U * (1 - steady.state["u"]), u, rel_tol=1e-12)
    else:
        assert math.isclose(steady.state["u"], u, rel_tol=1e-12)
    train = torch.arange(500, dtype=torch.float64) / rate
    last = fw.TsodyksMarkram(U, tau_rec, tau_facil, convention).respond(train)[-1]
    assert math.isclose(last, release, rel_tol=1e-12)


@pytest.mark.parametrize("parameters", [(0.03, 0.53, 0.13, 20), (0.2, 1.5, 0.2, 10), (0.5, 0.02, 0.7, 60)])
@pytest.mark.parametrize("convention", ["maass2002", "mongillo2008"])
def test_poisson_train_equals_the_moment_hierarchy(parameters, convention):
    U, tau_facil, tau_rec, rate = parameters
    steady = fw.TsodyksMarkram(U, tau_rec, tau_facil, convention).steady_state(rate, "poisson")
    expected = synapses.poisson_tsodyks_markram(convention, *parameters)
    assert math.isclose(steady.release, expected, rel_tol=1e-9)
    assert steady.release_error < 1e-9
    mean_u = U * (1 + rate * tau_facil) / (1 + U * rate * tau_facil)
    assert math.isclose(steady.state["u"], mean_u, rel_tol=1e-12)


def test_small_increments_at_high_rates_need_more_moments():
    parameters = 0.01, 1.5, 2.0, 200
    steady = fw.TsodyksMarkram(0.01, 2.0, 1.5).steady_state(200 * Hz, "poisson")
    assert steady.release_error <= 1e-10 * steady.release
    expected = synapses.poisson_tsodyks_markram("maass2002", *parameters, order=200)
    assert math.isclose(steady.release, expected, rel_tol=1e-9)


def test_gradient_of_the_poisson_mean():
    values = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.3, 0.2, 0.4)]
    mean = lambda *p: fw.TsodyksMarkram(*p).steady_state(10.0, "poisson").release  # noqa: E731
    assert torch.autograd.gradcheck(mean, values, eps=1e-6)


def test_poisson_train_without_facilitation():
    """u stays at U: x obeys one linear equation, ⟨x⟩ = 1/(1 + U r τ_rec)."""
    steady = fw.TsodyksMarkram(0.5, 0.8, 0.0).steady_state(20 * Hz, "poisson")
    assert math.isclose(steady.release, 0.5 / (1 + 0.5 * 20 * 0.8), rel_tol=1e-12)


@pytest.mark.parametrize("convention", ["maass2002", "tm1998", "mongillo2008", "mixed"])
def test_poisson_train_of_four_million_spikes(convention):
    rule = fw.TsodyksMarkram(0.2, 200 * ms, 500 * ms, convention)
    generator = torch.Generator().manual_seed(7)
    trains, spikes, skipped = 4000, 1060, 60
    waits = torch.empty(trains, spikes, dtype=torch.float64).exponential_(10.0, generator=generator)
    release = rule.respond(waits.cumsum(-1))[:, skipped:]
    assert release.numel() == 4_000_000
    per_train = release.mean(-1)
    error = per_train.std() / math.sqrt(trains)
    assert error < 2e-4
    moments = rule.steady_state(10 * Hz, "poisson")
    assert abs(per_train.mean() - moments.release) < 4 * error
    assert abs(rule.steady_state(10 * Hz, "mean_field").release - moments.release) > 10 * error


def test_mean_field_prefers_the_published_rate():
    U, tau_facil, tau_rec = 0.2, 1.5, 0.2
    rule = fw.TsodyksMarkram(U, tau_rec, tau_facil)
    best = minimize_scalar(
        lambda rate: -float(rule.steady_state(rate, "mean_field").release), bounds=(0.1, 20), method="bounded",
        options={"xatol": 1e-9},
    ).x  # fmt: skip
    formula = (math.sqrt(tau_facil * (1 - U) / (U * tau_rec)) - 1) / tau_facil
    assert math.isclose(formula, 2.98, abs_tol=0.005)
    assert math.isclose(best, formula, rel_tol=1e-6)


def test_transmission_saturates_at_the_rate_of_recovery():
    rates = torch.tensor([1e4, 1e6], dtype=torch.float64)
    transmitted = rates * fw.TsodyksMarkram(0.5, 0.8, 0.0).steady_state(rates, "mean_field").release
    torch.testing.assert_close(transmitted, torch.full_like(rates, 1 / 0.8), rtol=1e-3, atol=0)


def test_first_release_is_the_convention():
    one = torch.zeros(1, dtype=torch.float64)
    first = {c: float(fw.TsodyksMarkram(0.2, 0.2, 1.5, c).respond(one)) for c in
             ("maass2002", "tm1998", "mongillo2008", "mixed")}  # fmt: skip
    assert first == pytest.approx({"maass2002": 0.2, "tm1998": 0.2, "mongillo2008": 0.36, "mixed": 0.2})


def test_tm1998_without_inactivation_releases_like_maass2002():
    times = torch.rand(5, 40, generator=torch.Generator().manual_seed(3), dtype=torch.float64).cumsum(-1)
    one, other = (fw.TsodyksMarkram(0.4, 0.3, 0.7, c).respond(times) for c in ("tm1998", "maass2002"))
    torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("convention", ["maass2002", "mongillo2008", "tm1998"])
def test_rate_dynamics_are_the_published_equations(convention):
    U, tau_rec, tau_facil, r, u, x = 0.3, 0.2, 0.9, 17.0, 0.45, 0.35
    rule = fw.TsodyksMarkram(
        U, tau_rec, tau_facil, convention, tau_inact=0.1 if convention == "tm1998" else None
    )
    change = rule.rate_dynamics().drift({"u": u, "x": x, "y": 0.0}, r)
    base = 0.0 if convention == "tm1998" else U
    p = u if convention == "maass2002" else u + U * (1 - u)
    assert math.isclose(change["u"], (base - u) / tau_facil + U * (1 - u) * r, rel_tol=1e-12)
    assert math.isclose(change["x"], (1 - x) / tau_rec - p * x * r, rel_tol=1e-12)


def test_response_to_three_spikes_worked_out_by_hand():
    """U = 1/2, both time constants 1/ln 2 s: one second halves every deviation."""
    tau = 1 / math.log(2)
    rule = fw.TsodyksMarkram(0.5, tau, tau)
    # u: .5 → .75, a second: .625 → .8125, a second: .65625; x: 1 → .5, .75 → .28125, .640625
    expected = [0.5, 0.625 * 0.75, 0.65625 * 0.640625]
    np.testing.assert_allclose(rule.respond(exact([0.0, 1.0, 2.0])), expected, rtol=1e-14)


@pytest.mark.parametrize("convention", ["maass2002", "tm1998"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_facilitation_simultaneous_spikes_are_not_facilitated(convention, dtype):
    """Values of NEST's synapse with tau_fac = 0, given two spikes in a step."""
    rule = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, convention=convention)
    released = rule.respond(torch.tensor([0.01, 0.01, 0.03], dtype=dtype))
    np.testing.assert_allclose(released, [0.3, 0.21, 0.3 * (1 - 0.51 * math.exp(-0.1))], rtol=3e-6)
    longer = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=1e-3, convention=convention)
    assert longer.respond(exact([0.01, 0.01]))[1] > 0.3  # any facilitation reaches a simultaneous spike
