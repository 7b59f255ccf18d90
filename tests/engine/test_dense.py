"""Memories kept as a matrix in the compiled engine, against the reference: numbers, and all gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.native import library
from fwsim.engine.native import run as native
from fwsim.engine.threads import using_threads
from fwsim.rules.memory_rule import MemoryRule
from tests.engine.comparison import assert_like_reference, memory_full_of_nan

pytestmark = pytest.mark.skipif(library.obstacle() is not None, reason="the native engine is not here")

PRE = (
    "units",
    "inputs",
    "previous",
    ("inputs", "previous"),
    ("units", "inputs"),
    ("previous", "inputs", "units"),
)
GATES = ((), ("keep",), ("store",), ("store", "keep"))
AXES = (
    *((), ("timescale",), ("post",), ("pre",), ("post", "pre"), ("post", "timescale"), ("pre", "timescale")),
    *(("batch", "timescale"), ("batch", "post"), ("batch", "post", "pre")),
)


def memory(kind, axes, sizes):
    """A rule with random constants that have these axes; `sizes` says how long each is."""
    shape = [sizes[axis] for axis in axes]
    tau, eta = 1 + 5 * torch.rand(shape).double(), 0.4 * torch.randn(shape).double()
    named = {"axes": axes} if axes else {}
    if kind == "delta":
        return fw.Delta(beta=0.2 + eta.abs(), tau=tau, **named)
    return fw.Hebbian(tau=tau, eta=eta, oja=kind == "oja", **named)


def network(rule, inputs, units, dtype=torch.float64, **options):
    trained = {"tau": "log"} | ({"beta": "log"} if isinstance(rule, fw.Delta) else {"eta": "signed"})
    net = fw.FastWeightNetwork(inputs, units, rule, learn=trained, **options).to(dtype)
    with torch.no_grad():
        net.W += 0.3 * torch.randn_like(net.W) / units**0.5
        for vector in (net.b, net.gain, net.bias):
            vector += 0.3 * torch.randn_like(vector)
    return net


def width(pre, inputs, units):
    return sum(inputs if name == "inputs" else units for name in ((pre,) if isinstance(pre, str) else pre))


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_memories_match_the_reference(data):
    def draw(*values):
        return data.draw(st.sampled_from(values))

    torch.manual_seed(draw(*range(8)))
    batch, inputs, units, pre = draw(1, 3), draw(1, 3, 17), draw(1, 7, 18), draw(*PRE)
    sizes = {"batch": batch, "post": units, "pre": width(pre, inputs, units), "timescale": 2}
    options = {"pre": pre, "read": draw("additive", "multiplicative"), "gates": draw(*GATES)}
    if "units" in (pre if isinstance(pre, tuple) else (pre,)):
        options["inner_steps"] = draw(0, 1, 2, 3)
    if pre == "units":
        options["write"] = draw("final", "before")
    if pre in ("units", "previous"):
        options["self_connections"] = draw(True, False)
    rule = memory(draw("hebbian", "oja", "delta"), draw(*AXES), sizes)
    options["normalise"] = draw("inner", "none", "all")
    bounded = ("tanh", "sign") if options["normalise"] == "none" else ("relu", "tanh", "sign")
    net = network(rule, inputs, units, activation=draw(*bounded), **options)
    with memory_full_of_nan():
        assert_like_reference(
            native,
            net,
            batch=batch,
            time=draw(1, 2, 11),
            chunk=1,
            start=draw("zero", "any"),
            inner=draw(True, False),
        )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", ["hebbian", "oja", "delta"])
def test_more_batch_elements_than_sums_and_several_segments(kind, dtype):
    torch.manual_seed(1)
    rule = memory(kind, ("post", "pre"), {"post": 21, "pre": 38})
    net = network(rule, 17, 21, dtype, pre=("inputs", "previous"), gates=("keep", "store"), activation="tanh")
    with memory_full_of_nan():
        assert_like_reference(native, net, batch=35, time=18, chunk=1, start="any", dtype=dtype)


KINDS = {
    "stpn": (("hebbian", ("post", "pre")), {"pre": ("inputs", "previous"), "normalise": "none"}),
    "scaled": (("oja", ("pre",)), {"pre": "inputs", "read": "multiplicative", "gates": "store"}),
    "gated delta": (("delta", ("timescale",)), {"gates": ("keep", "store"), "inner_steps": 2}),
}


@pytest.mark.parametrize("name", KINDS)
def test_gradients_are_finite_differences(name):
    torch.manual_seed(2)
    (kind, axes), options = KINDS[name]
    sizes = {"post": 3, "pre": width(options.get("pre", "units"), 2, 3), "timescale": 2}
    net = network(memory(kind, axes, sizes), 2, 3, activation="tanh", kernel="native", **options)
    x = torch.randn(2, 4, 2, dtype=torch.float64)
    names = [each for each, _ in net.named_parameters()]

    def outcome(x, *values):
        hidden, state = torch.func.functional_call(net, dict(zip(names, values)), (x,))
        return hidden, state.memory

    parameters = [each.detach().requires_grad_() for each in net.parameters()]
    assert torch.autograd.gradcheck(outcome, (x.requires_grad_(), *parameters))


@pytest.mark.parametrize("wanted", ["x", "W", "C", "b", "log_tau", "memory_eta", "gate_weights"])
def test_one_gradient_alone(wanted):
    torch.manual_seed(3)
    rule = memory("hebbian", ("post", "pre"), {"post": 5, "pre": 8})
    net = network(rule, 3, 5, pre=("inputs", "previous"), gates="keep", activation="tanh")
    x = torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)
    every = dict(net.named_parameters()) | {"x": x}
    truth = torch.autograd.grad(net(x)[0].square().sum(), every[wanted])[0]
    for name, each in every.items():
        each.requires_grad_(name == wanted)
    assert torch.equal(torch.autograd.grad(net(x)[0].square().sum(), every[wanted])[0], truth)


def test_threads_change_no_bit():
    torch.manual_seed(4)
    found = []
    rule = memory("hebbian", ("post", "pre"), {"post": 19, "pre": 22})
    net = network(rule, 3, 19, torch.float32, pre=("inputs", "previous"), gates=("keep", "store"))
    x = torch.randn(37, 9, 3)
    for number in (1, 2, 3, 8):
        with using_threads(number):
            hidden, state = net(x)
            loss = (hidden.square() * torch.arange(9)[:, None]).sum() + state.memory.sum()
            found.append([hidden, state.memory, *torch.autograd.grad(loss, list(net.parameters()))])
    assert all(torch.equal(one, other) for each in found[1:] for one, other in zip(each, found[0]))


def test_a_run_in_parts_is_the_whole():
    torch.manual_seed(5)
    rule = memory("delta", ("pre",), {"pre": 5})
    net = network(rule, 3, 5, gates=("keep",), inner_steps=2)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    hidden, state = net(x, inner_steps=(2, 3))
    first, middle = net(x[:, :4])
    rest, end = net(x[:, 4:], middle, inner_steps=(2, 3))
    assert torch.equal(torch.cat([first, rest], 1), hidden)
    assert torch.equal(end.memory, state.memory)


def test_the_states_of_an_attention_form_are_taken_up():
    torch.manual_seed(6)
    rule, x = memory("hebbian", ("post",), {"post": 4}), torch.randn(2, 9, 3, dtype=torch.float64)
    nets = [network(rule, 3, 4, form=form, kernel="reference") for form in ("attention", "dense")]
    nets[1].load_state_dict(nets[0].state_dict())
    hidden, _ = nets[0](x)
    _, middle = nets[0](x[:, :4])
    nets[1].kernel = "native"
    assert torch.allclose(nets[1](x[:, 4:], middle)[0], hidden[:, 4:], atol=1e-12)


class Silent(MemoryRule):
    """A rule that somebody else wrote."""

    tau = None

    @property
    def shape(self):
        return torch.Size([1])

    def write(self, memory, pre, post, dt, *, keep=None, store=None):
        return memory


class Louder(fw.Delta):
    """A rule of the library with another equation."""

    def write(self, memory, pre, post, dt, *, keep=None, store=None):
        return super().write(memory, pre, 2 * post, dt, keep=keep, store=store)


class Softer(fw.Hebbian):
    """Another."""

    def read(self, memory, state):
        return super().read(memory, state) / 2


@pytest.mark.parametrize("rule", [Louder(), Softer(tau=5.0, eta=0.5)], ids=["write", "read"])
@pytest.mark.parametrize("gates", [(), "keep"])
def test_equations_of_a_subclass_are_its_own(rule, gates):
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(3, 7, rule, 2, gates=gates).double()
    assert net.plan(2, 5).kernel == "reference"
    assert net.plan(2, 5).form == "dense"
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.manual_seed(0)
    kind = fw.Delta() if isinstance(rule, fw.Delta) else fw.Hebbian(tau=5.0, eta=0.5)
    usual = fw.FastWeightNetwork(3, 7, kind, 2, gates=gates).double()
    assert usual.plan(2, 5).kernel == "native"
    assert not torch.allclose(net(x)[0], usual(x)[0])


def test_what_runs_where():
    by_post = fw.Hebbian(tau=[1.0, 2.0], eta=0.1, axes="post")
    options = {"gates": "keep"}
    for rule, chosen in ((by_post, {}), (fw.Delta(), {}), (fw.Hebbian(tau=1.0, eta=0.1), options)):
        for kernel in ("auto", "native"):
            plan = fw.FastWeightNetwork(3, 2, rule, kernel=kernel, **chosen).plan(1, 5)
            assert (plan.form, plan.kernel, plan.chunk) == ("dense", "native", 1)
        assert fw.FastWeightNetwork(3, 2, rule, kernel="reference", **chosen).plan(1, 5).kernel == "reference"
        with pytest.raises(fw.ConfigError, match=r"kernel='triton' cannot run .*'reference'"):
            fw.FastWeightNetwork(3, 2, rule, kernel="triton", **chosen)
    for form in ("attention", "hybrid"):
        plan = fw.FastWeightNetwork(3, 2, by_post, form=form).plan(1, 5)
        assert (plan.form, plan.kernel) == (form, "reference")
        with pytest.raises(fw.ConfigError, match=rf"by neuron or synapse in the form '{form}'.*'reference'"):
            fw.FastWeightNetwork(3, 2, by_post, form=form, kernel="native")
    assert fw.FastWeightNetwork(3, 2, fw.Delta()).to(torch.bfloat16).plan(1, 5).kernel == "reference"
    assert fw.FastWeightNetwork(3, 2, Silent()).plan(1, 5).kernel == "reference"
    with pytest.raises(fw.ConfigError, match=r"the memory rule Silent; .*'reference'"):
        fw.FastWeightNetwork(3, 2, Silent(), kernel="native")


def test_a_second_derivative_is_refused():
    net = network(fw.Delta(tau=3.0), 3, 4)
    x = torch.randn(1, 5, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x)[0].sum(), x, create_graph=True)
    with pytest.raises(fw.ConfigError, match="kernel='reference'"):
        slope.sum().backward()
