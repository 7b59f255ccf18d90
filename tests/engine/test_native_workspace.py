"""What the compiled engine needs besides inputs, states and their gradients."""

import multiprocessing
import subprocess
import sys

import pytest
import torch

import fwsim as fw
from fwsim.engine.native import library, sequence


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("batch", "time", "units", "inner_steps", "form"),
    [(128, 11, 50, 1, "attention"), (128, 50, 100, 3, "attention"), (8, 500, 100, 3, "hybrid")],
)
def test_a_training_step_needs_at_most_four_times_its_states(
    monkeypatch, batch, time, units, inner_steps, form, threads
):
    if why := library.obstacle():
        pytest.skip(f"the native engine {why}")
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    workspaces, saved, original = [], [], sequence._prepared

    def watched(*given):
        prepared = original(*given)
        workspaces.append(prepared[1])
        return prepared

    def keep(tensor):
        saved.append(tensor)
        return tensor

    monkeypatch.setattr(sequence, "_prepared", watched)
    net = fw.FastWeightNetwork(
        units, units, fw.Hebbian(tau=20.0, eta=0.5), inner_steps, form=form, kernel="native"
    )
    x = torch.randn(batch, time, units, generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden, _ = net(x)
        known = {each.data_ptr() for each in (x, hidden, *net.parameters())}
        torch.autograd.grad(hidden, list(net.parameters()), torch.ones_like(hidden), allow_unused=True)
    states = hidden.numel() * hidden.element_size()
    extra = {each.data_ptr(): each.nbytes for each in saved if each.data_ptr() not in known}
    forward, backward = workspaces
    assert max(forward, backward + sum(extra.values())) <= 4 * states


COMPILED = """
import sys

import torch

import fwsim as fw

torch.manual_seed(0)
if sys.argv[1] == "rates":
    net = fw.RateNetwork(fw.Projection(0.3 * torch.eye(40)), tau=0.01, dt=0.001, kernel="native")
else:
    net = fw.FastWeightNetwork(40, 40, fw.Hebbian(tau=5.0, eta=0.3), kernel="native", form=sys.argv[1])
x = torch.rand(4, 9, 40, requires_grad=True)
compiled = torch.compile(net, backend="eager")
outcomes = []
for run in (net, compiled):
    hidden, _ = run(x)
    outcomes.append((hidden, *torch.autograd.grad(hidden.square().sum(), x)))
assert all(torch.equal(*pair) for pair in zip(*outcomes))
"""


@pytest.mark.slow
@pytest.mark.parametrize("which", ["dense", "attention", "rates"])
def test_torch_compile_keeps_what_the_engine_writes_to(which):
    """In a process of its own, which a fault in memory would end."""
    if why := library.obstacle():
        pytest.skip(f"the native engine {why}")
    done = subprocess.run([sys.executable, "-c", COMPILED, which], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have(monkeypatch):
    if why := library.obstacle():
        pytest.skip(f"the native engine {why}")
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    net = fw.FastWeightNetwork(3, 40, fw.Hebbian(tau=20.0, eta=0.5), kernel="native", form="dense")
    x = torch.randn(16, 20, 3)
    with torch.no_grad():
        here = net(x)[0]  # starts the threads
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        child = context.Process(target=lambda: theirs.send(net(x)[0].numpy()))
        child.start()
        arrived = ours.poll(60)
        there = ours.recv() if arrived else None
        child.kill()
        child.join()
    assert arrived, "the child waits"
    assert torch.equal(torch.from_numpy(there), here)
