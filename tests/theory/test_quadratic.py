"""Quadratic integrate-and-fire neurons: mean field against closed forms, rules and a network simulated exactly."""

import math
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import fwsim as fw
from fwsim import theory
from fwsim.errors import ConfigError, ShapeError
from fwsim.study import files

experiment = files.load(Path(__file__).parents[2] / "experiments" / "quadratic_memory.py", ("run", "Config"))
POPULATION = {"tau": 0.015, "spread": 0.25}


@pytest.mark.parametrize("drive", [-1.0, 0.0, 3.0])
def test_rate_without_coupling_is_the_closed_form(drive):
    found = theory.quadratic_mean_field(np.full(3000, drive), dt=1e-3, rate=1.0, **POPULATION)
    # The mean of √η/(πτ) over a Lorentz distribution of half width Δ.
    rate = math.sqrt(drive + math.hypot(drive, 0.25)) / (math.sqrt(2) * math.pi * 0.015)
    assert found.rate[-1] == pytest.approx(rate, rel=1e-5)
    assert theory.quadratic_drive(rate, **POPULATION) == pytest.approx(drive, abs=1e-9)


def test_plastic_population_rests_where_the_rule_says():
    rule = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5, convention="mongillo2008")
    options = {**POPULATION, "coupling": 15.0, "synapse": rule}
    found = theory.quadratic_mean_field(np.full(4000, -1.0), dt=2e-3, rate=1.0, **options)
    rate = found.rate[-1]
    state = rule.steady_state(rate, "mean_field").state
    assert [found.synapse[name][-1] for name in ("u", "x")] == pytest.approx(
        [float(state["u"]), float(state["x"])], rel=1e-3
    )
    assert theory.quadratic_drive(rate, **options) == pytest.approx(-1.0, abs=2e-3)


@pytest.mark.parametrize("convention", ["maass2002", "tm1998"])
def test_variables_without_memory_stay_at_rest(convention):
    rule = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=0.0, convention=convention)
    options = {**POPULATION, "coupling": 15.0, "synapse": rule}
    found = theory.quadratic_mean_field(np.full(1500, -1.0), dt=2e-3, rate=1.0, **options)
    assert np.ptp(found.synapse["u"]) == 0.0
    assert theory.quadratic_drive(found.rate[-1], **options) == pytest.approx(-1.0, abs=2e-3)


def test_neurons_follow_the_mean_field():
    config = experiment.Config(neurons=1000, networks=2, duration=0.45, begin=0.15, end=0.4, sample=0.05)

    class Context:
        def numpy_generator(self, name):
            return np.random.default_rng(0)

        def progress(self, label, total):
            return nullcontext(lambda done=1: None)

    found = experiment.run(config, Context())
    rate = found["rate"].sel(synapse="shared").mean("network")
    assert float(found["expected_rate"].max()) > 25
    np.testing.assert_allclose(rate, found["expected_rate"], atol=2.5)
    for name in ("u", "x"):
        shared = found[name].sel(synapse="shared").mean("network")
        np.testing.assert_allclose(shared, found[f"expected_{name}"], atol=0.025)
    # Neurons with their own variables are not described by the four equations.
    own = found["x"].sel(synapse="own").mean("network")
    assert float(abs(own - found["expected_x"]).max()) > 0.05


@pytest.mark.parametrize("current", [-2.0, 0.3])
def test_a_neuron_is_advanced_exactly(current):
    V, spikes = np.array([-3.0, 0.5, 4.0]), np.zeros(3)
    steps, late = 40_000, V.copy()
    for _ in range(steps):  # small steps, with a passage through infinity from 500 to −500
        late = late + (late**2 + current) * 2e-5
        spikes += late > 500
        late = np.where(late > 500, -500, late)
    after, fired = experiment.moved(V, np.full(3, current), steps * 2e-5)
    np.testing.assert_allclose(fired, spikes)
    np.testing.assert_allclose(after, late, rtol=2e-2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: theory.quadratic_mean_field([[0.0]], dt=1e-3, **POPULATION), ShapeError, "give \\[time\\]"),
        (
            lambda: theory.quadratic_mean_field([0.0], dt=0.0, **POPULATION),
            ConfigError,
            "dt=0.0 is not allowed",
        ),
        (
            lambda: theory.quadratic_mean_field([0.0], dt=1e-3, tau=0.01, spread=0.0),
            ConfigError,
            "spread=0.0",
        ),
        (
            lambda: theory.quadratic_mean_field([0.0], dt=1e-3, rate=-1.0, **POPULATION),
            ConfigError,
            "rate=-1.0",
        ),
        (lambda: theory.quadratic_drive(0.0, **POPULATION), ConfigError, "rate=0.0 must be positive"),
        (
            lambda: theory.quadratic_drive(1.0, synapse=3, **POPULATION),
            ConfigError,
            "is not a presynaptic rule",
        ),
        (
            lambda: theory.quadratic_drive(1.0, synapse=fw.TsodyksMarkram, **POPULATION),
            ConfigError,
            "is not a presynaptic rule",
        ),
        (
            lambda: theory.quadratic_drive(1.0, synapse=fw.HebbianTraces(), **POPULATION),
            ConfigError,
            "is not a presynaptic rule",
        ),
        (lambda: theory.quadratic_drive(math.inf, **POPULATION), ConfigError, "must be finite"),
        (
            lambda: theory.quadratic_mean_field([0.0], dt=1e-3, synapse=3, **POPULATION),
            ConfigError,
            "is not a presynaptic rule",
        ),
        (
            lambda: theory.quadratic_mean_field(
                [0.0], dt=1e-3, synapse=fw.Hebbian(tau=1.0, eta=1.0), **POPULATION
            ),
            ConfigError,
            "is not a presynaptic rule",
        ),
        (
            lambda: theory.quadratic_mean_field(
                [0.0], dt=1e-3, synapse=fw.TsodyksMarkram(tau_rec=[0.2, 0.3]), **POPULATION
            ),
            ShapeError,
            "synapse.tau_rec has shape \\[2\\]; give one value",
        ),
        (lambda: theory.quadratic_mean_field([0.0], dt=[0.1, 0.2], **POPULATION), ConfigError, "dt="),
        (
            lambda: theory.quadratic_mean_field([0.0, math.nan], dt=0.1, **POPULATION),
            ConfigError,
            "drive\\[1\\] is NaN",
        ),
        (lambda: theory.quadratic_mean_field([1e4] * 9, dt=0.1, **POPULATION), fw.DivergedError, "smaller"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
