"""Associative rules in the native engine: spikes and weights of Brian2, closed forms, and the same bits."""

import numpy as np
import pytest

import fwsim as fw
from fwsim.engine.native import library
from fwsim.engine.threads import using_threads
from fwsim.errors import ConfigError
from fwsim.rules.rule import AssociativeRule
from fwsim.spiking import Circuit, Connection, Population, SpikeGenerator, simulate
from tests.rules.cases import CASES, exact

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("numpy_target")
EVENTS = ("spike_time", "spike_unit", "spike_trial")
ASSOCIATIVE = {name: rule for name, rule in CASES.items() if isinstance(rule, AssociativeRule)}
DT = 1e-4


def circuit(rule, *, noise=0.0, **options):
    """Two populations with learning synapses within and between them, beside others."""
    populations = [
        Population("E", 20, tau=0.015, threshold=0.02, reset=0.016, background=0.026, noise=noise),
        Population("I", 6, tau=0.01, threshold=0.02, reset=0.013, background=0.024, refractory=0.001),
    ]
    options = {"probability": 0.5, **options}
    connections = [
        Connection("E", "E", 0.004, synapse=rule, **options),
        Connection("E", "I", 0.002, synapse=rule, **options),
        Connection("E", "I", 0.001, synapse=fw.TsodyksMarkram(0.3, 0.1, 0.2), probability=0.5),
        Connection("I", "E", -0.002, **options),
    ]
    return Circuit(populations, connections, dt=DT)


def both(given, **options):
    return [simulate(given, engine=engine, progress=False, **options) for engine in ("brian2", "native")]


def assert_same(one, other):
    assert one.sizes["spike"] > 20
    for name in one.data_vars:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-6, atol=1e-9, err_msg=name)


RECORD = [*EVENTS, *(fw.Record(name, every=100) for name in ("weight", "potential", "u"))]


@pytest.mark.parametrize("name", ASSOCIATIVE)
def test_every_rule_has_the_spikes_and_weights_of_brian2(name):
    given = circuit(ASSOCIATIVE[name], delay=(0.0, 9 * DT))
    one, other = both(given, steps=500, trials=2, seed=3, record=RECORD)
    assert_same(one, other)
    weight = one.weight.values[:, -1]
    assert np.nanstd(weight[:, 0]) > 1e-3  # something was learnt


@pytest.mark.parametrize(
    "options",
    [{}, {"delay": (0.0, 0.006)}, {"decay": 0.005, "delay": 0.001}],
    ids=["at once", "delays beyond the refractory period", "currents"],
)
def test_delays_and_currents(options):
    rule = fw.HebbianTraces(tau=[0.3, 2.0], eta=[0.2, 0.05], tau_pre=0.0, tau_post=0.05)  # p: only at once
    assert_same(*both(circuit(rule, **options), steps=500, seed=1, record=RECORD))


def test_synapses_begin_in_the_given_state():
    state = {"w": 0.7, "q": 0.5}
    rule = fw.HebbianTraces(tau=0.05, eta=0.3, tau_pre=0.02, tau_post=0.01)
    populations = circuit(rule).populations
    given = Circuit(populations, [Connection("E", "I", 0.003, synapse=rule, delay=0.001, state=state)], dt=DT)
    assert_same(*both(given, steps=400, seed=2, record=[*EVENTS, fw.Record("weight", every=50)]))


def test_a_weight_is_the_closed_form_of_given_spikes():
    """One synapse, pre at 10 and 40 ms, delayed by 2 ms, post at 15 and 42 ms: the last pair is simultaneous."""
    sources = SpikeGenerator("pre", [[0.01, 0.04]]), SpikeGenerator("drive", [[0.0149, 0.0419]])
    post = Population("post", 1, tau=1e-3, threshold=0.02, reset=0.0, refractory=0.0)
    rule = fw.HebbianTraces(tau=0.1, eta=0.5, tau_pre=0.02, tau_post=0.03)
    given = Circuit(
        [*sources, post],
        [Connection("pre", "post", 1e-9, synapse=rule, delay=0.002), Connection("drive", "post", 0.5)],
        dt=DT,
    )
    run = simulate(given, steps=500, record=[*EVENTS, "weight"], engine="native", progress=False)
    assert run.spike_time.values[run.spike_unit.values == 2].tolist() == pytest.approx([0.015, 0.042])
    times, sides = exact([0.012, 0.015, 0.042, 0.042, 0.05]), ["pre", "post", "pre", "post", None]
    state, now = rule.rest(), 0.0
    for time, side in zip(times, sides):
        state, now = rule.propagate(state, time - now), time
        state = rule.on_pre(state) if side == "pre" else rule.on_post(state) if side == "post" else state
    assert float(run.weight[0, -1, 0, 2, 0]) == pytest.approx(float(rule.strength(state)), rel=1e-6)


def test_a_run_has_the_same_bits_with_any_threads_and_in_two_parts(tmp_path):
    import torch

    given = circuit(ASSOCIATIVE["bcpnn"], noise=0.002, delay=(0.0, 0.004))
    options = {"steps": 1700, "trials": 3, "seed": 7, "record": RECORD, "engine": "native", "progress": False}
    whole = simulate(given, **options)
    with using_threads(torch.get_num_threads() % 2 + 1):
        again = simulate(given, **options)

    def stop(done, total):
        if done > 1200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(given, to=tmp_path / "run", **{**options, "progress": stop})
    resumed = simulate(given, to=tmp_path / "run", resume=True, **options)
    for run in (again, resumed):
        for name in whole.data_vars:
            np.testing.assert_array_equal(run[name], whole[name], err_msg=name)


def test_states_of_synapses_count_as_memory(monkeypatch):
    monkeypatch.setattr("fwsim.spiking.native_run.machine_memory", lambda: 100_000)
    sites = fw.StochasticRelease(fw.TsodyksMarkram(0.5, 0.3, 0.1), 5, depletion="site")
    for rule, trials in ((ASSOCIATIVE["bcpnn"], 10), (sites, 100)):
        many = Circuit([Population("E", 30)], [Connection("E", "E", 0.001, synapse=rule)], dt=DT)
        with pytest.raises(ConfigError, match="states of synapses"):
            simulate(many, steps=10, trials=trials, engine="native")
