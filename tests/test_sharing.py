"""What a user hands in is copied, and what is handed out is the user's: changing either later changes nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import fwsim as fw

ONES = torch.eye(2, dtype=torch.float64)

MADE = {
    "TsodyksMarkram": ([0.1, 0.2], lambda a: fw.TsodyksMarkram(tau_rec=a), lambda made: made.tau_rec),
    "components": ([0.1, 0.2], lambda a: fw.Varela(d=a, tau_D=1.0), lambda made: torch.stack(made.d)),
    "HebbianTraces": ([0.1, 0.2], lambda a: fw.HebbianTraces(tau=a, eta=1.0), lambda made: torch.stack(made.tau)),
    "Hebbian": ([0.1, 0.2], lambda a: fw.Hebbian(tau=a, eta=1.0), lambda made: made.tau),
    "Delta": ([0.1, 0.2], lambda a: fw.Delta(beta=a), lambda made: made.beta),
    "weights": ([[0.1, 0.2], [0.3, 0.4]], fw.Projection, lambda made: made.weights),
    "weights of a network": (
        [[0.1, 0.2], [0.3, 0.4]],
        lambda a: fw.RateNetwork(fw.Projection(a), tau=0.1),
        lambda made: made.weights[0],
    ),
    "tau": ([0.1, 0.2], lambda a: fw.RateNetwork(fw.Projection(ONES), tau=a), lambda made: made.tau),
    "noise": ([0.1, 0.2], lambda a: fw.RateNetwork(fw.Projection(ONES), 0.1, noise=a), lambda made: made.noise),
    "softplus": ([0.1, 0.2], fw.softplus, lambda made: made.alpha),
    "siegert": ([0.1, 0.2], lambda a: fw.siegert(tau=a), lambda made: made.tau),
    "layer_norm": ([0.1, 0.2], fw.layer_norm, lambda made: made.gain),
    "divisive": ([[0.1], [0.2]], fw.divisive, lambda made: made.strength),
    "subtractive": ([[0.1], [0.2]], fw.subtractive, lambda made: made.strength),
    "efficacy": ([[0.0, 0.2], [0.3, 0.0]], lambda a: fw.spiking.Connection("E", "E", a), lambda made: made.efficacy),
    "spectrum": ([0.1, 0.2], lambda a: fw.theory.Spectrum(np.asarray(a), np.ones(2)), lambda made: made.theta),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["array", "tensor"])
@pytest.mark.parametrize("name", MADE)
def test_changing_an_array_later_changes_nothing(name, kind, dtype):
    values, make, read = MADE[name]
    given = np.array(values, dtype) if kind == "array" else torch.tensor(values, dtype=getattr(torch, dtype))
    made = make(given)
    before = torch.as_tensor(read(made)).detach().clone()
    given *= 3
    torch.testing.assert_close(torch.as_tensor(read(made)).detach(), before, rtol=0, atol=0)


def test_a_tensor_that_requires_a_gradient_is_kept_so_that_an_optimiser_moves_it():
    U, tau = torch.tensor(0.3, requires_grad=True), torch.tensor([1.0], requires_grad=True)
    assert fw.TsodyksMarkram(U=U).U is U
    assert replace(fw.TsodyksMarkram(U=U), tau_rec=0.1).U is U
    assert fw.Hebbian(tau=tau, eta=0.1).tau is tau
    weights = torch.nn.Parameter(torch.eye(2))
    assert fw.RateNetwork(fw.Projection(weights), tau=0.1).weights[0] is weights


def test_networks_of_one_projection_or_memory_do_not_share_weights():
    projection, memory = fw.Projection(np.eye(2)), fw.Hebbian(tau=1.0, eta=0.1)
    one, other = (fw.RateNetwork(projection, tau=0.1) for _ in range(2))
    with torch.no_grad():
        one.weights[0].mul_(3)
    torch.testing.assert_close(other.weights[0].detach(), ONES)
    torch.testing.assert_close(projection.weights, ONES)
    fw.FastWeightNetwork(1, 2, memory).memory.tau.mul_(3)
    assert memory.tau.tolist() == [1.0]


@pytest.mark.parametrize("form", ["dense", "attention", "hybrid"])
def test_hidden_states_and_states_are_apart(form):
    net = fw.FastWeightNetwork(1, 3, fw.Hebbian(tau=2.0, eta=0.3), form=form)
    with torch.no_grad():
        hidden, state = net(torch.ones(1, 4, 1))
        before, expected = hidden.clone(), state.hidden.clone()
        net(torch.ones(1, 2, 1), state)
        torch.testing.assert_close(state.hidden, expected, rtol=0, atol=0)
        state.hidden.mul_(3)
    torch.testing.assert_close(hidden, before, rtol=0, atol=0)


def test_inputs_are_not_changed():
    rule, times = fw.TsodyksMarkram(U=0.3), torch.tensor([0.0, 0.1, torch.nan])
    kept = times.clone()
    rule.respond(times)
    torch.testing.assert_close(times, kept, equal_nan=True)
    net = fw.RateNetwork(fw.Projection(ONES * 0.1, synapse=rule), tau=0.1)
    drive = torch.ones(1, 5, 2, dtype=torch.float64)
    _, state = net(drive)
    kept = [state.hidden.clone(), *(value.clone() for value in state.variables.values())]
    fw.simulate(net, drive, state=state, progress=False)
    for value, expected in zip([state.hidden, *state.variables.values()], kept):
        torch.testing.assert_close(value, expected, rtol=0, atol=0)
    assert bool((drive == 1).all())


def test_a_state_has_its_own_numbers():
    hidden, memory, u = torch.zeros(2, 8), torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8)
    state = fw.State(hidden, memory, 3, {"u": u})
    for each in (hidden, memory, u):
        each += 1
    assert not state.hidden.any()
    assert not state.memory.any()
    assert not state.variables["u"].any()


def test_gradients_pass_through_a_state():
    hidden = torch.ones(2, 8, requires_grad=True)
    fw.State(hidden).hidden.sum().backward()
    assert torch.equal(hidden.grad, torch.ones(2, 8))
