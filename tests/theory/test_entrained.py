"""Mean field of networks that follow an oscillating input, against closed forms and a network."""

import math

import numpy as np
import pytest

from fwsim import theory
from fwsim.errors import ConfigError

OMEGA = 2 * math.pi / 10


def network(g, k, drive, tau, units, cycles=8, points=50, seed=0):
    """Weights with their plastic part at the end of the input, mean square rate and phases' first harmonic."""
    random, dt = np.random.default_rng(seed), 10 / points
    J = g * random.standard_normal((units, units)) / math.sqrt(units)
    phase, h = random.uniform(0, 2 * math.pi, units), random.standard_normal(units)
    A, forget = np.zeros_like(J), math.exp(-dt / tau)
    rates = []
    for n in range(cycles * points):
        rate, W = np.tanh(h), J + A
        first = W @ rate - h + drive * np.cos(OMEGA * n * dt + phase)
        ahead = h + dt * first
        h = h + dt / 2 * (first + W @ np.tanh(ahead) - ahead + drive * np.cos(OMEGA * (n + 1) * dt + phase))
        A = forget * A + (1 - forget) * k / units * np.outer(rate, rate)
        rates.append(rate)
    return J + A, np.array(rates[-points:]), h


def test_weights_of_an_entrained_network_have_the_eigenvalue():
    found = theory.entrained_activity(1.3, 3.0, 1.0, OMEGA, 15.0)
    assert found.converged
    W, rates, h = network(1.3, 3.0, 1.0, 15.0, 500)
    assert np.mean(rates**2) == pytest.approx(found.square, abs=0.04)
    values = np.linalg.eigvals(W)
    largest = values[np.argmax(np.abs(values))]
    assert largest.real == pytest.approx(found.outlier.real, abs=0.1)
    assert abs(largest.imag) == pytest.approx(found.outlier.imag, abs=0.1)
    plane = 2 / 50 * np.exp(-2j * np.pi * np.arange(50) / 50) @ rates
    assert np.mean(np.abs(plane) ** 2) == pytest.approx(found.first, abs=0.06)
    share, square = [], []
    for _ in range(300):  # with the memory held
        rate = np.tanh(h)
        h = h + 0.1 * (W @ np.tanh(h + 0.05 * (W @ rate - h)) - h)
        share.append(2 * rate @ plane.conj() / np.sum(np.abs(plane) ** 2))
        square.append(np.mean(rate**2))
    slope = np.polyfit(0.1 * np.arange(100, 300), np.unwrap(np.angle(share[100:])), 1)[0]
    held = found.held()
    assert held.converged
    assert slope == pytest.approx(held.frequency, abs=0.08)
    assert np.mean(np.abs(share[100:])) == pytest.approx(held.share, abs=0.12)
    assert np.mean(square[100:]) == pytest.approx(held.square, abs=0.05)
    assert held.frequency < OMEGA - 0.05


def test_a_weak_input_without_plasticity_is_a_linear_filter():
    """q = I²/(|1 + iω|² − g²), χ = 1/(1 + iω), so that λ = g²/(1 − iω)."""
    found = theory.entrained_activity(0.7, 0.0, 0.01, OMEGA, 15.0)
    size = 1 + OMEGA**2
    assert found.first == pytest.approx(1e-4 / (size - 0.49), rel=5e-3)
    assert found.square == pytest.approx(found.first / 2, rel=1e-3)
    assert found.outlier == pytest.approx(0.49 / (1 - 1j * OMEGA), rel=5e-3)


def test_without_weights_a_unit_sees_only_its_own_past():
    """A strong input makes a square wave; the memory writes k q/4."""
    found = theory.entrained_activity(0.0, 2.0, 30.0, 0.3, 1e6, paths=2)
    known = 8 / math.pi**2 * sum(m**-2.0 for m in (1, 3, 5, 7))
    assert found.square == pytest.approx(known, abs=0.01)
    assert found.first == pytest.approx((4 / math.pi) ** 2, abs=0.02)
    assert found.outlier == pytest.approx(found.first / 2)


def test_a_fast_memory_follows_the_oscillation():
    """The feedback of a small input is (k/4) q b for a slow memory, twice that for a fast one, late between."""
    for tau, factor in ((1e-9, 2), (0.8, 1 + 1 / (1 + 1.6j * OMEGA)), (1e9, 1)):
        one = theory.entrained_activity(0.0, 2.0, 0.3, OMEGA, tau, paths=2)
        h = 0.3 / (1 + 1j * OMEGA)
        for _ in range(100):
            rate = np.tanh(np.abs(h) * np.cos(np.linspace(0, 2 * np.pi, 64, endpoint=False)))
            size = 2 / 64 * rate @ np.cos(np.linspace(0, 2 * np.pi, 64, endpoint=False))
            h = (0.3 + factor * 0.5 * size**2 * size * h / abs(h)) / (1 + 1j * OMEGA)
        assert one.first == pytest.approx(size**2, rel=2e-3)


def test_a_memory_that_is_too_weak_keeps_nothing():
    held = theory.entrained_activity(0.5, 0.5, 1.0, OMEGA, 15.0).held()
    assert (held.frequency, held.share) == (0.0, 0.0)
    assert held.square < 1e-3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1.0, 1.0, 1.0, 1.0, 1.0), "coupling=-1.0"),
        ((1.0, -1.0, 1.0, 1.0, 1.0), "plasticity=-1.0"),
        ((1.0, 1.0, 0.0, 1.0, 1.0), "drive=0.0"),
        ((1.0, 1.0, 1.0, 0.0, 1.0), "frequency=0.0"),
        ((1.0, 1.0, 1.0, 1.0, 0.0), "tau_memory=0.0"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        theory.entrained_activity(*values)
