"""Circuits and single synapses that begin in a given state, in Brian2, in the native engine and in rates."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.engine.native import library
from fwsim.errors import ConfigError, ShapeError
from fwsim.rules.rule import PresynapticRule
from fwsim.spiking import Circuit, Connection, Population, rate_network, simulate, simulate_rates
from tests.rules.cases import CASES, trains

pytestmark = pytest.mark.usefixtures("numpy_target")
DT = 1e-4
SAMPLED = 20
RECORD = ("spike_time", "spike_unit", "u", "x", "release", "potential")
RULE = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.8)
STATE = {"u": 0.8, "x": 0.3}
ENGINES = ["brian2", *([] if library.obstacle() else ["native"])]
native = pytest.mark.skipif(bool(library.obstacle()), reason="the native engine is not there")


def circuit(rule=RULE, state=STATE, delay=0.001, **options):
    """Neurons that pulses make spike, whatever their potential was, and targets that forget theirs at once."""
    populations = [
        Population("E", 6, tau=0.001, refractory=0.001),
        Population("T", 4, tau=0.001, threshold=0.02, reset=0.0),
    ]
    connections = [
        Connection("E", "T", 0.4, 0.5, rule, delay, state=state, **options),
        Connection("E", "T", 0.1, 0.5, rule, delay),
    ]
    return Circuit(populations, connections, dt=DT)


def pulses(steps, seed=0):
    """1 V for single steps, `[trial, time, unit]` with neurons as units, at least 3 ms apart."""
    drive = np.zeros((1, steps, 10))
    random = np.random.default_rng(seed)
    for unit in range(6):
        drive[0, np.cumsum(random.integers(30, 120, steps // 75)) % steps, unit] = 1.0
    drive[0, :, 6:] = 0.004
    return drive


def run(given, drive, engine, **options):
    return simulate(
        given, drive, record=RECORD, every=SAMPLED, engine=engine, seed=3, progress=False, **options
    )


@pytest.mark.parametrize("name", ["tm1998", "tm_mongillo2008", "hebbian_traces", "bcpnn"])
def test_one_synapse_in_brian2(name):
    rule, pre, post = CASES[name], trains(2, 6, seed=1), trains(2, 6, seed=2)
    given = [pre] if isinstance(rule, PresynapticRule) else [pre, post]
    state = {variable: torch.tensor([0.3, 0.6]).double() for variable in rule.rest()}
    expected = rule.respond(*given, state=state)
    assert (expected - rule.respond(*given)).abs().max() > 1e-3
    torch.testing.assert_close(fw.spiking.respond(rule, *given, state=state), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("delay", [0.0005, 0.004], ids=["state in neurons", "state in synapses"])
def test_a_run_from_the_last_sample_of_another_is_the_rest_of_one_run(engine, delay):
    drive, cut, forgotten = pulses(1200), 600, 240
    drive[:, cut - 60 : cut] = 0.0  # nothing is on its way, and potentials are forgotten
    begun = circuit(state=STATE | {"x": np.linspace(0.1, 0.9, 6)}, delay=delay)
    whole = run(begun, drive, engine)
    last = run(begun, drive[:, :cut], engine).isel(time=-1, projection=0, unit=slice(6))
    state = {name: last[name].values for name in STATE}  # [trial, unit]
    later = run(circuit(state=state, delay=delay), drive[:, cut:], engine)
    rest = whole.isel(time=slice(cut // SAMPLED, None))
    for name in ("u", "x", "release"):
        np.testing.assert_allclose(later[name][:, :, 0, :6], rest[name][:, :, 0, :6], rtol=1e-5)
    potentials = (each.potential[:, forgotten // SAMPLED :] for each in (later, rest))
    np.testing.assert_allclose(*potentials, atol=1e-7)
    late = whole.spike_time.values > (cut + forgotten + 0.5) * DT
    again = later.spike_time.values > (forgotten + 0.5) * DT
    assert late.sum() > 15
    assert (whole.spike_unit.values[late] > 5).any()
    np.testing.assert_allclose(
        later.spike_time.values[again], whole.spike_time.values[late] - cut * DT, atol=1e-9
    )
    np.testing.assert_array_equal(later.spike_unit.values[again], whole.spike_unit.values[late])


QUICK = ("tm_mixed", "tm1998", "varela", "linear_nonlinear_logistic")
PRESYNAPTIC = [name for name, rule in CASES.items() if isinstance(rule, PresynapticRule)]


@native
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PRESYNAPTIC]
)
def test_both_engines_have_the_same_spikes(name):
    rule = CASES[name]
    state = {variable: [[0.2], [0.7]] for variable in rule.rest()}
    given = circuit(rule, state, (0.0, 0.005))
    drive = np.tile(pulses(300), (2, 1, 1))
    record = ["spike_time", "spike_unit", "spike_trial", "potential", "release", *rule.rest()]
    one, other = (
        simulate(given, drive, record=record, engine=engine, seed=1, progress=False) for engine in ENGINES
    )
    assert one.sizes["spike"] > 20
    for variable in one.data_vars:
        np.testing.assert_allclose(other[variable], one[variable], rtol=1e-6, atol=1e-9, err_msg=variable)
    assert float(abs(one.release[0] - one.release[1]).max()) > 1e-3


def test_random_and_associative_synapses_begin_there_too():
    random = fw.StochasticRelease(RULE, sites=1)
    full = circuit(random, {"u": 1.0, "x": 1.0})  # a spike releases with certainty
    drive = np.zeros((1, 40, 10))
    drive[0, 0, :6] = 1.0
    potential = simulate(full, drive, record="potential", engine="brian2", seed=3, progress=False).potential
    static = circuit(None, None)
    expected = simulate(static, drive, record="potential", engine="brian2", seed=3, progress=False).potential
    np.testing.assert_allclose(potential[0, :, 6:], expected[0, :, 6:], atol=1e-4)
    hebbian = fw.HebbianTraces(tau=0.5, eta=0.5, tau_pre=0.02, tau_post=0.02)
    learned = Circuit(
        [Population("E", 2, threshold=1.0)],
        [Connection("E", "E", 0.0, synapse=hebbian, state={next(iter(hebbian.rest())): 0.0, WEIGHT: 0.7})],
    )
    weight = simulate(learned, steps=1000, record="weight", engine="brian2", progress=False).weight
    assert float(weight[0, -1, 0, 0, 1]) == pytest.approx(0.7 * np.exp(-0.1 / 0.5), rel=1e-5)


WEIGHT = list(fw.HebbianTraces(tau=0.5, eta=0.5, tau_pre=0.02, tau_post=0.02).rest())[-1]


def relaxed(name, begin, time):
    tau, rest = {"u": (0.8, 0.3), "x": (0.2, 1.0)}[name]
    return rest + (begin - rest) * np.exp(-time / tau)


def test_the_rate_version_begins_there():
    silent = [Population(name, 100, background=-0.5, noise=0.003) for name in "EI"]
    state = {"u": 0.8, "x": [[0.3], [0.6]]}
    joined = [Connection("E", "I", 1e-5, synapse=RULE, state=state), Connection("I", "E", 1e-5, synapse=RULE)]
    given = Circuit(silent, joined, dt=DT)
    start = rate_network(given).initial_state(2).variables["x"]
    assert start[:, :, :2].tolist() == [[[0.3, 1.0]] * 2, [[0.6, 1.0]] * 2]  # for means and for variances
    run = simulate_rates(given, np.zeros((2, 200, 2)), every=100)
    for name, begin in (("u", [0.8, 0.8]), ("x", [0.3, 0.6])):
        expected = [[relaxed(name, value, time) for time in (0.01, 0.02)] for value in begin]
        np.testing.assert_allclose(run[name][:, :, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(run.x[:, :, 0, 1], 1.0)


@pytest.mark.parametrize("kernel", ["reference", pytest.param("native", marks=native)])
def test_projections_begin_there(kernel):
    begin = torch.tensor([[0.2, 0.4, 0.6], [0.1, 0.3, 0.5]]).double()
    projection = fw.Projection(0.1 * torch.ones(3, 3).double(), RULE, {"x": begin})
    network = fw.RateNetwork(projection, tau=0.01, dt=0.001, kernel=kernel)
    with pytest.raises(ShapeError, match="has batch 3, parameters are for 2"):
        network(torch.zeros(3, 1, 3).double())
    _, end = network(torch.zeros(2, 100, 3).double())
    expected = {"u": np.full((2, 3), 0.3), "x": relaxed("x", begin.numpy(), 0.1)}
    for name, value in expected.items():
        np.testing.assert_allclose(end.variables[name][:, 0].detach(), value, rtol=1e-9)
    plain = fw.RateNetwork(fw.Projection(projection.weights, RULE), tau=0.01, dt=0.001, kernel=kernel)
    drive = 20 * torch.ones(2, 50, 3).double()
    torch.testing.assert_close(network(drive)[0], plain(drive, network.initial_state(2))[0])
    assert float((network(drive)[0] - plain(drive)[0]).detach().abs().max()) > 0.01


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_goes_on_and_says_where_it_began(engine, tmp_path):
    given, drive = circuit(state=STATE | {"x": torch.linspace(0, 1, 6)}), pulses(1500)
    whole = run(given, drive, engine)

    def stop(done, total):
        if done > 1000:
            raise KeyboardInterrupt

    options = {"record": RECORD, "every": SAMPLED, "engine": engine, "seed": 3, "to": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        simulate(given, drive, progress=stop, **options)
    with pytest.raises(fw.RecordingError):
        simulate(circuit(), drive, progress=False, resume=True, **options)
    again = simulate(given, drive, progress=False, resume=True, **options)
    for name in whole.data_vars:
        np.testing.assert_array_equal(again[name], whole[name], err_msg=name)
    state = given.configuration()["connections"][0]["state"]
    assert state["u"] == 0.8
    assert state["x"] == pytest.approx(np.linspace(0, 1, 6))


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"state": {"y": 1.0}}, ConfigError, "E→T: variable of state='y' is unknown; use one of 'u', 'x'"),
        ({"state": {"x": np.inf}}, ConfigError, "E→T: state of x is NaN or infinite"),
        (
            {"state": {"x": [0.1, 0.2]}},
            ShapeError,
            "state of x has shape [2]; give a number, [unit], [trial, 1]",
        ),
        ({"state": STATE, "rule": None}, ConfigError, "E→T: state is for plastic synapses"),
        ({"state": {"x": [[0.1]] * 3, "u": [[0.1]] * 2}}, ShapeError, "for [2, 3] trials"),
        (
            {"state": {WEIGHT: [0.1] * 6}, "rule": fw.HebbianTraces(0.5, 0.5)},
            ShapeError,
            "HebbianTraces takes numbers",
        ),
    ],
)
def test_what_is_refused(options, error, said):
    with pytest.raises(error) as caught:
        circuit(**options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shared_state_is_given_once():
    populations = [Population("E", 3), Population("I", 2)]
    with pytest.raises(
        ConfigError, match="E→E and E→I share TsodyksMarkram and its state; give the state to one"
    ):
        Circuit(populations, [Connection("E", name, 1e-3, synapse=RULE, state=STATE) for name in "EI"])
    other = fw.TsodyksMarkram(0.3)
    Circuit(populations, [Connection("E", "E", 1e-3, synapse=r, state=STATE) for r in (RULE, other)])


def test_what_has_no_place_for_it_says_so():
    noisy = [Population("E", 6, noise=0.001), Population("T", 2, noise=0.001)]
    own = Circuit(noisy, [Connection("E", "T", 1e-3, synapse=RULE, state={"x": [0.1] * 6})])
    with pytest.raises(ConfigError, match="state of x differs between the neurons of E"):
        rate_network(own)
    with pytest.raises(ConfigError, match="parameters or states of a rule cannot be scaled"):
        own.scaled(1.0)
    hebbian = fw.HebbianTraces(0.5, 0.5)
    learned = Circuit(noisy[:1], [Connection("E", "E", 1e-3, synapse=hebbian, state={WEIGHT: 0.1})])
    with pytest.raises(ConfigError, match="begins with an empty memory; leave state out"):
        fw.spiking.resolved_network(learned)
    with pytest.raises(ConfigError, match="Projection: state is for plastic"):
        fw.Projection([[1.0]], state={"x": 0.1})
    with pytest.raises(ShapeError, match=r"Projection: state of x has shape \[3\]"):
        fw.Projection(np.ones((2, 2)), RULE, {"x": [0.1] * 3})
