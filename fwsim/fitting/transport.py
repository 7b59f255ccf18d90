"""Moves of a group's distribution that carry its cells along.

A cell that says little follows its group, and a group moves only as far as its cells let it: drawn in turn, both hardly
move. So mean and standard deviations of a group are also proposed together with new places of all its cells. Each cell
has a normal approximation given its group (`quadratic`). Its place goes along the map that takes the approximation
for the old group to that for the new group: what the responses determine stays, and the rest moves with the group
(partial non-centring: Papaspiliopoulos, Roberts & Sköld 2007, Stat. Sci. 22:59). If the approximations were exact, this
would be a Metropolis step of the group alone, without its cells; the acceptance corrects for the difference. Moves of
all axes take turns with moves of one axis, mostly one that the cells leave open. Shapes are `[chain, group, …]` and
`[chain, cell, …]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fwsim.fitting.hierarchy import Around, Hierarchy, normal
from fwsim.fitting.metropolis import REFRESH, SELDOM, TARGET, Moves, recent
from fwsim.fitting.quadratic import Quadratic, factor

START = 0.1  # standard deviation of the first steps


@dataclass(frozen=True, eq=False)
class Transport:
    """The adapted proposals of all groups.

    Parameters
    ----------
    mean, covariance, root
        Of the past of each group, over chains, as means and logarithms of standard deviations: `[group, 2 axis]`,
        `[group, 2 axis, 2 axis]`, and its Cholesky factor.
    length
        Logarithm of the length of steps of all axes, and of those of each axis, `[group, 1 + axis]`.
    count
        Number of moves.
    accepted
        Sum of acceptances.
    """

    mean: Tensor
    covariance: Tensor
    root: Tensor
    length: Tensor
    count: Tensor
    accepted: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def small(hierarchy: Hierarchy) -> Transport:
    """Begin with small steps."""
    groups, size = hierarchy.mean.shape[1:]
    covariance = (START**2 * torch.eye(2 * size, dtype=torch.float64)).repeat(groups, 1, 1)
    zero = torch.zeros((), dtype=torch.float64)
    return Transport(
        _place(hierarchy).mean(0),
        covariance,
        torch.linalg.cholesky(covariance),
        zero.expand(groups, 1 + size).clone(),
        torch.zeros((), dtype=torch.long),
        zero,
    )


def carried(
    at: Transport,
    now: Moves,
    hierarchy: Hierarchy,
    group: Tensor,
    quadratic: Quadratic,
    log_likelihood: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    adapt: bool,
) -> tuple[Transport, Moves, Hierarchy]:
    """Make one move of every group with its cells; proposals adapt only if `adapt`."""
    chains, groups, size = hierarchy.mean.shape
    which = torch.zeros(chains, groups, dtype=torch.long)
    if int(at.count) % 2:
        which = 1 + torch.multinomial(_left_open(at, quadratic, group), chains, True, generator=generator).mT
    shift, log_factor = _steps(at, which, generator)
    factor = log_factor.exp()
    covariance = factor[..., :, None] * hierarchy.covariance * factor[..., None, :]
    proposed = replace(hierarchy, mean=hierarchy.mean + shift, covariance=covariance)
    old, new = (Around.of(each.mean, each.covariance)[group] for each in (hierarchy, proposed))
    z, stretch = _transported(now.z, quadratic, old, new)
    value = log_likelihood(z)
    log_ratio = proposed.log_density() - hierarchy.log_density() + (size + 1) * log_factor.sum(-1)
    by_cell = value - now.value + stretch
    by_cell = by_cell + new.log_density(z) - new.log_size() - old.log_density(now.z) + old.log_size()
    log_ratio = log_ratio.index_add(-1, group, by_cell)
    chance = log_ratio.clamp(max=0.0).exp().nan_to_num(0.0)
    taken = torch.rand(chance.shape, generator=generator, dtype=torch.float64) < chance
    of_cell = taken[:, group]
    now = replace(
        now,
        z=torch.where(of_cell[..., None], z, now.z),
        value=torch.where(of_cell, value, now.value),
    )
    hierarchy = replace(
        hierarchy,
        mean=torch.where(taken[..., None], proposed.mean, hierarchy.mean),
        covariance=torch.where(taken[..., None, None], proposed.covariance, hierarchy.covariance),
    )
    at = replace(at, count=at.count + 1, accepted=at.accepted + taken.double().mean())
    return (_adapted(at, hierarchy, which, chance) if adapt else at), now, hierarchy


def _place(hierarchy: Hierarchy) -> Tensor:
    """Means and logarithms of standard deviations, `[chain, group, 2 axis]`."""
    return torch.cat([hierarchy.mean, hierarchy.covariance.diagonal(dim1=-2, dim2=-1).log() / 2], -1)


def _left_open(at: Transport, quadratic: Quadratic, group: Tensor) -> Tensor:
    """About the share of the precision of each axis that comes from the group, mean over its cells, `[group, axis]`."""
    variance = (2 * at.mean[:, at.mean.shape[-1] // 2 :]).exp()[group]
    share = 1 / (1 + quadratic.information.diagonal(dim1=-2, dim2=-1) * variance)
    total = torch.zeros(len(at.mean), share.shape[-1], dtype=share.dtype).index_add(0, group, share)
    return total / torch.bincount(group, minlength=len(total))[:, None] + SELDOM


def _steps(at: Transport, which: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Steps of means and of logarithms of standard deviations, `[chain, group, axis]`: of all axes, or of one."""
    size = at.length.shape[-1] - 1
    length = at.length.exp().expand(*which.shape, -1).gather(-1, which[..., None])
    fresh = normal((*which.shape, 2 * size), generator)
    every = (at.root @ fresh[..., None])[..., 0] / math.sqrt(2 * size)
    deviation = at.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    related = at.covariance.diagonal(size, -2, -1)  # of mean and standard deviation of the same axis
    first, second = deviation[:, :size] * fresh[..., :size], deviation[:, size:]
    slope = (related / (deviation[:, :size] * second).clamp(min=1e-12)).clamp(-0.99, 0.99)
    second = second * (slope * fresh[..., :size] + (1 - slope**2).sqrt() * fresh[..., size:])
    chosen = torch.nn.functional.one_hot(which, 1 + size)[..., 1:].double()
    one = torch.cat([first * chosen, second * chosen], -1) / math.sqrt(2)
    step = 2.4 * length * torch.where(which[..., None] > 0, one, every)
    return step[..., :size], step[..., size:]


def _transported(z: Tensor, quadratic: Quadratic, old: Around, new: Around) -> tuple[Tensor, Tensor]:
    """Cells after the map, and the logarithm of its determinant."""
    (m, k), (m_new, k_new) = quadratic.given(old), quadratic.given(new)
    off = k.mT @ (z - m)[..., None]
    moved = m_new + torch.linalg.solve_triangular(k_new.mT, off, upper=True)[..., 0]
    return moved, _log_diagonal(k) - _log_diagonal(k_new)


def _log_diagonal(root: Tensor) -> Tensor:
    return root.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _adapted(at: Transport, hierarchy: Hierarchy, which: Tensor, chance: Tensor) -> Transport:
    """Learn mean and covariance of each group, and the length of its steps."""
    count = int(at.count)
    mean, covariance = recent(at.mean, at.covariance, _place(hierarchy), count)
    tried = torch.nn.functional.one_hot(which, at.length.shape[-1])
    found = (tried * (chance[..., None] - TARGET)).mean(0)
    length = (at.length + 4 / math.sqrt(1 + count) * found).clamp(-8, 3)
    at = replace(at, mean=mean, covariance=covariance, length=length)
    return replace(at, root=factor(covariance, at.root, 1e-3)) if count % REFRESH == 0 else at
