"""Neurons of a population that differ: both engines, closed forms, and what refuses them."""

import numpy as np
import pytest

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.recording import Record
from fwsim.spiking import Circuit, Connection, Population, rate_network, simulate
from fwsim.spiking.wiring import wirings

pytestmark = pytest.mark.usefixtures("numpy_target")

DRAWN = {
    "tau": np.linspace(0.01, 0.03, 12),
    "threshold": np.linspace(0.018, 0.022, 12),
    "reset": np.linspace(0.008, 0.012, 12),
    "refractory": np.repeat([0.001, 0.002, 0.003], 4),
    "background": np.linspace(0.022, 0.03, 12),
}


@pytest.mark.parametrize("conductance", [False, True], ids=["currents", "conductances"])
def test_neurons_may_differ(conductance):
    """Each neuron fires as it would alone in a population, in both engines; together they have the same spikes."""
    opens = {"efficacy": 0.02, "reversal": 0.07} if conductance else {"efficacy": 0.001}
    alike = Population("I", 4, background=0.026, tau=0.01)
    options = {"probability": 0.5, "delay": 0.002}
    connections = [
        Connection("E", "E", decay=0.004, **opens, **options),
        Connection("I", "E", -0.001, **options),
        Connection("E", "I", 0.0005, decay=0.003, **options),
    ]
    circuit = Circuit([Population("E", 12, **DRAWN), alike], connections)
    record = ["spike_time", "spike_unit", Record("potential", every=10)]
    one, other = (
        simulate(circuit, steps=800, record=record, seed=4, engine=engine, progress=False)
        for engine in ("brian2", "native")
    )
    assert one.sizes["spike"] > 50
    for name in one.data_vars:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-6, atol=1e-9, err_msg=name)
    alone = simulate(Circuit(circuit.populations), steps=3000, seed=4, engine="native", progress=False)
    for unit in (0, 7):
        tau, theta, low, pause, mean = (values[unit] for values in DRAWN.values())
        period = pause + tau * np.log((mean - low) / (mean - theta))
        train = alone.spike_time.values[alone.spike_unit.values == unit]
        np.testing.assert_allclose(np.diff(train), np.ceil(period / 1e-4) * 1e-4, atol=1.5e-4)


@pytest.mark.parametrize("efficacy", [1e-3, np.full((12, 12), 1e-3)], ids=["drawn", "matrix"])
def test_a_spike_moves_each_neuron_as_far_whatever_its_time_constant(efficacy):
    """A current of jump·e^{−t/decay} moves the potential by jump·decay/τ altogether: the efficacy."""
    circuit = Circuit([Population("E", 12, **DRAWN)], [Connection("E", "E", efficacy, decay=0.004)])
    (found,) = wirings(circuit, seed=0)
    np.testing.assert_allclose(found.jump * 0.004 / DRAWN["tau"][found.post], 1e-3, rtol=1e-6)


def test_the_shortest_refractory_period_decides_where_synapses_keep_their_states():
    """A neuron may spike again while its spike is on its way: then its synapses are in different states."""
    rule = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.0)
    for delay, own in ((0.001, False), (0.002, True), (0.004, True)):
        connection = Connection("E", "E", 1e-3, synapse=rule, delay=delay)
        (found,) = wirings(Circuit([Population("E", 12, **DRAWN)], [connection]), seed=0)
        assert found.own_state == own, delay


def test_noise_may_differ():
    noise = np.repeat([0.0, 0.002], 600)
    silent = Population("E", 1200, tau=0.01, threshold=1.0, reset=0.0, noise=noise)
    run = simulate(
        Circuit([silent]), steps=1000, record="potential", every=1000, engine="native", progress=False
    )
    last = run.potential.values[0, -1]
    assert last[:600].std() < 1e-4
    assert last[600:].std() == pytest.approx(0.002, rel=4 / (2 * 600) ** 0.5)


def test_what_does_not_fit_neurons_is_refused():
    for values, said in (
        ([0.01, 0.02], r"E: tau has shape \[2\]; give a number, or \[unit\] with unit=3 neurons"),
        ([0.01, -0.02, 0.01], "E: tau"),
        ([0.01, float("nan"), 0.01], "E: tau is NaN or infinite for some neurons"),
        (["a", "b", "c"], "E: tau"),
    ):
        with pytest.raises((ConfigError, ShapeError), match=said):
            Population("E", 3, tau=values)
    with pytest.raises(ConfigError, match=r"E: reset=0\.02 V is not below threshold=0\.02 V"):
        Population("E", 2, threshold=[0.02, 0.03], reset=[0.02, 0.01])
    differ = Circuit([Population("E", 2, threshold=[0.02, 0.03], noise=0.001)])
    with pytest.raises(ConfigError, match="E has a threshold for each neuron, and the rate version one unit"):
        rate_network(differ)
    with pytest.raises(ConfigError, match="whose neurons differ"):
        differ.scaled(0.5)
    assert "0.02 … 0.03" in differ._repr_html_()
