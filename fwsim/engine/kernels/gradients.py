"""What is left of the gradients of a sequence once a compiled kernel has gone back through it."""

from __future__ import annotations

from torch import Tensor


def of_weights(d_drive: Tensor, states: Tensor, hidden: Tensor) -> Tensor:
    """Σ dz hᵀ with the state before each step, as one product of what lies in memory already.

    Shifting the flat states by one step pairs each element's first step with the element before; that is put right.
    """
    units = states.shape[2]
    dz, h = d_drive.view(-1, units), states.view(-1, units)
    before = hidden.clone()
    before[1:] -= states[:-1, -1]
    return (dz[1:].T @ h[:-1]).addmm_(d_drive[:, 0].T, before)


def zeros_for_table(table: Tensor, batch: int) -> Tensor:
    """Zeros for the gradient of a table in each batch element, empty if it is not wanted."""
    return table.new_zeros(batch, *table.shape[1:]) if batch else table.new_empty(1, 0, *table.shape[2:])


def of_table(gradient: Tensor, table: Tensor) -> Tensor:
    """Sum over the batch where one table serves all."""
    return gradient.sum(0, keepdim=True) if table.shape[0] == 1 else gradient
