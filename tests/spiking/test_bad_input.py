"""What is wrong is said in one line, before any work."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim import spiking
from fwsim.errors import ConfigError
from fwsim.spiking import Circuit, Connection, Population, Pulse

RULE = fw.TsodyksMarkram()
CIRCUIT = Circuit(
    [Population("E", 10, noise=1e-3), Population("I", 5, noise=1e-3)], [Connection("E", "I", 1e-3)]
)
PLASTIC = Circuit([Population("E", 10)], [Connection("E", "E", 1e-3, synapse=RULE)])
KIND = fw.measured("mouse sim1→sim1")

WRONG = {
    "a trial of a pulse is no index": (lambda: Pulse(1e-3, trials=[0.5]), "trials=0.5"),
    "a population is no name": (
        lambda: spiking.stimulus(CIRCUIT, 0.01, [Pulse(1e-3, populations=3)]),
        "population=3",
    ),
    "no pulses": (lambda: spiking.stimulus(CIRCUIT, 0.01, [1.0]), "pulses is a float"),
    "no circuit for a stimulus": (lambda: spiking.stimulus("x", 0.01), "circuit is a str"),
    "no circuit to replace plasticity in": (lambda: spiking.slow_current_circuit("x"), "circuit is a str"),
    "no circuit to draw synapses for": (
        lambda: spiking.heterogeneous_circuit("x", lambda name, size: RULE),
        "circuit is a str",
    ),
    "no circuit for a rate version": (lambda: spiking.simulate_resolved("x", None), "circuit is a str"),
    "a rate version without an end": (lambda: spiking.simulate_rates(CIRCUIT, None), "drive=None"),
    "no name of a population": (lambda: Connection(3, "E", 1e-3), "name=3"),
    "no factor": (lambda: CIRCUIT.scaled("x"), "factor='x'"),
    "no rule of a circuit": (lambda: CIRCUIT.source("x"), "rule is a str"),
    "no rule of the network": (lambda: spiking.mongillo_circuit(None), "synapse is None"),
    "no function that draws": (lambda: spiking.heterogeneous_circuit(PLASTIC, 5), "draw is an int"),
    "no rule is drawn": (
        lambda: spiking.heterogeneous_circuit(PLASTIC, lambda name, size: 3),
        r"draw\('E', …\) is an int",
    ),
    "no class of synapses": (lambda: spiking.drawn_synapses("x"), "kind is a str"),
    "no seed": (lambda: spiking.drawn_synapses(KIND, seed=-1), "seed=-1"),
    "around many rules": (
        lambda: spiking.drawn_synapses(KIND, around=KIND.sample(3)),
        r"around has parameters \[3\]",
    ),
    "around an instant": (
        lambda: spiking.drawn_synapses(KIND, around=fw.TsodyksMarkram(0.5, 0.2, 0.0)),
        "tau_facil=0 s",
    ),
    "no measurements": (lambda: spiking.judge("a", "b", 1.0, sources=[3]), "sources is an int"),
    "no fit": (lambda: spiking.measured_by("x", preparation="a", source="b"), "fit is a str"),
    "releases of many synapses": (
        lambda: spiking.first_release(KIND.sample(3)),
        r"TsodyksMarkram has parameters \[3\]",
    ),
    "no steps to hold": (lambda: spiking.build(CIRCUIT, hold=0), "hold=0"),
    "no number of steps": (lambda: spiking.build(CIRCUIT, steps="x"), "steps='x'"),
    "no path": (lambda: spiking.read_spikes(3), "path is an int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_one_line(name):
    call, message = WRONG[name]
    with pytest.raises((ConfigError, fw.RecordingError), match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_one_pulse_to_one_trial():
    one = spiking.stimulus(CIRCUIT, 0.01, Pulse(1e-3, trials=1), trials=2)
    listed = spiking.stimulus(CIRCUIT, 0.01, [Pulse(1e-3, trials=[1])], trials=2)
    np.testing.assert_array_equal(one, listed)
    assert torch.from_numpy(one[1]).bool().all()
