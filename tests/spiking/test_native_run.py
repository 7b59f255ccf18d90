"""Circuits in the native engine: all spikes of Brian2 without noise, its statistics with noise, and the same bits."""

import numpy as np
import pytest
import torch
from scipy import stats

import fwsim as fw
from fwsim.engine.native import library, spikes
from fwsim.engine.threads import using_threads
from fwsim.errors import ConfigError
from fwsim.rules.rule import PresynapticRule
from fwsim.spiking import Circuit, Connection, Population, simulate
from tests.rules.cases import CASES

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("numpy_target")
EVENTS = ("spike_time", "spike_unit", "spike_trial")
PRESYNAPTIC = {
    name: rule
    for name, rule in CASES.items()
    if isinstance(rule, PresynapticRule) and not isinstance(rule, fw.StochasticRelease)
}
DT = 1e-4


def circuit(rule=None, *, noise=0.0, **options):
    """Two populations that excite and inhibit each other."""
    populations = [
        Population("E", 24, tau=0.015, threshold=0.02, reset=0.016, background=0.026, noise=noise),
        Population("I", 8, tau=0.01, threshold=0.02, reset=0.013, background=0.024, refractory=0.001),
    ]
    options = {"probability": 0.4, **options}
    connections = [
        Connection("E", "E", 0.002, synapse=rule, **options),
        Connection("E", "I", 0.001, synapse=rule, **options),
        Connection("I", "E", -0.002, **options),
        Connection("I", "I", -0.001, probability=0.5),
    ]
    return Circuit(populations, connections, dt=DT)


def both(given, drive=None, **options):
    return [
        simulate(given, drive, engine=engine, progress=False, **options) for engine in ("brian2", "native")
    ]


def assert_same(one, other):
    assert one.sizes["spike"] > 20
    for name in one.data_vars:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", PRESYNAPTIC)
def test_every_rule_has_the_spikes_of_brian2(name):
    rule = PRESYNAPTIC[name]
    record = [*EVENTS, *(fw.Record(each, every=50) for each in ("potential", "release", *rule.rest()))]
    assert_same(*both(circuit(rule, delay=(DT, 9 * DT)), steps=600, seed=3, record=record))


@pytest.mark.parametrize(
    "options",
    [
        {"delay": 0.0},
        {"delay": (0.0, 0.006)},  # longer than the refractory period: spikes are on their way together
        {"decay": 0.005, "delay": 0.001},
        {"decay": 0.015},  # the time constant of the membrane
    ],
    ids=["at once", "long delays", "currents", "equal time constants"],
)
def test_currents_and_delays(options):
    assert_same(*both(circuit(PRESYNAPTIC["tm_mongillo2008"], **options), steps=600, seed=1))


def test_parameters_and_drives_may_differ_between_trials_and_populations():
    rule = fw.TsodyksMarkram(U=[[0.2, 0.5], [0.6, 0.1]], tau_rec=[[0.1], [0.4]], tau_facil=0.3)
    drive = 0.004 * np.random.default_rng(0).normal(size=(2, 60, 32))
    record = [*EVENTS, fw.Record("rate", every=100), fw.Record("x", every=30)]
    assert_same(*both(circuit(rule), drive, hold=10, seed=2, record=record))


@pytest.mark.parametrize("delay", [0.0, (0.0, 0.006)], ids=["state in neurons", "state in synapses"])
def test_every_neuron_may_have_its_own_parameters(delay):
    drawn = torch.rand(3, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rule = fw.TsodyksMarkram(U=0.1 + 0.8 * drawn[0], tau_rec=0.05 + drawn[1], tau_facil=0.05 + drawn[2])
    record = [*EVENTS, fw.Record("x", every=600)]
    run, native = both(circuit(rule, delay=delay), steps=600, trials=2, seed=2, record=record)
    assert_same(run, native)
    one = fw.TsodyksMarkram(*(float(value[5]) for value in (rule.U, rule.tau_rec, rule.tau_facil)))
    state, now = one.rest(), 0.0
    for time in run.spike_time.values[(run.spike_unit == 5).values & (run.spike_trial == 1).values]:
        state, now = one.at_pre(one.propagate(state, torch.tensor(time - now)))[0], time
    last = one.propagate(state, torch.tensor(600 * DT - now))["x"]
    assert float(run.x[1, -1, 0, 5]) == pytest.approx(float(last), rel=1e-5)


def test_a_drive_may_be_a_function_that_is_longer_than_a_block():
    def drive(start, stop):
        return 0.003 * np.sin(np.arange(start, stop) / 200)[None, :, None] * np.ones((1, 1, 2))

    assert_same(*both(circuit(), drive, steps=1700, seed=4))


def test_normal_numbers_are_normal_and_independent():
    found = np.stack([spikes.normal(5, step, 1, 40_000) for step in range(3)]).astype(float)
    for row in found:
        assert stats.kstest(row, "norm").pvalue > 1e-3
        assert abs(stats.kurtosis(row)) < 4 * np.sqrt(24 / row.size)
    bound = 4 / np.sqrt(found.shape[1])
    assert np.abs(np.corrcoef(found) - np.eye(3)).max() < bound
    assert abs(np.corrcoef(found[0, :-1], found[0, 1:])[0, 1]) < bound
    for other in ((6, 0, 1), (5, 0, 2)):  # another seed, another trial
        assert abs(np.corrcoef(found[0], spikes.normal(*other, 40_000))[0, 1]) < bound


def test_noise_gives_the_potential_its_standard_deviation():
    silent = Circuit([Population("E", 2000, tau=0.01, threshold=1.0, reset=0.0, noise=0.003)], dt=DT)
    run = simulate(silent, steps=1000, record="potential", every=500, engine="native", progress=False)
    last = run.potential.isel(time=-1).values
    assert abs(last.std() / 0.003 - 1) < 4 / np.sqrt(2 * last.size)
    assert abs(last.mean()) < 4 * 0.003 / np.sqrt(last.size) + 0.02 * np.exp(-10)


def test_rates_with_noise_are_those_of_brian2():
    given = circuit(PRESYNAPTIC["tm_maass2002"], noise=0.002)
    brian2, native = (run.sizes["spike"] for run in both(given, steps=2000, trials=8, seed=0))
    assert abs(native - brian2) < 5 * np.sqrt(brian2 + native)  # trains are more regular than Poisson


SITES = fw.StochasticRelease(fw.TsodyksMarkram(0.5, 0.3, 0.1), 5, cv=0.3, depletion="site")


@pytest.mark.parametrize("rule", [PRESYNAPTIC["tm1998"], SITES], ids=["tm1998", "random release"])
def test_a_run_has_the_same_bits_with_any_threads_and_in_two_parts(tmp_path, rule):
    given = circuit(rule, noise=0.002, delay=(0.0, 0.002), decay=0.003)
    options = {"steps": 2500, "trials": 3, "seed": 7, "record": [*EVENTS, fw.Record("potential", every=100)]}
    whole = simulate(given, engine="native", progress=False, **options)
    with using_threads(torch.get_num_threads() % 2 + 1):
        again = simulate(given, engine="native", progress=False, **options)

    def stop(done, total):
        if done > 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(given, engine="native", progress=stop, to=tmp_path / "run", **options)
    resumed = simulate(given, engine="native", progress=False, to=tmp_path / "run", resume=True, **options)
    for run in (again, resumed):
        for name in whole.data_vars:
            np.testing.assert_array_equal(run[name], whole[name], err_msg=name)


def test_neurons_that_never_rest_lose_no_spikes():
    eager = Circuit(
        [Population("E", 5, tau=1e-3, refractory=0.0, threshold=0.02, reset=0.01, background=0.9)], dt=DT
    )
    run = simulate(eager, steps=50, engine="native", progress=False)
    assert run.sizes["spike"] == 5 * 50


def test_what_it_cannot_run_it_says():
    given = circuit(fw.BennaFusi(length=15, eta=0.1))
    said = (
        "engine='native' cannot run this circuit: BennaFusi has more than 16 variables; use engine='brian2'"
    )
    with pytest.raises(ConfigError, match=said):
        simulate(given, steps=10, engine="native")
    run = simulate(given, steps=10, engine="auto", progress=False)
    assert "brian2_target" in run.attrs


def test_auto_takes_the_native_engine():
    run = simulate(circuit(), steps=10, engine="auto", progress=False)
    assert run.attrs["spiking_engine"] == "native"
    with pytest.raises(ConfigError, match="engine='nest'"):
        simulate(circuit(), steps=10, engine="nest")
