"""Mean field of random networks against closed forms, an independent solution and small simulations."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

import fwsim as fw
from fwsim import theory
from fwsim.errors import ConfigError, ShapeError


@pytest.mark.parametrize("coupling", [1.5, 2.0, 4.0])
def test_chaos_without_plasticity_is_the_fixed_point_of_its_mean_field(coupling):
    # One side integrates the potential, the other iterates spectra: no code is shared but the Hermite coefficients.
    found = theory.plastic_autocorrelation(coupling, 0.0, 1.0, dt=0.1, paths=2, tolerance=1e-6)
    assert found.converged
    expected = theory.chaos_autocorrelation(found.lag, coupling)
    np.testing.assert_allclose(found.autocorrelation, expected, atol=6e-4)


def test_chaos_begins_at_a_coupling_of_one():
    assert theory.chaos_autocorrelation([0.0, 3.0], 1.0).tolist() == [0.0, 0.0]
    # Near the transition ⟨φ²⟩ = g − 1 to first order.
    assert theory.chaos_autocorrelation(0.0, 1.01) == pytest.approx(0.01, rel=0.05)


def rates(coupling, plasticity, tau_memory, units, steps, dt, seed):
    """Rates `[time, unit]` of a network after a transient of a third of the time."""
    generator = torch.Generator().manual_seed(seed)
    weights = coupling * torch.randn(units, units, generator=generator) / units**0.5
    memory = fw.Hebbian(tau=tau_memory, eta_rate=plasticity / (units * tau_memory))
    net = fw.RateNetwork(fw.Projection(weights), tau=1.0, gain=fw.tanh, memory=memory, dt=dt)
    state = fw.State(torch.randn(1, units, generator=generator), memory=torch.zeros(1, 1, units, units))
    found = fw.simulate(net, None, steps=steps, state=state, record=fw.Record("rate", every=5))
    return found["rate"].values[0, steps // 15 :]


@pytest.mark.parametrize("plasticity", [-1.0, 1.0])
def test_autocorrelation_is_that_of_networks(plasticity):
    found = theory.plastic_autocorrelation(2.0, plasticity, 2.5, dt=0.2)
    assert found.converged
    runs = [rates(2.0, plasticity, 2.5, 400, 450, 0.2, seed) for seed in range(3)]
    for lag in (0, 1, 3):
        simulated = np.mean([(run[: len(run) - lag] * run[lag:]).mean() for run in runs])
        assert found.autocorrelation[5 * lag] == pytest.approx(simulated, abs=0.035)
    without = theory.chaos_autocorrelation(3.0, 2.0)
    assert abs(found.autocorrelation[15] - without) > 0.1  # more than what the comparison allows


def test_static_activity_stays_when_it_is_frozen():
    found = theory.plastic_autocorrelation(0.5, 3.0, 2.5, dt=0.2, period=102.4, paths=200, start=0.9)
    assert found.converged
    np.testing.assert_allclose(found.autocorrelation, found.autocorrelation[0], rtol=1e-3)
    frozen = found.frozen()
    assert frozen.overlap == pytest.approx(1.0, abs=2e-3)
    assert frozen.square == pytest.approx(found.autocorrelation[0], abs=5e-3)


def test_chaos_freezes_near_the_halt_with_strong_plasticity_only():
    weak, strong = (theory.plastic_autocorrelation(2.0, k, 2.5, dt=0.2).frozen() for k in (0.0, 1.5))
    # Without plasticity nothing ties the fixed point to the halt: its own mean field is ⟨φ²⟩ = ⟨tanh²(g √⟨φ²⟩ z)⟩.
    z, weight = np.polynomial.hermite_e.hermegauss(100)
    weight = weight / weight.sum()
    square = brentq(lambda q: weight @ np.tanh(2 * math.sqrt(q) * z) ** 2 - q, 0.1, 1.0)
    assert weak.square == pytest.approx(square, abs=0.02)
    assert weak.radius == pytest.approx(
        2 * math.sqrt(weight @ np.cosh(2 * math.sqrt(square) * z) ** -4), abs=0.03
    )
    assert weak.radius > 1 > strong.radius
    assert strong.overlap == pytest.approx(0.96, abs=0.02)


def test_frozen_activity_near_the_transition_has_settled(monkeypatch):
    """At g = 1.1 rounds get nearer by a tenth only, and a small error of the fields' variance becomes a large one."""
    z, weight = np.polynomial.hermite_e.hermegauss(100)
    weight = weight / weight.sum()
    square = brentq(lambda q: weight @ np.tanh(1.1 * math.sqrt(q) * z) ** 2 - q, 0.01, 1.0)
    chaos, active = (theory.plastic_autocorrelation(1.1, k, 2.5, dt=0.25, paths=100) for k in (0.0, 0.8))
    assert chaos.frozen().square == pytest.approx(square, rel=0.05)
    found = active.frozen()
    monkeypatch.setattr("fwsim.theory.plastic_chaos.SETTLED", 1e-6)
    exact = active.frozen()
    assert found.square == pytest.approx(exact.square, rel=2e-3)
    assert found.overlap == pytest.approx(exact.overlap, abs=2e-3)


def test_long_memory_is_followed_to_its_end():
    # With a static C the feedback is k C φ if no tail is cut: h = η + k q tanh h, as for a stored pattern.
    found = theory.plastic_autocorrelation(0.05, 3.0, 10.0, dt=1.0, paths=50, start=0.95)
    assert found.converged
    assert 2 * found.lag.size == 320  # 32 time constants of the memory
    assert found.autocorrelation[0] == pytest.approx(theory.stored_pattern(0.05, 3.0).square, abs=2e-3)
    assert found.frozen().square == pytest.approx(found.autocorrelation[0], abs=2e-3)
    theory.plastic_autocorrelation(2.0, 1.0, 2.0, period=64.0, dt=0.5, paths=2, tolerance=1.0).frozen()


@pytest.mark.parametrize(("coupling", "plasticity"), [(0.5, 0.0), (0.0, 1.0)])
def test_activity_dies_out_below_the_transition(coupling, plasticity):
    found = theory.plastic_autocorrelation(coupling, plasticity, 1.0, dt=0.2, period=32.0, paths=20)
    assert found.converged
    assert not found.autocorrelation.any()
    frozen = found.frozen()
    assert (frozen.square, frozen.radius) == (0.0, coupling)
    assert math.isnan(frozen.overlap)


def test_pattern_without_other_weights():
    h = brentq(lambda h: math.sinh(2 * h) - 6 * h, 1.0, 2.0)  # least of h/tanh³h
    assert theory.pattern_threshold(0.0) == pytest.approx(h / math.tanh(h) ** 3, rel=1e-6)
    assert theory.pattern_threshold(0.0) == pytest.approx(2.0170, abs=5e-5)
    stored = theory.stored_pattern(0.0, 2.5)
    rate = math.sqrt(stored.square)
    assert stored.overlap == 1.0
    assert math.atanh(rate) == pytest.approx(2.5 * rate**3, rel=1e-9)
    assert theory.stored_pattern(0.0, 2.0) == theory.StoredPattern(0.0, 0.0)


@pytest.mark.parametrize(
    ("coupling", "plasticity", "error"),
    [(0.3, 2.2, 4e-3), (0.01, 2.5, 1e-5), (0.001, 2.02, 1e-5), (0.05, 4.0, 1e-5), (0.15, 10.0, 1e-5)],
)
def test_pattern_among_random_weights_is_that_of_samples(coupling, plasticity, error):
    stored = theory.stored_pattern(coupling, plasticity)
    eta = coupling * math.sqrt(stored.square) * np.random.default_rng(0).standard_normal(200_000)
    h = np.full(eta.shape, plasticity + 3.0)
    for _ in range(300):  # from above to the largest solution
        h = eta + plasticity * stored.square * np.tanh(h)
    rate = np.tanh(h)
    assert np.mean(rate**2) == pytest.approx(stored.square, abs=error)
    assert rate.mean() / np.sqrt(np.mean(rate**2)) == pytest.approx(stored.overlap, abs=error)


def test_pattern_is_within_its_bounds_at_all_strengths():
    assert theory.pattern_threshold(0.001) == pytest.approx(theory.pattern_threshold(0.0), abs=1e-5)
    assert theory.pattern_threshold(0.15) == pytest.approx(2.0447, abs=5e-5)
    for coupling in (1e-6, 0.01, 0.3, 2.0):
        found = [theory.stored_pattern(coupling, k) for k in (2.1, 5.0, 100.0, 1e6)]
        overlaps = [one.overlap for one in found]
        assert overlaps == pytest.approx(sorted(overlaps), abs=1e-9)
        assert overlaps[-1] == pytest.approx(1.0, abs=1e-9)
        assert max([one.square for one in found] + overlaps) <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 0.0), "tau_memory=0.0 is not allowed"),
        (lambda: theory.plastic_autocorrelation(-1.0, 1.0, 1.0), "coupling=-1.0 is not allowed"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, period=1.0), "give at least 16"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, paths=1), "at least 2"),
        (lambda: theory.chaos_autocorrelation(0.0, math.nan), "coupling=nan"),
        (lambda: theory.chaos_autocorrelation(0.0, 20.0), "at most 5"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 13.0, period=204.8), "give at least 416"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, seed=-1), "seed=-1"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, seed=1.5), "seed=1.5"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, tolerance="a"), "tolerance='a'"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, tolerance=-1), "tolerance=-1"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, start="a"), "start='a'"),
        (lambda: theory.plastic_autocorrelation(2.0, 1.0, 1.0, start=math.nan), "start has NaN"),
        (lambda: theory.stored_pattern(0.1, math.inf), "plasticity=inf"),
        (lambda: theory.stored_pattern(20.0, 2.0), "at most 5"),
        (lambda: theory.pattern_threshold(0.5), "at most 0.3"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


@pytest.mark.parametrize("start", [[], [[0.5]], np.full(162, 0.5)])
def test_shapes_of_a_start(start):
    with pytest.raises(ShapeError, match="at most 161 lags"):
        theory.plastic_autocorrelation(2.0, 1.0, 1.0, period=32.0, start=start)
