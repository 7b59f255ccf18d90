"""Moves of all cells at once, each accepted or refused by itself: Metropolis and Hastings, with three proposals.

Given the distributions of their groups, cells are independent, so that one evaluation of all likelihoods moves all
cells. The proposals take turns: a normal step with the covariance of the cell's own past (Haario et al. 2001, Bernoulli
7:223), whose length aims at an acceptance of a quarter; one coordinate anew from the group's distribution given the
others, for what a cell leaves open; and an independent draw, with heavy tails, around the normal approximation of the
cell in its group as it is now (`quadratic`). Everything adapts during warm-up only. Shapes are `[chain, cell, axis]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fwsim.fitting.hierarchy import Around, normal
from fwsim.fitting.quadratic import Quadratic, factor

TARGET = 0.25  # acceptance of the steps whose length is adapted
REFRESH = 25  # moves between two factorisations of the adapted covariances
TAILS = 5.0  # degrees of freedom of independent draws
WIDER = 1.2  # factor of their covariance
LATEST = 0.1  # weight of the latest try in the acceptance of a coordinate
SELDOM = 0.02  # added to it, so that every coordinate is tried now and then
RECENT = 3.0  # the last third of the past determines the proposals
TRUST = 100  # moves before independent draws begin


@dataclass(frozen=True, eq=False)
class Moves:
    """Where the cells are, and the adapted proposals.

    Parameters
    ----------
    z, value
        Coordinates `[chain, cell, axis]` and log-likelihoods `[chain, cell]`.
    mean, covariance, root
        Of the past of each cell, over chains: `[cell, axis]`, `[cell, axis, axis]`, and its Cholesky factor.
    length
        Logarithm of the length of normal steps, `[cell]`.
    open
        Recent acceptance of a coordinate anew, `[cell, axis]`: each is tried as often as it is accepted.
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
    open: Tensor
    count: Tensor
    accepted: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


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
        zero,
        torch.full_like(z[0], 0.5),
        torch.zeros((), dtype=torch.long),
        torch.zeros(2, 3, dtype=torch.float64),
    )


def moved(
    now: Moves,
    around: Around,
    quadratic: Quadratic,
    log_likelihood: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    adapt: bool,
) -> Moves:
    """Make one move; the proposals adapt only if `adapt`, since later they must stay as they are."""
    turn = int(now.count) % 3
    if turn == 2 and int(now.count) < TRUST:
        turn = 0
    if turn == 0:
        proposed, log_ratio = _step(now, generator)
    elif turn == 1:
        proposed, log_ratio = _one_anew(now, around, generator)
    else:
        proposed, log_ratio = _independent(now, *quadratic.given(around), generator)
    value = log_likelihood(proposed)
    log_ratio = log_ratio + value - now.value + around.log_density(proposed) - around.log_density(now.z)
    chance = log_ratio.clamp(max=0.0).exp().nan_to_num(0.0)
    uniform = torch.rand(chance.shape, generator=generator, dtype=torch.float64)
    taken = uniform < chance
    z = torch.where(taken[..., None], proposed, now.z)
    tally = now.accepted.clone()
    tally[0, turn] += float(taken.double().mean())
    tally[1, turn] += 1
    after = replace(now, z=z, value=torch.where(taken, value, now.value), count=now.count + 1, accepted=tally)
    return _adapted(after, turn, chance, proposed != now.z) if adapt else after


def _step(now: Moves, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A place near the old one, and the logarithm of the ratio of both proposals' densities, `[chain, cell]`."""
    step = (now.root @ normal(now.z.shape, generator)[..., None])[..., 0] * (2.4 / math.sqrt(now.z.shape[-1]))
    return now.z + now.length.exp()[:, None] * step, torch.zeros_like(now.value)


def _one_anew(now: Moves, around: Around, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    often = (now.open + SELDOM).expand_as(now.z).flatten(0, 1)
    axis = torch.multinomial(often, 1, generator=generator).unflatten(0, now.value.shape)
    precision = around.inverse.diagonal(dim1=-2, dim2=-1).gather(-1, axis)
    pull = (around.inverse @ (now.z - around.mean)[..., None])[..., 0].gather(-1, axis)
    step = normal(axis.shape, generator) / precision.sqrt() - pull / precision
    proposed = now.z.scatter_add(-1, axis, step)
    return proposed, around.log_density(now.z) - around.log_density(proposed)


def _independent(now: Moves, mean: Tensor, root: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    half = torch.full(now.z.shape[:-1], TAILS / 2, dtype=torch.float64)
    stretch = (TAILS / 2 * WIDER / torch._standard_gamma(half, generator=generator)).sqrt()
    proposed = mean + stretch[..., None] * _drawn(root, generator)
    power = (TAILS + now.z.shape[-1]) / 2
    old, new = (_squares(z - mean, root) / (WIDER * TAILS) for z in (now.z, proposed))
    return proposed, power * (torch.log1p(new) - torch.log1p(old))


def _adapted(now: Moves, turn: int, chance: Tensor, changed: Tensor) -> Moves:
    """Learn the covariance of each cell, the length of its steps, and what it leaves open."""
    count = int(now.count)
    mean, covariance = recent(now.mean, now.covariance, now.z, count)
    after = replace(now, mean=mean, covariance=covariance)
    if turn == 0:
        pace = 4 / math.sqrt(1 + count)
        after = replace(after, length=(now.length + pace * (chance.mean(0) - TARGET)).clamp(-8, 3))
    elif turn == 1:
        found = (changed * (chance[..., None] - now.open)).mean(0)
        after = replace(after, open=now.open + LATEST * found)
    return replace(after, root=factor(covariance, now.root, 1e-6)) if count % REFRESH == 0 else after


def recent(mean: Tensor, covariance: Tensor, place: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the recent past after move `count` to `place` `[chain, …, axis]`."""
    rate = RECENT / (10 + count)
    off = place - mean
    outer = (off[..., None] * off[..., None, :]).mean(0)
    return mean + rate * off.mean(0), covariance + rate * (outer - covariance)


def _drawn(root: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers with the Cholesky factor `root` of their inverse covariance."""
    fresh = normal(root.shape[:-1], generator)[..., None]
    return torch.linalg.solve_triangular(root.mT, fresh, upper=True)[..., 0]


def _squares(off: Tensor, root: Tensor) -> Tensor:
    """Squared distances in standard deviations, with the Cholesky factor of the inverse covariance."""
    return (root.mT @ off[..., None])[..., 0].square().sum(-1)
