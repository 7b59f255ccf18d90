"""Moves of cells and groups, in a model whose posterior is known: normal cells with normal measurements of them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fwsim.fitting.hierarchy import Around, beginning, normal, redrawn
from fwsim.fitting.metropolis import moved, still
from fwsim.fitting.population_run import PopulationRun
from fwsim.fitting.quadratic import Quadratic, unknown

CELLS, SIZE = 3, 2


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def spd(generator, *shape):
    """Positive definite matrices."""
    root = normal((*shape, SIZE, SIZE), generator)
    return root @ root.mT + 0.3 * torch.eye(SIZE, dtype=torch.float64)


def log_likelihood(information, pull):
    return lambda z: (pull * z).sum(-1) - 0.5 * ((z[..., None, :] @ information) @ z[..., None])[..., 0, 0]


def test_a_regression_finds_a_quadratic_likelihood(generator):
    information, pull = spd(generator, CELLS), normal((CELLS, SIZE), generator)
    around = Around.of(normal((2, CELLS, SIZE), generator), spd(generator, 2, CELLS))
    known, value = unknown(CELLS, SIZE), log_likelihood(information, pull)
    for scale in (3.0, 3.0, 1.0):
        z = scale * normal((100, CELLS, SIZE), generator)
        known = known.after([(z, value(z) + 7.0)])
    found = known.learned(around)
    torch.testing.assert_close(found.information, information, rtol=0.02, atol=0.02)
    mean, root = found.given(around)
    precision = information + around.inverse
    right = torch.linalg.solve(precision, pull[..., None] + around.inverse @ around.mean[..., None])[..., 0]
    torch.testing.assert_close(mean, right, rtol=0.05, atol=0.02)
    torch.testing.assert_close(root @ root.mT, precision, rtol=0.05, atol=0.02)


def test_a_regression_goes_on_where_a_likelihood_is_not_normal(generator):
    around = Around.of(torch.zeros(1, CELLS, SIZE).double(), spd(generator, 1, CELLS))
    z = normal((300, CELLS, SIZE), generator)
    never = torch.full((300, CELLS), -torch.inf, dtype=torch.float64)
    upwards = z.square().sum(-1)  # curved the wrong way
    for value in (never, upwards, torch.where(z[..., 0] > 0, 0.0, -torch.inf), 0 * never):
        found = unknown(CELLS, SIZE).after([(z, value)]).learned(around)
        mean, root = found.given(around)
        assert bool(mean.isfinite().all() and root.isfinite().all())
        assert bool((torch.linalg.eigvalsh(found.information) > -1e-9).all())


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_every_proposal_leaves_the_posterior_as_it_is(generator, turn):
    # chains begin in the posterior, and stay in it, however wrong the approximation is
    chains = 20_000
    information, pull = spd(generator, CELLS), normal((CELLS, SIZE), generator)
    around = Around.of(normal((1, CELLS, SIZE), generator), spd(generator, 1, CELLS))
    mean, root = Quadratic(information, pull).given(around)
    fresh = torch.linalg.solve_triangular(root.mT, normal((chains, CELLS, SIZE, 1), generator), upper=True)
    around = Around(
        *(part.expand(chains, *part.shape[1:]) for part in (around.mean, around.root, around.inverse))
    )
    z, value = mean + fresh[..., 0], log_likelihood(information, pull)
    now = still(z, value(z), torch.full((SIZE,), 5.0, dtype=torch.float64))
    now = replace(now, mean=now.mean + 0.3, open=torch.tensor([[0.9, 0.1]]).double().expand(CELLS, -1))
    wrong = Quadratic(spd(generator, CELLS), normal((CELLS, SIZE), generator))
    for _ in range(20):
        now = replace(now, count=torch.tensor(300 + turn))
        now = moved(now, around, wrong, value, generator, adapt=False)
    assert float(now.accepted[0, turn] / now.accepted[1, turn]) > 0.1
    assert float((now.z != z).double().mean()) > 0.4
    torch.testing.assert_close(now.z.mean(0), mean[0], atol=0.03, rtol=0)
    covariance = torch.stack([torch.cov(now.z[:, k].T) for k in range(CELLS)])
    torch.testing.assert_close(covariance, torch.cholesky_inverse(root)[0], atol=0.03, rtol=0.03)


def test_a_run_has_the_posterior_of_direct_draws(generator):
    # 24 cells in two groups, of which some say little: in place of Metropolis steps, cells can be drawn directly
    cells, prior = 24, (torch.zeros(SIZE).double(), torch.full((SIZE,), 2.0).double())
    group = torch.arange(cells) % 2
    information = spd(generator, cells) * 10 ** (2 * torch.rand(cells, 1, 1, generator=generator).double())
    true = torch.tensor([[1.0, -1.0], [-0.5, 0.5]]).double()[group] + 0.7 * normal((cells, SIZE), generator)
    noise = torch.linalg.solve_triangular(
        torch.linalg.cholesky(information).mT, normal((cells, SIZE, 1), generator), upper=True
    )
    seen = true + noise[..., 0]
    pull = (information @ seen[..., None])[..., 0]
    known = SimpleNamespace(
        group=group,
        groups=("a", "b"),
        names=range(cells),
        prior=lambda: prior,
        start=lambda: seen,
        log_likelihood=log_likelihood(information, pull),
    )
    draws = PopulationRun(known, 8, 300, 1000, True, 0).draws(None, False)
    exact, direct, chains = Quadratic(information, pull), [], 100
    now = beginning(chains, 2, prior)
    for step in range(500):
        mean, root = exact.given(Around.of(now.mean, now.covariance)[group])
        fresh = normal((chains, cells, SIZE, 1), generator)
        z = mean + torch.linalg.solve_triangular(root.mT, fresh, upper=True)[..., 0]
        now = redrawn(now, z, group, prior, generator)
        if step >= 200:
            direct.append((now.mean, now.covariance))
    found = [of_groups(part.unflatten(0, (8, -1)).transpose(0, 1) for part in (draws.mean, draws.covariance))]
    found.append(of_groups(torch.stack(part) for part in zip(*direct)))
    (mean, error), (right, its_error) = ((x.mean((0, 1)), x.mean(0).std(0) / len(x[0]) ** 0.5) for x in found)
    assert float(((mean - right) / (error**2 + its_error**2).sqrt()).abs().max()) < 4
    deviation, right = (x.flatten(0, 1).std(0) for x in found)
    assert float((error / right).max()) < 0.1
    torch.testing.assert_close(deviation, right, atol=0, rtol=0.2)


def of_groups(parts):
    """Means and logarithms of standard deviations, `[draw, chain, number]`."""
    mean, covariance = parts
    return torch.cat([mean, covariance.diagonal(dim1=-2, dim2=-1).log() / 2], -1).flatten(2)
