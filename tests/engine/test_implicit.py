"""Gradients at the fixed point of the inner loop are those of the unrolled loop that has converged."""

import pytest
import torch

import fwsim as fw
from tests.engine.test_network import inputs, network

TWO = {"tau": [2.0, 19.5], "eta": [0.3, 0.2]}
WEAK = {"tau": [2.0, 19.5], "eta": [0.006, 0.004]}
"""Without normalisation the loop converges only if its memory is weak."""


def loss_of(hidden, state):
    weight = torch.linspace(-1, 1, hidden.numel(), dtype=hidden.dtype).view_as(hidden)
    return (weight * hidden).sum() + 0.01 * (state.memory**2).sum()


@pytest.mark.parametrize("write", ["final", "before"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("normalise", "memory"), [("inner", TWO), ("all", TWO), ("none", WEAK)])
def test_gradients_are_those_of_the_unrolled_loop(activation, normalise, memory, write):
    net = network(
        memory, units=10, activation=activation, normalise=normalise, write=write, learn=("tau", "eta")
    )
    x = inputs(time=8).requires_grad_()
    gradients = {}
    for name in ("implicit", "unrolled", "last iteration"):
        _, state = net(x[:, :-1])
        if name == "unrolled":
            hidden, after = net(x[:, -1:], state, inner_steps=800)
            hidden = hidden[:, 0]
        elif name == "implicit":
            hidden, after = fw.equilibrium(net, x[:, -1], state, tolerance=1e-13, iterations=3000)
        else:
            before = net.write(state, state.hidden) if write == "before" else state
            sustained = state.hidden @ net.W.T + x[:, -1] @ net.C.T + net.b
            hidden = net.recall(before, hidden.detach(), 1, sustained=sustained)[1][:, -1]
            after = net.write(before, hidden) if write == "final" else before
        found = torch.autograd.grad(loss_of(hidden, after), [x, *net.parameters()], allow_unused=True)
        gradients[name] = torch.cat([each.flatten() for each in found if each is not None])
    truth = gradients["unrolled"]
    assert float((gradients["implicit"] - truth).norm() / truth.norm()) < 1e-8
    # So the test can fail: the last iteration alone has another gradient.
    assert float((gradients["last iteration"] - truth).norm() / truth.norm()) > 1e-4


def test_the_step_is_the_networks_own_after_many_iterations():
    net, x = network(TWO, inner_steps=500), inputs(time=8)
    hidden, _ = net(x)
    _, state = net(x[:, :-1])
    settled, after = fw.equilibrium(net, x[:, -1], state, tolerance=1e-14, iterations=500)
    torch.testing.assert_close(settled, hidden[:, -1])
    torch.testing.assert_close(after.hidden, settled)


def test_a_network_without_memory_has_its_one_iteration():
    net, x = network(None, inner_steps=1), inputs(time=4)
    _, state = net(x[:, :-1])
    settled, _ = fw.equilibrium(net, x[:, -1], state)
    torch.testing.assert_close(settled, net(x)[0][:, -1])


def test_what_does_not_fit_is_refused():
    net, x = network(TWO), inputs(time=4)
    _, state = net(x[:, :-1])
    with pytest.raises(fw.ShapeError, match=r"give a tensor \[batch, input\]"):
        fw.equilibrium(net, x, state)
    with pytest.raises(fw.ShapeError, match="state"):
        fw.equilibrium(net, x[:1, -1], state)
    with pytest.raises(fw.ConfigError, match="iterations=0"):
        fw.equilibrium(net, x[:, -1], state, iterations=0)
    with pytest.raises(fw.ConfigError, match="tolerance=-1"):
        fw.equilibrium(net, x[:, -1], state, tolerance=-1.0)
    hidden, _ = fw.equilibrium(net, x[:, -1], state)
    with pytest.raises(fw.ConfigError, match="no second derivative"):
        torch.autograd.grad(hidden.sum(), net.W, create_graph=True)
