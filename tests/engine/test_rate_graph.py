"""The step of a rate network as a CUDA graph."""

from __future__ import annotations

import pytest
import torch

import fwsim as fw
from fwsim.engine.rate.graph import recorded
from fwsim.engine.rate.state import unpack


def network():
    torch.manual_seed(0)
    synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
    memory = fw.Hebbian(tau=1.0, eta_rate=0.1)
    return fw.RateNetwork(
        [fw.Projection(torch.randn(6, 6) / 6, synapse=synapse), fw.Projection(torch.randn(6, 6) / 6)],
        tau=0.01, memory=memory, dt=0.001, gain=fw.tanh,
    )  # fmt: skip


def test_off_a_gpu_the_step_is_the_plain_one():
    net = network()
    stepper, now = net.stepper(), unpack(net, net.initial_state(2))
    assert recorded(stepper, now, torch.zeros(2, 6)) == stepper.step


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_recorded_step_gives_the_same_numbers():
    net, drive = network(), torch.randn(3, 40, 6)
    truth = fw.simulate(net, drive, record=["rate", "u", "memory"])
    ours = fw.simulate(net, drive, record=["rate", "u", "memory"], device="cuda")
    for name in ("rate", "u", "memory"):
        torch.testing.assert_close(
            torch.tensor(ours[name].values), torch.tensor(truth[name].values), rtol=1e-4, atol=1e-5
        )
