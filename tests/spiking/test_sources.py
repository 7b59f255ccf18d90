"""Populations whose spikes are given or random, in both engines and in the rate version."""

import gc
import json
import warnings

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.engine.native import library
from fwsim.engine.threads import using_threads
from fwsim.errors import ConfigError, ShapeError
from fwsim.measure import firing_rate, isi_cv
from fwsim.rules.rule import PresynapticRule
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.spiking import (
    Circuit,
    Connection,
    PoissonGenerator,
    Population,
    Pulse,
    SpikeGenerator,
    pooled,
    rate_network,
    resolved_network,
    simulate,
    simulate_rates,
    simulate_resolved,
    stimulus,
)
from fwsim.units import Hz, ms, mV
from tests.rules.cases import CASES

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("numpy_target")
EVENTS = ("spike_time", "spike_unit", "spike_trial")
DT = 1e-4
RULES = {
    name: rule
    for name, rule in CASES.items()
    if isinstance(rule, PresynapticRule) and not isinstance(rule, StochasticRelease)
}


def native(circuit, drive=None, **options):
    return simulate(circuit, drive, engine="native", progress=False, **options)


def train(run, unit, trial=0):
    return run.spike_time.values[(run.spike_unit.values == unit) & (run.spike_trial.values == trial)]


def trains(neurons, spikes, steps, seed=0):
    """Random times on the grid, at most one in a step."""
    random = np.random.default_rng(seed)
    return [np.sort(random.choice(np.arange(1, steps), spikes, replace=False)) * DT for _ in range(neurons)]


def target(name="target", size=1, **options):
    """Neurons that integrate and never spike."""
    return Population(name, size, **{"threshold": 1.0, "reset": 0.0, "tau": 20 * ms, **options})


def test_a_spike_is_recorded_when_it_is_given_and_arrives_after_the_delay():
    given = [[0.0123, 0.002], [], [0.00304]]
    circuit = Circuit(
        [target(), SpikeGenerator("input", given)], [Connection("input", "target", 1 * mV, delay=3 * ms)]
    )
    run = native(circuit, steps=200, record=[*EVENTS, "potential"])
    assert train(run, 1) == pytest.approx([0.002, 0.0123], abs=1e-9)
    assert len(train(run, 2)) == 0
    assert train(run, 3) == pytest.approx([0.0030], abs=1e-9)  # the nearest step
    assert run.population.values.tolist() == ["target", "input", "input", "input"]
    start = np.random.default_rng([0, 2]).uniform(size=4)[0]  # as in every run of seed 0
    time = run.time.values
    expected = start * np.exp(-time / (20 * ms))
    for spike in (0.002, 0.003, 0.0123):
        since = time - (spike + 3 * ms)
        expected = expected + 1 * mV * np.exp(-since / (20 * ms)) * (since > DT / 2)
    np.testing.assert_allclose(run.potential.values[0, :, 0], expected, rtol=1e-5)
    assert np.isnan(run.potential.values[0, :, 1:]).all()


@pytest.mark.parametrize(
    "delays",
    [
        [0.0, (0.0, 3 * ms)],
        pytest.param([0.0], marks=pytest.mark.slow),
        pytest.param([(0.0, 3 * ms)], marks=pytest.mark.slow),
    ],
    ids=["in turn", "at once", "delays"],
)
def test_every_rule_has_the_spikes_of_brian2(delays):
    """One generator and one target for each rule, of which some targets spike."""
    targets = [Population(name, 3, background=17 * mV) for name in RULES]
    circuit = Circuit(
        [SpikeGenerator("input", trains(6, 12, 500)), *targets],
        [
            Connection("input", name, 4 * mV, 0.7, rule, delay=delays[k % len(delays)])
            for k, (name, rule) in enumerate(RULES.items())
        ],
    )
    record = [*EVENTS, fw.Record("potential", every=50), fw.Record("release", every=50)]
    options = {"steps": 500, "seed": 2, "record": record, "progress": False}
    brian2, engine = (simulate(circuit, engine=each, **options) for each in ("brian2", "native"))
    assert (brian2.spike_unit.values >= 6).sum() > 20
    for name in brian2.data_vars:
        np.testing.assert_allclose(engine[name], brian2[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_synapses_release_what_the_rule_says():
    rule = fw.TsodyksMarkram(0.3, 0.2, 0.5, "mongillo2008")
    times = trains(1, 30, 3000)[0]
    circuit = Circuit(
        [SpikeGenerator("input", [times]), target(tau="1e6 s")],
        [Connection("input", "target", 1 * mV, synapse=rule)],
    )
    run = native(circuit, steps=3001, record=["potential"])
    arrived = np.diff(run.potential.values[0, :, 1].astype(float))
    arrived = arrived[np.round(times / DT).astype(int) - 1]
    np.testing.assert_allclose(arrived, rule.respond(torch.tensor(times)).numpy() * mV, rtol=1e-3, atol=1e-7)


def test_spikes_of_a_connection_that_learns():
    rule = fw.HebbianTraces()
    given = trains(1, 20, 900)
    circuit = Circuit(
        [SpikeGenerator("input", given), Population("E", 1, background=25 * mV)],
        [Connection("input", "E", 0.01 * mV, synapse=rule)],
    )
    run = simulate(circuit, steps=1000, record=[*EVENTS, "weight"], every=1000, progress=False)
    pre, post = torch.tensor([*given[0], 0.1]), torch.tensor(train(run, 1))
    expected = rule.respond(pre.double(), post.double())[-1].item()
    assert expected > 0
    assert run.weight.values[0, -1, 0, 1, 0] == pytest.approx(expected, rel=1e-5)


def test_trials_may_have_their_own_spikes_and_a_recording_can_be_played_again():
    given = np.array([[[0.01, 0.02], [0.03, np.nan]], [[0.015, np.nan], [np.nan, np.nan]]])
    circuit = Circuit([SpikeGenerator("input", given), target()], [Connection("input", "target", 1 * mV)])
    assert circuit.trials == 2
    run = native(circuit, steps=400)
    for trial, unit in np.ndindex(2, 2):
        expected = given[trial, unit][~np.isnan(given[trial, unit])]
        assert train(run, unit, trial) == pytest.approx(expected, abs=1e-9)
    again = native(Circuit([SpikeGenerator("input", run)]), steps=400)
    for name in EVENTS:
        np.testing.assert_array_equal(again[name], run[name])
    one = native(Circuit([SpikeGenerator("input", [[0.01], []])]), steps=400, trials=3)
    assert one.spike_trial.values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("engine", ["native", "brian2"])
def test_random_spikes_are_poisson(engine, caplog):
    rate = np.array([[20.0], [80.0]])  # of two trials
    circuit = Circuit([Population("E", 3), PoissonGenerator("input", 300, rate)])
    run = simulate(circuit, steps=2500, seed=1, engine=engine, progress=False)
    found = firing_rate(run).values[:, 3:]
    assert found.shape == (2, 300)
    for row, mean in zip(found, (20, 80)):
        assert abs(row.mean() - mean) < 4 * np.sqrt(mean / 0.25 / 300)
        spread = np.sqrt(2 / 299)  # relative error of a variance
        assert abs(row.var(ddof=1) * 0.25 / (mean * (1 - mean * DT)) - 1) < 4 * spread
    counts = np.zeros((2, 300))
    np.add.at(counts, (run.spike_trial.values, run.spike_unit.values - 3), 1)
    gc.collect()
    assert "never included in a network" not in caplog.text  # which Brian2 says of objects left over
    assert abs(np.corrcoef(counts)[0, 1]) < 4 / np.sqrt(300)  # trials
    assert abs(np.corrcoef(counts[1, 1:], counts[1, :-1])[0, 1]) < 4 / np.sqrt(299)  # neighbours


@pytest.mark.parametrize("engine", ["native", "brian2"])
def test_rates_follow_time_and_neuron(engine):
    """A rate over time, one for each neuron, and a function, in one circuit."""
    steps = 1000

    def function(start, stop):
        return np.where(np.arange(start, stop) < 600, 100.0, 0.0)[None, :, None]

    circuit = Circuit(
        [
            PoissonGenerator("time", 200, np.array([0.0, 40.0, 0.0, 80.0, 10.0]).reshape(1, 5, 1), hold=200),
            PoissonGenerator("neuron", 200, np.repeat([10.0, 90.0], 100)),
            PoissonGenerator("function", 200, function),
        ]
    )
    run = simulate(circuit, steps=steps, record=["rate"], every=200, seed=3, engine=engine, progress=False)
    found = run.rate.values[0].reshape(5, 6, 100).mean(-1)
    expected = np.array([[0, 10, 100], [40, 10, 100], [0, 10, 100], [80, 10, 0], [10, 10, 0]], float)
    expected = np.repeat(expected, 2, 1)
    expected[:, 3] = 90
    assert (np.abs(found - expected) < 4.5 * np.sqrt(expected / 0.02 / 100) + 1e-9).all()


@pytest.mark.slow
def test_rates_and_regularity_are_those_of_brian2_over_twenty_seeds():
    """What Poisson input makes of neurons: their rates and CV, within four standard errors."""
    circuit = Circuit(
        [PoissonGenerator("input", 100, 40 * Hz), Population("E", 50, background=10 * mV)],
        [Connection("input", "E", 2 * mV, 0.4, fw.TsodyksMarkram(0.4, 0.1, 0.2), delay=1 * ms)],
    )
    found = []
    for engine in ("brian2", "native"):
        runs = [
            simulate(circuit, steps=5000, trials=4, seed=s, engine=engine, progress=False) for s in range(20)
        ]
        rates = [firing_rate(run).values for run in runs]
        cv = [np.nanmean(isi_cv(run).values[:, 100:]) for run in runs]
        found.append([[r[:, :100].mean() for r in rates], [r[:, 100:].mean() for r in rates], cv])
    for one, other in zip(*np.array(found)):
        assert np.mean(one) > 0.3
        difference = one - other  # of the same synapses
        assert abs(difference.mean()) < 4 * difference.std(ddof=1) / np.sqrt(20)


def test_the_same_bits_with_any_threads_and_in_two_parts(tmp_path):
    circuit = mixed()
    options = {"steps": 1500, "trials": 3, "seed": 7, "record": [*EVENTS, fw.Record("potential", every=100)]}
    whole = native(circuit, **options)
    with using_threads(torch.get_num_threads() % 2 + 1):
        again = native(circuit, **options)
    for run in (again, in_two_parts(circuit, tmp_path / "run", engine="native", **options)):
        for name in whole.data_vars:
            np.testing.assert_array_equal(run[name], whole[name], err_msg=name)


def test_brian2_in_two_parts(tmp_path, caplog):
    options = {"steps": 1500, "seed": 7}
    whole = simulate(mixed(), progress=False, **options)
    parts = in_two_parts(mixed(), tmp_path / "run", engine="brian2", **options)
    assert "earlier than the start time" not in caplog.text
    for name in EVENTS:
        np.testing.assert_array_equal(parts[name], whole[name], err_msg=name)


def mixed():
    """Both kinds of source, with rates that change."""
    return Circuit(
        [
            SpikeGenerator("given", trains(5, 40, 1450)),
            PoissonGenerator(
                "random", 300, lambda start, stop: 30 + 0.01 * np.arange(start, stop)[None, :, None]
            ),
            Population("E", 10, background=15 * mV),
        ],
        [
            Connection("given", "E", 2 * mV, synapse=fw.TsodyksMarkram(0.5, 0.1, 0.1), delay=(0.0, 3 * ms)),
            Connection("random", "E", 0.5 * mV, 0.2, decay=3 * ms),
        ],
    )


def in_two_parts(circuit, path, **options):
    def stop(done, total):
        if done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(circuit, progress=stop, to=path, **options)
    return simulate(circuit, progress=False, to=path, resume=True, **options)


def test_a_run_with_other_spikes_is_not_continued(tmp_path):
    def circuit(time):
        return Circuit([SpikeGenerator("input", [[time]])])

    native(circuit(0.01), steps=200, to=tmp_path / "run")
    with pytest.raises(fw.RecordingError, match="inputs_sha256"):
        native(circuit(0.011), steps=200, to=tmp_path / "run", resume=True)


def test_the_rate_version_has_the_rate_of_the_source():
    circuit = Circuit(
        [
            Population("E", 400, tau=15 * ms, reset=16 * mV, background=16 * mV, noise=0.5 * mV),
            PoissonGenerator("input", 400, 25 * Hz),
        ],
        [Connection("input", "E", 0.2 * mV, 0.5, delay=1 * ms)],
    )
    rates = simulate_rates(circuit, np.zeros((1, 5000, 2)), dt=0.5 * ms, every=1000).rate.values[0, -1]
    assert rates[1] == pytest.approx(25, rel=1e-6)
    mean = 16 * mV + 15 * ms * 200 * 0.2 * mV * 25
    variance = (0.5 * mV) ** 2 + 15 * ms / 2 * 200 * (0.2 * mV) ** 2 * 25
    sd = np.sqrt(variance)
    threshold = 20 * mV + 0.5826 * np.sqrt(2) * sd * np.sqrt(DT / (15 * ms))
    gain = fw.siegert(tau=15 * ms, threshold=threshold, reset=16 * mV, refractory=2 * ms, sd=sd)
    assert rates[0] == pytest.approx(gain(torch.tensor(mean).double()).item(), rel=1e-4)
    spikes = pooled(native(circuit, steps=10_000, record=["rate"], every=5000), circuit)
    assert spikes.population.values.tolist() == ["E", "input"]
    assert spikes.rate.values[0, -1] == pytest.approx(rates, rel=0.04)


def test_rates_over_time_in_the_rate_version():
    ramp = np.linspace(0, 50, 100).reshape(1, 100, 1)
    source = PoissonGenerator("input", 100, ramp, hold=10)
    functional = PoissonGenerator("input", 100, lambda start, stop: ramp.repeat(10, 1)[:, start:stop])
    trials = PoissonGenerator("input", 100, [[10.0], [30.0]])
    drive = np.zeros((1, 1000, 2))
    for each in (source, functional):
        run = simulate_rates(Circuit([each, Population("E", 5, noise=1 * mV)]), drive, every=10)
        np.testing.assert_allclose(run.rate.values[0, 1:, 0], ramp[0, 1:, 0], atol=1e-6)
    run = simulate_rates(Circuit([trials, Population("E", 5, noise=1 * mV)]), drive.repeat(2, 0), every=500)
    np.testing.assert_allclose(run.rate.values[:, -1, 0], [10, 30], rtol=1e-6)


def test_a_plastic_projection_of_a_source_settles_at_the_rules_mean_field():
    rule = fw.TsodyksMarkram(0.2, 0.2, 0.5)
    circuit = Circuit(
        [PoissonGenerator("input", 100, 20 * Hz), Population("E", 5, noise=1 * mV)],
        [Connection("input", "E", 0.1 * mV, synapse=rule)],
    )
    run = simulate_rates(circuit, np.zeros((1, 20_000, 2)), dt=2 * ms, every=1000)
    settled = rule.steady_state(20.0, train="mean_field")
    assert run.release.values[0, -1, 0, 0] == pytest.approx(settled.release.item(), rel=1e-4)


def test_a_source_is_described_and_shown():
    circuit = mixed()
    described = json.loads(json.dumps(circuit.configuration()))["populations"]
    assert described[0] == {"source": "SpikeGenerator", "name": "given", "size": 5, "spikes": 200}
    assert described[1]["rate"] == "function"
    shown = circuit._repr_html_()
    assert "200 given" in shown
    assert "PoissonGenerator" in shown
    plain = Circuit([PoissonGenerator("input", 3, 2.0), PoissonGenerator("own", 3, [1.0, 2, 3])])
    assert "2 Hz" in plain._repr_html_()
    assert plain.configuration()["populations"][1]["rate"] == {"shape": [3]}


def test_a_scaled_circuit_keeps_the_rates_of_its_sources():
    circuit = Circuit(
        [PoissonGenerator("input", 100, 20.0), Population("E", 50)], [Connection("input", "E", 1 * mV, 0.1)]
    )
    half = circuit.scaled(0.5)
    assert (half.populations[0].size, half.populations[0].rate) == (50, 20.0)
    assert half.connections[0].probability == pytest.approx(0.2)
    for given in (SpikeGenerator("input", [[0.1]]), PoissonGenerator("input", 2, [1.0, 2.0])):
        with pytest.raises(ConfigError, match="input, whose neurons have their own spikes or rates"):
            Circuit([given]).scaled(2.0)


def test_pulses_and_drives_are_for_neurons():
    circuit = Circuit([PoissonGenerator("input", 2, 20.0), Population("E", 3)])
    drive = stimulus(circuit, 0.01, [Pulse(1 * mV)])
    assert drive[..., 0].max() == 0
    assert drive[..., 1].max() == 1 * mV
    with pytest.raises(ConfigError, match=r"Pulse: input is a source.*\['E'\]"):
        stimulus(circuit, 0.01, [Pulse(1 * mV, populations="input")])
    for units, place in ((2, 0), (5, 1)):
        drive = np.zeros((1, 10, units))
        drive[..., place] = 1 * mV
        with pytest.raises(ConfigError, match="drive is not 0 for input"):
            native(circuit, drive)
    drive = np.zeros((1, 10, 5))
    drive[..., 2] = 1 * mV
    native(circuit, drive)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda: SpikeGenerator("", [[0.1]]), ConfigError, "name=''"),
        (lambda: SpikeGenerator("a", [0.1, 0.2]), ShapeError, r"1 level;.*\[times\] for one neuron"),
        (lambda: SpikeGenerator("a", 0.1), ShapeError, "0 levels"),
        (lambda: SpikeGenerator("a", []), ShapeError, "1 level;"),
        (lambda: SpikeGenerator("a", [[[0.1]], [[0.1], []]]), ShapeError, r"\[1, 2\] neurons in different trials"),
        (lambda: SpikeGenerator("a", [[0.1], [-0.2]]), ConfigError, "a spike at -0.2 s"),
        (lambda: SpikeGenerator("a", [[0.1], [0.0]]), ConfigError, "a spike at 0 s"),
        (lambda: SpikeGenerator("a", [[float("nan")]]), ConfigError, "a spike at nan s"),
        (lambda: SpikeGenerator("a", [["5 mV"]]), ConfigError, "is not a unit of time"),
        (lambda: SpikeGenerator("a", [[0.1, "soon"]]), ConfigError, "'soon' is not a time"),
        (lambda: SpikeGenerator("a", native(Circuit([Population("E", 1)]), steps=1, record=["rate"])), ConfigError,
         "recording without spikes"),
        (lambda: SpikeGenerator("a", time=[[0.1]]), TypeError, "times"),
        (lambda: Circuit([SpikeGenerator("a", [[0.00002]])]), ConfigError, "before the end of the first step"),
        (lambda: Circuit([SpikeGenerator("a", [[], [0.1, 0.10002]])]), ConfigError,
         r"neuron 1 has two spikes in the step that ends at 0\.1 s; choose a finer dt"),
        (lambda: PoissonGenerator("a", 0, 5.0), ConfigError, "size=0"),
        (lambda: PoissonGenerator("a", 3, -5.0), ConfigError, "a: rate=-5"),
        (lambda: PoissonGenerator("a", 3, [1.0, 2.0]), ShapeError, r"shape \[2\].*unit=3 neurons"),
        (lambda: PoissonGenerator("a", 3, [1.0, -2.0, 3.0]), ConfigError, "negative, NaN or infinite"),
        (lambda: PoissonGenerator("a", 3, "5 ms"), ConfigError, "is not a unit of rate"),
        (lambda: PoissonGenerator("a", 3, None), ConfigError, "rate=None is not allowed"),
        (lambda: PoissonGenerator("a", 3, 5.0, hold=2), ConfigError, "hold=2 is for rates over time"),
        (lambda: Circuit([PoissonGenerator("a", 3, 20_000.0)]), ConfigError, "more than one spike in a step"),
        (lambda: native(Circuit([PoissonGenerator("a", 3, np.ones((1, 5, 1)))]), steps=6), ConfigError,
         "5 time steps, and the run 6"),
        (lambda: native(Circuit([PoissonGenerator("a", 3, lambda start, stop: np.ones((1, 5, 1)))]), steps=6),
         ShapeError, r"rate\(0, 6\) has shape \[1, 5, 1\]"),
        (lambda: native(Circuit([PoissonGenerator("a", 3, lambda start, stop: np.ones((2, 6, 1)))]), steps=6),
         ShapeError, r"has 2 trials, and the run 1"),
        (lambda: Circuit([PoissonGenerator("a", 3, [[1.0], [2.0]]), SpikeGenerator("b", [[[0.1]]] * 3)]), ShapeError,
         r"for \[2, 3\] trials"),
        (lambda: Circuit([PoissonGenerator("a", 3, 2.0), target()], [Connection("target", "a", 1e-3)]), ConfigError,
         "a is a PoissonGenerator, which receives nothing"),
        (lambda: Circuit([target(), "a"]), ConfigError, "give a list of Populations"),
        (lambda: rate_network(Circuit([SpikeGenerator("a", [[0.1]])])), ConfigError, "spikes are no rate"),
        (lambda: rate_network(Circuit([PoissonGenerator("a", 2, [1.0, 2.0])])), ConfigError, "a rate for each neuron"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        given()


def learning(source):
    return Circuit(
        [
            Population("E", 40, background=14 * mV, noise=3 * mV, threshold=20 * mV, reset=10 * mV),
            source,
        ],
        [
            Connection("E", "E", 1e-9, synapse=fw.HebbianTraces(tau=1.0, eta=0.1)),
            Connection(source.name, "E", 0.05 * mV, decay=5e-3),
        ],
        dt=5e-4,
    )


@pytest.mark.parametrize(
    "source", [SpikeGenerator("input", [[0.1]]), PoissonGenerator("input", 2, [1.0, 2.0])]
)
def test_the_version_that_learns_takes_one_constant_rate(source):
    with pytest.raises(
        ConfigError, match=r"input has .* one unit with a constant rate; give a PoissonGenerator"
    ):
        resolved_network(learning(source))


def test_the_version_that_learns_hears_poisson_trains():
    """200 trains of 10 Hz and 0.05 mV move 20 ms · 2 kHz · 0.05 mV = 2 mV; rates are those of as much background."""
    heard = simulate_resolved(learning(PoissonGenerator("input", 200, 10.0)), np.zeros((1, 400, 2)))
    silent = learning(PoissonGenerator("input", 200, 1e-9))
    more = simulate_resolved(silent, np.stack([np.full((1, 400), 2 * mV), np.zeros((1, 400))], -1))
    np.testing.assert_allclose(heard.rate[0, -1, :40], more.rate[0, -1, :40], rtol=1e-4)
    assert float(heard.rate[0, -1, 40]) == pytest.approx(10.0, rel=1e-5)
    assert float(heard.rate[0, -1, 0]) > 5


def test_spikes_after_the_run_are_probably_in_ms():
    with pytest.warns(UserWarning, match="input: the first spike, at 10 s, comes after the end of the run"):
        native(Circuit([SpikeGenerator("input", [[10.0, 20.0], []])]), steps=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        native(Circuit([SpikeGenerator("input", [[], []])]), steps=100)


def test_quantities_are_taken():
    import brian2

    circuit = Circuit(
        [
            SpikeGenerator("input", [[10, 20] * brian2.ms, ["30 ms"]]),
            PoissonGenerator("random", 2, [10, 20] * brian2.Hz),
        ]
    )
    assert [each.tolist() for each in circuit.populations[0].times[0]] == [[0.01, 0.02], [0.03]]
    assert circuit.populations[1].rate.tolist() == [10, 20]
