"""Moves of a group's distribution that carry its cells along.

A cell that says little follows its group, and a group moves only as far as its cells let it: drawn in turn, both hardly
move. So mean and standard deviations of a group are also proposed together with new places of all its cells. Each cell
has a normal approximation given its group, from its own past. Its place goes along the map that takes the approximation
for the old group to that for the new group: what the responses determine stays, and the rest moves with the group
(partial non-centring: Papaspiliopoulos, Roberts & Sköld 2007, Stat. Sci. 22:59). If the approximations were exact, this
would be a Metropolis step of the group alone, without its cells; the acceptance corrects for the difference. Shapes are
`[chain, group, …]` and `[chain, cell, …]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from fwsim.fitting.hierarchy import Hierarchy, normal, squared_distance
from fwsim.fitting.metropolis import REFRESH, TARGET, Moves, factor, recent

START = 0.1  # standard deviation of the first steps


@dataclass(frozen=True, eq=False)
class Transport:
    """The adapted proposals of all groups, and what the responses of each cell say by themselves.

    Parameters
    ----------
    mean, covariance, root
        Of the past of each group, over chains, as means and logarithms of standard deviations: `[group, 2 axis]`,
        `[group, 2 axis, 2 axis]`, and its Cholesky factor.
    length
        Logarithm of the length of steps, `[group]`.
    information, pull
        Normal approximation of a cell's likelihood: inverse covariance F and Fx, `[cell, axis, axis]`, `[cell, axis]`.
    count
        Number of moves.
    accepted
        Sum of acceptances.
    """

    mean: Tensor
    covariance: Tensor
    root: Tensor
    length: Tensor
    information: Tensor
    pull: Tensor
    count: Tensor
    accepted: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def unknown(hierarchy: Hierarchy, cells: int) -> Transport:
    """Begin with small steps and cells that say nothing."""
    groups, size = hierarchy.mean.shape[1:]
    covariance = (START**2 * torch.eye(2 * size, dtype=torch.float64)).repeat(groups, 1, 1)
    zero = torch.zeros((), dtype=torch.float64)
    return Transport(
        _place(hierarchy).mean(0),
        covariance,
        torch.linalg.cholesky(covariance),
        zero.expand(groups).clone(),
        zero.expand(cells, size, size).clone(),
        zero.expand(cells, size).clone(),
        torch.zeros((), dtype=torch.long),
        zero,
    )


def carried(
    at: Transport,
    now: Moves,
    hierarchy: Hierarchy,
    group: Tensor,
    log_likelihood: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    adapt: bool,
) -> tuple[Transport, Moves, Hierarchy]:
    """Make one move of every group with its cells; proposals adapt only if `adapt`."""
    if adapt and int(at.count) % REFRESH == 0:
        at = _learned(at, now, hierarchy, group)
    chains, groups, size = hierarchy.mean.shape
    length = at.length.exp() * (2.4 / math.sqrt(2 * size))
    step = length[:, None] * (at.root @ normal((chains, groups, 2 * size, 1), generator))[..., 0]
    shift, log_factor = step[..., :size], step[..., size:]
    factor = log_factor.exp()
    covariance = factor[..., :, None] * hierarchy.covariance * factor[..., None, :]
    proposed = replace(hierarchy, mean=hierarchy.mean + shift, covariance=covariance)
    z, stretch = _transported(now.z, at, hierarchy, proposed, group)
    value = log_likelihood(z)
    log_ratio = proposed.log_density() - hierarchy.log_density() + (size + 1) * log_factor.sum(-1)
    by_cell = value - now.value + stretch
    by_cell = by_cell + _log_normal(z, proposed, group) - _log_normal(now.z, hierarchy, group)
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
    return (_adapted(at, hierarchy, chance.mean(0)) if adapt else at), now, hierarchy


def _place(hierarchy: Hierarchy) -> Tensor:
    """Means and logarithms of standard deviations, `[chain, group, 2 axis]`."""
    return torch.cat([hierarchy.mean, hierarchy.covariance.diagonal(dim1=-2, dim2=-1).log() / 2], -1)


def _transported(
    z: Tensor, at: Transport, old: Hierarchy, new: Hierarchy, group: Tensor
) -> tuple[Tensor, Tensor]:
    """Cells after the map, and the logarithm of its determinant."""
    (m, k), (m_new, k_new) = (_conditional(at, each, group) for each in (old, new))
    off = k.mT @ (z - m)[..., None]
    moved = m_new + torch.linalg.solve_triangular(k_new.mT, off, upper=True)[..., 0]
    return moved, _log_diagonal(k) - _log_diagonal(k_new)


def _conditional(at: Transport, hierarchy: Hierarchy, group: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of each cell given its group, and the Cholesky factor of the inverse covariance."""
    inside = torch.linalg.inv(hierarchy.covariance)
    pull = at.pull + (inside @ hierarchy.mean[..., None])[..., 0][:, group]
    root = torch.linalg.cholesky(at.information + inside[:, group])
    return torch.cholesky_solve(pull[..., None], root)[..., 0], root


def _log_normal(z: Tensor, hierarchy: Hierarchy, group: Tensor) -> Tensor:
    """Log density of cells in their group, up to a constant, `[chain, cell]`."""
    root = torch.linalg.cholesky(hierarchy.covariance)[:, group]
    return -0.5 * squared_distance(z - hierarchy.mean[:, group], root) - _log_diagonal(root)


def _log_diagonal(root: Tensor) -> Tensor:
    return root.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _adapted(at: Transport, hierarchy: Hierarchy, chance: Tensor) -> Transport:
    """Learn mean and covariance of each group, and the length of its steps."""
    count = int(at.count)
    mean, covariance = recent(at.mean, at.covariance, _place(hierarchy), count)
    length = (at.length + 4 / math.sqrt(1 + count) * (chance - TARGET)).clamp(-8, 3)
    at = replace(at, mean=mean, covariance=covariance, length=length)
    return replace(at, root=factor(covariance, at.root, 1e-3)) if count % REFRESH == 0 else at


def _learned(at: Transport, now: Moves, hierarchy: Hierarchy, group: Tensor) -> Transport:
    """What a cell's past says beyond its group: in units of the group, its inverse covariance less 1, at least 0."""
    root = torch.linalg.cholesky(hierarchy.covariance.mean(0))[group]
    centre = hierarchy.mean.mean(0)[group]
    half = torch.linalg.solve_triangular(root, now.covariance, upper=False)
    inside = torch.linalg.solve_triangular(root, half.mT, upper=False)
    width, axes = torch.linalg.eigh((inside + inside.mT) / 2)
    width = width.clamp(min=1e-9)
    certain = (1 / width - 1).clamp(min=0)
    off = torch.linalg.solve_triangular(root, (now.mean - centre)[..., None], upper=False)
    off = torch.where(certain > 0, (axes.mT @ off)[..., 0] / width, 0.0)
    back = torch.linalg.solve_triangular(root.mT, axes, upper=True)
    information = back @ (certain[..., None] * back.mT)
    pull = (back @ off[..., None] + information @ centre[..., None])[..., 0]
    return replace(at, information=information, pull=pull)
