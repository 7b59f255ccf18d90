"""The inner loop of a step, run on: its first iterations are those of the step, all of them those of `InnerLoop`."""

import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.measure import InnerLoop, inner_path


@pytest.fixture(params=["final", "before"])
def run(request):
    """A network that writes after or before it reads, its state after some steps, and the next input."""
    torch.manual_seed(1)
    net = fw.FastWeightNetwork(
        4, 6, fw.Hebbian(tau=5.0, eta=0.3), inner_steps=2, write=request.param
    ).double()
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    _, state = net(x[:, :-1])
    return net, state, x[:, -1]


def test_it_begins_as_the_step_does(run):
    net, state, x = run
    path = inner_path(net, state, x, 7)
    assert path.shape == (3, 8, 6)
    assert not path.requires_grad
    hidden, _ = net(x[:, None], state)
    torch.testing.assert_close(path[:, net.inner_steps], hidden[:, 0].detach())


def test_it_is_the_map_that_fixed_points_are_of(run):
    net, state, x = run
    path = inner_path(net, state, x, 7)
    for trial in range(3):
        loop = InnerLoop.of(net, state, x[trial], trial)
        torch.testing.assert_close(path[trial, :1], loop.start)
        torch.testing.assert_close(path[trial, 1:], loop(path[trial, :-1]))


def test_what_does_not_fit_is_refused(run):
    net, state, x = run
    with pytest.raises(ShapeError, match=r"give a tensor \[batch, input\] = \[3, 4\]"):
        inner_path(net, state, x[:1], 5)
    with pytest.raises(ConfigError, match="steps=-1"):
        inner_path(net, state, x, -1)
