"""What the slow weights do outside of the kernels that run one batch element after the other: C x + b, and gradients.

No product here is left to BLAS, whose last bits depend on the number of threads (see `numba_matrices`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fwsim.engine.kernels.numba_matrices import outer_products, product
from fwsim.engine.transforms import once_differentiable


def of_weights(d_drive: Tensor, states: Tensor, hidden: Tensor) -> Tensor:
    """See `gradients.of_weights`, whose numbers these are."""
    units = states.shape[2]
    before = hidden.detach().clone(memory_format=torch.contiguous_format)
    before[1:] -= states[:-1, -1]
    dz, h = d_drive.view(-1, units), states.view(-1, units)
    return outer_products(dz[1:], h[:-1], d_drive[:, 0].contiguous(), before)


def project(x: Tensor, C: Tensor, b: Tensor) -> Tensor:
    """Return C x + b, `[batch, time, unit]`; see `Drive`. Gradients can be taken once, not twice."""
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
