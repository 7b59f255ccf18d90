"""The number of threads changes no bit of what compiled kernels compute, gradients included, on any processor."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
import torch

import fwsim as fw
from fwsim.engine.native import run as native
from fwsim.engine.products import matmul
from fwsim.engine.recursive import RecursiveNetwork
from fwsim.engine.threads import using_threads
from tests.engine.comparison import network

THREADS = (1, 2, 3, 8)
SHAPES = [(21, 9, 20), (128, 33, 50), (5, 120, 130), (1, 700, 64)]
PRECISIONS = [torch.float32, torch.float64]
FORMS = ["attention, batch", "attention", "hybrid", "dense", "none"]


def grid():
    """All shapes, forms, precisions and numbers of inputs; the quick tests have every pair of these, the slow all."""
    for (i, shape), (j, form) in itertools.product(enumerate(SHAPES), enumerate(FORMS)):
        for k, n in itertools.product(range(2), range(2)):
            quick = (k, n) == ((i + j) % 2, (i // 2 + j) % 2)
            yield pytest.param(
                *shape, form, PRECISIONS[k], (3, 20)[n], marks=() if quick else pytest.mark.slow
            )


def assert_same_bits(compute):
    """`compute()` gives a dictionary of tensors; hold it against itself on other numbers of threads."""
    results = []
    for number in THREADS:
        with using_threads(number):
            results.append(compute())
    for number, result in zip(THREADS[1:], results[1:], strict=True):
        for name, first in results[0].items():
            assert torch.equal(result[name], first), f"{name} on {number} threads is not as on one"


def outcome(net, x, state=None):
    """Hidden states, the memory, and the gradients of both by the inputs and by all parameters."""
    hidden, state = net(x, state)
    memory = state.memory
    leaves = {"x": x} | dict(net.named_parameters())
    loss = (hidden * torch.linspace(-1, 1, hidden.numel(), dtype=hidden.dtype).view_as(hidden)).sum()
    if memory is not None:
        weight = torch.linspace(-1, 1, memory.numel(), dtype=memory.dtype).view_as(memory)
        loss = loss + (memory * weight).sum()
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {
        f"gradient of {name}": each for name, each in zip(leaves, found, strict=True) if each is not None
    }
    return {"hidden": hidden.detach()} | ({} if memory is None else {"memory": memory.detach()}) | gradients


@pytest.mark.parametrize(("batch", "time", "units", "form", "dtype", "inputs"), list(grid()))
def test_networks(batch, time, units, form, dtype, inputs, monkeypatch):
    monkeypatch.setattr(native, "in_batch_layout", lambda *sizes: form.endswith("batch"))
    torch.manual_seed(6)
    memory = {} if form == "none" else {"form": form.split(",")[0], "learn": ("tau", "eta")}
    net = network(units, 2 if memory else 0, 2, inputs=inputs, kernel="native", dtype=dtype, **memory)
    x = torch.randn(batch, time, inputs, dtype=dtype, requires_grad=True)
    assert_same_bits(lambda: outcome(net, x))


@pytest.mark.parametrize("form", ["auto", "hybrid"])
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_a_run_that_goes_on_from_a_memory(dtype, form):
    torch.manual_seed(7)
    net = network(64, 2, 1, inputs=20, form=form, kernel="native", dtype=dtype)
    x = torch.randn(1, 300, 20, dtype=dtype, requires_grad=True)
    assert_same_bits(lambda: outcome(net, x, net(x)[1]))


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("batch", "units"), [(3, 7), (128, 50), (16, 130)])
def test_networks_with_a_schedule(batch, units, dtype):
    torch.manual_seed(9)
    stored, cleared, sets = [True, True, False] * 3, [False, True, False] * 3, [0, 0, 1] * 3
    net = RecursiveNetwork(33, units, fw.Hebbian(tau=20.0, eta=0.5), stored, cleared, sets, inner_steps=2)
    net, x = net.to(dtype), torch.randn(batch, 9, 33, dtype=dtype, requires_grad=True)

    def compute():
        hidden, _ = net(x)
        leaves = {"x": x} | dict(net.named_parameters())
        found = torch.autograd.grad(hidden.square().sum(), list(leaves.values()))
        return {"hidden": hidden.detach()} | dict(zip(leaves, found, strict=True))

    assert_same_bits(compute)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("batch", "units"), [(1, 130), (37, 50)])
@pytest.mark.parametrize("plastic", [False, True])
def test_simulated_rate_networks(batch, units, plastic, dtype):
    torch.manual_seed(10)
    synapse = fw.TsodyksMarkram(U=0.2, tau_rec=0.2, tau_facil=1.5)
    memory = fw.Hebbian(tau=[0.5, 2.0], eta_rate=[0.1, 0.1]) if plastic else None
    weights = torch.randn(2, units, units, dtype=dtype) / units**0.5
    projections = [fw.Projection(weights[0], synapse=synapse), fw.Projection(weights[1])]
    net = fw.RateNetwork(
        projections, tau=0.008, gain=fw.tanh, memory=memory, dt=1e-3, noise=0.1, kernel="native"
    )
    drive = torch.randn(batch, 40, units, dtype=dtype)

    def compute():
        run = fw.simulate(net, drive, record=["rate", "release"], progress=False)
        return {name: torch.as_tensor(each.values) for name, each in run.data_vars.items()}

    assert_same_bits(compute)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_recordings_of_the_inner_loop_and_of_attention(dtype):
    torch.manual_seed(11)
    net = network(64, 2, 2, inputs=20, kernel="native", dtype=dtype)
    x = torch.randn(1, 400, 20, dtype=dtype)

    def compute():
        run = fw.simulate(net, x, record=["hidden", "inner", "attention"], progress=False)
        return {name: torch.as_tensor(run[name].values) for name in ("hidden", "inner", "attention")}

    assert_same_bits(compute)


def test_products_are_torchs_to_rounding_and_so_are_their_gradients_of_both_orders():
    torch.manual_seed(12)
    left, right = (torch.randn(2, 3, size, 5, dtype=torch.float64) for size in (4, 6))
    leaves = (left.requires_grad_(), right.mT.contiguous().detach().requires_grad_())
    torch.testing.assert_close(matmul(*leaves), leaves[0] @ leaves[1])
    assert torch.autograd.gradcheck(matmul, leaves)
    assert torch.autograd.gradgradcheck(matmul, leaves)


def test_a_thread_that_asks_for_a_product_keeps_its_number_of_threads():
    with using_threads(2):
        matmul(torch.ones(3, 3), torch.ones(3, 3))
        assert torch.get_num_threads() == 2


def test_on_a_processor_with_shorter_vectors():
    """Torch's own code for such processors; fwsim's kernels are those of this machine."""
    code = (
        "import torch; from tests.engine.test_threads import assert_same_bits, network, outcome\n"
        "for dtype in (torch.float32, torch.float64):\n"
        "    torch.manual_seed(6)\n"
        "    net = network(50, 2, 2, inputs=20, dtype=dtype, learn=('tau', 'eta'))\n"
        "    x = torch.randn(128, 33, 20, dtype=dtype, requires_grad=True)\n"
        "    assert_same_bits(lambda: outcome(net, x))\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    environment = os.environ | {"ATEN_CPU_CAPABILITY": "avx2", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr
