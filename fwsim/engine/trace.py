"""The memory as a run carries it: a matrix, and the states written since.

A(t) = Σ_k [λ_k^n M_k + Σ_{i=1..n} η_k λ_k^{n−i} h_i h_iᵀ]

The three forms of a memory differ only in when the written states are merged into the
matrix M: after every write (dense), never (attention), or in chunks (hybrid).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fwsim.engine.precision import own_precision
from fwsim.engine.products import matmul
from fwsim.engine.wiring import Read
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.memory_rule import MemoryRule, over_memory


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
    sources
        Number of presynaptic channels where these are not the units themselves. Such a memory is written with `stored`
        and has no history.
    """

    rule: MemoryRule
    dt: float
    matrix: Tensor | None
    history: Tensor
    self_connections: bool = True
    sources: int | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the memory as a matrix, `[batch, timescale, post, pre]`."""
        batch, _, units = self.history.shape
        return batch, self.rule.timescales, units, units if self.sources is None else self.sources

    def written(self, state: Tensor) -> Trace:
        """Append `state [batch, unit]` to the history."""
        return replace(self, history=torch.cat([self.history, state[:, None]], dim=1))

    def extended(self, states: Tensor) -> Trace:
        """Append several states `[batch, time, unit]` to the history."""
        if self.history.shape[1] == 0:  # no copy
            return Trace(self.rule, self.dt, self.matrix, states, self.self_connections, self.sources)
        return replace(self, history=torch.cat([self.history, states], dim=1))

    def stored(self, pre: Tensor, post: Tensor, **gates: Tensor) -> Trace:
        """Write one pair `[batch, pre]` and `[batch, post]` into the matrix at once, with the gates of its step."""
        trace = self.merged()
        matrix = self.history.new_zeros(self.shape) if trace.matrix is None else trace.matrix
        return replace(trace, matrix=self._written(matrix, pre, post, **gates))

    def merged(self) -> Trace:
        """Merge the history into the matrix."""
        if self.history.shape[1] == 0:
            return self
        return replace(self, matrix=self.memory(), history=self.history[:, :0])

    def memory(self) -> Tensor:
        """Compute the memory as a matrix `[batch, timescale, post, pre]`."""
        matrix = self.matrix
        if isinstance(self.rule, Hebbian) and self.rule.dense_only is None and self.sources is None:
            return self._mask(self._summed(matrix))
        matrix = self.history.new_zeros(self.shape) if matrix is None else matrix
        for state in self.history.unbind(1):
            matrix = self._written(matrix, state, state)
        return matrix

    def _written(self, matrix: Tensor, pre: Tensor, post: Tensor, **gates: Tensor) -> Tensor:
        """A matrix after one write."""
        with own_precision(matrix.device):
            return self._mask(self.rule.write(matrix, pre, post, self.dt, **gates))

    def reader(self, static: Tensor | None = None) -> Read:
        """Return the function that maps a state `[batch, pre]` to the memory's answer, for one inner loop.

        `static [unit, pre]` are weights that a multiplicative memory scales.
        """
        past = self.history.shape[1]
        rule, history = self.rule, self.history
        if past == 0 and self.matrix is None:
            return lambda state: state.new_zeros(len(state), history.shape[2])
        if rule.dense_only or self.sources is not None or static is not None:
            memory = self.memory()
            scaled = memory if static is None else static * memory
            return lambda state: rule.read(scaled, state)

        total = self._carried_sum()
        keys, values, weight = self._weighted()
        own = None if self.self_connections else (weight[..., None] * (keys * values)).sum(1)

        def read(state: Tensor) -> Tensor:
            attention = weight * torch.einsum("bpi,bi->bp", keys, state)
            answer = torch.einsum("bp,bpi->bi", attention, values)
            answer = answer if own is None else answer - own * state
            return answer if total is None else answer + torch.einsum("bij,bj->bi", total, state)

        return read

    def _weighted(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the history is compared with and answers, `[batch, past, unit]`, and the weight κ(age) `[…, past]`.

        κ by post belongs to what it answers, κ by pre to what it is compared with.
        """
        assert isinstance(self.rule, Hebbian)
        history = self.history
        kernel = self.rule.kernel(self._lag(), self.dt).to(history.dtype)
        if self.rule.axes is None:
            return history, history, kernel
        scaled = history * kernel.flatten(-3, -2).mT  # [post, pre, past], of which post or pre has size 1
        by_pre = self.rule.sizes[1] > 1
        keys, values = (scaled, history) if by_pre else (history, scaled)
        return keys, values, history.new_ones(history.shape[1])

    def _lag(self) -> Tensor:
        """Writes since each state of the history, `[past]`."""
        return torch.arange(self.history.shape[1] - 1, -1, -1, device=self.history.device)

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
        return (self._left() * self.matrix).sum(1)

    def _left(self) -> Tensor:
        """λ_k^n: what the writes in the history left of the matrix, to be multiplied with it."""
        assert isinstance(self.rule, Hebbian)
        past = self.history.shape[1]
        return over_memory((self.rule.decay(self.dt) ** past).to(self.history.dtype))

    def _summed(self, matrix: Tensor | None) -> Tensor:
        assert isinstance(self.rule, Hebbian)
        decay, strength = self.rule.decay(self.dt), self.rule.strength(self.dt)
        weight = (strength[..., None] * decay[..., None] ** self._lag()).to(self.history.dtype)
        states = self.history[:, None].expand(-1, decay.shape[-1], -1, -1)
        post = pre = states
        if self.rule.axes is None:
            post = weight[..., None] * states
        else:  # [post, pre, timescale, past], of which post or pre has size 1, to [timescale, past, unit]
            scaled = weight.flatten(-4, -3).movedim(-3, -1) * states
            post, pre = (states, scaled) if self.rule.sizes[1] > 1 else (scaled, states)
        outer = matmul(post.mT, pre)
        return outer if matrix is None else self._left() * matrix + outer

    def masked(self) -> Trace:
        """Take the diagonal out of the matrix, unless units connect to themselves."""
        return self if self.matrix is None else replace(self, matrix=self._mask(self.matrix))

    def _mask(self, memory: Tensor) -> Tensor:
        if self.self_connections:
            return memory
        return memory - torch.diag_embed(memory.diagonal(dim1=-2, dim2=-1))
