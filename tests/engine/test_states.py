"""A state of another network is refused in one line, in whatever form it carries its memory."""

from __future__ import annotations

import pytest
import torch

import fwsim as fw
from fwsim.models import LSTM, DeepTransitionRNN

ETA = [0.3, 0.1, 0.05]


def fast_weights(timescales=1, units=8, **options):
    memory = fw.Hebbian(tau=[5.0, 20.0, 50.0][:timescales], eta=ETA[:timescales]) if timescales else None
    return fw.FastWeightNetwork(3, units, memory, **options)


def as_tensor(state):
    return fw.State(state.hidden, state.memory, state.step)


def uses(net, batch):
    """Every way to hand a state to a network."""
    pattern = torch.zeros(batch, net.units)
    return {
        "call": lambda state: net(torch.zeros(batch, 4, 3), state),
        "simulate": lambda state: fw.simulate(net, torch.zeros(batch, 4, 3), state=state, progress=False),
        "write": lambda state: net.write(state, pattern),
        "store": lambda state: net.store(state, pattern[:, None]),
        "recall": lambda state: net.recall(state, pattern),
    }


@pytest.mark.parametrize("form", ["attention", "dense"])
@pytest.mark.parametrize("as_memory", [lambda state: state, as_tensor], ids=["trace", "tensor"])
@pytest.mark.parametrize(("given", "wanted"), [(1, 2), (1, 3), (2, 1), (3, 1), (2, 3), (3, 2)])
def test_another_number_of_time_scales(given, wanted, as_memory, form):
    state = as_memory(fast_weights(given, form=form)(torch.randn(2, 10, 3))[1])
    for use in uses(fast_weights(wanted), 2).values():
        with pytest.raises(
            fw.ShapeError, match=rf"state.memory has shape \[2, {given}, 8, 8\].*\[2, {wanted}, 8, 8\]"
        ):
            use(state)


@pytest.mark.parametrize("as_memory", [lambda state: state, as_tensor], ids=["trace", "tensor"])
def test_another_batch_or_number_of_units(as_memory):
    state = as_memory(fast_weights(1)(torch.randn(2, 10, 3))[1])
    mixed = fw.State(torch.zeros(3, 8), state.stored)
    with pytest.raises(fw.ShapeError, match=r"state.memory has shape \[2, 1, 8, 8\].*\[3, 1, 8, 8\]"):
        fast_weights(1)(torch.randn(3, 4, 3), mixed)
    with pytest.raises(fw.ShapeError, match=r"state.hidden has shape \[2, 8\]"):
        fast_weights(1, units=9)(torch.randn(2, 4, 3), state)
    rates = fw.FastWeightNetwork(3, 8, fw.Hebbian(tau=torch.ones(3, 1), eta=torch.ones(3, 1)))
    with pytest.raises(fw.ShapeError, match="the state has batch 2, the memory's parameters are for 3"):
        rates.write(state, torch.zeros(2, 8))


def test_a_state_with_a_memory_of_another_precision():
    state = fast_weights(1).double()(torch.randn(2, 10, 3).double())[1]
    with pytest.raises(fw.ShapeError, match=r"state.memory is torch.float64.*the network torch.float32"):
        fast_weights(1)(torch.randn(2, 4, 3), fw.State(state.hidden.float(), state.memory))


def rate_network(synapse=None, memory=None, units=8):
    weights = fw.Projection(torch.zeros(units, units, dtype=torch.float64), synapse=synapse)
    return fw.RateNetwork([weights], tau=0.01, gain=fw.tanh, memory=memory, dt=1e-3)


def states():
    """States of different kinds of network with 8 units and two batch elements."""
    x, drive = torch.randn(2, 4, 3), torch.randn(2, 4, 8, dtype=torch.float64)
    hebbian = fw.Hebbian(tau=[1.0, 2.0], eta_rate=[0.1, 0.1])
    return {
        "fast weights": fast_weights(2)(x)[1],
        "no memory": fast_weights(0)(x)[1],
        "LSTM": LSTM(3, 8)(x)[1],
        "depression": rate_network(fw.TsodyksMarkram())(drive)[1],
        "rate memory": rate_network(memory=hebbian)(drive)[1],
        "rates": rate_network()(drive)[1],
    }


@pytest.mark.parametrize(
    ("net", "own"),
    [
        (fast_weights(2), {"fast weights"}),
        (fast_weights(0), {"no memory", "rates"}),
        (LSTM(3, 8), {"LSTM"}),
        (DeepTransitionRNN(3, 8), {"no memory", "rates"}),
    ],
    ids=["fast weights", "no memory", "LSTM", "deep RNN"],
)
def test_states_of_other_kinds_of_network(net, own):
    for name, state in states().items():
        state = fw.State(state.hidden.float(), state.stored, state.step, state.variables)
        if name in own:
            net(torch.zeros(2, 4, 3), state)
            continue
        with pytest.raises((fw.ConfigError, fw.ShapeError), match=r"^(the state is of another kind|state\.)"):
            net(torch.zeros(2, 4, 3), state)


@pytest.mark.parametrize("name", ["depression", "rate memory", "rates"])
def test_rate_networks_and_states_of_other_kinds(name):
    hebbian = fw.Hebbian(tau=[1.0, 2.0], eta_rate=[0.1, 0.1])
    net = {
        "depression": rate_network(fw.TsodyksMarkram()),
        "rate memory": rate_network(memory=hebbian),
        "rates": rate_network(),
    }[name]
    fits = {
        "depression": {"depression"},
        "rate memory": {"rate memory", "fast weights"},
        "rates": {"rates", "no memory"},
    }[name]
    for given, state in states().items():
        if given in fits:
            net(torch.zeros(2, 4, 8, dtype=torch.float64), state)
            continue
        with pytest.raises((fw.ConfigError, fw.ShapeError), match=r"^(the state is of another kind|state\.)"):
            net(torch.zeros(2, 4, 8, dtype=torch.float64), state)


def test_a_memory_of_another_precision_in_the_form_of_a_run():
    _, state = fast_weights(1)(torch.randn(2, 10, 3))
    for kernel in ("reference", "auto"):
        net = fw.FastWeightNetwork(3, 8, fw.Hebbian(tau=5.0, eta=0.1), kernel=kernel).double()
        with pytest.raises(
            fw.ShapeError, match=r"state.memory is torch.float32 on cpu, the network torch.float64"
        ):
            net(torch.zeros(2, 4, 3, dtype=torch.float64), fw.State(state.hidden.double(), state.stored))


def test_states_are_of_finite_tensors_and_whole_steps():
    hidden, memory = torch.zeros(2, 8), torch.zeros(2, 1, 8, 8)
    with pytest.raises(fw.ShapeError, match=r"hidden has shape \[2, 8\]; give a torch tensor"):
        fw.State(hidden.numpy())
    with pytest.raises(fw.ConfigError, match="memory is a ndarray; give a torch tensor"):
        fw.State(hidden, memory.numpy())
    for step in (-1, 1.5):
        with pytest.raises(fw.ConfigError, match="step="):
            fw.State(hidden, memory, step)
    with pytest.raises(fw.ConfigError, match=r"state.memory has numbers that are NaN or infinite"):
        fast_weights(1)(torch.zeros(2, 4, 3), fw.State(hidden, memory * torch.nan))
    rates = fw.RateNetwork(fw.Projection(torch.eye(8)), tau=0.01, dt=0.001)
    with pytest.raises(fw.ConfigError, match=r"state.hidden has numbers that are NaN or infinite"):
        rates(torch.zeros(2, 4, 8), fw.State(hidden * torch.nan))
