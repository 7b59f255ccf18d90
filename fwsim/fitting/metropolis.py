"""Moves of all cells at once, each accepted or refused by itself: Metropolis and Hastings, with three proposals.

Given the distributions of their groups, cells are independent, so that one evaluation of all likelihoods moves all
cells. The proposals take turns: a normal step with the cell's own covariance, adapted during warm-up (Haario et al.
2001, Bernoulli 7:223), whose length aims at an acceptance of a quarter; a step that leaves the group's distribution
unchanged, for what a cell leaves open (Cotter et al. 2013, Stat. Sci. 28:424); and, once adapted, an independent draw
around the cell's mean with heavy tails, for what a cell determines. Shapes are `[chain, cell, axis]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fwsim.fitting.hierarchy import normal, squared_distance

TARGET = 0.25  # acceptance of the steps whose length is adapted
REFRESH = 25  # moves between two factorisations of the adapted covariances
TAILS = 5.0  # degrees of freedom of independent draws
WIDER = 1.2  # factor of their covariance
RECENT = 3.0  # the last third of the past determines the proposals
TRUST = 200  # moves before the adapted covariance is used as it is


@dataclass(frozen=True, eq=False)
class Moves:
    """Where the cells are, and the adapted proposals.

    Parameters
    ----------
    z, value
        Coordinates `[chain, cell, axis]` and log-likelihoods `[chain, cell]`.
    mean, covariance, root
        Of the past of each cell, over chains: `[cell, axis]`, `[cell, axis, axis]`, and its Cholesky factor.
    length, share
        Logarithms of the length of normal steps, and of the renewed share of steps by the group, `[cell]`.
    count
        Number of moves.
    accepted
        Sum of acceptances of each proposal, `[3]`, and below it their number.
    """

    z: Tensor
    value: Tensor
    mean: Tensor
    covariance: Tensor
    root: Tensor
    length: Tensor
    share: Tensor
    count: Tensor
    accepted: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, eq=False)
class Around:
    """Normal distribution of each cell by its group: mean `[chain, cell, axis]`, Cholesky factor of the covariance."""

    mean: Tensor
    root: Tensor

    def log_density(self, z: Tensor) -> Tensor:
        """Up to a constant, `[chain, cell]`."""
        return -0.5 * squared_distance(z - self.mean, self.root)


def still(z: Tensor, value: Tensor, width: Tensor) -> Moves:
    """Begin at `z` with steps of a tenth of the `width` `[axis]` of the prior."""
    cells = z.shape[1]
    covariance = (0.1 * width).square().diag().repeat(cells, 1, 1)
    zero = torch.zeros(cells, dtype=torch.float64)
    return Moves(
        z,
        value,
        z.mean(0),
        covariance,
        torch.linalg.cholesky(covariance),
        zero.clone(),
        zero - 1.0,
        torch.zeros((), dtype=torch.long),
        torch.zeros(2, 3, dtype=torch.float64),
    )


def moved(
    now: Moves,
    around: Around,
    log_likelihood: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    adapt: bool,
) -> Moves:
    """Make one move; the proposals adapt only if `adapt`, since later they must stay as they are."""
    turn = int(now.count) % 3
    if turn == 2 and int(now.count) < TRUST:
        turn = 0
    proposed, log_ratio = (_step, _by_group, _independent)[turn](now, around, generator)
    value = log_likelihood(proposed)
    log_ratio = log_ratio + value - now.value
    chance = log_ratio.clamp(max=0.0).exp().nan_to_num(0.0)
    uniform = torch.rand(chance.shape, generator=generator, dtype=torch.float64)
    taken = uniform < chance
    z = torch.where(taken[..., None], proposed, now.z)
    tally = now.accepted.clone()
    tally[0, turn] += float(taken.double().mean())
    tally[1, turn] += 1
    after = replace(now, z=z, value=torch.where(taken, value, now.value), count=now.count + 1, accepted=tally)
    return _adapted(after, turn, chance.mean(0)) if adapt else after


def _step(now: Moves, around: Around, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    size = now.z.shape[-1]
    step = _times(now.root, normal(now.z.shape, generator)) * (2.4 / math.sqrt(size))
    proposed = now.z + now.length.exp()[:, None] * step
    return proposed, around.log_density(proposed) - around.log_density(now.z)


def _by_group(now: Moves, around: Around, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    share = torch.sigmoid(now.share)[:, None]
    fresh = _times(around.root, normal(now.z.shape, generator))
    proposed = around.mean + (1 - share**2).sqrt() * (now.z - around.mean) + share * fresh
    return proposed, torch.zeros(now.z.shape[:-1], dtype=torch.float64)


def _independent(now: Moves, around: Around, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    root = now.root * math.sqrt(WIDER)
    half = torch.full(now.z.shape[:-1], TAILS / 2, dtype=torch.float64)
    stretch = (TAILS / 2 / torch._standard_gamma(half, generator=generator)).sqrt()
    proposed = now.mean + stretch[..., None] * _times(root, normal(now.z.shape, generator))
    power = (TAILS + now.z.shape[-1]) / 2
    old, new = (squared_distance(z - now.mean, root) for z in (now.z, proposed))
    balance = power * (torch.log1p(new / TAILS) - torch.log1p(old / TAILS))
    return proposed, balance + around.log_density(proposed) - around.log_density(now.z)


def _adapted(now: Moves, turn: int, chance: Tensor) -> Moves:
    """Learn mean and covariance of each cell, and the length of its steps."""
    count = int(now.count)
    pace = 1 / math.sqrt(1 + count)
    mean, covariance = recent(now.mean, now.covariance, now.z, count)
    after = replace(now, mean=mean, covariance=covariance)
    if turn == 0:
        after = replace(after, length=(now.length + 4 * pace * (chance - TARGET)).clamp(-8, 3))
    elif turn == 1:
        after = replace(after, share=(now.share + 8 * pace * (chance - TARGET)).clamp(-8, 5))
    return replace(after, root=factor(covariance, now.root, 1e-6)) if count % REFRESH == 0 else after


def recent(mean: Tensor, covariance: Tensor, place: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the recent past after move `count` to `place` `[chain, …, axis]`."""
    rate = RECENT / (10 + count)
    off = place - mean
    outer = (off[..., None] * off[..., None, :]).mean(0)
    return mean + rate * off.mean(0), covariance + rate * (outer - covariance)


def factor(covariance: Tensor, old: Tensor, ridge: float) -> Tensor:
    """Cholesky factors with this share of the variances added; the old factor where there is none."""
    size = covariance.diagonal(dim1=-2, dim2=-1)
    root, failed = torch.linalg.cholesky_ex(covariance + torch.diag_embed(ridge * size + 1e-12))
    return torch.where((failed > 0)[:, None, None], old, root)


def _times(root: Tensor, vector: Tensor) -> Tensor:
    return (root @ vector[..., None])[..., 0]
