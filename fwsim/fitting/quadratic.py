"""What the responses of each cell say by themselves: a quadratic approximation of its log-likelihood.

It is a regression on places where the likelihood was evaluated anyway, all proposals included. Values of a likelihood
have no noise, so that a few hundred places give what a covariance of correlated draws would give after many thousand
moves (Salimans & Knowles 2013, Bayesian Anal. 8:837). Together with the normal distribution of its group it makes a
normal approximation of a cell for every place of the group. Shapes are `[chain, cell, axis]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fwsim.fitting.hierarchy import Around

POINTS = 600  # latest places of a cell that count
FLAT = 4.0  # weights of places are densities to the power of 1 / FLAT, since the tails count too
RIDGE = 1e-3  # share that is added to the diagonal of a regression
LEARN = 50  # moves between two regressions
AT_ONCE = 64  # cells of one regression, to bound memory


@dataclass(frozen=True, eq=False)
class Quadratic:
    """Log-likelihood of each cell, −zᵀFz / 2 + hᵀz up to a constant.

    Parameters
    ----------
    information, pull
        F `[cell, axis, axis]`, without negative eigenvalues, and h `[cell, axis]`.
    seen
        The latest evaluations: places `[chain, cell, axis]` and log-likelihoods `[chain, cell]`.
    """

    information: Tensor
    pull: Tensor
    seen: Sequence[tuple[Tensor, Tensor]] = ()

    def tensors(self) -> dict[str, Any]:
        """All of them, by name."""
        return {"information": self.information, "pull": self.pull, "seen": list(self.seen)}

    def given(self, around: Around) -> tuple[Tensor, Tensor]:
        """Normal approximation of each cell in its group: mean, and Cholesky factor of the inverse covariance."""
        pull = self.pull + (around.inverse @ around.mean[..., None])[..., 0]
        root = torch.linalg.cholesky(self.information + around.inverse)
        return torch.cholesky_solve(pull[..., None], root)[..., 0], root

    def after(self, seen: list[tuple[Tensor, Tensor]]) -> Quadratic:
        """Remember further evaluations, and forget old ones."""
        together = (*self.seen, *seen)
        return replace(self, seen=together[-max(1, -(-POINTS // len(together[-1][1]))) :])

    def forgotten(self) -> Quadratic:
        """The same without evaluations."""
        return replace(self, seen=())

    def learned(self, around: Around) -> Quadratic:
        """Fitted to what was seen, most to places that are likely in the groups `around`."""
        place, value = (torch.cat(part) for part in zip(*self.seen))
        parts = place.transpose(0, 1), value.mT, around.mean.mean(0), around.inverse.mean(0)
        fits = [_regression(*several) for several in zip(*(part.split(AT_ONCE) for part in parts))]
        information, pull = (torch.cat(part) for part in zip(*fits))
        return replace(self, information=information, pull=pull)


def unknown(cells: int, size: int) -> Quadratic:
    """Cells that say nothing."""
    zero = torch.zeros(cells, size, dtype=torch.float64)
    return Quadratic(zero[..., None].repeat(1, 1, size), zero)


def _regression(place: Tensor, value: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Information and pull of cells, from places `[cell, point, axis]` and the mean of the group of each cell."""
    size = place.shape[-1]
    off = place - mean[:, None]
    density = value - 0.5 * ((off @ inverse) * off).sum(-1)
    best = density.amax(-1, keepdim=True)
    weight = ((density - best) / FLAT).exp().nan_to_num(0.0)
    value = torch.where(weight > 0, value - best, 0.0)
    share = weight / weight.sum(-1, keepdim=True).clamp(min=1e-300)
    middle = (share[..., None] * place).sum(1)
    off = place - middle[:, None]
    root = factor((share[..., None] * off).mT @ off, torch.eye(size, dtype=torch.float64), 1e-6)
    x = torch.linalg.solve_triangular(root, off.mT, upper=False).mT
    first, second = torch.triu_indices(size, size)
    terms = torch.cat([torch.ones_like(x[..., :1]), x, x[..., first] * x[..., second]], -1)
    weighted = terms * share[..., None]
    square = weighted.mT @ terms
    square = square + torch.diag_embed(RIDGE * square.diagonal(dim1=-2, dim2=-1) + 1e-9)
    found = torch.linalg.solve(square, weighted.mT @ value[..., None])[..., 0]
    bend = torch.zeros_like(inverse)
    bend[:, first, second] = found[:, 1 + size :]
    back = torch.linalg.solve_triangular(root, torch.eye(size, dtype=torch.float64), upper=False)
    information = _at_least_0(-back.mT @ (bend + bend.mT) @ back, torch.linalg.cholesky(inverse))
    slope = back.mT @ found[:, 1 : 1 + size, None]
    return information, (slope + information @ middle[..., None])[..., 0]


def _at_least_0(information: Tensor, root: Tensor) -> Tensor:
    """Without negative eigenvalues in units of the group, whose inverse covariance has the Cholesky factor `root`."""
    half = torch.linalg.solve_triangular(root, information, upper=False)
    inside = torch.linalg.solve_triangular(root, half.mT, upper=False)
    certain, axes = torch.linalg.eigh((inside + inside.mT) / 2)
    outside = root @ axes
    return outside @ (certain.clamp(min=0)[..., None] * outside.mT)


def factor(covariance: Tensor, old: Tensor, ridge: float) -> Tensor:
    """Cholesky factors with this share of the variances added; the old factor where there is none."""
    size = covariance.diagonal(dim1=-2, dim2=-1)
    root, failed = torch.linalg.cholesky_ex(covariance + torch.diag_embed(ridge * size + 1e-12))
    return torch.where((failed > 0)[:, None, None], old, root)
