"""What the slow weights do outside of the kernels that run one entry after the other: C x + b, and their gradients.

MKL, which torch is built with, keeps its fastest code for Intel's processors. There it has the products; elsewhere
those of `numba_matrices` are faster.
"""

from __future__ import annotations

from typing import Any

import torch
from llvmlite import binding as llvm
from torch import Tensor
from torch.nn.functional import linear

from fwsim.engine.kernels import gradients
from fwsim.engine.kernels.numba_matrices import outer_products, product
from fwsim.engine.transforms import once_differentiable

# Multiplications, and inputs, from which on products of our own are faster than a slow BLAS.
LEAST = 2**21, 16
AMD = ("znver", "bdver", "btver", "amdfam")  # what LLVM calls their processors
FAST_BLAS = torch.backends.mkl.is_available() and not llvm.get_host_cpu_name().startswith(AMD)


def of_weights(d_drive: Tensor, states: Tensor, hidden: Tensor) -> Tensor:
    """See `gradients.of_weights`, whose numbers these are."""
    if FAST_BLAS:
        return gradients.of_weights(d_drive, states, hidden.detach())
    units = states.shape[2]
    before = hidden.detach().clone(memory_format=torch.contiguous_format)
    before[1:] -= states[:-1, -1]
    dz, h = d_drive.view(-1, units), states.view(-1, units)
    return outer_products(dz[1:], h[:-1], d_drive[:, 0].contiguous(), before)


def project(x: Tensor, C: Tensor, b: Tensor) -> Tensor:
    """Return C x + b, `[batch, time, unit]`; see `Drive`. Gradients can be taken once, not twice."""
    multiplications, inputs = LEAST
    if FAST_BLAS or x.numel() * C.shape[0] < multiplications or C.shape[1] < inputs:
        return linear(x, C, b)
    if torch.is_grad_enabled() and any(each.requires_grad for each in (x, C, b)):
        return Projection.apply(x, C, b)
    return _project(x, C, b)


def _project(x: Tensor, C: Tensor, b: Tensor) -> Tensor:
    rows = x.detach().reshape(-1, x.shape[-1]).contiguous()
    return product(rows, C.detach().T.contiguous(), b.detach().contiguous()).view(*x.shape[:-1], len(C))


class Projection(torch.autograd.Function):
    """`project` with gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, C: Tensor, b: Tensor) -> Tensor:
        """Multiply and add."""
        ctx.save_for_backward(x, C)
        return _project(x, C, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_drive: Tensor) -> tuple:
        """Multiply by the transposed."""
        x, C = ctx.saved_tensors
        d_rows, rows = (each.reshape(-1, each.shape[-1]).contiguous() for each in (d_drive, x))
        wanted = ctx.needs_input_grad
        zeros = C.new_zeros(C.shape[1])
        d_x = product(d_rows, C.contiguous(), zeros).view_as(x) if wanted[0] else None
        d_C = outer_products(d_rows, rows, d_rows[:0], rows[:0]) if wanted[1] else None
        return d_x, d_C, d_rows.sum(0) if wanted[2] else None
