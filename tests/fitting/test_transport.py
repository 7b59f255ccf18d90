"""Moves of groups together with their cells leave the prior as it is."""

import torch
from scipy.stats import norm, t

from fwsim.fitting.hierarchy import beginning, redrawn
from fwsim.fitting.metropolis import still
from fwsim.fitting.quadratic import Quadratic
from fwsim.fitting.transport import carried, small


def test_moves_of_groups_leave_the_prior_as_it_is():
    # Without responses, each standard deviation of a group is half-t with 4 degrees of freedom (Huang & Wand 2013), and
    # cells less their group's mean, in its standard deviations, are normal; whatever cells are taken to say.
    generator = torch.Generator().manual_seed(0)
    chains, group, size = 400, torch.tensor([0, 0, 1]), 2
    prior = torch.zeros(size, dtype=torch.float64), torch.ones(size, dtype=torch.float64)
    hierarchy = beginning(chains, 2, prior)
    z = torch.randn(chains, 3, size, generator=generator, dtype=torch.float64)
    now, at = still(z, torch.zeros(chains, 3, dtype=torch.float64), prior[1]), small(hierarchy)
    root = torch.randn(3, size, size, generator=generator, dtype=torch.float64)
    said = Quadratic(root @ root.mT, torch.randn(3, size, generator=generator, dtype=torch.float64))
    at.length.add_(1.0)
    spreads, cells = [], []
    for step in range(400):
        at, now, hierarchy = carried(
            at,
            now,
            hierarchy,
            group,
            said,
            lambda z: torch.zeros(z.shape[:-1]).double(),
            generator,
            adapt=False,
        )
        if step % 4 == 0:
            hierarchy = redrawn(hierarchy, now.z, group, prior, generator)
        if step % 40 == 39 and step > 150:
            spread = hierarchy.covariance.diagonal(dim1=-2, dim2=-1).sqrt()
            spreads.append(spread)
            cells.append((now.z - hierarchy.mean[:, group]) / spread[:, group])
    chance = torch.tensor([0.25, 0.5, 0.75, 0.95])
    found = torch.quantile(torch.cat(spreads).flatten(), chance.double())
    assert 0.1 < float(at.accepted / at.count) < 0.9
    below = t.cdf(found, 4) * 2 - 1
    torch.testing.assert_close(torch.tensor(below).float(), chance, atol=0.03, rtol=0)
    found = torch.quantile(torch.cat(cells).flatten(), chance.double())
    torch.testing.assert_close(torch.tensor(norm.cdf(found)).float(), chance, atol=0.02, rtol=0)


def test_groups_without_cells_lie_around_the_centre_of_the_prior():
    """The centre of all groups has the mean and the standard deviation of the prior; groups lie around it."""
    generator = torch.Generator().manual_seed(0)
    prior = torch.tensor([3.0, -2.0], dtype=torch.float64), torch.tensor([1.0, 0.5], dtype=torch.float64)
    now, none = beginning(1000, 2, prior), torch.zeros(1000, 0, 2, dtype=torch.float64)
    for _ in range(60):
        now = redrawn(now, none, torch.zeros(0, dtype=torch.long), prior, generator)
    torch.testing.assert_close(now.centre.mean(0), prior[0], atol=0.15, rtol=0)
    torch.testing.assert_close(now.centre.std(0), prior[1], atol=0, rtol=0.1)
    torch.testing.assert_close(now.mean.median(0).values.mean(0), prior[0], atol=0.15, rtol=0)
