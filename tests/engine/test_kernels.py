"""The CPU engine against the reference: hidden states, inner states, memory, and all gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fwsim as fw
from fwsim.engine.drive import Drive
from fwsim.engine.native import run as native
from fwsim.engine.threads import use_threads, using_threads
from tests.engine.comparison import assert_like_reference, memory_full_of_nan, network


@pytest.fixture(params=[False, True], ids=["units", "batch"])
def layout(request, monkeypatch):
    """Runs the attention form in the layout of units or of batch elements, whatever the planner thinks."""
    monkeypatch.setattr(native, "in_batch_layout", lambda *sizes: request.param)


@pytest.mark.usefixtures("layout")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_networks_match_the_reference(data):
    def draw(*values):
        return data.draw(st.sampled_from(values))

    torch.manual_seed(draw(*range(8)))
    batch, timescales = draw(1, 3, 19), draw(1, 3)
    net = network(
        draw(1, 7, 50),
        timescales,
        draw(0, 1, 2, 3, 4),
        inputs=draw(1, 3, 20),
        batch=draw(None, batch),
        learn=draw((), ("tau", "eta")),
        activation=draw("relu", "tanh", "sign"),
        normalise=draw("inner", "all"),
        write=draw("final", "before"),
        self_connections=draw(True, False),
    )
    assert_like_reference(
        native,
        net,
        batch=batch,
        time=draw(1, 2, 33),
        chunk=draw(None, 1, 2, 4, 16),
        start=draw("zero", "symmetric", "any"),
        past=draw(0, 3),
        inner=draw(True, False),
    )


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize(("batch", "time", "inputs"), [(70, 1, 150), (40, 3, 100)])
def test_several_groups_with_one_sum(batch, time, inputs):
    torch.manual_seed(11)
    assert_like_reference(native, network(9, 1, 1, inputs=inputs), batch=batch, time=time, chunk=None)


@pytest.mark.usefixtures("layout")
def test_autocast_leaves_the_precision_of_a_run_alone():
    torch.manual_seed(12)
    net = network(20, 1, 1, inputs=17, kernel="native", dtype=torch.float32)
    x = torch.randn(3, 5, 17)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x)[0].dtype == torch.float32


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("wanted", ["x", "W", "C", "b", "gain", "bias"])
def test_one_gradient_alone(wanted):
    torch.manual_seed(10)
    net, x = network(20, 1, 2, inputs=17), torch.randn(19, 5, 17, dtype=torch.float64, requires_grad=True)
    every = dict(net.named_parameters()) | {"x": x}
    truth = torch.autograd.grad(net(x)[0].square().sum(), every[wanted])[0]
    for name, value in every.items():
        value.requires_grad_(name == wanted)
    alone = torch.autograd.grad(net(x)[0].square().sum(), every[wanted])[0]
    torch.testing.assert_close(alone, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_every_batch_element_has_its_own_rates(inner_steps):
    torch.manual_seed(9)
    net = network(7, 2, inner_steps, batch=21, learn=("tau", "eta"))
    assert_like_reference(native, net, batch=21, time=9, chunk=None, past=2)


@pytest.mark.parametrize("chunk", [None, 1, 16])
@pytest.mark.parametrize("timescales", [1, 3])
def test_wide_networks_match_the_reference(timescales, chunk):
    torch.manual_seed(1)
    assert_like_reference(
        native, network(129, timescales, 2, learn=("tau", "eta")), batch=2, time=33, chunk=chunk
    )


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("chunk", [None, 4])
def test_matrices_beyond_the_cache(chunk):
    torch.manual_seed(1)
    assert_like_reference(native, network(270, 1, 2, inputs=300), batch=2, time=9, chunk=chunk)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("chunk", [None, 1, 4])
def test_without_normalisation(chunk):
    torch.manual_seed(2)
    assert_like_reference(
        native, network(7, 1, 3, normalise="none", activation="tanh"), batch=3, time=9, chunk=chunk
    )
    assert_like_reference(native, network(7, 1, 1, normalise="none"), batch=3, time=3, chunk=chunk)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("inner_steps", [0, 1, 5])
def test_without_memory(inner_steps):
    torch.manual_seed(3)
    assert_like_reference(native, network(20, 0, inner_steps), batch=3, time=9, chunk=None)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("chunk", [None, 1, 16])
@pytest.mark.parametrize("units", [50, 129])
def test_single_precision_is_close(units, chunk):
    torch.manual_seed(4)
    net = network(units, 1, 2, dtype=torch.float32)
    assert_like_reference(native, net, batch=2, time=11, chunk=chunk, dtype=torch.float32)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("form", ["attention", "hybrid", "dense"])
def test_a_run_cut_in_two_equals_the_run_in_one(form):
    torch.manual_seed(5)
    net = network(20, 2, 2, form=form, kernel="native", learn=("tau", "eta"))
    x = torch.randn(3, 21, 3, dtype=torch.float64)

    def gradients(parts):
        state, hidden = None, []
        for part in parts:
            states, state = net(part, state)
            hidden.append(states)
        loss = torch.cat(hidden, 1).square().sum() + state.memory.square().sum()
        return torch.cat(hidden, 1), torch.autograd.grad(loss, list(net.parameters()))

    whole, cut = gradients([x]), gradients([x[:, :8], x[:, 8:9], x[:, 9:]])
    torch.testing.assert_close(cut[0], whole[0], rtol=1e-10, atol=1e-10)
    for ours, truth in zip(cut[1], whole[1]):
        torch.testing.assert_close(ours, truth, rtol=1e-9, atol=1e-9)


def test_several_callers_at_once():
    torch.manual_seed(8)
    net = network(20, 1, 2, kernel="native")
    x = torch.randn(5, 9, 3, dtype=torch.float64)
    with (
        torch.no_grad(),
        using_threads(2),
        ThreadPoolExecutor(4, initializer=use_threads, initargs=(2,)) as callers,
    ):
        alone = net(x)[0]
        together = [run.result()[0] for run in [callers.submit(net, x) for _ in range(40)]]
    assert all(torch.equal(hidden, alone) for hidden in together)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("form", ["attention", "hybrid"])
def test_results_do_not_depend_on_what_lay_in_memory(form):
    torch.manual_seed(7)
    net = network(7, 2, 2, kernel="native", form=form, learn=("tau",))
    x = torch.randn(2, 40, 3, dtype=torch.float64)

    def result():
        hidden, state = net(x)
        loss = hidden.square().sum() + state.memory.sum()
        return [hidden, *torch.autograd.grad(loss, list(net.parameters()))]

    clean = result()
    with memory_full_of_nan():
        filled = result()
    for one, other in zip(clean, filled):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("batch", "time"), [(0, 5), (2, 0)])
def test_empty_batch_and_empty_sequence(batch, time):
    net = network(7, 1, 1, kernel="native")
    hidden, state = net(torch.randn(batch, time, 3, dtype=torch.float64))
    assert hidden.shape == (batch, time, 7)
    assert state.memory.shape == (batch, 1, 7, 7)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("start", ["zero", "matrix"])
def test_nan_is_handed_on_in_its_own_batch_element_alone(chunk, start):
    net = network(7, 1, 1)
    x, hidden = torch.zeros(3, 5, 3, dtype=torch.float64), torch.zeros(3, 7, dtype=torch.float64)
    hidden[1, 3] = float("nan")
    trace = net.initial_state(3).stored
    if start == "matrix":
        trace = replace(trace, matrix=0.1 * torch.ones(3, 1, 7, 7, dtype=torch.float64))
    states = native.run(net.cell(), Drive(x, net.C, net.b), hidden, trace, chunk=chunk).hidden
    assert states[1].isnan().all()
    assert states[[0, 2]].isfinite().all()


def test_backward_twice_and_second_derivatives():
    net = network(7, 1, 1, kernel="native")
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    loss = net(x)[0].square().sum()
    first = torch.autograd.grad(loss, net.W, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(loss, net.W, retain_graph=True)[0])
    gradient = torch.autograd.grad(loss, net.W, create_graph=True)[0]
    with pytest.raises(fw.ConfigError, match=r"second derivative .*kernel='reference'"):
        gradient.sum().backward()


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("inner_steps", [1, 2, 3])
@pytest.mark.parametrize(("batch", "form"), [(8, "hybrid"), (8, "attention"), (33, "attention")])
def test_a_training_step_keeps_at_most_four_numbers_for_each_state(batch, form, inner_steps):
    torch.manual_seed(8)
    time, units = 60, 50
    net = network(units, 1, inner_steps, kernel="native", form=form, dtype=torch.float32)
    x = torch.randn(batch, time, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        hidden, _ = net(x)
    own = {t.data_ptr(): t.numel() for t in kept if t.data_ptr() != hidden.data_ptr()}
    assert sum(own.values()) <= 4 * batch * time * units


def test_it_says_what_it_cannot_run():
    net = fw.FastWeightNetwork(3, 5, fw.Hebbian(tau=1.0, eta=0.1), kernel="native").half()
    with pytest.raises(fw.ConfigError, match=r"float16.*kernel='auto'"):
        net(torch.zeros(1, 2, 3, dtype=torch.float16))


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_as_exact_as_its_precision(dtype):
    net = fw.FastWeightNetwork(20, 20, inner_steps=0, activation="tanh", kernel="native").to(dtype)
    with torch.no_grad():
        net.W.zero_(), net.C.copy_(torch.eye(20)), net.b.zero_()
    scales = torch.tensor([1e-6, 0.1, 0.35, 1, 5, 50], dtype=dtype)
    x = scales[:, None, None] * torch.randn(6, 100, 20, dtype=dtype)
    with torch.no_grad():
        found, truth = net(x)[0].double(), torch.tanh(x.double())
        assert ((found - truth) / truth).abs().max() < 4 * torch.finfo(dtype).eps
        special = torch.tensor([0.0, torch.inf, -torch.inf, torch.nan], dtype=dtype)
        net.C.zero_()
        net.b.copy_(special.repeat(5))
        found = net(torch.zeros(1, 1, 20, dtype=dtype))[0][0, 0, :4]
    torch.testing.assert_close(found, torch.tanh(special), rtol=0, atol=0, equal_nan=True)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("activation", ["relu", "sign"])
def test_activations_of_zero_and_of_infinity_are_those_of_torch(activation):
    net = network(5, 0, 0, inputs=5, activation=activation)
    with torch.no_grad():
        net.W.zero_(), net.C.zero_(), net.b.copy_(torch.tensor([0.0, -2.0, 3.0, torch.inf, -torch.inf]))
        x = torch.zeros(9, 1, 5, dtype=torch.float64)
        found = native.run(net.cell(), Drive(x, net.C, net.b), x[:, 0], None, chunk=None).hidden
    expected = getattr(torch, activation)(net.b.detach()).expand_as(found)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.usefixtures("layout")
def test_what_decays_beyond_full_precision_counts_as_nothing_in_kernels_alone(chunk):
    tiny = (
        1e-40  # in float32: what a memory that decays ends in, at a hundred times the cost of other numbers
    )
    net = fw.FastWeightNetwork(20, 20, fw.Hebbian(tau=5.0, eta=0.5), normalise="none", kernel="native")
    with torch.no_grad():
        net.W.zero_(), net.C.copy_(torch.eye(20)), net.b.zero_()
    run = native.run(
        net.cell(),
        Drive(torch.full((3, 9, 20), tiny), net.C, net.b),
        torch.zeros(3, 20),
        net.initial_state(3).stored,
        chunk=chunk,
    )
    assert (run.hidden == 0).all()
    assert float(torch.full((1,), tiny) * 0.5) > 0  # the caller's own arithmetic is as it was
