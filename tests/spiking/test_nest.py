"""NEST as an independent witness: single synapses and networks without noise, spike by spike, in both engines.

Each statement of docs/guide/from_nest.md is a test here.
"""

import itertools
import math

import numpy as np
import pytest

import fwsim as fw
from benchmarks.nest_simulator import parameters
from fwsim.spiking import Circuit, Connection, Population, exact_step, wiring
from tests.rules.cases import exact

nest = pytest.importorskip("nest", reason="NEST is not installed (pip install 'fwsim[nest]')")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("numpy_target")]

DT = 1e-4
STEPS = 3000
VALUES = [
    *itertools.product((0.05, 0.2, 0.5, 1.0), (0.0, 0.01, 0.53), (0.005, 0.13, 0.8))
]  # U, tau_facil, tau_rec
DYNAMIC = {"U": 0.4, "tau_rec": 0.15, "tau_facil": 0.3}


@pytest.fixture(autouse=True)
def kernel():
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = 1000 * DT


# Single synapses


def transmitted(steps, synapses):
    """Weights of each synapse of NEST `[synapse, spike]`, for spikes in these steps."""
    times = [round(0.1 * int(step), 1) for step in steps]
    source = nest.Create("spike_generator", params={"spike_times": times})
    pre = nest.Create("parrot_neuron")
    nest.Connect(source, pre)
    recorders = []
    for number, (model, values) in enumerate(synapses):
        recorders.append(nest.Create("weight_recorder"))
        nest.CopyModel(model, f"synapse_{number}", {"weight_recorder": recorders[-1]})
        nest.Connect(
            pre, nest.Create("parrot_neuron"), syn_spec={"synapse_model": f"synapse_{number}", **values}
        )
    nest.Simulate(times[-1] + 10)
    events = [each.events for each in recorders]
    return np.array([each["weights"][np.argsort(each["times"], kind="stable")] for each in events])


def train():
    """Steps of bursts, pauses and spikes in neighbouring steps."""
    gaps = np.random.default_rng(0).choice([1, 2, 20, 100, 700, 9000], 60, p=[0.1, 0.1, 0.3, 0.3, 0.15, 0.05])
    return 10 + np.cumsum(gaps)


def responses(rules, steps):
    times = exact(steps * DT)
    return np.array([rule.respond(times).numpy() for rule in rules])


def test_tsodyks2_synapse_is_maass2002():
    given = [
        ("tsodyks2_synapse", {"U": U, "u": U, "x": 1.0, "tau_rec": 1e3 * rec, "tau_fac": 1e3 * facil})
        for U, facil, rec in VALUES
    ]
    rules = [fw.TsodyksMarkram(U, rec, facil) for U, facil, rec in VALUES]
    np.testing.assert_allclose(transmitted(train(), given), responses(rules, train()), rtol=0, atol=1e-11)


@pytest.mark.parametrize("model", ["tsodyks_synapse", "tsodyks_synapse_hom"])
def test_tsodyks_synapse_is_tm1998_with_its_own_time_of_inactivation(model):
    inact = 0.003
    values = [
        {"U": U, "tau_rec": 1e3 * rec, "tau_fac": 1e3 * facil, "tau_psc": 1e3 * inact}
        for U, facil, rec in VALUES
    ]
    if model.endswith("hom"):  # parameters of the model, not of the connection
        given = []
        for number, each in enumerate(values):
            nest.CopyModel(model, f"hom_{number}", each)
            given.append((f"hom_{number}", {}))
    else:
        given = [(model, each) for each in values]
    rules = [
        fw.TsodyksMarkram(U, rec, facil, convention="tm1998", tau_inact=inact) for U, facil, rec in VALUES
    ]
    np.testing.assert_allclose(transmitted(train(), given), responses(rules, train()), rtol=0, atol=1e-11)


def test_ht_synapse_is_depression_alone():
    given = [("ht_synapse", {"P": 1.0, "delta_P": U, "tau_P": 1e3 * rec}) for U, _, rec in VALUES]
    rules = [fw.TsodyksMarkram(U, rec, 0.0) for U, _, rec in VALUES]
    expected = responses(rules, train()) / np.array(VALUES)[:, :1]
    np.testing.assert_allclose(transmitted(train(), given), expected, rtol=0, atol=1e-11)


def test_no_synapse_here_is_another_convention():
    given = [("tsodyks2_synapse", {"U": 0.2, "u": 0.2, "tau_rec": 130.0, "tau_fac": 530.0})]
    for convention in ("mongillo2008", "mixed"):
        rule = fw.TsodyksMarkram(0.2, 0.13, 0.53, convention=convention)
        assert np.abs(transmitted(train(), given) - responses([rule], train())).max() > 0.05
        nest.ResetKernel()
        nest.resolution = 1000 * DT


def test_equal_time_constants_are_nan_in_nest_and_exact_here():
    values = {"U": 0.5, "tau_rec": 20.0, "tau_fac": 0.0, "tau_psc": 20.0}
    assert np.isnan(transmitted([10, 110, 210], [("tsodyks_synapse", values)])).any()
    rule = fw.TsodyksMarkram(0.5, 0.02, 0.0, convention="tm1998", tau_inact=0.02)
    assert rule.respond(exact([0.0, 0.01, 0.02])).isfinite().all()


def test_states_begin_at_rest_here_and_at_one_half_in_nest():
    assert nest.GetDefaults("tsodyks2_synapse")["u"] == 0.5
    assert nest.GetDefaults("quantal_stp_synapse")["u"] == 0.5
    assert [nest.GetDefaults("tsodyks_synapse")[name] for name in "uxy"] == [0.0, 1.0, 0.0]
    steps = np.array([10, 210, 410])
    values = {"U": 0.2, "tau_rec": 130.0, "tau_fac": 530.0}
    (found,) = transmitted(steps, [("tsodyks2_synapse", values)])  # u is left alone
    rule = fw.TsodyksMarkram(0.2, 0.13, 0.53)
    assert found[0] == 0.5
    assert float(rule.respond(exact([0.0]))) == 0.2
    begun = rule.respond(
        exact((steps - steps[0]) * DT), state={"u": 0.5}
    )  # nothing relaxes before the first spike
    np.testing.assert_allclose(found, begun, rtol=1e-12)


def test_quantal_synapses_deplete_site_by_site():
    """Correlation of two responses 30 ms apart with one site: −0.55 in both; means and distribution for five."""
    one = fw.StochasticRelease(fw.TsodyksMarkram(0.5, 0.8, 0.0), sites=1, depletion="site")
    five = fw.StochasticRelease(fw.TsodyksMarkram(0.3, 0.2, 0.5), sites=5, depletion="site")
    number, steps = 1500, np.array([10, 310])
    many = [
        ("quantal_stp_synapse", {"n": 1, "a": 1, "U": 0.5, "u": 0.5, "tau_rec": 800.0, "tau_fac": 0.0}),
        ("quantal_stp_synapse", {"n": 5, "a": 5, "U": 0.3, "u": 0.3, "tau_rec": 200.0, "tau_fac": 500.0}),
    ]
    for (model, values), rule in zip(many, (one, five)):
        found = quanta(steps, model, values, number) / rule.sites
        mine = rule.respond(exact(steps * DT).expand(number, 2), seed=3).numpy()
        for each in (found, mine):
            mean = rule.rule.respond(exact(steps * DT)).numpy()
            assert (np.abs(each.mean(0) - mean) < 4 * each.std(0) / number**0.5).all()
        first, second = (np.corrcoef(each.T)[0, 1] for each in (found, mine))
        assert abs(first - second) < 4 * (2 / number) ** 0.5
        if rule is one:
            full, refilled = 0.5, 0.5 * -math.expm1(-0.03 / 0.8)
            p = full * refilled + (1 - full) * 0.5
            expected = (full * refilled - full * p) / (full * (1 - full) * p * (1 - p)) ** 0.5
            assert expected == pytest.approx(-0.55, abs=0.005)
            assert abs(first - expected) < 4 / number**0.5
            assert abs(second - expected) < 4 / number**0.5


def quanta(steps, model, values, number):
    """Weights `[synapse, spike]` of many random synapses, 0 where nothing is released."""
    times = [round(0.1 * int(step), 1) for step in steps]
    nest.ResetKernel()
    nest.resolution = 1000 * DT
    source = nest.Create("spike_generator", params={"spike_times": times})
    pre, post = nest.Create("parrot_neuron"), nest.Create("parrot_neuron", number)
    nest.Connect(source, pre)
    recorder = nest.Create("weight_recorder")
    nest.CopyModel(model, "random_release", {"weight_recorder": recorder, **values})
    nest.Connect(pre, post, syn_spec={"synapse_model": "random_release"})
    nest.Simulate(times[-1] + 10)
    events, found = recorder.events, np.zeros((number, len(steps)))
    spike = np.rint((events["times"] - events["times"].min()) / (times[1] - times[0])).astype(int)
    found[events["targets"] - post[0].global_id, spike] = events["weights"]
    return found


# Networks


def circuit(rule=None, *, decay=0.005, delay=0.001, tau=0.02):
    populations = [
        Population("E", 80, tau=tau, threshold=0.02, reset=0.012, background=0.024, refractory=0.002),
        Population("I", 20, tau=0.01, threshold=0.02, reset=0.01, background=0.023, refractory=0.001),
    ]
    options = {"probability": 0.2, "decay": decay, "delay": delay}
    connections = [
        Connection("E", "E", 0.0008, synapse=rule, **options),
        Connection("E", "I", 0.0006, **options),
        Connection("I", "E", -0.001, **options),
        Connection("I", "I", -0.001, **options),
    ]
    return Circuit(populations, connections, dt=DT)


def conducting(rule=None, *, delay=0.001):
    """The same populations, with conductances."""
    excitation = {"probability": 0.2, "delay": delay, "decay": 0.005, "reversal": 0.07}
    inhibition = {"probability": 0.2, "delay": delay, "decay": 0.01, "reversal": -0.01}
    connections = [
        Connection("E", "E", 0.01, synapse=rule, **excitation),
        Connection("E", "I", 0.01, **excitation),
        Connection("I", "E", 0.05, **inhibition),
        Connection("I", "I", 0.05, **inhibition),
    ]
    return Circuit(circuit().populations, connections, dt=DT)


NETWORKS = {
    "static": (circuit(), None),
    "tsodyks2": (circuit(fw.TsodyksMarkram(**DYNAMIC)), "tsodyks2_synapse"),
    "tsodyks": (
        circuit(fw.TsodyksMarkram(**DYNAMIC, convention="tm1998", tau_inact=0.003), decay=0.003),
        "tsodyks_synapse",
    ),
    "delay beyond the refractory period": (
        circuit(fw.TsodyksMarkram(**DYNAMIC), delay=0.005),
        "tsodyks2_synapse",
    ),
    "random delays": (circuit(fw.TsodyksMarkram(**DYNAMIC), delay=(0.0005, 0.004)), "tsodyks2_synapse"),
    "current as slow as the membrane": (circuit(decay=0.02), None),
    "jumps": (circuit(fw.TsodyksMarkram(**DYNAMIC), decay=0.0), "tsodyks2_synapse"),
}
CONDUCTANCES = {
    "static": (conducting(), None),
    "plastic, random delays": (
        conducting(fw.TsodyksMarkram(**DYNAMIC), delay=(0.0005, 0.004)),
        "tsodyks2_synapse",
    ),
}


def in_nest(given, synapse, *, as_here=True, seed=1):
    """Spikes (step, neuron) of a circuit in NEST, and the potentials in V at every step `[time, neuron]`.

    With `as_here`, jumps arrive one step later, and have decayed.
    """
    cells = []
    for each in given.populations:
        model, values = parameters.neurons(given, each)
        cells.append(nest.Create(model, each.size, params=values))
    neurons = cells[0] + cells[1]
    neurons.V_m = 1e3 * exact_step.initial_potentials(given, 1, seed)
    first = neurons[0].global_id
    tau = np.repeat([each.tau for each in given.populations], [each.size for each in given.populations])
    for each in wiring.wirings(given, seed):
        weight, delay = 1e3 * each.jump.astype(float), np.round(each.delay / DT) * 1e3 * DT
        if each.reversal is not None:
            weight = each.jump.astype(float) * np.sign(each.reversal)
        elif not each.decay and as_here:
            weight, delay = parameters.jump(each.jump.astype(float), 1e-3 * delay, tau[each.post], DT)
        spec = {"weight": weight, "delay": delay, **parameters.synapse(synapse, each.rule)}
        nest.Connect(first + each.pre, first + each.post, "one_to_one", spec)
    spikes = nest.Create("spike_recorder")
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 1e3 * DT})
    nest.Connect(neurons, spikes)
    nest.Connect(meter, neurons)
    nest.Simulate(1e3 * DT * (STEPS + 1))
    order = np.lexsort((spikes.events["senders"], spikes.events["times"]))
    step = np.rint(spikes.events["times"][order] / (1e3 * DT)).astype(int)
    trace = meter.events
    potential = np.full((STEPS + 1, given.neurons), np.nan)
    potential[np.rint(trace["times"] / (1e3 * DT)).astype(int) - 1, trace["senders"] - first] = (
        1e-3 * trace["V_m"]
    )
    within = step <= STEPS
    return np.stack([step, spikes.events["senders"][order] - first], 1)[within], potential[:STEPS]


def in_fwsim(given, engine, *, seed=1):
    record = ["spike_time", "spike_unit", "potential"]
    run = fw.spiking.simulate(given, steps=STEPS, record=record, seed=seed, engine=engine, progress=False)
    step = np.rint(run.spike_time.values / DT).astype(int)
    order = np.lexsort((run.spike_unit.values, step))
    return np.stack([step, run.spike_unit.values], 1)[order], run.potential.values[0]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_spikes_of_nest(name):
    given, model = NETWORKS[name]
    spikes, potential = in_nest(given, model)
    assert len(spikes) > 300
    for engine in ("native", "brian2"):
        mine, voltage = in_fwsim(given, engine)
        np.testing.assert_array_equal(mine, spikes, err_msg=engine)
        np.testing.assert_allclose(voltage, potential, rtol=0, atol=1e-8, err_msg=engine)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", CONDUCTANCES)
def test_conductances_have_the_spikes_of_nest_until_a_potential_is_as_close_to_the_threshold(name, seed):
    """Neither simulator is exact. Potentials differ by 4e-8 V, which moves about one spike in a thousand by a step."""
    given, synapse = CONDUCTANCES[name]
    spikes, potential = in_nest(given, synapse, seed=seed)
    for engine in ("native", "brian2"):
        mine, voltage = in_fwsim(given, engine, seed=seed)
        number = min(len(mine), len(spikes))
        moved = np.flatnonzero((mine[:number] != spikes[:number]).any(1))
        step = STEPS
        if len(moved):
            first = [each[moved[0]].tolist() for each in (mine, spikes)]
            (step, unit), late = min(first), voltage if min(first) == first[1] else potential
            threshold = np.repeat(
                [p.threshold for p in given.populations], [p.size for p in given.populations]
            )
            assert (
                abs(late[step - 1, unit] - threshold[unit]) < 1e-7
            )  # of the simulator in which it spikes later
        assert (spikes[:, 0] < step).sum() > 100
        np.testing.assert_allclose(
            voltage[: step - 1], potential[: step - 1], rtol=0, atol=1e-7, err_msg=engine
        )


def test_jumps_with_the_same_delay_are_other_spikes():
    given, model = NETWORKS["jumps"]
    spikes, _ = in_nest(given, model, as_here=False)
    mine, _ = in_fwsim(given, "native")
    assert spikes.shape != mine.shape or (spikes != mine).any()


def test_a_jump_is_seen_one_step_later_and_decayed():
    given = Circuit(
        [
            Population("pre", 1, tau=1e-5, threshold=0.02, reset=0.0, background=0.03, refractory=0.5),
            Population("post", 1, tau=0.02, threshold=0.1, reset=0.0, refractory=0.0),
        ],
        [Connection("pre", "post", 0.001, delay=0.001)],
        dt=DT,
    )
    run = fw.spiking.simulate(
        given, steps=100, record=["spike_time", "potential"], engine="native", progress=False
    )
    fired = round(float(run.spike_time[0]) / DT)
    mine = run.potential.values[0, :, 1]
    without = mine[0] * np.exp(-np.arange(100) * DT / 0.02)
    change = (mine - without)[
        fired - 1 :
    ]  # sample t is of the time (t + 1)·dt; here from the time of the spike
    source = nest.Create("spike_generator", params={"spike_times": [1.0]})
    cell = nest.Create(
        "iaf_psc_delta", params={"tau_m": 20.0, "E_L": 0.0, "V_th": 1e3, "V_reset": 0.0, "V_m": 0.0}
    )
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 0.1})
    nest.Connect(source, cell, syn_spec={"weight": 1.0, "delay": 1.0})
    nest.Connect(meter, cell)
    nest.Simulate(8.0)
    voltage = meter.events["V_m"][9:]  # from the time of the spike, 1 ms
    assert voltage[9] == 0.0
    assert voltage[10] == 1.0  # one delay later
    np.testing.assert_allclose(change[:11], 0.0, atol=1e-8)  # recordings have single precision
    np.testing.assert_allclose(change[11:60], 1e-3 * voltage[11:60], rtol=1e-4)


def test_the_threshold_itself_is_a_spike_in_nest_and_none_here():
    cell = nest.Create(
        "iaf_psc_exp", params={"E_L": 0.0, "V_th": 20.0, "V_reset": 10.0, "V_m": 20.0, "tau_m": 10.0}
    )
    cell.I_e = 20.0 * cell.C_m / cell.tau_m
    spikes = nest.Create("spike_recorder")
    nest.Connect(cell, spikes)
    nest.Simulate(1.0)
    assert spikes.n_events >= 1
    at_threshold = Population("E", 1, tau=0.01, threshold=0.02, reset=0.01, background=0.02)
    for engine in ("native", "brian2"):
        run = fw.spiking.simulate(Circuit([at_threshold], dt=DT), steps=8000, engine=engine, progress=False)
        assert run.sizes["spike"] == 0


def test_delays():
    assert Connection("E", "E", 0.001).delay == 0
    assert nest.GetDefaults("static_synapse")["delay"] == 1.0
    cells = nest.Create("iaf_psc_exp", 2)
    with pytest.raises(Exception, match="elay"):
        nest.Connect(cells[0], cells[1], syn_spec={"delay": 0.0})
    nest.Connect(cells[0], cells[1], syn_spec={"delay": 1e3 * DT})


def test_noise_of_a_current_has_the_standard_deviation_of_the_formula():
    """noise = std·R·√((1−l)/(1+l)), if the generator draws in every step, which is not its default."""
    assert nest.GetDefaults("noise_generator")["dt"] == pytest.approx(1.0)
    number, tau, noise = 1000, 0.01, 0.003
    population = Population("E", number, tau=tau, threshold=1.0, reset=0.0, noise=noise)
    source = nest.Create("noise_generator", params=parameters.noise(population, DT))
    cells = nest.Create(
        "iaf_psc_exp", number, params={"C_m": 10.0, "tau_m": 10.0, "E_L": 0.0, "V_th": 1e4, "V_m": 0.0}
    )
    nest.Connect(source, cells)
    nest.Simulate(80.0)
    run = fw.spiking.simulate(
        Circuit([population], dt=DT),
        steps=800,
        record="potential",
        every=800,
        engine="native",
        progress=False,
    )
    error = 4 * noise / math.sqrt(2 * number)
    assert abs(1e-3 * np.std(cells.V_m) - noise) < error
    assert abs(run.potential.values.std() - noise) < error
