"""The rate network of a circuit that learns, against its spikes and against the reduced rule by hand."""

import numpy as np
import pytest

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.spiking import Circuit, Connection, Population, simulate, simulate_resolved
from fwsim.units import ms, mV

NOISY = {"threshold": 20 * mV, "reset": 10 * mV, "noise": 3 * mV}


pytestmark = pytest.mark.usefixtures("numpy_target")


def learning(rule, efficacy=0.05 * mV, across=(0.1 * mV, 1.0)):
    populations = [
        Population("E", 60, background=16 * mV, **NOISY),
        Population("I", 15, tau=10 * ms, background=15 * mV, **NOISY),
    ]
    return Circuit(
        populations,
        [
            Connection("E", "E", efficacy, synapse=rule, decay=5 * ms),
            Connection("E", "I", *across),
            Connection("I", "E", -0.2 * mV),
        ],
        dt=0.5 * ms,
    )


def halves(samples=100):
    """One half of the neurons is driven."""
    drive = np.zeros((3, samples, 75))
    drive[:, :, :30] = 12 * mV
    return drive


@pytest.mark.parametrize("reduced", [True, False])
def test_rates_of_neurons_and_pools_follow_the_spikes(reduced):
    circuit = learning(fw.HebbianTraces(tau=2.0, eta=0.02))
    spikes = simulate(circuit, halves(), hold=10, record=["rate"], every=200, progress=False).rate.values
    rates = simulate_resolved(circuit, halves(), hold=10, stride=2, every=100, reduced=reduced).rate.values
    for part, theirs in (
        (slice(0, 30), slice(0, 30)),
        (slice(30, 60), slice(30, 60)),
        (slice(60, 75), slice(60, 61)),
    ):
        measured = spikes[:, 1:, part].mean((0, 2))
        assert measured == pytest.approx(rates[0, 1:, theirs].mean(-1), rel=0.2, abs=0.7)


def test_a_matrix_in_which_every_other_pair_is_connected_is_a_probability_of_a_half():
    matrix = np.zeros((15, 60))
    matrix[:, ::2] = 0.2 * mV
    one, other = (
        simulate_resolved(learning(fw.HebbianTraces(), across=across), halves(10), hold=10).rate
        for across in ((matrix,), (0.2 * mV, 0.5))
    )
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_reduced_rule_is_that_of_fast_traces():
    """Short traces: the whole rule and its reduced form give the same rates; long ones lag behind."""
    apart = []
    for trace in (1 * ms, 200 * ms):
        rule = fw.HebbianTraces(tau=2.0, eta=0.001 / trace, tau_pre=trace, tau_post=trace)
        one, other = (
            simulate_resolved(learning(rule), halves(40), hold=10, stride=1, every=20, reduced=reduced).rate
            for reduced in (True, False)
        )
        apart.append(float(abs(one - other).max() / one.max()))
    assert apart[0] < 0.02
    assert apart[1] > 3 * apart[0]


def test_what_is_refused():
    circuit = learning(fw.HebbianTraces())
    with pytest.raises(ConfigError, match="exactly one"):
        simulate_resolved(Circuit(circuit.populations), halves(2))
    with pytest.raises(ConfigError, match="leave out what saturates"):
        simulate_resolved(learning(fw.HebbianTraces(tau=1.0, eta=0.1, w_max=1.0)), halves(2))
    with pytest.raises(ShapeError, match="no multiple of stride"):
        simulate_resolved(circuit, halves(3), hold=1, stride=2)
    sparse = Circuit(circuit.populations, [Connection("E", "E", 1e-4, 0.5, fw.HebbianTraces())])
    with pytest.raises(ConfigError, match="probability 1"):
        simulate_resolved(sparse, halves(2))
