"""Theory against published tables, brute force and independent solutions of the same equations."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf

from fwsim import theory
from fwsim.errors import ConfigError, ShapeError


def test_hopfield_table():
    assert theory.hopfield_capacity() == pytest.approx(0.137906, abs=5e-7)
    assert theory.hopfield_overlap(theory.hopfield_capacity()) == pytest.approx(0.96742, abs=5e-6)
    assert theory.hopfield_overlap([0.05, 0.10, 0.12]) == pytest.approx(
        [0.999992, 0.997999, 0.993223], abs=1e-6
    )
    assert theory.hopfield_overlap([0.0, 0.1380, 0.5]).tolist() == [1.0, 0.0, 0.0]


@given(st.floats(1e-4, 0.1378))
@settings(max_examples=30, deadline=None)
def test_hopfield_overlap_solves_the_three_equations_it_came_from(alpha):
    m = float(theory.hopfield_overlap(alpha))
    # m = erf(m/√(2αr)), C = √(2/(παr)) e^{−m²/(2αr)}, r = 1/(1−C)², iterated from m.
    r = 1.0
    for _ in range(2000):
        C = math.sqrt(2 / (math.pi * alpha * r)) * math.exp(-(m**2) / (2 * alpha * r))
        r = 1 / (1 - C) ** 2
    assert erf(m / math.sqrt(2 * alpha * r)) == pytest.approx(m, abs=1e-5)


def test_palimpsest_capacity_table():
    epsilon = [3, 3.5, 4, 5, 6, 8]
    table = [0.03481349, 0.04597285, 0.04888907, 0.04612995, 0.04057116, 0.03050261]
    assert theory.palimpsest_capacity(epsilon) == pytest.approx(table, abs=1e-7, rel=0)
    assert theory.palimpsest_capacity([2.4640, 2.0, 0.1]).tolist() == [0.0, 0.0, 0.0]
    assert theory.palimpsest_capacity(2.4655) > 0
    assert theory.palimpsest_optimum() == pytest.approx((4.10812, 0.04895847), abs=1e-5)
    assert theory.palimpsest_overlap(0.04895846, 4.10812) == pytest.approx(0.97193, abs=5e-4)


@pytest.mark.parametrize(("epsilon", "age"), [(3.0, 0.01), (4.0, 0.0), (4.10812, 0.04), (6.0, 0.03)])
def test_palimpsest_overlap_solves_the_closed_form(epsilon, age):
    m = float(theory.palimpsest_overlap(age, epsilon))
    strength = epsilon * math.exp(-(epsilon**2) * age / 2)
    r = 1.0
    for _ in range(5000):
        x = strength * m / math.sqrt(2 * r)
        C = math.sqrt(2 / (math.pi * r)) * math.exp(-x * x)
        z = C * epsilon
        r += 0.5 * (2 / z**2 * (z / (1 - z) + math.log1p(-z)) - r)
    assert erf(strength * m / math.sqrt(2 * r)) == pytest.approx(m, abs=1e-9)


@given(st.floats(2.5, 10.0), st.floats(0.0, 1.0))
@settings(max_examples=30, deadline=None)
def test_palimpsest_overlap_falls_with_age_and_ends_at_the_capacity(epsilon, fraction):
    capacity = float(theory.palimpsest_capacity(epsilon))
    younger, older = theory.palimpsest_overlap(
        [0.5 * fraction * capacity, fraction * 0.999 * capacity], epsilon
    )
    rounding = 4 * np.finfo(float).eps  # ages may differ by less than a memory can show
    assert 0.9 < older <= younger + rounding
    assert younger <= 1
    assert theory.palimpsest_overlap(capacity * 1.001 + 1e-9, epsilon) == 0


@given(st.floats(2.6, 8.0), st.floats(0.05, 0.95))
@settings(max_examples=20, deadline=None)
def test_a_spectrum_of_equal_time_scales_is_one_time_scale(epsilon, share):
    spectrum = theory.Spectrum(theta=np.full(2, 2 / epsilon**2), weight=np.array([share, 1 - share]))
    assert theory.palimpsest_capacity(spectrum) == pytest.approx(
        float(theory.palimpsest_capacity(epsilon)), rel=1e-9
    )
    assert theory.one_step_overlap(0.01, spectrum) == pytest.approx(theory.one_step_overlap(0.01, epsilon))


@given(st.lists(st.tuples(st.floats(1e-3, 10.0), st.floats(0.01, 1.0)), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_the_noise_of_a_spectrum_is_one(scales):
    theta, weight = map(np.array, zip(*scales))
    spectrum = theory.Spectrum(theta, weight)
    nodes = np.linspace(math.log(1e-7), math.log(60 * theta.max()), 20001)
    ages = np.exp(nodes)
    assert np.trapezoid(spectrum.strength(ages) ** 2 * ages, nodes) == pytest.approx(1.0, rel=1e-3)


def test_epsilon_tau_and_spectrum_agree():
    tau = float(theory.tau_from_epsilon(4.10812, units=2000))
    assert tau == pytest.approx(0.1185 * 2000, rel=1e-3)
    assert theory.epsilon_from_tau(tau, units=2000) == pytest.approx(4.10812)
    # The paper's decay in networks of 20, 50 and 100 units.
    epsilons = theory.epsilon_from_tau(theory.tau_from_decay(0.95), np.array([20, 50, 100]))
    assert epsilons == pytest.approx([1.43, 2.26, 3.20], abs=5e-3)
    spectrum = theory.Spectrum.from_tau(tau, 0.5, units=2000)
    assert theory.palimpsest_capacity(spectrum) == pytest.approx(float(theory.palimpsest_capacity(4.10812)))


def test_steps_of_another_length():
    """Only the number of steps in a time constant counts; times are in proportion to the step."""
    assert theory.epsilon_from_tau(10.0, 50, dt=0.5) == pytest.approx(theory.epsilon_from_tau(20.0, 50))
    assert theory.tau_from_epsilon(4.0, 50, dt=0.5) == pytest.approx(0.5 * theory.tau_from_epsilon(4.0, 50))
    one, other = (
        theory.Spectrum.from_tau([5.0, 10.0], 1.0, 50, dt=0.5),
        theory.Spectrum([0.2, 0.4], [1.0, 1.0]),
    )
    np.testing.assert_allclose(one.theta, other.theta)
    np.testing.assert_allclose(one.weight, other.weight)
    assert theory.attention_span(10.0, dt=0.5) == pytest.approx(0.5 * theory.attention_span(20.0))
    assert theory.decay_from_tau(10.0, dt=0.5) == pytest.approx(math.exp(-0.05))


def test_information_is_of_the_order_of_the_squared_units():
    assert theory.palimpsest_information(4.10812) == pytest.approx(0.05, abs=0.003)
    ages = (np.arange(2000) + 0.5) / 2000 * 0.05
    direct = theory.binary_information(theory.palimpsest_overlap(ages, 4.0)).sum() * 0.05 / 2000
    assert theory.palimpsest_information(4.0) == pytest.approx(direct, rel=1e-3)


def test_binary_information_at_its_ends_and_in_between():
    assert theory.binary_information([0.0, 1.0, -1.0]).tolist() == [0.0, 1.0, 1.0]
    assert theory.binary_information(0.5) == pytest.approx(1 - 0.8112781244591328)
    assert theory.binary_information(-1.0005) == 1  # by rounding in half precision
    with pytest.raises(ConfigError, match=r"overlaps reach 1\.5; cosines lie"):
        theory.binary_information([0.2, -1.5])


def test_time_constants():
    tau = theory.tau_from_decay(0.95)
    assert tau == pytest.approx(19.50, abs=5e-3)
    assert theory.half_life(tau) == pytest.approx(13.51, abs=5e-3)
    assert theory.decay_from_tau(tau) == pytest.approx(0.95)
    assert theory.tau_from_decay(1.0) == math.inf
    assert theory.tau_from_decay([0.5, 0.95], dt=0.1) == pytest.approx(
        0.1 * theory.tau_from_decay([0.5, 0.95])
    )


def test_attention_span_is_the_participation_number_of_the_kernel():
    tau, eta = np.array([2.0, 30.0]), np.array([0.5, 0.1])
    lag = np.arange(2000)
    kernel = np.exp(-lag[:, None] / tau) @ eta
    assert theory.attention_span(tau, eta) == pytest.approx(kernel.sum() ** 2 / (kernel**2).sum(), rel=1e-12)
    assert theory.attention_span(theory.tau_from_decay(0.95)) == pytest.approx(1.95 / 0.05)


def test_binding_plateau_table_and_enumeration():
    table = {2: 0.55, 3: 0.43, 4: 0.3835, 8: 0.29991475}
    assert {pairs: theory.binding_plateau(pairs) for pairs in table} == pytest.approx(table, abs=1e-9)
    counts = [max(Counter(word).values()) for word in itertools.product(range(3), repeat=5)]
    assert theory.binding_plateau(5, values=3) == pytest.approx(np.mean(counts) / 5, rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: theory.hopfield_overlap("a"),
        lambda: theory.palimpsest_overlap("a", 4.0),
        lambda: theory.palimpsest_overlap(0.1, "a"),
        lambda: theory.palimpsest_capacity("a"),
        lambda: theory.palimpsest_information("a"),
        lambda: theory.tau_from_decay("a"),
        lambda: theory.binding_plateau(2.5),
        lambda: theory.binding_plateau(float("nan")),
        lambda: theory.binding_plateau("a"),
        lambda: theory.palimpsest_overlap(-0.1, 4.0),
        lambda: theory.palimpsest_capacity(0.0),
        lambda: theory.hopfield_overlap(-1.0),
        lambda: theory.tau_from_decay(1.5),
        lambda: theory.half_life(float("nan")),
        lambda: theory.binding_plateau(0),
        lambda: theory.Spectrum(np.array([np.inf]), np.array([1.0])),
        lambda: theory.tau_from_decay(0.9, dt=0),
        lambda: theory.tau_from_decay(math.nan),
        lambda: theory.decay_from_tau(1.0, dt=-1.0),
        lambda: theory.attention_span(math.inf),
        lambda: theory.epsilon_from_tau(1.0, units=0),
        lambda: theory.Spectrum.from_tau([1.0], [1.0], units=-5),
        lambda: theory.binary_information("one"),
    ],
)
def test_impossible_values_are_refused(call):
    with pytest.raises(ConfigError):
        call()


def test_several_epsilons_are_no_spectrum():
    with pytest.raises(ShapeError, match=r"epsilon has shape \[2\]"):
        theory.palimpsest_overlap([0.1], [3.0, 4.0])


def test_spectrum_refuses_unequal_lengths():
    with pytest.raises(ShapeError, match="timescale"):
        theory.Spectrum(np.array([1.0, 2.0]), np.array([1.0]))


def test_a_memory_that_hardly_decays_retrieves_nothing():
    """Below ε = 2.4648 the noise of all patterns is larger than any retrieval state tolerates."""
    np.testing.assert_array_equal(theory.palimpsest_capacity([1e-6, 1e-3, 0.1, 2.4648]), 0.0)
    assert theory.palimpsest_overlap(0.0, 1e-3) == 0.0
    assert theory.palimpsest_capacity(2.4649) > 0.0


def test_spectrum_of_a_network_needs_one_strength_for_each_time_constant():
    with pytest.raises(ShapeError, match=r"tau \[2\] and eta \[3\]: give \[timescale\]"):
        theory.Spectrum.from_tau([1.0, 2.0], [1.0, 2.0, 3.0], units=10)
    with pytest.raises(ConfigError, match="units"):
        theory.Spectrum.from_tau([1.0, 2.0], 1.0, units=[10, 20])
