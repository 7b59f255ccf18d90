"""Networks under `torch.func` and forward mode, inside measures, and where they are differentiated twice."""

import copy

import pytest
import torch
import torch.autograd.forward_ad as forward_mode
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

import fwsim as fw
from fwsim.engine.recursive import RecursiveNetwork
from fwsim.models import CORES, core

INPUTS, UNITS, TIME = 3, 5, 3
UNDERLYING = ("no_memory", "no_inner_loop", "irnn")  # which are fast-weight networks
REFUSED = [
    *("dense", "attention", "hybrid", "delta", "no_memory", "recursive"),
    *("rates with memory", "plastic rates"),
]


def memory():
    return fw.Hebbian(tau=[2.0, 5.0], eta=[0.3, 0.1])


def weights():
    return 0.3 * torch.randn(INPUTS, INPUTS)


def fast(form, **options):
    return lambda kernel: fw.FastWeightNetwork(
        INPUTS, UNITS, memory(), 2, form=form, kernel=kernel, activation="tanh", **options
    )


def rate(**options):
    return lambda kernel: fw.RateNetwork(
        [fw.Projection(weights())], tau=0.01, gain=fw.tanh, dt=1e-3, kernel=kernel, **options
    )


schedule = [True, False, True]
MADE = {
    **{form: fast(form) for form in ("dense", "attention", "hybrid")},
    "learned": fast("auto", learn=("tau", "eta"), self_connections=False, write="before"),
    "delta": lambda kernel: fw.FastWeightNetwork(
        INPUTS, UNITS, fw.Delta(beta=0.3), activation="tanh", kernel=kernel
    ),
    "recursive": lambda kernel: RecursiveNetwork(INPUTS, UNITS, memory(), schedule, schedule, kernel=kernel),
    "rates": rate(),
    "rates with memory": rate(memory=fw.Hebbian(tau=1.0, eta_rate=0.5), normalise="layer"),
    "plastic rates": lambda kernel: fw.RateNetwork(
        [fw.Projection(weights(), synapse=fw.TsodyksMarkram())],
        tau=0.01,
        gain=fw.softplus(1.5),
        dt=1e-3,
        kernel=kernel,
    ),
    **{
        name: lambda kernel, name=name: core(
            name, INPUTS, UNITS, memory(), 2, **({"kernel": kernel} if name in UNDERLYING else {})
        )
        for name in CORES
        if name != "fast_weights"
    },
}


def network(name, kernel="auto"):
    torch.manual_seed(1)
    return MADE[name](kernel).double()


def inputs(batch=2):
    return torch.randn(batch, TIME, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def slopes(net, x):
    """Jacobian `[output, input]` by one backward pass after the other."""
    x = x.clone().requires_grad_()
    out = net(x)[0].flatten()
    rows = [torch.autograd.grad(each, x, retain_graph=True)[0].flatten() for each in out]
    return torch.stack(rows)


def same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_derivatives_are_those_of_the_backward_pass(name):
    net, x = network(name), inputs()
    expected = slopes(net, x)
    flat = lambda x: net(x)[0].flatten()  # noqa: E731
    for jacobian in (jacrev, jacfwd):
        same(jacobian(flat)(x).flatten(1), expected)
    tangent = inputs().flip(0)
    moved = expected @ tangent.flatten()
    same(jvp(flat, (x,), (tangent,))[1], moved)
    with forward_mode.dual_level():
        same(forward_mode.unpack_dual(flat(forward_mode.make_dual(x, tangent))).tangent, moved)


@pytest.mark.parametrize("name", MADE)
def test_entries_of_a_batch_one_by_one_are_the_batch(name):
    net, x = network(name), inputs()
    expected = net(x)[0]
    alone = lambda x: net(x[None])[0][0]  # noqa: E731
    same(vmap(alone)(x), expected)
    same(vmap(vmap(alone))(x[None])[0], expected)
    by_example = vmap(grad(lambda x: alone(x).square().sum()))(x)
    x = x.clone().requires_grad_()
    same(by_example, torch.autograd.grad(net(x)[0].square().sum(), x)[0])


@pytest.mark.parametrize("name", MADE)
def test_several_networks_as_one(name):
    first = network(name)
    second = copy.deepcopy(first)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.1)
    x = inputs()
    stacked = stack_module_state([first, second])
    found = vmap(lambda *values: functional_call(first, values, (x,))[0])(*stacked)
    same(found, torch.stack([first(x)[0], second(x)[0]]))


def test_noise_is_the_same_under_a_transform():
    net = rate(noise=0.1)("auto").double()
    x = inputs(1)
    same(vmap(lambda x: net(x[None], seed=3)[0][0])(x), net(x, seed=3)[0])


def test_a_network_that_does_not_suit_is_refused_as_elsewhere():
    net = network("dense")
    with pytest.raises(fw.ShapeError, match="expected \\[batch, time, input\\]"):
        jacrev(lambda x: net(x)[0])(inputs()[0])
    asked = network("dense", "native")
    with pytest.raises(fw.ConfigError, match=r"under torch\.func .*use kernel='auto'"):
        jacrev(lambda x: asked(x)[0])(inputs())


# --- second derivatives --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_second_derivatives_by_transforms_are_those_of_the_reference(name):
    net, reference, x = network(name), network(name, "reference"), inputs(1)
    total = lambda net: lambda x: net(x)[0].square().sum()  # noqa: E731
    found = hessian(total(net))(x).reshape(x.numel(), -1)
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(total(reference)(x), x, create_graph=True)
    rows = [torch.autograd.grad(each, x, retain_graph=True)[0].flatten() for each in slope.flatten()]
    same(found, torch.stack(rows))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("name", REFUSED)
def test_a_second_backward_pass_is_refused_in_one_line(name, linear):
    """Also where the first one gets constants from above, which torch's own mark takes for a constant gradient."""
    net, x = network(name), inputs().requires_grad_()
    out = net(x)[0]
    (slope,) = torch.autograd.grad(out.sum() if linear else out.square().sum(), x, create_graph=True)
    total = slope.square().sum() + x.sum()
    with pytest.raises(fw.ConfigError, match=r"a second derivative .*kernel='reference'"):
        total.backward(retain_graph=True)
    if name != "recursive":
        trained = [each for each in net.parameters() if each.requires_grad]
        with pytest.raises(fw.ConfigError, match=r"a second derivative .*kernel='reference'"):
            torch.autograd.grad(total, [x, *trained], allow_unused=True)
    plain = network(name, "reference")
    out = plain(x)[0]
    (again,) = torch.autograd.grad(out.sum() if linear else out.square().sum(), x, create_graph=True)
    same(slope.detach(), again.detach())
    again.square().sum().backward()


@pytest.mark.parametrize("name", REFUSED)
def test_several_backward_passes_at_once_are_refused_in_one_line(name):
    net, x = network(name), inputs().requires_grad_()
    out = net(x)[0]
    with pytest.raises(fw.ConfigError, match=r"several backward passes at once .*kernel='reference'"):
        torch.autograd.grad(out, x, torch.ones(2, *out.shape, dtype=out.dtype), is_grads_batched=True)


# --- inside measures -----------------------------------------------------------------------------------


def steps_of(name):
    """One step of a network from its hidden state, its memory and input held: `[batch, unit]` → `[batch, unit]`."""
    net, x = network(name), inputs(1)[:, :1]
    _, before = net(x)

    def step(hidden):
        batch = len(hidden)
        if name == "rates":
            state = fw.State(hidden, None, 0)
        else:
            state = fw.State(hidden, before.memory.expand(batch, -1, -1, -1), 1)
        _, after = net(x.expand(batch, -1, -1), state)
        return after.hidden

    return step, (INPUTS if name == "rates" else UNITS)


@pytest.mark.parametrize("name", ["dense", "attention", "hybrid", "delta", "rates"])
def test_measures_take_networks_as_they_are(name):
    step, units = steps_of(name)
    starts = torch.randn(4, units, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    points = fw.measure.fixed_points(step, starts)
    assert bool(points.converged.any())
    settled = torch.from_numpy(points.state.values[points.converged.values])
    torch.testing.assert_close(step(settled), settled, rtol=0, atol=1e-7)
    exponents = fw.measure.lyapunov_exponents(step, starts[:1], 20, transient=40)
    assert bool(exponents.exponent.max() < 0)  # it ends in a fixed point
    assert fw.measure.basins(step, starts, iterations=500).end.min() >= 0
