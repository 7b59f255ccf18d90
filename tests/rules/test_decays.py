"""Chains of decays against 250 digits: values and derivatives, for gaps between rates from none to any."""

import itertools

import numpy as np
import pytest
import torch
from mpmath import mp

import fwsim as fw
from fwsim.engine.rate.exponential import decay_weights
from fwsim.rules.decays import _chained, chained
from tests.rules.cases import exact

GAPS = [0.0, 1e-17, 2e-16, 1e-12, 1e-8, 1e-5, 1e-3, 0.1, 3.0]
MP = mp.clone()
MP.dps = 250


def divided(rates, t):
    """The same by the textbook recurrence; equal rates are moved apart by what 250 digits do not feel."""
    apart = [MP.mpf(r) + MP.mpf(10) ** -34 * k * (1 + MP.mpf(r)) for k, r in enumerate(sorted(rates))]
    table = [MP.exp(-r * MP.mpf(t)) for r in apart]
    for length in range(1, len(rates)):
        table = [
            (table[k] - table[k + 1]) / (apart[k + length] - apart[k]) for k in range(len(apart) - length)
        ]
    return float(table[0])


def families(dtype):
    """Rates of chains of one to four decays, and intervals."""
    for gap, t in itertools.product(GAPS, (0.0, 1e-9, 0.05, 0.7)):
        near, far = 3.0 * (1 + gap), 1e18
        for rates in (
            [near],
            [3.0, near],
            [near, 0.0, 3.0],
            [3.0, near, 3.0],
            [3.0, near, 40.0, 3.0],
            [near, far, 3.0],
        ):
            yield torch.tensor(rates, dtype=dtype).tolist(), torch.tensor(t, dtype=dtype).item()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_and_first_and_second_derivatives_keep_their_digits(dtype):
    tolerance, tiny = 60 * torch.finfo(dtype).eps, 1e-250 if dtype == torch.float64 else 1e-27
    for values, t in families(dtype):
        rates = [torch.tensor(r, dtype=dtype, requires_grad=True) for r in values]
        value = chained(rates, torch.tensor(t, dtype=dtype))
        np.testing.assert_allclose(value.item(), divided(values, t), rtol=tolerance, atol=tiny)
        if 1e18 in values or len(values) > 3:
            continue
        # Every derivative repeats a rate: dK(a, b)/da = −K(a, a, b).
        slopes = torch.autograd.grad(value, rates, create_graph=True)
        for i, slope in enumerate(slopes):
            expected = -divided([*values, values[i]], t)
            np.testing.assert_allclose(slope.item(), expected, rtol=tolerance, atol=tiny)
            for j, curvature in enumerate(torch.autograd.grad(slope, rates, retain_graph=True)):
                expected = (1 + (i == j)) * divided([*values, values[i], values[j]], t)
                np.testing.assert_allclose(curvature.item(), expected, rtol=tolerance, atol=tiny)


def test_it_broadcasts_and_works_under_function_transforms():
    rates, t = exact([[3.0, 3.0, 3.0], [3.0, 5.0, 1.0]]), exact([0.0, 0.1, 2.0, 9.0])
    expected = [[divided(row, u) for row in rates.tolist()] for u in t.tolist()]
    np.testing.assert_allclose(chained(rates.unbind(-1), t[:, None]), expected, rtol=1e-13)

    def one(row):
        return chained(row.unbind(-1), exact(0.7))

    hessian = torch.func.vmap(torch.func.hessian(one))(rates)
    for row, got in zip(rates.tolist(), hessian):
        wanted = [[(1 + (i == j)) * divided([*row, row[i], row[j]], 0.7) for j in range(3)] for i in range(3)]
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("gap", GAPS)
def test_derivatives_of_two_decays_by_rates_and_interval_in_both_modes(gap):
    """Broadcasting inputs, against the form that is differentiated as it stands."""
    inputs = exact([3.0, 5.0]), exact([[3.0 * (1 + gap)]]), exact([0.05, 0.7])
    assert torch.autograd.gradcheck(
        lambda *given: chained(given[:2], given[2]), [each.requires_grad_() for each in inputs],
        check_forward_ad=True, check_batched_grad=True, atol=1e-7,
    )  # fmt: skip
    for got, expected in zip(
        torch.func.jacrev(lambda *g: chained(g[:2], g[2]), (0, 1, 2))(*inputs),
        torch.func.jacrev(lambda *g: _chained(g[:2], g[2]), (0, 1, 2))(*inputs),
    ):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=0)


def fourth_release(rec, inactivation, dtype=torch.float64):
    rule = fw.TsodyksMarkram(0.3, rec, 0.3, "tm1998", inactivation)
    return rule.respond((torch.arange(10) * 0.05).to(dtype))[3]


def gradient(rec, inactivation, dtype=torch.float64):
    taus = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (rec, inactivation)]
    return torch.stack(torch.autograd.grad(fourth_release(*taus, dtype), taus))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "given", [(0.1, 0.1), (0.1, 1 - 0.9), (0.3, 3 * 0.1), (0.1, 0.1 * (1 + 6e-8)), (0.2, 0.2002)]
)
def test_gradients_by_time_constants_that_nearly_agree(given, dtype):
    """Against differences of values over steps far larger than the gap, since values were never in doubt."""
    rec, inactivation = given
    h = 1e-5 * rec
    expected = [
        (fourth_release(rec + h, inactivation) - fourth_release(rec - h, inactivation)) / (2 * h),
        (fourth_release(rec, inactivation + h) - fourth_release(rec, inactivation - h)) / (2 * h),
    ]
    rtol = 1e-8 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(gradient(*given, dtype), torch.stack(expected), rtol=rtol, atol=0)


@pytest.mark.parametrize("z", [0.0, 1e-300, 1e-17, 1e-9, 1e-4, 0.1, 0.49, 0.51, 3.0, 1e3, 1e12])
def test_weights_of_a_step_and_their_derivatives(z):
    dt = 0.01
    tau = exact(dt / z if z else float("inf")).requires_grad_()
    weights = decay_weights(tau, dt)
    slow = 0.0 if z == 0 else 1 / MP.mpf(tau.item())
    orders = ([slow], [slow, 0], [slow, 0, 0])
    for weight, rates, scale in zip(weights, orders, (1, 1, dt)):
        np.testing.assert_allclose(weight.item() * scale, divided(rates, dt), rtol=1e-13, atol=1e-250)
        (slope,) = torch.autograd.grad(weight, tau, retain_graph=True)
        expected = float(divided([*rates, slow], dt) * slow**2 / scale) if z else 0.0
        np.testing.assert_allclose(slope.item(), expected, rtol=1e-12, atol=1e-250)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("tau", [0.0, 1e-30, 1e-19, 1e-3, 1.0, 1e9, float("inf")])
def test_memories_have_finite_gradients_for_every_time_constant(tau, dtype):
    given = torch.tensor(tau, dtype=dtype, requires_grad=True)
    for memory in (fw.Hebbian(tau=given, eta_rate=0.3), fw.Delta(tau=given)):
        stored = memory.write(torch.ones(1, 1, 2, 2, dtype=dtype), *torch.ones(2, 1, 2, dtype=dtype), 0.1)
        (slope,) = torch.autograd.grad(stored.sum(), given, create_graph=False)
        assert stored.isfinite().all()
        assert slope.isfinite()


def test_what_a_lasting_memory_writes_has_the_right_derivative():
    """η_rate τ(1 − e^{−dt/τ}) by τ is η_rate z²/2 for small z = dt/τ, far below rounding of the value."""
    tau = exact(1e6).requires_grad_()
    (slope,) = torch.autograd.grad(fw.Hebbian(tau=tau, eta_rate=1.0).strength(1e-3).sum(), tau)
    np.testing.assert_allclose(slope, 0.5 * 1e-18, rtol=1e-8)


@pytest.mark.parametrize("train", ["regular", "poisson", "mean_field"])
def test_second_derivatives_of_steady_states(train):
    def release(taus):
        return fw.TsodyksMarkram(U=0.3, tau_rec=taus[0], tau_facil=taus[1]).steady_state(20.0, train).release

    taus, step = exact([0.1, 0.2]), 1e-4
    slopes = torch.func.jacrev(release)
    expected = [
        (slopes(taus + step * e) - slopes(taus - step * e)) / (2 * step) for e in torch.eye(2).double()
    ]
    for hessian in (torch.func.hessian(release)(taus), torch.autograd.functional.hessian(release, taus)):
        torch.testing.assert_close(hessian, torch.stack(expected), rtol=1e-4, atol=0)
