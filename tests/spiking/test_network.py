"""Spiking circuits against closed forms, against the rules on tensors, and against themselves."""

import json
import sys
import warnings

import brian2
import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.engine.native import library
from fwsim.errors import ConfigError, ShapeError
from fwsim.spiking import Circuit, Connection, Population, Pulse, build, simulate, stimulus
from fwsim.units import Hz, ms, mV

SPIKES = ["spike_time", "spike_unit", "spike_trial"]
native = pytest.mark.skipif(library.obstacle() is not None, reason="no native engine")


pytestmark = pytest.mark.usefixtures("numpy_target")


def clock(name="clock", size=1, mean=25 * mV, **options):
    """Neurons that fire regularly."""
    return Population(name, size, tau=20 * ms, threshold=20 * mV, reset=10 * mV, background=mean, **options)


def quiet(name="target", size=1, **options):
    return Population(name, size, threshold=1.0, reset=0.0, **options)


def train(run, unit, trial=0):
    mine = (run.spike_unit.values == unit) & (run.spike_trial.values == trial)
    return run.spike_time.values[mine]


def test_regular_firing_of_one_neuron():
    run = simulate(Circuit([clock()]), steps=3000)
    period = 2 * ms + 20 * ms * np.log((25 - 10) / (25 - 20))
    assert np.diff(train(run, 0)) == pytest.approx(np.ceil(period / 1e-4) * 1e-4, abs=1e-9)


def test_noise_has_the_stated_standard_deviation():
    noisy = Population("a", 400, tau=10 * ms, threshold=30 * mV, background=5 * mV, noise=2 * mV)
    run = simulate(Circuit([noisy]), steps=3000, record=["potential"], every=100)
    late = run.potential.values[:, 10:]
    assert late.mean() == pytest.approx(5 * mV, abs=0.1 * mV)
    assert late.std() == pytest.approx(2 * mV, rel=0.03)


def test_rate_in_noise_is_siegerts():
    noisy = Population(
        "E", 400, tau=15 * ms, threshold=20 * mV, reset=16 * mV, background=18 * mV, noise=2 * mV
    )
    circuit = Circuit([noisy])
    rate = fw.measure.firing_rate(simulate(circuit, steps=10_000), start=0.2).mean().item()
    theory = fw.spiking.rate_network(circuit).gain(torch.zeros(1, 2).double())[0, 0].item()
    without_grid = fw.siegert(tau=15 * ms, threshold=20 * mV, reset=16 * mV, refractory=2 * ms, sd=2 * mV)
    assert rate == pytest.approx(theory, rel=0.03)
    assert abs(rate / without_grid(torch.tensor([18 * mV]).double()).item() - 1) > 0.06  # the grid matters


def test_a_refractory_period_is_the_nearest_number_of_steps_in_spikes_and_in_rates():
    found = []
    for pause in (2.0 * ms, 2.04 * ms, 2.06 * ms, 2.1 * ms):
        circuit = Circuit([clock(refractory=pause, noise=1 * mV)])
        rate = fw.spiking.rate_network(circuit).gain(torch.zeros(1, 2).double())[0, 0].item()
        train = simulate(Circuit([clock(refractory=pause)]), steps=500, progress=False).spike_time.values
        found.append((rate, *train))
    assert found[0] == found[1] != found[2] == found[3]


@pytest.mark.parametrize("convention", ["mongillo2008", "maass2002", "tm1998"])
@pytest.mark.parametrize("delay", [1 * ms, 5 * ms])  # state on the neuron, and on the synapse
def test_synapses_release_what_the_rule_says(convention, delay):
    rule = fw.TsodyksMarkram(0.3, 0.2, 0.5, convention)
    target = quiet(tau=1e6)
    circuit = Circuit([clock(), target], [Connection("clock", "target", 1 * mV, synapse=rule, delay=delay)])
    run = simulate(circuit, steps=2500, record=[*SPIKES, "potential"])
    arrived = np.diff(run.potential.values[0, :, 1].astype(float))
    arrived = arrived[arrived > 1e-6]
    expected = rule.respond(torch.tensor(train(run, 0))).numpy() * mV
    assert len(arrived) >= 8
    assert arrived == pytest.approx(expected[: len(arrived)], rel=1e-3)


def test_random_releases_are_each_synapses_own():
    rule = fw.TsodyksMarkram(0.4, 0.2, 0.5)
    noisy = fw.StochasticRelease(rule, sites=4)
    circuit = Circuit(
        [clock(), quiet(size=2000, tau=1e6)], [Connection("clock", "target", 1 * mV, synapse=noisy)]
    )
    run = simulate(circuit, steps=400, record=[*SPIKES, "potential", "u"])
    moved = np.diff(run.potential.values[0, :, 1:].astype(float), axis=0) / mV
    first = moved[np.abs(moved).max(1) > 0.1][0]
    assert set(np.round(first * 4).astype(int)) == {0, 1, 2, 3, 4}
    assert first.mean() == pytest.approx(0.4, abs=4 * np.sqrt(0.4 * 0.6 / 4 / 2000))
    assert run.u.values[0, 0, 0, 0] == pytest.approx(0.4, abs=1e-3)


def test_states_come_back_between_spikes():
    rule = fw.TsodyksMarkram(0.3, 0.2, 0.5, "mongillo2008")
    circuit = Circuit([clock(), quiet()], [Connection("clock", "target", 1 * mV, synapse=rule)])
    run = simulate(circuit, steps=3000, record=[*SPIKES, "u", "x", "release"], every=7)
    times = torch.tensor(train(run, 0))
    u, x, last = 0.3, 1.0, 0.0
    for k, now in enumerate(run.time.values):
        before = times[(times > last) & (times < now + 1e-9)]
        for spike in [*before.tolist(), None]:
            step = (now if spike is None else spike) - last
            last += step
            u, x = 0.3 + (u - 0.3) * np.exp(-step / 0.5), 1 + (x - 1) * np.exp(-step / 0.2)
            if spike is not None:
                u += 0.3 * (1 - u)
                x -= u * x
        assert run.u.values[0, k, 0, 0] == pytest.approx(u, abs=1e-5)
        assert run.x.values[0, k, 0, 0] == pytest.approx(x, abs=1e-5)
        assert run.release.values[0, k, 0, 0] == pytest.approx((u + 0.3 * (1 - u)) * x, abs=1e-5)
    assert run.u.dims == ("trial", "time", "projection", "unit")


@pytest.mark.parametrize("decay", [5 * ms, 20 * ms, 100 * ms])
def test_slow_currents_carry_the_charge_of_a_jump(decay):
    """The area under one postsynaptic potential is efficacy · tau, whatever the shape of the current."""
    source = clock(refractory=10.0)  # one spike
    target = Population("target", 1, tau=20 * ms, threshold=1.0, reset=0.0)

    def potential(efficacy):
        circuit = Circuit([source, target], [Connection("clock", "target", efficacy, decay=decay)])
        run = simulate(circuit, steps=8000, record=[*SPIKES, "potential"], engine="auto")
        return train(run, 0)[0], run.potential.values[0, :, 1].astype(float)

    (spike, moved), (_, alone) = potential(1 * mV), potential(0.0)
    t = np.maximum(np.arange(1, 8001) * 1e-4 - spike, 0)
    apart = decay if decay != 20 * ms else decay * (1 + 1e-6)
    kernel = 1 * mV * 20 * ms / (apart - 20 * ms) * (np.exp(-t / apart) - np.exp(-t / (20 * ms)))
    assert moved - alone == pytest.approx(kernel, abs=1e-3 * kernel.max())
    assert kernel.sum() * 1e-4 == pytest.approx(1 * mV * 20 * ms, rel=0.01)


def test_delays_are_kept():
    circuit = Circuit([clock(), quiet()], [Connection("clock", "target", 1 * mV, delay=0.7 * ms)])
    run = simulate(circuit, steps=1000, record=[*SPIKES, "potential"])
    jump = np.nonzero(np.diff(run.potential.values[0, :, 1]) > 0.5 * mV)[0][0] + 1
    assert run.time.values[jump] - train(run, 0)[0] == pytest.approx(0.8 * ms, abs=1e-9)  # seen a step later


def test_associative_rules_act_on_their_synapses():
    rule = fw.HebbianTraces(tau=10.0, eta=0.5, tau_pre=20 * ms, tau_post=20 * ms)
    post = clock("post", mean=24 * mV)
    circuit = Circuit([clock(), post], [Connection("clock", "post", 1e-9, synapse=rule)])
    with fw.spiking.backend.prepared(0):
        assembly = build(circuit)
        assembly.network.run(0.5 * brian2.second)
    index, time = np.array(assembly.spikes.i), np.array(assembly.spikes.t)
    pre, post = (torch.tensor(time[index == k]) for k in (0, 1))
    expected = rule.respond(pre, post)[-1].item()
    assert assembly.synapses[0].weight[0] == pytest.approx(expected, rel=1e-6)
    assert expected > 0.1


@pytest.mark.parametrize(
    "rule", [fw.HebbianTraces(tau=(0.5, 5.0), eta=(0.3, 0.1)), fw.BCPNN(tau_pre=10 * ms, tau_post=20 * ms)]
)
def test_weights_come_back_between_spikes(rule):
    circuit = Circuit([clock(size=2)], [Connection("clock", "clock", 1e-9, synapse=rule)])
    run = simulate(circuit, steps=2000, record=[*SPIKES, fw.Record("weight", every=300)])
    assert run.weight.dims == ("trial", "weight_time", "projection", "post", "pre")
    assert np.isnan(run.weight.values[..., [0, 1], [0, 1]]).all()  # no neuron connects to itself
    pre, post = (torch.tensor(train(run, unit)) for unit in (0, 1))
    for now, weight in zip(run.weight_time.values, run.weight.values[0, :, 0, 1, 0]):
        asked = torch.cat([pre[pre < now + 1e-9], torch.tensor([now]).double() + 1e-9])
        expected = rule.respond(asked, post[post < now + 1e-9])[-1].item()
        assert weight == pytest.approx(expected, rel=1e-5)


def test_every_neuron_may_have_its_own_drive():
    circuit = Circuit([quiet("a", 2, tau=1 * ms), quiet("b", tau=1 * ms)])
    drive = np.zeros((2, 3, 3))
    drive[0, 1, 0], drive[1, 2, 2] = 5 * mV, 7 * mV
    run = simulate(circuit, drive, hold=100, record=["potential"], every=100)
    assert run.sizes["time"] == 3
    settled = run.potential.values - run.potential.values[:, :1] * np.exp(-10.0 * np.arange(3))[:, None]
    np.testing.assert_allclose(settled[0, :, 0], [0, 5e-3, 0], atol=1e-6)
    np.testing.assert_allclose(settled[1, :, 2], [0, 0, 7e-3], atol=1e-6)
    np.testing.assert_allclose(settled[:, :, 1], 0, atol=1e-6)


@pytest.mark.parametrize("units", ["populations", "neurons"])
def test_a_drive_may_be_a_function(units, tmp_path, monkeypatch):
    monkeypatch.setattr("fwsim.spiking.blocks.STEPS", 200)
    circuit = random_circuit()
    size = len(circuit.populations) if units == "populations" else circuit.neurons
    drive = np.random.default_rng(3).uniform(0, 8 * mV, (2, 500, size))
    asked = []

    def given(start, stop):
        asked.append(stop - start)
        return drive[:, start:stop]

    def interrupted(start, stop):
        if start == 400:
            raise KeyboardInterrupt
        return drive[:, start:stop]

    record = [*SPIKES, "potential"]
    whole = simulate(circuit, drive, record=record, every=20)
    assert whole.sizes["spike"] > 20
    called = simulate(circuit, given, steps=500, record=record, every=20)
    assert max(asked) == 200
    with pytest.raises(KeyboardInterrupt):
        simulate(circuit, interrupted, steps=500, record=record, every=20, to=tmp_path / "run")
    resumed = simulate(circuit, given, steps=500, record=record, every=20, to=tmp_path / "run", resume=True)
    for run in (called, resumed):
        np.testing.assert_allclose(run["potential"], whole["potential"], rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(run["spike_time"], whole["spike_time"])
        np.testing.assert_array_equal(run["spike_unit"], whole["spike_unit"])


def test_connections_have_the_stated_probability_and_no_self_connections():
    pair = Circuit(
        [quiet("a", 200), quiet("b", 300)],
        [Connection("a", "b", 1 * mV, 0.2), Connection("b", "b", 1 * mV, 0.5, delay=(0.0, 1 * ms))],
    )
    wiring = fw.spiking.wiring.wirings(pair, seed=3)
    assert len(wiring) == 1
    first = wiring[0].pre < 200
    assert first.sum() == pytest.approx(0.2 * 200 * 300, abs=5 * np.sqrt(0.16 * 60_000))
    assert (~first).sum() == pytest.approx(0.5 * 300 * 299, abs=5 * np.sqrt(0.25 * 90_000))
    assert not (wiring[0].pre == wiring[0].post).any()
    again = fw.spiking.wiring.wirings(pair, seed=3)[0]
    assert (again.pre == wiring[0].pre).all()
    assert (again.delay == wiring[0].delay).all()


def test_scaling_keeps_mean_and_variance_of_inputs():
    whole = Circuit([quiet("a", 1000), quiet("b", 500)], [Connection("a", "b", 1 * mV, 0.1)])
    small = whole.scaled(0.4)
    inputs = [c.connections[0].probability * c.populations[0].size for c in (whole, small)]
    assert inputs[0] == inputs[1] == 100
    assert small.connections[0].efficacy == whole.connections[0].efficacy
    with pytest.raises(ConfigError, match="no factor below"):
        whole.scaled(0.05)


def random_circuit(rule=None):
    noisy = {"background": 19 * mV, "noise": 2 * mV}
    return Circuit(
        [Population("E", 40, **noisy), Population("I", 10, **noisy)],
        [
            Connection("E", "E", 0.5 * mV, 0.3, synapse=rule, delay=(0.1 * ms, 1 * ms)),
            Connection("E", "I", 0.5 * mV, 0.3),
            Connection("I", "E", -1 * mV, 0.3),
        ],
    )


def test_seeds_and_trials():
    one, same, other = (simulate(random_circuit(), steps=2000, trials=2, seed=seed) for seed in (5, 5, 6))
    assert one.equals(same)
    assert not np.array_equal(one.spike_time.values[:50], other.spike_time.values[:50])
    assert not np.array_equal(train(one, 0, 0), train(one, 0, 1))
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate(random_circuit(), steps=10)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_trials_are_independent_blocks():
    """A trial that is driven to fire does not touch one that is not, and parameters may differ between trials."""
    rule = fw.TsodyksMarkram(0.2, 0.2, torch.tensor([[0.1], [1.5]]), "mongillo2008")
    circuit = random_circuit(rule)
    drive = stimulus(circuit, 0.4, [Pulse(-20 * mV, trials=[0]), Pulse(5 * mV, trials=[1])], trials=2)
    run = simulate(circuit, drive, record=[*SPIKES, "rate", "u"], every=4000)
    assert (run.spike_trial.values[run.spike_time.values > 0.05] == 1).all()
    assert run.rate.values[0].max() <= 2.5 * Hz
    counts = np.bincount(run.spike_unit.values[run.spike_trial.values == 1], minlength=50)
    assert run.rate.values[1, 0] == pytest.approx(counts / 0.4, rel=1e-6)
    assert run.u.values[1, 0, 0, :40].mean() > 0.5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("engine", ["brian2", pytest.param("native", marks=native)])
def test_a_potential_that_becomes_infinite_is_said_with_its_trial(engine):
    circuit = Circuit([clock(mean=0.0), quiet()], [Connection("clock", "target", "-1e38 V", decay=0.1 * ms)])
    drive = np.zeros((3, 40, 2))
    drive[1, :, 0] = 100 * mV  # the clock ticks in this trial alone
    with pytest.raises(fw.DivergedError, match="potential became NaN or infinite at step 39 in trial 1"):
        simulate(circuit, drive, engine=engine, progress=False)


def test_recording_is_streamed_with_the_schema(tmp_path):
    done = []
    circuit = random_circuit(fw.TsodyksMarkram(0.2, 0.2, 1.5))
    records = [*SPIKES, "rate", fw.Record("u", every=100, units=[0, 3], start=0.05)]
    run = simulate(
        circuit,
        steps=1000,
        record=records,
        every=50,
        to=tmp_path / "run.zarr",
        progress=lambda *at: done.append(at),
    )
    kept = simulate(circuit, steps=1000, record=records, every=50, progress=False)
    for name in kept.data_vars:
        np.testing.assert_array_equal(run[name].values, kept[name].values)
    assert run.u.dims == ("trial", "u_time", "projection", "u_unit")
    assert run.u_time.values == pytest.approx([0.06, 0.07, 0.08, 0.09, 0.1])
    assert run.spike_time.attrs["units"] == "s"
    assert done[-1] == (1000, 1000)
    described = json.loads(run.attrs["configuration"])
    assert described["populations"][0]["size"] == 40
    assert described["connections"][0]["synapse"]["rule"] == "TsodyksMarkram"


def test_interrupt_leaves_what_was_recorded(tmp_path):
    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(
            random_circuit(),
            steps=40_000,
            record=["rate"],
            every=10,
            to=tmp_path / "run.zarr",
            progress=interrupt,
        )
    assert simulate(random_circuit(), steps=10).sizes["trial"] == 1  # nothing is left behind
    assert "wall_time" not in fw.open_recording(tmp_path / "run.zarr").attrs


def test_stimuli_add_up():
    circuit = Circuit([quiet("a"), quiet("b")])
    drive = stimulus(circuit, 1e-3, [Pulse(1.0, 2e-4, 5e-4, ["b"]), Pulse(0.5, trials=[1])], trials=2)
    assert drive.shape == (2, 10, 2)
    assert drive[0, :, 1].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert drive[1, :, 0].tolist() == [0.5] * 10
    assert drive[1, 3, 1] == 1.5


def two_with(values, sources, size=4):
    """Two populations of four neurons, and a rule with so many values of U."""
    rule = fw.TsodyksMarkram(U=[0.5] * values, tau_rec=0.1, tau_facil=0.1)
    pairs = [Connection(pre, "b", 1e-3, 0.5, synapse=rule) for pre in sources]
    return Circuit([quiet("a", size), quiet("b", 4)], pairs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: two_with(2, ["a"], size=2), "2 values of TsodyksMarkram may be those of the populations or"),
        (lambda: Population("a", 0), "a: size=0"),
        (lambda: Population("a", 1, threshold=0.01, reset=0.01), "not below"),
        (lambda: Population("a", 1, tau=0.0), "above 0"),
        (lambda: Connection("a", "b", 1e-3, 1.2), "probability"),
        (lambda: Connection("a", "b", 1e-3, delay=(1e-3, 0.0)), "delay"),
        (lambda: Connection("a", "b", float("nan")), "finite"),
        (lambda: Connection("a", "b", 1e-3, synapse=fw.Hebbian(tau=1.0, eta=1.0)), "no response to spikes"),
        (lambda: Circuit([quiet("a"), quiet("a")]), "different names"),
        (lambda: Circuit([quiet("a")], [Connection("a", "c", 1e-3)]), "'c' is unknown"),
        (lambda: Circuit([quiet("a", 2)], [Connection("a", "a", np.ones((2, 3)))]), "post, pre"),
        (lambda: simulate(Circuit([quiet("a")])), "give steps="),
        (lambda: simulate(Circuit([quiet("a")]), steps=10, record="u"), "record='u' is nothing that this"),
        (lambda: simulate(Circuit([quiet("a")]), np.zeros((1, 5, 2))), "populations"),
        (lambda: simulate(Circuit([quiet("a", 3)]), np.zeros((1, 5, 2))), "1 populations or unit=3 neurons"),
        (lambda: simulate(Circuit([quiet("a")]), np.zeros((1, 5, 1)), hold=0), "hold=0 is not allowed"),
        (lambda: simulate(Circuit([quiet("a")]), lambda start, stop: None), "give steps="),
        (lambda: simulate(Circuit([quiet("a")]), steps=0), "steps=0 is not allowed"),
        (
            lambda: simulate(Circuit([quiet("a")]), lambda start, stop: np.zeros((1, 3, 1)), steps=5),
            r"drive\(0, 5\) has 3 time steps; expected 5",
        ),
        (
            lambda: simulate(Circuit([quiet("a")]), lambda start, stop: np.zeros((1, 5, 1)), steps=5, hold=2),
            "hold its values there",
        ),
        (lambda: simulate(Circuit([quiet("a")]), np.zeros((1, 5, 1)), steps=6), "leave steps out"),
        (lambda: simulate(Circuit([quiet("a")]), np.zeros((2, 5, 1)), trials=3), "trials"),
        (lambda: Pulse(1.0, 2.0, 1.0), "stop=1.0 is not allowed"),
        (lambda: Pulse("2 ms"), "'ms' is not a unit of voltage"),
        (lambda: Population("a", 1, tau="20 mV"), "a: tau: '20 mV'"),
        (lambda: Connection("a", "a", "strong"), "efficacy: 'strong' is not a voltage"),
        (lambda: Connection("a", "a", 1e-3, delay=(1, 2, 3)), "shortest, longest"),
        (lambda: Connection("a", "a", 1e-3, delay="1 V"), "'V' is not a unit of time"),
        (lambda: two_with(7, "a"), "2 populations or 4 neurons of a"),
        (lambda: two_with(4, "ab"), "give each presynaptic population its own rule"),
        (lambda: two_with(4, "a").scaled(0.5), "draw them anew"),
        (lambda: Circuit(["a"]), "a list of Populations"),
        (lambda: Circuit([quiet("a")], ["a"]), "a list of Connections"),
        (lambda: simulate(Circuit([quiet("a")]), np.zeros(5)), "expected .trial, time, unit."),
        (lambda: simulate(Circuit([quiet("a")]), steps=5, seed=-1), "seed=-1"),
        (lambda: simulate(Circuit([quiet("a")]), steps=5, trials=0), "trials=0"),
        (lambda: simulate(Circuit([quiet("a")]), steps=5, progress="bar"), "progress='bar'"),
        (lambda: simulate("circuit", steps=5), "circuit is a str"),
        (lambda: stimulus(Circuit([quiet("a")]), -1.0), "duration=-1.0"),
        (lambda: stimulus(Circuit([quiet("a")]), 1.0, [Pulse(1.0, trials=[2])]), "counted from 0"),
    ],
)  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises((ConfigError, ShapeError), match=message):
        make()


def test_without_brian2(monkeypatch):
    monkeypatch.setitem(sys.modules, "brian2", None)
    with pytest.raises(ConfigError, match="pip install brian2"):
        simulate(random_circuit(), steps=1)


@pytest.mark.compiled
def test_without_a_compiler(monkeypatch):
    from brian2.codegen.runtime.cython_rt.cython_rt import CythonCodeObject

    monkeypatch.setattr(CythonCodeObject, "is_available", classmethod(lambda cls: False))
    brian2.prefs.codegen.target = "auto"
    fw.spiking.backend._compiles.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            simulate(random_circuit(), steps=10)
    fw.spiking.backend._compiles.cache_clear()
    told = [str(each.message) for each in caught if each.category is RuntimeWarning]
    assert len(told) == 1
    assert "numpy" in told[0]


@pytest.mark.slow
def test_cython_gives_the_same_circuit():
    quiet_circuit = Circuit([clock(size=3), quiet(size=3)], [Connection("clock", "target", 1 * mV, 0.7)])
    slow = simulate(quiet_circuit, steps=2000, record=[*SPIKES, "potential"])
    brian2.prefs.codegen.target = "cython"
    fast = simulate(quiet_circuit, steps=2000, record=[*SPIKES, "potential"])
    np.testing.assert_allclose(fast.potential.values, slow.potential.values, atol=1e-9)
    np.testing.assert_array_equal(fast.spike_unit.values, slow.spike_unit.values)
