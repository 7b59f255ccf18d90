"""The memory as a run carries it: a matrix, and the states written since.

A(t) = Σ_k [λ_k^n M_k + Σ_{i=1..n} η_k λ_k^{n−i} h_i h_iᵀ]

The three forms of a memory differ only in when the written states are merged into the
matrix M: after every write (dense), never (attention), or in chunks (hybrid).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fwsim.engine.cell import Read
from fwsim.engine.products import matmul
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.memory_rule import MemoryRule


@dataclass(frozen=True, eq=False)
class Trace:
    """A memory matrix and the states written into it since.

    Parameters
    ----------
    rule
        Its parameters on the device of the tensors.
    dt
        Seconds between two writes.
    matrix
        `[batch, timescale, post, pre]` as it was before the `history`; `None` for zero.
    history
        `[batch, past, unit]`, the states written since, oldest first.
    self_connections
        Whether a unit's connection to itself is stored.
    """

    rule: MemoryRule
    dt: float
    matrix: Tensor | None
    history: Tensor
    self_connections: bool = True

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the memory as a matrix, `[batch, timescale, post, pre]`."""
        batch, _, units = self.history.shape
        return batch, self.rule.timescales, units, units

    def written(self, state: Tensor) -> Trace:
        """Append `state [batch, unit]` to the history."""
        return replace(self, history=torch.cat([self.history, state[:, None]], dim=1))

    def extended(self, states: Tensor) -> Trace:
        """Append several states `[batch, time, unit]` to the history."""
        if self.history.shape[1] == 0:  # no copy
            return Trace(self.rule, self.dt, self.matrix, states, self.self_connections)
        return replace(self, history=torch.cat([self.history, states], dim=1))

    def merged(self) -> Trace:
        """Merge the history into the matrix."""
        if self.history.shape[1] == 0:
            return self
        return replace(self, matrix=self.memory(), history=self.history[:, :0])

    def memory(self) -> Tensor:
        """Compute the memory as a matrix `[batch, timescale, post, pre]`."""
        matrix = self.matrix
        if isinstance(self.rule, Hebbian):
            return self._mask(self._summed(matrix))
        batch, _, unit = self.history.shape
        matrix = self.history.new_zeros(batch, self.rule.timescales, unit, unit) if matrix is None else matrix
        for state in self.history.unbind(1):
            matrix = self._mask(self.rule.write(matrix, state, state, self.dt))
        return matrix

    def reader(self) -> Read:
        """Return the function that maps a state `[batch, unit]` to the memory's answer, for one inner loop."""
        past = self.history.shape[1]
        rule, history = self.rule, self.history
        if past == 0 and self.matrix is None:
            return torch.zeros_like
        if not isinstance(rule, Hebbian):
            memory = self.memory()
            return lambda state: rule.read(memory, state)

        total = self._carried_sum()
        weight = self.weights(history.dtype)
        own = None if self.self_connections else (weight[..., None] * history.square()).sum(1)

        def read(state: Tensor) -> Tensor:
            attention = weight * torch.einsum("bpi,bi->bp", history, state)
            answer = torch.einsum("bp,bpi->bi", attention, history)
            answer = answer if own is None else answer - own * state
            return answer if total is None else answer + torch.einsum("bij,bj->bi", total, state)

        return read

    def weights(self, dtype: torch.dtype) -> Tensor:
        """κ(age) of the states in the history when they are read now, `[past]` or `[batch, past]`."""
        assert isinstance(self.rule, Hebbian)
        past = self.history.shape[1]
        lag = torch.arange(past - 1, -1, -1, device=self.history.device)
        return self.rule.kernel(lag, self.dt).to(dtype)

    def detach(self) -> Trace:
        """Cut the gradient."""
        matrix = None if self.matrix is None else self.matrix.detach()
        rule, values = self.rule, self.rule.values()
        if any(value.requires_grad for value in values.values()):
            rule = rule.with_values(**{name: value.detach() for name, value in values.items()})
        return replace(self, rule=rule, matrix=matrix, history=self.history.detach())

    def _carried_sum(self) -> Tensor | None:
        """Σ_k λ_k^n M_k, `[batch, post, pre]`."""
        if self.matrix is None:
            return None
        left = self._left()
        return (left[..., None, None] * self.matrix).sum(1)

    def _left(self) -> Tensor:
        """λ_k^n: what the writes in the history left of the matrix."""
        assert isinstance(self.rule, Hebbian)
        past = self.history.shape[1]
        return (self.rule.decay(self.dt) ** past).to(self.history.dtype)

    def _summed(self, matrix: Tensor | None) -> Tensor:
        assert isinstance(self.rule, Hebbian)
        past = self.history.shape[1]
        lag = torch.arange(past - 1, -1, -1, device=self.history.device)
        decay, strength = self.rule.decay(self.dt), self.rule.strength(self.dt)
        weight = (strength[..., None] * decay[..., None] ** lag).to(self.history.dtype)
        states = self.history[:, None].expand(-1, decay.shape[-1], -1, -1)
        outer = matmul((weight[..., None] * states).mT, states)
        return outer if matrix is None else self._left()[..., None, None] * matrix + outer

    def masked(self) -> Trace:
        """Take the diagonal out of the matrix, unless units connect to themselves."""
        return self if self.matrix is None else replace(self, matrix=self._mask(self.matrix))

    def _mask(self, memory: Tensor) -> Tensor:
        if self.self_connections:
            return memory
        return memory - torch.diag_embed(memory.diagonal(dim1=-2, dim2=-1))
