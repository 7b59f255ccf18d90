"""Whether the GPU kernels give the reference's numbers on the device at hand.

So far they have run in Triton's interpreter only, which shows neither races nor faults of the compiler. Until they have
been tested on a device, their first use there compares small problems with the reference, gradients included.
"""

from __future__ import annotations

import warnings
from functools import cache

import torch
from torch import Tensor

from fwsim.engine.cell import Cell
from fwsim.engine.drive import Drive
from fwsim.engine.kernels import Kernel, load
from fwsim.engine.trace import Trace
from fwsim.rules.hebbian import Hebbian

PROBLEMS = ((7, None), (7, 1), (7, 4), (300, None), (300, 4))
"""Units and chunk: attention, dense and hybrid form, held on chip and streamed."""

TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Largest norm of a difference, relative to that of the reference."""

BATCH, TIME, INPUTS = 2, 6, 3
RATES = ((2.0, 9.0), (0.3, 0.1))
"""Time constants in steps and strengths of the memory."""


def obstacle(device: str, dtype: torch.dtype) -> str | None:
    """Say what differs from the reference on a CUDA device, if there is one and something does.

    The first call for a type takes some seconds. It warns once if something differs.
    """
    if device != "cuda" or not torch.cuda.is_available():
        return None
    return _on_this_device(dtype)


@cache
def _on_this_device(dtype: torch.dtype) -> str | None:
    found = difference("cuda", dtype)
    if found:
        warnings.warn(
            f"fwsim's GPU kernels are not used with {dtype} on this {torch.cuda.get_device_name()}: {found}. Plain "
            "torch runs instead, more slowly. Please report this.",
            RuntimeWarning,
            stacklevel=2,
        )
    return found and f"correctly on this device ({found})"


def difference(device: str, dtype: torch.dtype) -> str | None:
    """Name the first result of the GPU kernels that differs from the reference's, and by how much; `None` if none does.

    Parameters
    ----------
    device
        `"cuda"`, or `"cpu"` under Triton's interpreter.
    dtype
        Type of the numbers; the reference computes with the same numbers in float64.
    """
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
        for units, chunk in PROBLEMS:
            given = _given(units, dtype)
            truth = _outcome(load("reference"), given, torch.float64, "cpu", chunk)
            try:
                ours = _outcome(load("triton"), given, dtype, device, chunk)
            except Exception as error:  # of the compiler, or of the driver
                return f"a small problem ends with {type(error).__name__}"
            for name, wanted in truth.items():
                apart = float((ours[name].cpu().double() - wanted).norm() / (wanted.norm() + 1e-2))
                if not apart <= TOLERANCE[dtype]:  # NaN too
                    return f"{name} of a small problem is {apart:.1e} from the reference"
    return None


def _given(units: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Random inputs and parameters, rounded to a type."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int, size: float = 1.0) -> Tensor:
        return (size * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)

    return {
        "x": normal(BATCH, TIME, INPUTS),
        "C": normal(units, INPUTS),
        "b": normal(units, size=0.3),
        "W": normal(units, units, size=0.5 / units**0.5),
        "gain": 1 + normal(units, size=0.3),
        "bias": normal(units, size=0.3),
        "hidden": normal(BATCH, units),
        "matrix": normal(BATCH, len(RATES[0]), units, units, size=0.3 / units),
    }


def _outcome(
    kernel: Kernel, given: dict[str, Tensor], dtype: torch.dtype, device: str, chunk: int | None
) -> dict[str, Tensor]:
    """States, memory and gradients of a kernel, by name."""
    leaf = {name: value.to(device, dtype).detach().requires_grad_() for name, value in given.items()}
    cell = Cell(leaf["W"], leaf["gain"], leaf["bias"], 2, "relu", "inner", "final")
    tau, eta = (torch.tensor(rates, dtype=torch.float64, device=device) for rates in RATES)
    rule = Hebbian(tau=tau, eta=eta)
    trace = Trace(rule, 1.0, leaf["matrix"], leaf["hidden"][:, None][:, :0], True)
    drive = Drive(leaf["x"], leaf["C"], leaf["b"])
    run = kernel.run(cell, drive, leaf["hidden"], trace, chunk=chunk, inner=False)
    assert run.trace is not None
    results = {"hidden states": run.hidden, "memory": run.trace.memory()}
    loss = torch.stack([(result.double() * _weights(result)).sum() for result in results.values()]).sum()
    gradients = torch.autograd.grad(loss, list(leaf.values()))
    results |= {f"the gradient of {name}": one for name, one in zip(leaf, gradients)}
    return {name: result.detach() for name, result in results.items()}


def _weights(like: Tensor) -> Tensor:
    """Weights of a loss, different for every number of a result, and the same on every device."""
    return torch.linspace(-1, 1, like.numel(), dtype=torch.float64).reshape(like.shape).to(like.device)
