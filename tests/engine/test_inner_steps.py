"""The number of iterations as an argument of a call: a run with two numbers is a run in two parts, in every form."""

import pytest
import torch

import fwsim as fw
from tests.engine.test_network import assert_close, inputs, network

FORMS = ("auto", "dense", "attention", "hybrid")
TWO = {"tau": [2.0, 19.5], "eta": [0.3, 0.2]}


def in_two_parts(net, x, storing, last):
    """Hidden states and final state of two networks with these numbers as their own."""
    net.inner_steps = storing
    before, state = net(x[:, :-1])
    net.inner_steps = last
    after, state = net(x[:, -1:], state)
    return torch.cat([before, after], dim=1), state


@pytest.mark.parametrize("write", ["final", "before"])
@pytest.mark.parametrize(("kernel", "form"), [*(("native", each) for each in FORMS), ("reference", "hybrid")])
@pytest.mark.parametrize(("batch", "time", "storing", "last"), [(3, 15, 1, 8), (1, 9, 5, 0), (2, 1, 1, 4)])
def test_numbers_and_gradients_are_those_of_two_parts(kernel, form, write, batch, time, storing, last):
    """Own number 2, so that both are other numbers. The reference is plain torch, whatever computes the call."""
    net = network(TWO, inner_steps=2, units=11, form=form, kernel=kernel, write=write, learn=("tau", "eta"))
    truth = network(TWO, units=11, form="dense", kernel="reference", write=write, learn=("tau", "eta"))
    found = []
    for each, call in ((net, lambda net, x: net(x, inner_steps=(storing, last))), (truth, None)):
        x = inputs(batch, time).requires_grad_()
        hidden, state = in_two_parts(each, x, storing, last) if call is None else call(each, x)
        loss = (hidden**2).sum() + (state.memory**3).sum()
        leaves = [x, *each.parameters()]
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        found.append([hidden, state.memory, *(torch.zeros(1) if g is None else g for g in gradients)])
        assert state.step == time
    for ours, wanted in zip(*found, strict=True):
        assert_close(ours, wanted, 1e-9)
    assert net.inner_steps == 2


def test_one_number_is_that_of_the_whole_run():
    net, x = network(TWO, inner_steps=3), inputs(time=12)
    ours, _ = net(x, inner_steps=5)
    assert_close(net(x)[0], net(x, inner_steps=(3, 3))[0])
    assert not torch.allclose(ours, net(x)[0])
    net.inner_steps = 5
    assert torch.equal(ours, net(x)[0])


def test_a_network_without_memory_and_one_that_corrects():
    for memory in (None, fw.Delta(beta=0.5, tau=20.0)):
        net, x = network(memory), inputs(time=6)
        ours, _ = net(x, inner_steps=[1, 4])
        assert_close(ours, in_two_parts(net, x, 1, 4)[0])


def test_the_triton_kernel():
    pytest.importorskip("triton", reason="triton is not installed (pip install 'fwsim[gpu]')")
    if torch.cuda.is_available():
        pytest.skip("the interpreter is for machines without a GPU")
    x, net = inputs(1, 4), network(units=5, kernel="triton", form="hybrid")
    ours, _ = net(x, inner_steps=(1, 3))
    assert_close(ours, in_two_parts(network(units=5, kernel="reference"), x, 1, 3)[0], 1e-10)


@pytest.mark.parametrize("to", [None, "run.zarr"])
def test_a_recording_has_nan_where_a_step_has_no_iteration(tmp_path, to):
    net, x = network(TWO, inner_steps=2), inputs(batch=2, time=7)
    run = fw.simulate(
        net,
        x,
        inner_steps=(1, 4),
        record=["hidden", "inner", "attention"],
        to=to and tmp_path / to,
    )
    assert run.inner.shape == (2, 7, 5, 20)
    missing = run.inner.isnull().all("unit").all("trial")
    assert missing.sum("iteration").values.tolist() == [3] * 6 + [0]
    torch.testing.assert_close(
        torch.tensor(run.hidden.values), net(x, inner_steps=(1, 4))[0].detach(), rtol=1e-12, atol=1e-12
    )
    assert bool((run.inner.isel(iteration=1) == run.hidden).isel(time=slice(6)).all())
    assert bool((run.inner.isel(iteration=4) == run.hidden).isel(time=6).all())
    assert bool(run.attention.isel(time=6).notnull().all())
    assert '"inner_steps": [1, 4]' in run.attrs["configuration"]


def test_a_recording_in_blocks_asks_only_at_the_end_of_the_run(monkeypatch):
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 300)
    net, x = network(TWO, inner_steps=2), inputs(batch=2, time=7)
    run = fw.simulate(net, x, inner_steps=(3, 1), record=["hidden", "inner"])
    whole = net.run(x, inner=True, inner_steps=(3, 1))[0]
    torch.testing.assert_close(
        torch.tensor(run.inner.values), whole.inner.detach(), rtol=1e-12, atol=1e-12, equal_nan=True
    )


def test_the_plan_reckons_with_the_numbers_of_the_call():
    net = network(inner_steps=1, units=50)
    assert net.plan(4, 11, inner_steps=1) == net.plan(4, 11)
    assert net.plan(4, 11, inner_steps=(1, 1)) == net.plan(4, 11)
    assert net.plan(4, 11, inner_steps=(1, 12)) == net.plan(4, 11, inner_steps=2)  # their mean
    assert net.plan(4, 11, inner_steps=(1, 12)) != net.plan(4, 11)


@pytest.mark.parametrize("given", [-1, 1.5, True, (1, 2, 3), (1,), (1, -2), (1, None), "8"])
def test_what_is_no_number_of_iterations_is_refused(given):
    net, x = network(), inputs(time=3)
    for call in (net, net.run, lambda x, **options: net.plan(1, 3, **options)):
        with pytest.raises(fw.ConfigError, match="inner_steps="):
            call(x, inner_steps=given)
    with pytest.raises(fw.ConfigError, match="inner_steps="):
        fw.simulate(net, x, inner_steps=given)


def test_networks_without_an_inner_loop_refuse_it():
    rate = fw.RateNetwork([fw.Projection(torch.zeros(3, 3))], tau=0.01, gain=fw.relu, dt=0.001)
    with pytest.raises(fw.ConfigError, match="a RateNetwork has no inner loop"):
        fw.simulate(rate, torch.zeros(1, 4, 3), inner_steps=2)
    lstm = fw.models.SequenceClassifier(fw.models.core("lstm", 4, 5, None), tokens=6, classes=2)
    with pytest.raises(fw.ConfigError, match="a LSTM has no inner loop"):
        lstm(torch.zeros(1, 3, dtype=torch.long), inner_steps=2)
