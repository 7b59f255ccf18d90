"""A kernel against the reference: hidden states, inner states, memory, and all gradients."""

from __future__ import annotations

from contextlib import contextmanager

import torch

import fwsim as fw
from fwsim.engine.cell import EPSILON
from fwsim.engine.drive import Drive
from fwsim.engine.kernels import reference
from fwsim.engine.trace import Trace

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


def network(units, timescales, inner_steps, *, inputs=3, batch=None, dtype=torch.float64, **options):
    """A network with random weights, and a Hebbian memory with random time scales (per batch element if given)."""
    memory = None
    if timescales:
        shape = (timescales,) if batch is None else (batch, timescales)
        tau = 1 + 5 * torch.rand(shape, dtype=torch.float64)
        memory = fw.Hebbian(tau=tau, eta=0.05 + 0.3 * torch.rand(shape, dtype=torch.float64))
    net = fw.FastWeightNetwork(inputs, units, memory, inner_steps, **options).to(dtype)
    with torch.no_grad():
        net.W += 0.3 * torch.randn_like(net.W) / units**0.5
        for parameter in (net.b, net.gain, net.bias):
            parameter += 0.3 * torch.randn_like(parameter)
    return net


@contextmanager
def memory_full_of_nan():
    """Every new tensor that is not told its numbers is filled with NaN."""
    before = torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = before


def outcome(kernel, net, x, hidden, matrix, past, chunk, leaves, inner=True):
    """Outputs, final memory and gradients of a kernel, each under its name, for fixed random weights of the loss."""
    rule = net.memory
    trace = (
        None
        if rule is None
        else Trace(rule, net.dt, matrix, past, net.self_connections, net._sources()).masked()
    )
    run = kernel.run(net.cell(), Drive(x, net.C, net.b), hidden, trace, chunk=chunk, inner=inner)
    outputs = {"hidden states": run.hidden}
    if inner:
        outputs["inner states"] = run.inner
    if run.trace is not None:
        outputs["memory"] = run.trace.memory()
    generator = torch.Generator().manual_seed(0)
    loss = sum(
        (torch.randn(o.shape, generator=generator, dtype=o.dtype).to(o.device) * o).sum()
        for o in outputs.values()
    )
    found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = {
        f"gradient of {name}": torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), found, strict=True)
    }
    return outputs, gradients


def assert_same(ours, truth, dtype, floor=1e-2):
    """Compare tensors by name; the message names all that differ, and by how much."""
    tolerance, errors = TOLERANCE[dtype], {}
    for name, wanted in truth.items():
        assert ours[name].shape == wanted.shape, name
        error = float(((ours[name] - wanted).norm() / (wanted.norm() + floor)).detach())
        if not error <= tolerance:
            errors[name] = error
    assert not errors, ", ".join(f"{name} differs by {error:.1e}" for name, error in errors.items())


def assert_like_reference(
    kernel,
    net,
    *,
    batch,
    time,
    chunk,
    start="zero",
    past=0,
    dtype=torch.float64,
    device="cpu",
    inner=True,
):
    """Hold a kernel's numbers and gradients against the reference's, from random inputs and states."""
    net = net.to(device)

    def random(*shape):
        return torch.randn(*shape, dtype=dtype).to(device)

    x = random(time, batch, net.inputs).transpose(0, 1).requires_grad_()  # not contiguous
    hidden, written = (
        random(batch, net.units).requires_grad_(),
        random(batch, past, net.units).requires_grad_(),
    )
    leaves = {"x": x, "hidden": hidden, "written": written} | dict(net.named_parameters())
    matrix = None
    if start != "zero" and net.memory is not None:
        pre = net.wiring.width(net.inputs, net.units)
        matrix = random(batch, net.memory.timescales, net.units, pre) / net.units
        matrix = matrix + matrix.mT if start == "symmetric" else matrix
        leaves["matrix"] = matrix.requires_grad_()
    truth = outcome(reference, net, x, hidden, matrix, written, chunk, leaves, inner)
    ours = outcome(kernel, net, x, hidden, matrix, written, chunk, leaves, inner)
    assert_same(ours[0], truth[0], dtype)
    # No gradient passes the normalisation of a single unit: what is left is rounding, divided by √ε.
    nothing_passes = net.units == 1 and net.normalise != "none"
    assert_same(ours[1], truth[1], dtype, floor=1e-2 / EPSILON**0.5 if nothing_passes else 1e-2)
