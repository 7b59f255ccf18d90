"""Random release at single sites in circuits: closed forms, the rule on tensors, and both engines."""

import numpy as np
import pytest
import torch
from scipy import stats

import fwsim as fw
from fwsim.engine.native import library
from fwsim.errors import ConfigError
from fwsim.spiking import Circuit, Connection, Population, SpikeGenerator, simulate
from fwsim.units import mV

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("numpy_target")
SYNAPSES = 4000
DT = 1e-4


def released(rule, times, engine="native", *, delay=0.0, seed=0, **options):
    """What synapses of one neuron release at each of its spikes, `[trial, spike, synapse]`."""
    still = Population("target", SYNAPSES, tau="1e9 s", threshold=1.0, reset=0.0)
    circuit = Circuit(
        [SpikeGenerator("input", [times]), still],
        [Connection("input", "target", -1 * mV, synapse=rule, delay=delay)],
    )
    steps = round((max(times) + delay) / DT) + 1
    run = simulate(
        circuit, steps=steps, record=["potential"], engine=engine, seed=seed, progress=False, **options
    )
    arrived = np.round((np.array(times) + delay) / DT).astype(int)
    potential = run.potential.values[:, :, 1:].astype(float)
    return np.stack([potential[:, k - 1] - potential[:, k] for k in arrived], 1) / mV


@pytest.mark.parametrize("depletion", ["mean", "site"])
def test_sites_release_as_binomial_numbers_with_the_mean_of_the_rule(depletion):
    rule = fw.TsodyksMarkram(0.4, 0.2, 0.3)
    times = [0.01, 0.03, 0.034, 0.08]
    found = np.round(6 * released(fw.StochasticRelease(rule, 6, depletion=depletion), times)[0]).astype(int)
    mean = rule.respond(torch.tensor(times, dtype=torch.float64)).numpy()
    for row, p in zip(found, mean):
        expected = SYNAPSES * stats.binom.pmf(np.arange(7), 6, p)
        seen = np.bincount(row, minlength=7)
        kept = expected > 5
        seen, expected = [np.append(v[kept], v[~kept].sum()) for v in (seen, expected)]
        chi2 = ((seen - expected) ** 2 / np.maximum(expected, 1)).sum()
        assert stats.chi2.sf(chi2, len(seen) - 1) > 1e-4


def test_a_site_that_released_is_empty_until_it_refills():
    """Correlation of two responses of one site: −0.55 for U = 0.5, τ_rec = 0.8 s, 30 ms; 0 for the mean depletion."""
    rule = fw.TsodyksMarkram(0.5, 0.8, 0.0)
    refill = -np.expm1(-0.03 / 0.8)
    p, both = 0.5, 0.5 * refill * 0.5
    second = 0.5 * (0.5 + 0.5 * refill)
    expected = (both - p * second) / np.sqrt(p * (1 - p) * second * (1 - second))
    assert expected == pytest.approx(-0.55, abs=0.01)
    for depletion, correlation in (("site", expected), ("mean", 0.0)):
        one, other = released(fw.StochasticRelease(rule, depletion=depletion), [0.01, 0.04])[0]
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(correlation, abs=4 / np.sqrt(SYNAPSES))
        assert other.mean() == pytest.approx(second, abs=4 * 0.5 / np.sqrt(SYNAPSES))


def test_quanta_vary_and_trials_and_synapses_are_independent():
    rule = fw.StochasticRelease(fw.TsodyksMarkram(0.4, 0.2, 0.0), 5, cv=0.5)
    found = released(rule, [0.01, 0.05], trials=2)
    p = 0.4
    variance = (p * (1 - p) + 0.5**2 * p) / 5
    for row in found[:, 0]:
        assert row.mean() == pytest.approx(p, abs=4 * np.sqrt(variance / SYNAPSES))
        assert row.var() == pytest.approx(variance, rel=4 * np.sqrt(2.5 / SYNAPSES))
    rows = found.reshape(4, -1)
    bound = 4 / np.sqrt(SYNAPSES)
    assert np.abs(np.corrcoef(rows) - np.eye(4)).max() < bound
    for lag in (1, 4, 63, 64):
        assert abs(np.corrcoef(rows[0, lag:], rows[0, :-lag])[0, 1]) < bound
    other = released(rule, [0.01, 0.05], seed=1)[0, 0]
    assert abs(np.corrcoef(rows[0], other)[0, 1]) < bound


@pytest.mark.parametrize("depletion", [pytest.param("mean", marks=pytest.mark.slow), "site"])
def test_moments_are_those_of_brian2_and_of_the_rule_on_tensors(depletion):
    """Means of all responses and products of pairs of them, with facilitation, a delay and four sites."""
    rule = fw.StochasticRelease(fw.TsodyksMarkram(0.3, 0.4, 0.2, "maass2002"), 4, cv=0.2, depletion=depletion)
    times = [0.005, 0.01, 0.0125, 0.03, 0.045]
    many = torch.tensor(times, dtype=torch.float64).expand(SYNAPSES, -1)
    given = {
        "native": released(rule, times, delay=0.003)[0],
        "brian2": released(rule, times, "brian2", delay=0.003)[0],
        "tensors": rule.respond(many, seed=1).numpy().T,
    }
    pairs = np.triu_indices(5)
    products = {name: (v[pairs[0]] * v[pairs[1]]) for name, v in given.items()}
    for moments in (given, products):
        native = moments["native"]
        for other in (moments["brian2"], moments["tensors"]):
            error = np.sqrt((native.var(1) + other.var(1)) / SYNAPSES)
            assert (np.abs(native.mean(1) - other.mean(1)) < 4.5 * error).all()


def test_recorded_states_are_the_mean_ones_in_both_engines():
    rule = fw.StochasticRelease(fw.TsodyksMarkram(0.3, 0.4, 0.2), 4, depletion="site")
    circuit = Circuit(
        [SpikeGenerator("input", [[0.01, 0.02]]), Population("E", 3)],
        [Connection("input", "E", 1 * mV, synapse=rule)],
    )
    mean = Circuit(circuit.populations, [Connection("input", "E", 1 * mV, synapse=rule.rule)])
    record = ["u", "x", "release"]
    expected = simulate(mean, steps=300, record=record, every=100, engine="native", progress=False)
    for engine in ("native", "brian2"):
        run = simulate(circuit, steps=300, record=record, every=100, engine=engine, progress=False)
        for name in record:
            np.testing.assert_allclose(run[name], expected[name], rtol=1e-6, err_msg=name)


def test_releases_that_are_no_probability_count_as_the_nearer_limit():
    rule = fw.StochasticRelease(fw.Enhancement(), 3)
    found = released(rule, [0.01, 0.011, 0.012, 0.013])
    np.testing.assert_allclose(found, 1, rtol=1e-3)  # all sites release


def test_sites_with_more_states_are_refused():
    rule = fw.StochasticRelease(fw.TsodyksMarkram(0.3, 0.4, 0.2, "tm1998"), 4, depletion="site")
    with pytest.raises(ConfigError, match="no two-state form"):
        released(rule, [0.01])
