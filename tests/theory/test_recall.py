"""Recall with fast plasticity: mean field against Hopfield's closed form, its own static limit, and networks."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from fwsim import theory
from fwsim.errors import ConfigError


def network(load, k, tau, cue, units, seed, steps, dt=0.1, gain=4.0):
    """Overlap over time `[time]` of a network whose plastic part is the sum over its past rates."""
    random = np.random.default_rng(seed)
    patterns = random.choice([-1.0, 1.0], size=(round(load * units), units))
    weights = patterns.T @ patterns / units
    np.fill_diagonal(weights, 0)
    h = patterns[0] * np.where(random.permutation(units) < units * (1 + cue) / 2, 1, -1)
    rates, plastic, forget = [], np.zeros((units, units)), math.exp(-dt / tau)
    for _ in range(steps + 1):
        rates.append(np.tanh(gain * h))
        h = math.exp(-dt) * h + (1 - math.exp(-dt)) * ((weights + plastic) @ rates[-1])
        plastic = forget * plastic + (1 - forget) * k / units * np.outer(rates[-1], rates[-1])
    return np.array(rates) @ patterns[0] / units


@pytest.mark.parametrize(("load", "k", "cue"), [(0.1, 0.0, 0.6), (0.2, 0.5, 1.0), (0.2, -0.5, 1.0)])
def test_overlaps_are_those_of_networks(load, k, cue):
    found = [
        theory.recall_dynamics(load, k, 2.0, cue=cue, duration=4.0, units=800, seed=seed) for seed in range(3)
    ]
    overlap = np.mean([one.overlap for one in found], axis=0)
    runs = np.mean([network(load, k, 2.0, cue, 1000, seed, 40) for seed in range(4)], axis=0)
    assert overlap[0] == pytest.approx(runs[0], abs=5e-3)
    np.testing.assert_allclose(overlap, runs, atol=0.02)
    assert found[0].time[-1] == pytest.approx(4.0)


def test_recall_beyond_the_critical_load_needs_hebbian_plasticity():
    ends = {k: theory.recall_dynamics(0.25, k, 2.0, duration=12.0, units=300).overlap[-1] for k in (-1, 0, 1)}
    assert ends[-1] < 0.2 < ends[0] < 0.6 < 0.9 < ends[1]
    assert theory.recall_capacity(1.0) < 0.14


def test_a_steep_gain_gives_the_overlap_of_hopfield():
    for load in (0.05, 0.1):
        state = theory.recalled_state(load, gain=20.0)
        assert state.overlap == pytest.approx(float(theory.hopfield_overlap(load)), abs=1e-3)
    assert theory.recall_capacity(gain=20.0) == pytest.approx(theory.hopfield_capacity(), abs=1e-3)


def test_without_load_a_unit_obeys_one_equation():
    """m = tanh(β (m + k m³)), since q = m²."""
    for k in (-0.3, 0.0, 0.7):
        m = brentq(lambda m, k=k: math.tanh(2 * (m + k * m**3)) - m, 0.3, 1.0)
        state = theory.recalled_state(0.0, k, gain=2.0)
        assert state.overlap == pytest.approx(m, abs=1e-8)
        assert state.square == pytest.approx(m**2, abs=1e-8)


@pytest.mark.parametrize("k", [-0.3, 0.0])
def test_dynamics_end_at_the_static_state(k):
    """Where each unit has one solution only (β Γ < 1), so that the past does not matter."""
    state = theory.recalled_state(0.02, k, gain=2.0)
    found = theory.recall_dynamics(0.02, k, 0.5, gain=2.0, duration=10.0, units=800)
    assert found.overlap[-1] == pytest.approx(state.overlap, abs=0.02)
    assert found.square[-1] == pytest.approx(state.square, abs=0.02)


def test_plasticity_hardly_changes_the_critical_load_of_steep_units():
    """It adds to the gain, so that the limit is that of Hopfield; anti-Hebbian plasticity takes from it."""
    capacity = [theory.recall_capacity(k) for k in (-0.5, 0.0, 1.0)]
    assert capacity[0] < 0.07 < 0.11 < capacity[1] < capacity[2] < theory.hopfield_capacity() + 1e-3


def test_no_state_beyond_the_critical_load():
    assert theory.recalled_state(0.3) == theory.RecalledState(0.0, 0.0)
    assert theory.recall_capacity(-3.0, gain=1.2) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.recall_dynamics(-0.1, 0.0, 1.0), "load=-0.1"),
        (lambda: theory.recall_dynamics(0.1, math.nan, 1.0), "plasticity=nan"),
        (lambda: theory.recall_dynamics(0.1, 0.0, 0.0), "tau_memory=0.0"),
        (lambda: theory.recall_dynamics(0.1, 0.0, 1.0, gain=0.0), "gain=0.0"),
        (lambda: theory.recall_dynamics(0.1, 0.0, 1.0, cue=1.5), r"cue=1\.5"),
        (lambda: theory.recall_dynamics(0.1, 0.0, 1.0, units=1), "units=1"),
        (lambda: theory.recall_dynamics(0.1, 0.0, 1.0, seed=-1), "seed=-1"),
        (lambda: theory.recall_dynamics(0.1, 0.0, 1.0, duration=50.0), "has 500 steps .* at most 400"),
        (lambda: theory.recalled_state(0.1, gain=30.0), "gain=30.0"),
        (lambda: theory.recall_capacity(gain=1.0), "gain=1.0"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
