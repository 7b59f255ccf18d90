"""The rate version of a circuit against closed forms and against its spikes."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.spiking import (
    Circuit,
    Connection,
    Population,
    Pulse,
    mongillo_circuit,
    pooled,
    rate_drive,
    rate_network,
    simulate,
    simulate_rates,
    stimulus,
)
from fwsim.units import ms, mV

NOISY = {"tau": 15 * ms, "threshold": 20 * mV, "reset": 16 * mV, "noise": 1.5 * mV}


pytestmark = pytest.mark.usefixtures("numpy_target")


def test_stationary_rates_solve_the_mean_field_equations():
    circuit = Circuit(
        [Population("E", 100, background=19 * mV, **NOISY), Population("I", 50, background=19 * mV, **NOISY)],
        [
            Connection("E", "E", 0.2 * mV, 0.2),
            Connection("E", "I", 0.3 * mV, 0.2),
            Connection("I", "E", -0.5 * mV, 0.4),
            Connection("I", "I", -0.3 * mV, 0.4, decay=5 * ms),
        ],
    )
    rates = simulate_rates(circuit, np.zeros((1, 4000, 2)), every=4000).rate.values[0, 0].astype(float)
    tau = 15 * ms
    inputs = {"EE": 0.2 * 99, "EI": 0.2 * 100, "IE": 0.4 * 50, "II": 0.4 * 49}  # from, to
    mean_e = 19 * mV + tau * (inputs["EE"] * 0.2 * mV * rates[0] - inputs["IE"] * 0.5 * mV * rates[1])
    mean_i = 19 * mV + tau * (inputs["EI"] * 0.3 * mV * rates[0] - inputs["II"] * 0.3 * mV * rates[1])
    square_e = (
        tau / 2 * (inputs["EE"] * (0.2 * mV) ** 2 * rates[0] + inputs["IE"] * (0.5 * mV) ** 2 * rates[1])
    )
    square_i = tau / 2 * inputs["EI"] * (0.3 * mV) ** 2 * rates[0]
    square_i += tau**2 / (2 * (tau + 5 * ms)) * inputs["II"] * (0.3 * mV) ** 2 * rates[1]
    for rate, mean, square in ((rates[0], mean_e, square_e), (rates[1], mean_i, square_i)):
        sd = np.sqrt((1.5 * mV) ** 2 + square)
        threshold = 20 * mV + 0.5826 * np.sqrt(2) * sd * np.sqrt(1e-4 / tau)
        gain = fw.siegert(tau=tau, threshold=threshold, reset=16 * mV, refractory=2 * ms, sd=sd)
        assert rate == pytest.approx(gain(torch.tensor([mean]).double()).item(), rel=1e-5)


def test_a_matrix_in_which_every_other_pair_is_connected_is_a_probability_of_a_half():
    matrix = np.zeros((40, 60))
    matrix[:, ::2] = 0.4 * mV
    rates = []
    for given, probability in ((matrix, 1.0), (0.4 * mV, 0.5)):
        populations = [
            Population(name, size, background=19 * mV, **NOISY) for name, size in (("a", 60), ("b", 40))
        ]
        circuit = Circuit(populations, [Connection("a", "b", given, probability, decay=5 * ms)])
        rates.append(simulate_rates(circuit, np.zeros((1, 400, 2)), every=400).rate.values[0, 0])
    np.testing.assert_allclose(*rates, rtol=1e-6)
    assert rates[0][1] > 2 * rates[0][0]


def test_plastic_projection_settles_at_the_rules_mean_field():
    rule = fw.TsodyksMarkram(0.2, 0.2, 1.5, "mongillo2008")
    circuit = Circuit(
        [Population("E", 100, background=20 * mV, **NOISY)], [Connection("E", "E", 0.1 * mV, 0.5, rule)]
    )
    run = simulate_rates(circuit, np.zeros((1, 20_000, 1)), dt=1e-3, every=2000)
    settled = rule.steady_state(float(run.rate.values[0, -1, 0]), train="mean_field")
    assert run.u.dims == ("trial", "time", "projection", "unit")
    assert run.sizes["projection"] == 1
    assert run.u.values[0, -1, 0, 0] == pytest.approx(settled.state["u"].item(), rel=1e-4)
    assert run.release.values[0, -1, 0, 0] == pytest.approx(settled.release.item(), rel=1e-4)


def test_spikes_follow_their_rates():
    """A sparse circuit, its pulse response included, in the same schema."""
    rule = fw.TsodyksMarkram(0.3, 0.1, 0.5)
    circuit = Circuit(
        [
            Population("E", 400, background=18 * mV, **NOISY),
            Population("I", 100, background=18 * mV, **NOISY),
        ],
        [
            Connection("E", "E", 0.4 * mV, 0.1, rule, delay=(0.1 * ms, 1 * ms)),
            Connection("E", "I", 0.2 * mV, 0.1),
            Connection("I", "E", -0.3 * mV, 0.2),
        ],
    )
    drive = stimulus(circuit, 0.6, [Pulse(2 * mV, 0.3, populations=["E"])], trials=2)
    spikes = pooled(simulate(circuit, drive, record=["rate", "u", "x"], every=1000, engine="auto"), circuit)
    rates = simulate_rates(circuit, drive[:1], dt=5e-4, every=1)
    for name in ("rate", "u", "x"):
        assert spikes[name].dims == rates[name].dims
    averaged = rates.rate.values[0].reshape(6, 200, 2).mean(1)
    assert spikes.rate.values[:, 1:].mean(0) == pytest.approx(averaged[1:], rel=0.12, abs=0.6)
    assert spikes.u.values[:, -1, 0, 0].mean() == pytest.approx(rates.u.values[0, -1, 0, 0], rel=0.06)
    assert averaged[5, 0] > 1.5 * averaged[2, 0]


def test_parameters_may_differ_between_trials_and_populations():
    facil = torch.tensor([[0.1], [1.5]])
    rule = fw.TsodyksMarkram(torch.tensor([[0.2, 0.5]]), 0.2, facil)
    noisy = [Population(name, 50, background=20 * mV, **NOISY) for name in "ab"]
    circuit = Circuit(noisy, [Connection("a", "b", 0.1 * mV, synapse=rule, decay=5 * ms)])
    assert circuit.trials == 2
    run = simulate_rates(circuit, np.zeros((2, 3000, 2)), every=3000)
    spikes = pooled(simulate(circuit, steps=3000, record=["u"], every=3000), circuit)
    assert run.u.values[0, 0, 0, 0] < run.u.values[1, 0, 0, 0] < run.u.values[1, 0, 0, 1]
    assert spikes.u.values[:, 0, 0] == pytest.approx(run.u.values[:, 0, 0], rel=0.12)


def test_what_is_refused():
    silent = Circuit([Population("E", 1)])
    with pytest.raises(ConfigError, match="needs some"):
        rate_network(silent)
    with pytest.raises(ShapeError, match="populations"):
        rate_drive(silent, np.zeros((1, 5, 3)))
    hebbian = fw.HebbianTraces(tau=1.0, eta=0.1)
    associative = Circuit([Population("E", 2, noise=1 * mV)], [Connection("E", "E", 1 * mV, synapse=hebbian)])
    with pytest.raises(ConfigError, match="no rate version"):
        rate_network(associative)
    own = fw.TsodyksMarkram(U=[0.2, 0.5, 0.8], tau_rec=0.1, tau_facil=0.1)
    single = Circuit([Population("E", 3, noise=1 * mV)], [Connection("E", "E", 1 * mV, synapse=own)])
    with pytest.raises(ConfigError, match="parameters for each neuron of E"):
        rate_network(single)
    run = simulate(silent, steps=10, record=["potential"])
    with pytest.raises(ShapeError, match="record all"):
        pooled(run, Circuit([Population("E", 3)]))


def test_the_working_memory_circuit():
    """The published numbers of inputs, and classification of made-up runs."""
    import xarray as xr

    from analysis.silent_memory import fall, selectivity
    from analysis.working_memory import regime, rise

    rule = fw.TsodyksMarkram(0.2, 0.2, 1.5, "mongillo2008")
    whole, small = (mongillo_circuit(rule, scale=scale) for scale in (1.0, 0.2))
    assert (whole.neurons, small.neurons) == (10_000, 2000)
    for net in (whole, small):
        sizes = {each.name: each.size for each in net.populations}
        inputs = {}
        for each in net.connections:
            inputs.setdefault(each.post, []).append((sizes[each.pre] * each.probability, each.efficacy))
        assert sum(n for n, J in inputs["E1"] if J > 0) == pytest.approx(1600)
        assert sum(n for n, J in inputs["E1"] if J < 0) == pytest.approx(400)
        assert sum(n for n, J in inputs["E1"] if 0.45 * mV == J) == pytest.approx(160 + 80)
    time = np.arange(1, 301) * 0.01
    rate = np.full((3, 300, 7), 0.5)
    rate[1, 150:, 0] = 8.0
    rate[2, 60, 3] = 40.0
    runs = xr.DataArray(rate, dims=("background", "time", "unit"), coords={"time": time})
    assert regime(runs, settle=1.0).values.tolist() == [0, 1, 2]
    response = xr.DataArray([[9.0, 3, 3, 3, 3, 7, 7], [0.0] * 7], dims=("ping_delay", "unit"))
    assert selectivity(response).values == pytest.approx([0.5, 0.0])
    assert rise(np.array([1.0, 2, 3]), np.array([0, 0.25, 0.75])) == 2.5
    assert fall(np.array([1.0, 2, 3]), np.array([0.9, 0.6, 0.4])) == pytest.approx(2.5)
    assert np.isnan(rise(np.array([1.0, 2]), np.zeros(2)))
    assert fall(np.array([1.0, 2]), np.zeros(2)) == 0
