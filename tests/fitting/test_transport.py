from dataclasses import replace

import pytest
import torch
from scipy.stats import t

from fwsim.fitting.hierarchy import (
    BETWEEN,
    FREEDOM,
    SPREAD,
    Hierarchy,
    inverse_gamma,
    inverse_wishart,
    normal,
)
from fwsim.fitting.metropolis import still
from fwsim.fitting.quadratic import Quadratic
from fwsim.fitting.transport import carried, small

CHAINS, SIZE, GROUP = 6000, 2, torch.tensor([0, 0, 1])
ONE = torch.ones(CHAINS, SIZE, dtype=torch.float64)


@pytest.mark.parametrize("turn", [0, 1])
def test_moves_of_groups_leave_the_prior_as_it_is(turn):
    # Chains begin in the prior, and without responses they stay in it, whatever cells are taken to say. Standard
    # deviations of a group are then half-t with 4 degrees of freedom (Huang & Wand 2013), and cells normal.
    generator = torch.Generator().manual_seed(0)
    hierarchy = from_the_prior(generator)
    root = torch.linalg.cholesky(hierarchy.covariance)[:, GROUP]
    z = hierarchy.mean[:, GROUP] + (root @ normal((CHAINS, 3, SIZE, 1), generator))[..., 0]
    now, at = still(z, torch.zeros(CHAINS, 3, dtype=torch.float64), ONE[0]), small(hierarchy)
    at = replace(at, mean=torch.zeros_like(at.mean), length=at.length + 1.0)
    root = normal((3, SIZE, SIZE), generator)
    said = Quadratic(root @ root.mT, normal((3, SIZE), generator))
    before, begun = places(hierarchy), off(hierarchy, z)
    for _ in range(25):
        at = replace(at, count=torch.tensor(turn))
        at, now, hierarchy = carried(
            at,
            now,
            hierarchy,
            GROUP,
            said,
            lambda z: torch.zeros(z.shape[:-1]).double(),
            generator,
            adapt=False,
        )
    assert 0.2 < float(at.accepted) / 25 < 0.9
    for change in (places(hierarchy) - before, off(hierarchy, now.z) - begun):
        assert float(change.std()) > 0.05
        assert float((change.mean(0) * CHAINS**0.5 / change.std(0)).abs().max()) < 4


def from_the_prior(generator):
    """Independent draws of everything."""
    half = ONE / 2
    help = inverse_gamma(half, ONE / BETWEEN**2, generator)
    width = inverse_gamma(FREEDOM * half, FREEDOM / help, generator)
    scale = inverse_gamma(half, ONE / SPREAD**2, generator)
    centre = normal(ONE.shape, generator)
    mean = centre[:, None] + width.sqrt()[:, None] * normal((CHAINS, 2, SIZE), generator)
    inverse = 2 * FREEDOM * torch.diag_embed(1 / scale)[:, None].repeat(1, 2, 1, 1)
    freedom = torch.full((CHAINS, 2), FREEDOM + SIZE - 1, dtype=torch.float64)
    return Hierarchy(mean, inverse_wishart(inverse, freedom, generator), scale, centre, width, help)


def places(hierarchy):
    """Probability of smaller standard deviations, `[chain, group, axis]`."""
    spread = hierarchy.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    return torch.tensor(2 * t.cdf(spread.numpy(), 4) - 1)


def off(hierarchy, z):
    """Distances of cells from the mean of their group in its standard deviations, `[chain, cell, axis]`."""
    spread = hierarchy.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    return ((z - hierarchy.mean[:, GROUP]) / spread[:, GROUP]).abs()
