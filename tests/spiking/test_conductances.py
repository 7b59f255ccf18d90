"""Synapses that are conductances: closed forms, the order of the method, both engines, and what refuses them."""

import itertools

import numpy as np
import pytest

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.spiking import (
    Circuit,
    Connection,
    Population,
    SpikeGenerator,
    rate_network,
    resolved_network,
    simulate,
)
from tests.rules.cases import CASES

pytestmark = pytest.mark.usefixtures("numpy_target")
EVENTS = ("spike_time", "spike_unit", "spike_trial")


def circuit(rule=None, *, noise=0.0, dt=1e-4, **options):
    """Excitation and inhibition by conductances, and a current and a jump beside them."""
    populations = [
        Population("E", 30, tau=0.015, threshold=0.02, reset=0.012, background=0.026, noise=noise),
        Population("I", 8, tau=0.01, threshold=0.02, reset=0.013, background=0.024, refractory=0.001),
    ]
    connections = [
        Connection("E", "E", 0.02, 0.4, rule, decay=0.005, reversal=0.07, **options),
        Connection("I", "E", 0.1, 0.4, decay=0.01, reversal=-0.005, **options),
        Connection("I", "E", -0.001, 0.4, decay=0.003),
        Connection("E", "E", 0.0005, 0.2),
        Connection("E", "I", 0.0005, 0.4, decay=0.004),  # I has currents alone
    ]
    return Circuit(populations, connections, dt=dt)


@pytest.mark.parametrize("name", ["static", "tm_mongillo2008", "hebbian_traces"])
def test_both_engines_have_the_same_spikes(name):
    given = circuit(CASES.get(name), delay=(0.0, 0.003))
    drive = 0.004 * np.random.default_rng(0).normal(size=(2, 60, 38))
    record = [*EVENTS, fw.Record("potential", every=20)]
    one, other = (
        simulate(given, drive, hold=10, seed=3, record=record, engine=engine, progress=False)
        for engine in ("brian2", "native")
    )
    assert one.sizes["spike"] > 100
    for variable in one.data_vars:
        np.testing.assert_allclose(other[variable], one[variable], rtol=1e-6, atol=1e-9, err_msg=variable)


def one_cell(dt, *connections, tau=0.02, background=0.0, **options):
    """Potential of one silent neuron after given spikes, `[step]`."""
    options = {"threshold": 1.0, "reset": 0.0, "background": background, **options}
    cell = Population("cell", 1, tau=tau, **options)
    given = Circuit([SpikeGenerator("in", [[0.01, 0.012, 0.03]]), cell], connections, dt=dt)
    run = simulate(given, steps=round(0.06 / dt), record="potential", engine="native", progress=False)
    return run.potential.values[0, :, 1].astype(float)


def solved(times, tau, background, efficacy, decay, reversal, start):
    """The same by many small steps of a Runge–Kutta method, beginning at the first spike's effect."""
    from scipy.integrate import solve_ivp

    def slope(t, v):
        g = sum(efficacy * np.exp(-(t - s) / decay) for s in (0.01, 0.012, 0.03) if t >= s)
        return (background - v + g * (reversal - v)) / tau

    edges, value, found = [0.0, 0.01, 0.012, 0.03, times[-1]], start, []
    for low, high in itertools.pairwise(edges):
        here = times[(times > low + 1e-9) & (times <= high + 1e-9)]
        part = solve_ivp(
            slope, (low, high - 1e-12), [value], t_eval=np.minimum(here, high - 1e-12), rtol=1e-10, atol=1e-13
        )
        found.append(part.y[0])
        value = part.y[0, -1]
    return np.concatenate(found)


@pytest.mark.parametrize(("efficacy", "reversal"), [(0.3, 0.07), (1.5, -0.01)], ids=["excitation", "shunt"])
def test_the_potential_is_that_of_the_equation_to_second_order(efficacy, reversal):
    errors = []
    for dt in (4e-4, 2e-4, 1e-4):
        mine = one_cell(
            dt, Connection("in", "cell", efficacy, decay=0.005, reversal=reversal), background=0.01
        )
        first = mine[0]
        start = 0.01 + (first - 0.01) * np.exp(dt / 0.02)
        times = np.arange(1, len(mine) + 1) * dt
        errors.append(np.abs(mine - solved(times, 0.02, 0.01, efficacy, 0.005, reversal, start)).max())
    assert errors[2] < 2e-6
    assert 3 < errors[0] / errors[1] < 5
    assert 3 < errors[1] / errors[2] < 6  # recordings have single precision


def test_a_weak_conductance_is_a_current():
    """With g(E − V) ≈ g E, the area under a potential is efficacy · decay · E."""
    silent = {"threshold": 0.02}
    moved = one_cell(1e-4, Connection("in", "cell", 1e-3, decay=0.005, reversal=1.0), **silent)
    current = one_cell(1e-4, Connection("in", "cell", 1e-3 * 0.005 * 1.0 / 0.02, decay=0.005), **silent)
    rest = moved[0] * np.exp(-np.arange(len(moved)) * 1e-4 / 0.02)
    np.testing.assert_allclose(moved - rest, current - rest, atol=0.02 * np.abs(current - rest).max())


def test_noise_shrinks_with_the_conductance():
    """A constant conductance g makes τ and the variance smaller by 1 + g; the mean is g E/(1 + g)."""
    cells = Population("cells", 2000, tau=0.02, threshold=1.0, reset=0.0, noise=0.003)
    source = SpikeGenerator("in", [[1e-4]])
    for engine in ("native", "brian2"):
        given = Circuit([source, cells], [Connection("in", "cells", 3.0, decay=1.0, reversal=0.01)])
        run = simulate(
            given, steps=1000, record="potential", every=1000, engine=engine, progress=False, seed=5
        )
        last = run.potential.values[0, -1, 1:]
        g = 3.0 * np.exp(-0.0999)
        assert last.mean() == pytest.approx(g * 0.01 / (1 + g), abs=4 * 0.0015 / 2000**0.5 + 3e-5)
        assert last.std() == pytest.approx(0.003 / (1 + g) ** 0.5, rel=4 / 4000**0.5)


def test_what_is_refused():
    with pytest.raises(ConfigError, match=r"E→E: reversal=0\.07 V is for synapses that last; give decay="):
        Connection("E", "E", 0.1, reversal=0.07)
    with pytest.raises(ConfigError, match="must not be negative"):
        Connection("I", "E", -0.1, decay=0.01, reversal=-0.01)
    with pytest.raises(ConfigError, match="efficacy"):
        Connection("E", "E", "0.1 mV", decay=0.01, reversal=0.07)
    with pytest.warns(UserWarning, match="70"):
        Connection("E", "E", 0.1, decay=0.01, reversal=70.0)
    with pytest.raises(ConfigError, match=r"E→E is a conductance \(reversal=0\.07 V\)"):
        rate_network(circuit(noise=0.001))
    learning = Connection("E", "E", 0.1, synapse=fw.HebbianTraces(), decay=0.01, reversal=0.07)
    with pytest.raises(ConfigError, match="is a conductance"):
        resolved_network(Circuit([Population("E", 5, noise=0.001)], [learning]))


def test_they_are_part_of_the_configuration_and_of_the_card():
    given = circuit()
    assert given.configuration()["connections"][0]["reversal"] == 0.07
    assert "reversal (V)" in given._repr_html_()
