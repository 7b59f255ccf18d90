"""What a user has set in Brian2 for own models decides nothing here, and is as it was afterwards."""

import brian2
import numpy as np
import pytest
import torch
from brian2.codegen.generators import cython_generator
from brian2.devices.device import reset_device

import fwsim as fw
from fwsim.spiking import Circuit, Connection, Population, simulate
from fwsim.spiking.random_state import kept_random_state, random_state, set_random_state

TIMES = torch.tensor([0.01, 0.03, 0.06], dtype=torch.float64)
RULE = fw.TsodyksMarkram(U=0.3, tau_rec=0.2)
CIRCUIT = Circuit(
    [Population("E", 20, background=0.025, noise=0.003)], [Connection("E", "E", 1e-4, 0.5, synapse=RULE)]
)


def numbers():
    run = simulate(CIRCUIT, steps=300, seed=1, record=["spike_time", "potential"], every=50, progress=False)
    return [fw.spiking.respond(RULE, TIMES).numpy(), run.spike_time.values, run.potential.values]


@pytest.fixture(scope="module")
def expected(numpy_target):
    """Without the settings of a user, and not compiled, like the others."""
    return numbers()


def test_a_standalone_device(expected, tmp_path):
    brian2.set_device("cpp_standalone", directory=str(tmp_path), build_on_run=False)
    try:
        device = brian2.get_device()
        queued = list(device.main_queue)
        for one, other in zip(numbers(), expected):
            np.testing.assert_array_equal(one, other)
        assert brian2.get_device() is device
        assert list(device.main_queue) == queued
        assert not device.has_been_run
    finally:
        reset_device()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("core.network.default_schedule", ["start", "synapses", "groups", "resets", "thresholds", "end"]),
        ("core.default_float_dtype", np.float32),
        ("core.default_integer_dtype", np.int64),
        ("legacy.refractory_timing", True),
    ],
)
def test_preferences(expected, name, value):
    chosen = brian2.prefs[name]
    brian2.prefs[name] = value
    try:
        for one, other in zip(numbers(), expected):
            np.testing.assert_array_equal(one, other)
        assert brian2.prefs[name] == value
    finally:
        brian2.prefs[name] = chosen


def test_clock_and_own_objects(expected):
    group = brian2.NeuronGroup(3, "x : 1", name="neurons")
    brian2.defaultclock.dt, before = 1 * brian2.ms, brian2.defaultclock.dt
    try:
        for one, other in zip(numbers(), expected):
            np.testing.assert_array_equal(one, other)
        assert float(brian2.defaultclock.dt) == 1e-3
        brian2.Network(group).run(1 * brian2.ms)
    finally:
        brian2.defaultclock.dt = before


def test_random_numbers_in_buffers_of_compiled_code_are_kept_by_value():
    device = brian2.all_devices["runtime"]
    size = cython_generator._BUFFER_SIZE
    before = random_state()
    try:
        set_random_state({**before, "rand": {"place": 5, "numbers": np.arange(size, dtype=float)}})
        kept = random_state()
        assert (kept["rand"]["place"], kept["rand"]["numbers"][5]) == (5, 5.0)
        with kept_random_state():
            set_random_state({**before, "rand": {"place": 9, "numbers": np.zeros(size)}})
        np.testing.assert_array_equal(random_state()["rand"]["numbers"], np.arange(size))
        device.rand_buffer[0] = 0  # another process, in which nothing was drawn yet
        set_random_state(kept)
        np.testing.assert_array_equal(random_state()["rand"]["numbers"], np.arange(size))
    finally:
        device.rand_buffer_index[0] = 0
        set_random_state(before)


def test_thousands_of_sites():
    rule = fw.StochasticRelease(RULE, sites=5000, cv=0.2)
    drawn = fw.spiking.respond(rule, TIMES.expand(500, 3), dt=1e-2, seed=3)
    p = RULE.respond(TIMES)
    variance = (p * (1 - p) + 0.2**2 * p) / 5000
    assert bool(((drawn.mean(0) - p).abs() < 4 * (variance / 500).sqrt()).all())
    torch.testing.assert_close(drawn.var(0), variance, rtol=0.3, atol=0)
