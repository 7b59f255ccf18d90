"""Writes and reads of a whole sequence that does not depend on what is read, as products of matrices.

With errors e_i the memory after t writes is A(t) = Λ(t, 0) A(0) + Σ_{i ≤ t} Λ(t, i) e_i k_iᵀ, where Λ(t, i) is what the
decays and gates of the steps after i leave. For a Hebbian memory the errors are η v. For a delta rule they solve a
triangular system, (I + L) e = β (v − Λ(t, 0) A(0) k) with L(t, i) = β_t Λ(t, i) k_t·k_i for i < t, which is the WY
representation of a product of Householder matrices.

Sources: Yang, Wang, Zhang, Shen & Kim 2024 (arXiv 2406.06484), section 3; with gates Yang, Kautz & Hatamizadeh 2025
(arXiv 2412.06464), section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.linalg import solve_triangular

DTYPES = (torch.float32, torch.float64)
CHUNK = 32  # writes that are computed together


class Writes(NamedTuple):
    """Writes of a sequence.

    Parameters
    ----------
    key
        What the values are stored with, `[batch, time, pre]`.
    left, strength
        What each write leaves of the memory, and how strong it is, `[1 or batch, timescale, time]`.
    corrects
        Whether a write is the error of the answer to its key, as in the delta rule, instead of the value.
    """

    key: Tensor
    left: Tensor
    strength: Tensor
    corrects: bool

    def at(self, steps: slice) -> Writes:
        """Those of some steps."""
        return Writes(self.key[:, steps], self.left[..., steps], self.strength[..., steps], self.corrects)


def scan(memory: Tensor, value: Tensor, query: Tensor, writes: Writes) -> tuple[Tensor, Tensor]:
    """Write pairs one after the other, and read after each.

    Parameters
    ----------
    memory
        `[batch, timescale, post, pre]` before the first write.
    value, query
        `[batch, time, post]` and `[batch, time, pre]`.
    writes
        All the rest.

    Returns
    -------
    Tensor, Tensor
        Answers `[batch, time, post]`, and the memory after the last write. A number that is not finite reaches all
        steps of its chunk.
    """
    answers = []
    for start in range(0, value.shape[1], CHUNK):
        steps = slice(start, start + CHUNK)
        answer, memory = _chunk(memory, value[:, steps], query[:, steps], writes.at(steps))
        answers.append(answer)
    return torch.cat(answers, 1) if answers else value, memory


def _chunk(memory: Tensor, value: Tensor, query: Tensor, writes: Writes) -> tuple[Tensor, Tensor]:
    """Answers, and the memory afterwards, of all writes at once; see `scan`."""
    key, value, query, strength = (
        writes.key[:, None],
        value[:, None],
        query[:, None],
        writes.strength[..., None],
    )
    remaining = what_remains(writes.left)
    carried, between = remaining[..., 1:, :1], remaining[..., 1:, 1:]
    if writes.corrects:
        overlaps = strength * between * (key @ key.mT)
        value = value - carried * (key @ memory.mT)
        error = solve_triangular(overlaps, strength * value, upper=False, unitriangular=True)
    else:
        error = strength * value
    answer = carried * (query @ memory.mT) + (between * (query @ key.mT)) @ error
    after = carried[..., -1:, :] * memory + (between[..., -1, :, None] * error).mT @ key
    return answer.sum(1), after


def what_remains(left: Tensor) -> Tensor:
    """Λ(t, i): what is left after t steps of what was there after i, from those of single steps `[…, time]`.

    Returns
    -------
    Tensor
        `[…, time + 1, time + 1]`, zero above the diagonal: the inverse of the matrix with ones on the diagonal and
        −left below it. Solving for it only multiplies, so factors of 0 and their gradients are exact.
    """
    one = torch.eye(left.shape[-1] + 1, dtype=left.dtype, device=left.device)
    return solve_triangular(one - torch.diag_embed(left, -1), one, upper=False, unitriangular=True)
