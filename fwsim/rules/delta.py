"""The delta rule: it corrects the answer of the memory, instead of adding to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fwsim.errors import ConfigError
from fwsim.rules.memory_rule import (
    MemoryRule,
    by_step,
    decay,
    gated,
    given_axes,
    over_memory,
    parameter,
)
from fwsim.rules.open_loop import Writes

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Delta(MemoryRule):
    """Memory A_k ← λ_k A_k + β_k(v − λ_k A_k k)kᵀ with the pre-state scaled to unit norm, k = pre/‖pre‖, v = post.

    With β = 1 the memory answers v to k from then on, whatever it stored before; with β = 0 nothing is written. Several
    time scales are corrected separately, and their sum is read. A pre-state of norm 0 writes
    nothing; in single precision on the native kernel neither does one of norm below about 1e-19.

    With gates α and β of each step it is the gated delta rule, A ← α A (I − β k kᵀ) + β v kᵀ.

    Source: Schlag, Irie & Schmidhuber 2021 (arXiv 2102.11174), eqs. 21–24; λ = 1 there. Gates: Yang, Kautz &
    Hatamizadeh 2025 (arXiv 2412.06464).

    Parameters
    ----------
    beta
        Fraction of the error that one write corrects, in [0, 2), where the rule is stable: a scalar,
        `[timescale]` or `[batch, timescale]`, or with `axes`.
    tau
        Time constants of forgetting in s, same shapes; with infinity nothing is forgotten.
    axes
        As in `Hebbian`.
    """

    beta: Any = 1.0
    tau: Any = float("inf")
    axes: Any = None

    def __post_init__(self) -> None:
        named, kept = given_axes(self.axes)
        beta = parameter("beta", self.beta, at_least=0.0, axes=named)
        tau = parameter("tau", self.tau, "time", at_least=0.0, infinite=True, axes=named)
        for name, value in (("beta", beta), ("tau", tau), ("axes", kept)):
            object.__setattr__(self, name, value)
        largest = self.beta.detach().max().item()
        if largest >= 2:
            raise ConfigError(f"beta={largest:g} is not allowed; the delta rule is stable in [0, 2)")
        self.shape  # noqa: B018  # raises where the shapes do not fit

    def decay(self, dt: float) -> Tensor:
        """Fraction of each time scale that remains after `dt` seconds, λ_k, of the rule's `shape`."""
        return decay(self.tau, dt).expand(self.shape)

    def strength(self, dt: float) -> Tensor:
        """Fraction of the error that one write corrects, β_k, of the rule's `shape`, whatever `dt` is."""
        return self.beta.expand(self.shape)

    def write(
        self,
        memory: Tensor,
        pre: Tensor,
        post: Tensor,
        dt: float,
        *,
        keep: Tensor | None = None,
        store: Tensor | None = None,
    ) -> Tensor:
        """Decay, then change each answer to `pre` towards `post`; see `MemoryRule.write`."""
        key, active = _normalised(pre)
        left, beta = (over_memory(value.to(memory.dtype)) for value in (self.decay(dt), self.strength(dt)))
        decayed = gated(left, keep) * memory
        error = post[:, None] - torch.einsum("bkij,bj->bki", decayed, key)
        error = torch.where(active[:, None], error, 0.0)
        return decayed + gated(beta, store) * error[..., None] * key[:, None, None, :]

    def all_writes(self, pre: Tensor, dt: float, keep: Tensor | None, store: Tensor | None) -> Writes | None:
        """The writes of a sequence, unless constants are by neuron or synapse."""
        if self.axes or not self.has_equations_of(Delta):
            return None
        key, active = _normalised(pre)
        left, beta = by_step(self.decay(dt), keep, pre), by_step(self.strength(dt), store, pre)
        return Writes(key, left, beta * active.mT, corrects=True)


def _normalised(pre: Tensor) -> tuple[Tensor, Tensor]:
    """The pre-state `[…, pre]` scaled to unit norm, and whether its norm is above 0, `[…, 1]`."""
    norm = pre.norm(dim=-1, keepdim=True)
    return pre / torch.where(norm > 0, norm, 1.0), norm > 0
