"""Matrix products of which the number of threads changes no bit.

BLAS splits its sums, and chooses its code, by the number of threads. On one thread it gives the same bits always.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fwsim.engine.precision import own_precision
from fwsim.engine.threads import using_threads
from fwsim.engine.transforms import transformed


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """Return `left @ right` of shapes with the same leading axes; on a CPU, products and gradients take one thread.

    Inside `torch.func` and forward mode it is torch's own product.
    """
    with own_precision(left.device):
        if left.device.type != "cpu" or transformed():
            return left @ right
        return _Product.apply(left, right)


class _Product(torch.autograd.Function):
    """A product whose gradients, of any order, are products of this kind."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        """Multiply."""
        ctx.save_for_backward(left, right)
        with using_threads(1):
            return left @ right

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Multiply by the transposed."""
        left, right = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        d_left = matmul(gradient, right.mT) if wanted[0] else None
        d_right = matmul(left.mT, gradient) if wanted[1] else None
        return d_left, d_right
