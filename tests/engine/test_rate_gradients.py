"""Gradients of compiled runs of rate networks: against the reference, and against finite differences."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

import fwsim as fw
from fwsim.engine.native import library
from fwsim.engine.rate import compiled, gradient
from fwsim.engine.threads import using_threads
from tests.engine.rates import DOUBLE, TM, random, rich
from tests.engine.test_rate_compiled import RULES, USERS, Rooted

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

GAINS = {"relu": fw.relu, "tanh": fw.tanh, "softplus": "softplus", "hill": USERS["hill"]}
NORMALS = {
    "none": lambda leaf: "none",
    "layer": lambda leaf: fw.layer_norm(leaf(1 + 0.2 * random(leaf.units, seed=5)), leaf(random(leaf.units))),
    "divisive": lambda leaf: fw.divisive(leaf(0.7), leaf(1.3)),
    "subtractive": lambda leaf: fw.subtractive(leaf(torch.full((leaf.batch, 1), 0.4))),
}


class Leaves:
    """Makes tensors whose gradients are compared, and remembers them."""

    def __init__(self, units, batch, dtype=DOUBLE):
        self.units, self.batch, self.dtype, self.made = units, batch, dtype, []

    def __call__(self, value):
        self.made.append(torch.as_tensor(value, dtype=DOUBLE).to(self.dtype, copy=True).requires_grad_())
        return self.made[-1]


def trained(leaf, rule, units):
    """The rule with all its parameters to be trained, one of them different for each unit, if it is fwsim's."""
    if rule is None or not hasattr(rule, "__dataclass_fields__"):
        return rule
    values = {name: getattr(rule, name) for name in rule.__dataclass_fields__}
    values = {name: value for name, value in values.items() if isinstance(value, float) and value > 0}
    spread = 1 + 0.1 * torch.arange(units, dtype=DOUBLE) / units
    given = {name: leaf(value * spread if name == "tau_rec" else value) for name, value in values.items()}
    return replace(rule, **given)


def network(
    leaf, kernel, rule, *, gain="softplus", memory=0, normalise="none", noise=0.0, own=False, **options
):
    """Every parameter that there is requires a gradient."""
    units, scale = leaf.units, leaf.units**-0.5

    def weights(size, *shape, seed):
        return nn.Parameter((size * scale * random(*shape, units, units, seed=seed)).to(leaf.dtype))

    projections = [
        fw.Projection(weights(0.5, seed=0), synapse=trained(leaf, rule, units)),
        fw.Projection(weights(0.3, *([leaf.batch] if own else []), seed=1)),
        fw.Projection(weights(0.3, seed=2), synapse=trained(leaf, fw.TsodyksMarkram(**TM), units)),
    ]
    if memory:
        tau, eta = leaf([0.1, 0.3, 1.0][:memory]), leaf([0.5, -0.3, 0.2][:memory])
        options["memory"] = fw.Hebbian(tau=tau, eta_rate=eta)
    net = fw.RateNetwork(
        projections,
        tau=nn.Parameter((0.01 * (1 + random(units, seed=3).square())).to(leaf.dtype)),
        gain=fw.softplus(leaf(1.5)) if gain == "softplus" else GAINS[gain],
        normalise=NORMALS[normalise](leaf),
        noise=nn.Parameter(torch.tensor(noise, dtype=leaf.dtype)) if noise else 0.0,
        dt=1e-3,
        kernel=kernel,
        **options,
    )
    assert net.plan().kernel == kernel
    return net


def outcome(kernel, rule, units, batch, steps, dtype=DOUBLE, **options):
    """Rates, final state, and all gradients of a loss in which everything takes part."""
    leaf = Leaves(units, batch, dtype)
    net = network(leaf, kernel, rule, **options)
    drive = leaf(2 * random(batch, steps, units, seed=6))
    rest = net.initial_state(batch)
    memory = None if rest.stored is None else leaf(0.2 * random(*rest.stored.shape, seed=7))
    variables = {name: leaf(value + 0.05) for name, value in rest.variables.items()}
    state = fw.State(leaf(random(batch, units, seed=8)), memory, 3, variables)
    strided = drive.mT.contiguous().mT  # not contiguous
    rate, after = net(strided, state, seed=4)
    ends = [rate, after.hidden, *after.variables.values(), *([] if memory is None else [after.memory])]
    loss = sum((random(*each.shape, seed=9).to(each) * each.nan_to_num()).sum() for each in ends)
    leaves = [*net.parameters(), *leaf.made]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [
        *(each.detach() for each in ends),
        *(torch.zeros_like(x) if g is None else g for g, x in zip(gradients, leaves)),
    ]


def assert_same(tolerance, *arguments, **options):
    truth, ours = (outcome(kernel, *arguments, **options) for kernel in ("reference", "native"))
    assert len(truth) == len(ours)
    for place, (expected, found) in enumerate(zip(truth, ours, strict=True)):
        assert found.shape == expected.shape
        keep = ~expected.isnan()
        error = (found - expected)[keep].norm() / (expected[keep].norm() + 1e-3)
        assert error < tolerance, f"{place} of {len(truth)}, {list(expected.shape)}, differs by {error:.1e}"


@pytest.mark.parametrize("name", RULES)
def test_every_presynaptic_rule(name):
    assert_same(1e-8, RULES[name], 9, 3, 18)


@settings(max_examples=10, deadline=None)
@given(
    rule=st.sampled_from(["mongillo2008", "varela", "none"]),
    units=st.sampled_from([1, 2, 7, 17]),
    batch=st.integers(1, 11),
    steps=st.integers(1, 21),
    gain=st.sampled_from(list(GAINS)),
    normalise=st.sampled_from(list(NORMALS)),
    memory=st.integers(0, 2),
    self_connections=st.booleans(),
    noise=st.sampled_from([0.0, 0.3]),
    own=st.booleans(),
)
def test_random_networks(rule, units, batch, steps, normalise, **options):
    normalise = normalise if units > 1 or normalise != "layer" else "none"  # of one unit nothing is left
    assert_same(1e-8, RULES[rule], units, batch, steps, normalise=normalise, **options)


def test_single_precision():
    assert_same(1e-4, RULES["maass2002"], 20, 6, 30, torch.float32, normalise="divisive", memory=1)


def test_nothing_depends_on_what_was_in_the_workspace(monkeypatch):
    monkeypatch.setattr(compiled, "workspace", lambda like, *shape: like.new_full(shape, math.nan))
    monkeypatch.setattr(gradient, "workspace", compiled.workspace)
    for normalise in ("layer", "divisive"):
        assert_same(1e-8, RULES["tm1998"], 11, 3, 10, memory=2, normalise=normalise, self_connections=False)


def test_threads_change_no_bit():
    one = outcome("native", RULES["varela"], 6, 19, 10, memory=1)
    with using_threads(3):
        three = outcome("native", RULES["varela"], 6, 19, 10, memory=1)
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(one, three))


def test_finite_differences():
    """Of numbers that no kernel of ours gives: central differences of a native run without gradients."""
    values = {
        "U": 0.3,
        "tau_rec": 0.2,
        "tau_facil": 0.5,
        "tau": 0.02,
        "eta": -2.0,
        "slow": 0.3,
        "strength": 0.5,
    }

    def loss(values, weight):
        synapse = fw.TsodyksMarkram(**{name: values[name] for name in ("U", "tau_rec", "tau_facil")})
        net = fw.RateNetwork(
            [fw.Projection(weight, synapse=synapse)],
            tau=values["tau"],
            gain=fw.softplus(1.5),
            memory=fw.Hebbian(tau=values["slow"], eta_rate=values["eta"]),
            normalise=fw.divisive(values["strength"]),
            dt=2e-3,
            kernel="native",
        )
        drive = 2 + random(3, 30, 5)
        return (random(3, 30, 5, seed=1) * net(drive)[0]).sum()

    weight = nn.Parameter(0.5 * random(5, 5))
    leaves = {name: torch.tensor(value, dtype=DOUBLE, requires_grad=True) for name, value in values.items()}
    found = torch.autograd.grad(loss(leaves, weight), [*leaves.values(), weight])
    for (name, value), ours in zip(values.items(), found):
        step = 1e-5 * abs(value)
        with torch.no_grad():
            sides = [loss(values | {name: value + side * step}, weight) for side in (1, -1)]
        assert ours.item() == pytest.approx((sides[0] - sides[1]).item() / (2 * step), rel=1e-6), name
    way, step = random(5, 5, seed=2), 1e-5
    with torch.no_grad():
        sides = [loss(values, nn.Parameter(weight + side * step * way)) for side in (1, -1)]
    slope = (sides[0] - sides[1]) / (2 * step)
    torch.testing.assert_close((found[-1] * way).sum(), slope, rtol=1e-6, atol=0)


class Dale(nn.Module):
    """Signs by presynaptic unit, and connections that are missing."""

    def __init__(self, signs, mask):
        super().__init__()
        self.signs, self.mask = signs, mask

    def forward(self, raw):
        return torch.relu(raw) * self.mask * self.signs


def test_signs_and_masks_by_parametrisation():
    signs = torch.tensor([1.0, 1, 1, -1], dtype=DOUBLE)
    found = []
    for kernel in ("reference", "native"):
        weights = nn.Parameter(random(4, 4).abs())
        net = fw.RateNetwork(
            fw.Projection(weights, synapse=RULES["maass2002"]), tau=0.01, dt=1e-3, kernel=kernel
        )
        parametrize.register_parametrization(net.weights, "0", Dale(signs, 1 - torch.eye(4, dtype=DOUBLE)))
        net(3 + random(2, 20, 4))[0].square().sum().backward()
        (leaf,) = net.parameters()
        found.append(leaf.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-12)
    assert not found[1].diagonal().any()
    assert found[1].any()


def test_only_what_is_wanted_is_differentiated():
    """Inputs alone, without parameters; and no gradient at all."""
    weights, drive = random(4, 4), random(2, 9, 4)
    nets = [
        fw.RateNetwork(fw.Projection(weights), tau=0.01, dt=1e-3, kernel=k) for k in ("reference", "native")
    ]
    found = []
    for net in nets:
        given = drive.clone().requires_grad_()
        found.append(torch.autograd.grad(net(given)[0].square().sum(), given)[0])
        assert not net(drive)[0].requires_grad
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)


def test_a_user_rule_and_gain():
    assert_same(1e-8, Rooted(), 5, 3, 12, gain="hill")


def test_truncated_runs_go_on_where_they_stopped():
    leaf = Leaves(5, 2)
    net, drive = network(leaf, "native", RULES["varela"], memory=1, noise=0.1), random(2, 30, 5)
    whole, _ = net(drive)
    first, state = net(drive[:, :13])
    second, _ = net(drive[:, 13:], state)
    both = torch.cat([first, second], 1)
    np.testing.assert_allclose(both.detach(), whole.detach(), rtol=1e-12)
    parameters = list(net.parameters())
    for one, other in zip(*(torch.autograd.grad(each.square().sum(), parameters) for each in (both, whole))):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_second_derivatives_are_refused_and_transforms_run_as_the_reference():
    net = fw.RateNetwork(fw.Projection(nn.Parameter(random(3, 3))), tau=0.01, gain=fw.tanh, dt=1e-3)
    drive = random(1, 4, 3)
    (slope,) = torch.autograd.grad(net(drive)[0].square().sum(), list(net.parameters()), create_graph=True)
    with pytest.raises(fw.ConfigError, match="kernel='reference'"):
        slope.square().sum().backward()
    jacobian = torch.func.jacrev(lambda x: net(x)[0].sum(1))(drive)
    truth = torch.autograd.functional.jacobian(lambda x: net(x)[0].sum(1), drive)
    torch.testing.assert_close(jacobian, truth)


def test_what_cannot_be_compiled_trains_as_the_reference():
    net = rich(1e-3)
    assert net.plan().kernel == "reference"
    assert "HebbianTraces" in net.plan().why
    net(random(1, 3, 4).requires_grad_())[0].sum().backward()
