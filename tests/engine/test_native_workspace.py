"""What the compiled engine needs besides inputs, states and their gradients."""

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
