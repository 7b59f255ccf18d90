"""Cells as draws from the normal distribution of their group, and groups from that of all groups: conditional draws.

Coordinates z of a cell in group g are normal with mean μ_g and covariance Σ_g; each μ_g is normal around m with
standard deviations s; Σ_g has the prior of Huang & Wand 2013, whose scales a are common to all groups. m, s and a have
weak priors. Every conditional distribution is a standard one, so each can be drawn directly (Gibbs). Shapes begin with
`[chain]`.

Sources: Gelman et al. 2013, Bayesian Data Analysis, ch. 5 and 15; Huang & Wand 2013, Bayesian Anal. 8:439.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

FREEDOM = 4.0  # degrees of freedom of the t priors of standard deviations
SPREAD = 1.0  # their scale, in coordinates: cells of a group may differ by a factor e
BETWEEN = 0.5  # the same for means of groups, in standard deviations of the prior


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """Parameters of the distributions of cells, groups and all groups.

    Parameters
    ----------
    mean, covariance
        μ `[chain, group, axis]` and Σ `[chain, group, axis, axis]`.
    scale
        a `[chain, axis]`.
    centre, width, help
        m and s² `[chain, axis]`, and the auxiliary variable of s².
    """

    mean: Tensor
    covariance: Tensor
    scale: Tensor
    centre: Tensor
    width: Tensor
    help: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def log_density(self) -> Tensor:
        """Log density of mean and covariance of each group given the rest, up to a constant, `[chain, group]`."""
        inverse = torch.linalg.inv(self.covariance).diagonal(dim1=-2, dim2=-1)
        off = (self.mean - self.centre[:, None]).square() / self.width[:, None]
        power = FREEDOM / 2 + self.mean.shape[-1]
        wishart = -power * torch.logdet(self.covariance) - FREEDOM * (inverse / self.scale[:, None]).sum(-1)
        return wishart - 0.5 * off.sum(-1)


@dataclass(frozen=True, eq=False)
class Around:
    """Normal distribution of each cell by its group, with mean `[chain, cell, axis]`.

    Parameters
    ----------
    mean
        Of the group of each cell.
    root, inverse
        Cholesky factor of its covariance, and inverse covariance, `[chain, cell, axis, axis]`.
    """

    mean: Tensor
    root: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor) -> Around:
        """With these moments."""
        root = torch.linalg.cholesky(covariance)
        return cls(mean, root, torch.cholesky_inverse(root))

    def __getitem__(self, group: Tensor) -> Around:
        """From groups `[chain, group, …]` to cells `[chain, cell, …]`."""
        return Around(self.mean[:, group], self.root[:, group], self.inverse[:, group])

    def log_density(self, z: Tensor) -> Tensor:
        """Of cells, up to a constant that is the same for all places, `[chain, cell]`."""
        off = (z - self.mean)[..., None]
        return -0.5 * (off.mT @ self.inverse @ off)[..., 0, 0]

    def log_size(self) -> Tensor:
        """Logarithm of the determinant of the Cholesky factor, `[chain, cell]`."""
        return self.root.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def beginning(chains: int, groups: int, prior: tuple[Tensor, Tensor]) -> Hierarchy:
    """Every group at the centre of the prior, with its width."""
    centre, width = prior
    several = centre.expand(chains, -1)
    return Hierarchy(
        several[:, None].repeat(1, groups, 1),
        (width**2).diag().repeat(chains, groups, 1, 1),
        torch.ones_like(several),
        several.clone(),
        (width**2).repeat(chains, 1),
        torch.ones_like(several),
    )


def redrawn(
    now: Hierarchy, z: Tensor, group: Tensor, prior: tuple[Tensor, Tensor], generator: torch.Generator
) -> Hierarchy:
    """Draw every parameter once given the others and the cells `z` `[chain, cell, axis]`."""
    one_hot = torch.nn.functional.one_hot(group, now.mean.shape[1]).double()
    number = one_hot.sum(0)
    now = replace(now, covariance=_covariance(now, z, group, one_hot, number, generator))
    now = replace(now, scale=_scale(now, generator))
    now = replace(now, mean=_mean(now, torch.einsum("cg,bca->bga", one_hot, z), number, generator))
    now = replace(now, centre=_centre(now, prior, generator))
    return replace(now, **_width(now, prior, generator))


def _covariance(
    now: Hierarchy, z: Tensor, group: Tensor, one_hot: Tensor, number: Tensor, generator: torch.Generator
) -> Tensor:
    """Inverse Wishart, from the scatter of cells around their group's mean."""
    off = z - now.mean[:, group]
    scatter = torch.einsum("cg,bci,bcj->bgij", one_hot, off, off)
    size = z.shape[-1]
    return inverse_wishart(
        scatter + 2 * FREEDOM * torch.diag_embed(1 / now.scale)[:, None],
        (FREEDOM + size - 1 + number).expand(scatter.shape[:2]),
        generator,
    )


def _scale(now: Hierarchy, generator: torch.Generator) -> Tensor:
    groups, size = now.mean.shape[1:]
    precision = torch.linalg.inv(now.covariance).diagonal(dim1=-2, dim2=-1).sum(1)
    shape = torch.full_like(now.scale, (groups * (FREEDOM + size - 1) + 1) / 2)
    return inverse_gamma(shape, FREEDOM * precision + 1 / SPREAD**2, generator)


def _mean(now: Hierarchy, total: Tensor, number: Tensor, generator: torch.Generator) -> Tensor:
    inside, between = torch.linalg.inv(now.covariance), 1 / now.width
    precision = number[:, None, None] * inside + torch.diag_embed(between)[:, None]
    pull = (inside @ total[..., None])[..., 0] + (between * now.centre)[:, None]
    root = torch.linalg.cholesky(precision)
    mean = torch.cholesky_solve(pull[..., None], root)
    noise = normal(mean.shape, generator)
    return (mean + torch.linalg.solve_triangular(root.mT, noise, upper=True))[..., 0]


def _centre(now: Hierarchy, prior: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    groups = now.mean.shape[1]
    precision = groups / now.width + 1 / prior[1] ** 2
    mean = (now.mean.sum(1) / now.width + prior[0] / prior[1] ** 2) / precision
    return mean + normal(mean.shape, generator) / precision.sqrt()


def _width(now: Hierarchy, prior: tuple[Tensor, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    groups = now.mean.shape[1]
    squares = ((now.mean - now.centre[:, None]) ** 2).sum(1)
    shape = torch.full_like(now.width, (FREEDOM + groups) / 2)
    width = inverse_gamma(shape, FREEDOM / now.help + squares / 2, generator)
    shape = torch.full_like(now.width, (FREEDOM + 1) / 2)
    return {
        "width": width,
        "help": inverse_gamma(shape, FREEDOM / width + 1 / (BETWEEN * prior[1]) ** 2, generator),
    }


def inverse_wishart(scale: Tensor, freedom: Tensor, generator: torch.Generator) -> Tensor:
    """Draw covariances `[..., axis, axis]` by Bartlett's decomposition; `scale` alike, `freedom` `[...]`."""
    size = scale.shape[-1]
    half = (freedom[..., None] - torch.arange(size, dtype=torch.float64)) / 2
    diagonal = (2 * torch._standard_gamma(half.contiguous(), generator=generator)).sqrt()
    lower = normal(scale.shape, generator).tril(-1) + torch.diag_embed(diagonal)
    root = torch.linalg.cholesky(scale)
    factor = torch.linalg.solve_triangular(lower, root.mT, upper=False)
    return factor.mT @ factor


def inverse_gamma(shape: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
    """Draw variances."""
    return scale / torch._standard_gamma(shape.contiguous(), generator=generator)


def normal(shape: torch.Size | tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)
