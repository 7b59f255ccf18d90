"""`torch.autocast`: networks and their states keep the precision of their parameters."""

from contextlib import nullcontext

import pytest
import torch

import fwsim as fw
from fwsim.engine.native import library
from fwsim.engine.recursive import RecursiveNetwork

BFLOAT = torch.autocast("cpu", torch.bfloat16)
RULES = {
    "hebbian": fw.Hebbian(tau=[2.0, 20.0], eta=[0.3, 0.1]),
    "delta": fw.Delta(beta=0.5),
    "oja": fw.Hebbian(tau=5.0, eta=0.2, oja=True),
}


def fast_weights(rule, kernel, form):
    if kernel == "native" and (why := library.obstacle()):
        pytest.skip(f"the native engine {why}")
    torch.manual_seed(0)
    return fw.FastWeightNetwork(3, 8, RULES[rule], 2, kernel=kernel, form=form)


def everything(net, context):
    """What a network computes in a context, and gradients, which are taken outside it."""
    generator = torch.Generator().manual_seed(1)
    x, patterns = torch.randn(2, 11, 3, generator=generator), torch.randn(2, 13, 8, generator=generator)
    with context:
        hidden, state = net(x)
        state = net.write(net.store(state, patterns), patterns[:, 0])
        again, last = net(x, state)
        _, path = net.recall(last, patterns[:, 1], steps=3)
        found = [hidden, state.memory, again, last.hidden, last.memory, path]
    loss = sum(each.square().sum() for each in found)
    return [*found, *torch.autograd.grad(loss, net.parameters())]


@pytest.mark.parametrize("kernel", ["reference", "native"])
@pytest.mark.parametrize(
    ("rule", "form"),
    [("hebbian", "auto"), ("hebbian", "dense"), ("hebbian", "attention"), ("hebbian", "hybrid"), ("delta", "auto"),
     ("oja", "auto")],
)  # fmt: skip
def test_fast_weights(rule, form, kernel):
    net = fast_weights(rule, kernel, form)
    assert all(
        torch.equal(*pair)
        for pair in zip(everything(net, BFLOAT), everything(net, nullcontext()), strict=True)
    )


def test_inputs_of_a_layer_before():
    net, layer = fast_weights("hebbian", "reference", "auto"), torch.nn.Linear(5, 3)
    rates = fw.RateNetwork(fw.Projection(0.1 * torch.eye(3)), tau=0.01, dt=0.001)
    with BFLOAT:
        x = layer(torch.randn(2, 4, 5))
        assert x.dtype == torch.bfloat16
        assert net(x)[0].dtype == rates(x)[0].dtype == torch.float32
    with pytest.raises(fw.ShapeError, match=r"x is torch.bfloat16"):
        net(x)


def test_recordings():
    net, x = fast_weights("hebbian", "reference", "auto"), torch.randn(2, 9, 3)
    names = ["hidden", "inner", "attention", "memory"]
    truth = fw.simulate(net, x, record=names, progress=False)
    with BFLOAT:
        found = fw.simulate(net, x, record=names, progress=False)
    for name in names:
        assert (found[name] == truth[name]).all()


@pytest.mark.parametrize("kernel", ["reference", "auto"])
def test_rate_and_recursive_networks_and_equilibria(kernel):
    synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
    rates = fw.RateNetwork(
        fw.Projection(0.3 * torch.ones(4, 4), synapse=synapse), tau=0.01, dt=0.001, kernel=kernel
    )
    recursive = RecursiveNetwork(3, 8, RULES["hebbian"], [True, False], [True, False], kernel=kernel)
    net = fast_weights("hebbian", "reference", "auto")
    drive, x = torch.rand(2, 9, 4), torch.randn(2, 2, 3)

    def found(context):
        with context:
            settled, _ = fw.equilibrium(net, x[:, 0], net(x)[1])
            results = [rates(drive)[0], recursive(x)[0], settled]
        return [*results, torch.autograd.grad(settled.square().sum(), net.W)[0]]

    assert all(torch.equal(*pair) for pair in zip(found(BFLOAT), found(nullcontext()), strict=True))
