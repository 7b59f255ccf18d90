"""Posteriors as trees of ArviZ; a rule and a protocol as simulator and prior."""

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.fitting import simulator, synthetic_table, to_arviz

RULE = fw.TsodyksMarkram(U=0.2, tau_rec=0.1, tau_facil=0.5)
TRAINS = {"50Hz": [0.0, 0.02, 0.04, 0.06], "pair": [0.0, 0.1]}
TABLE = synthetic_table(RULE, TRAINS, sweeps=8, gain=3.0, cv=0.3, seed=3)


@pytest.fixture(scope="module")
def fit():
    return fw.fit(RULE, TABLE, fixed=("tau_rec", "tau_facil"), replicates=2, starts=1)


def test_a_fit_and_chains_are_trees_of_arviz(fit):
    arviz = pytest.importorskip("arviz")
    tree = to_arviz(fit, draws=3000, seed=1)
    posterior = tree.posterior
    assert (posterior.U.shape, posterior.U.attrs["units"]) == ((1, 3000), "1")
    exact = fit.posterior.intervals()["U"]
    assert np.quantile(posterior.U, [0.025, 0.975]) == pytest.approx([exact.low, exact.high], rel=0.1)
    np.testing.assert_array_equal(tree.observed_data.response, fit.residuals().measured)
    assert set(arviz.summary(tree).index) == set(fit.parameters)
    pytest.importorskip("emcee", reason="needs the extra mcmc")
    with pytest.warns(UserWarning, match="walkers forget"):
        chains = fit.sample_posterior(steps=100, seed=1)
    walkers = to_arviz(chains).posterior
    assert walkers.sizes["chain"] == 4 * len(fit.parameters)
    flat = chains.at.values(chains.draws)[:, 0].numpy()
    np.testing.assert_array_equal(walkers.U.transpose("draw", "chain").values.ravel(), flat)
    # A walker that stays where it was is next to itself in its chain, and not next to the others.
    assert (np.diff(walkers.U, axis=1) == 0).mean() > 0.1 > (np.diff(walkers.U, axis=0) == 0).mean()
    with pytest.raises(ConfigError, match="not dict"):
        to_arviz({})


def test_a_population_is_a_tree_of_arviz():
    arviz = pytest.importorskip("arviz")
    table = TABLE.assign(cell=[f"cell {sweep % 2}" for sweep in TABLE.sweep], kind="all")
    with pytest.warns(UserWarning, match="the chains"):
        fitted = fw.fit_population(RULE, table, groups="kind", warmup=4, moves=20, progress=False)
    posterior = to_arviz(fitted).posterior
    assert dict(posterior.U.sizes) == {"chain": 2, "draw": 20, "cell": 2}
    np.testing.assert_array_equal(posterior.mean_tau_rec[1, :, 0], fitted.mean[20:, 0, 1])
    spread = fitted.covariance[:20, 0, 1, 1].sqrt()
    np.testing.assert_array_equal(posterior.spread_tau_rec.sel(chain=0, group="all"), spread)
    summary = arviz.summary(posterior, var_names=["mean_U", "sites"])
    assert list(summary.index) == ["mean_U[all]", "sites[cell 0]", "sites[cell 1]"]


def test_simulated_responses_have_the_mean_and_the_spread_of_the_rule():
    simulate = simulator(RULE, TRAINS, fixed=("tau_rec", "tau_facil"))
    assert simulate.names == ["U", "gain", "dispersion", "exponent"]
    values = torch.tensor([0.3, 2.0, 0.04, 2.0], dtype=torch.float64)
    theta = torch.stack([axis.forward(value) for axis, value in zip(simulate.at.axes, values)])
    torch.testing.assert_close(simulate.values(theta), values)
    torch.manual_seed(0)
    x = simulate(theta.expand(20_000, -1))
    rule = fw.TsodyksMarkram(U=0.3, tau_rec=0.1, tau_facil=0.5)
    mean = 2 * torch.cat(
        [rule.respond(torch.tensor(train, dtype=torch.float64)) for train in TRAINS.values()]
    )
    torch.testing.assert_close(x.mean(0).double(), mean, rtol=0.01, atol=0)
    torch.testing.assert_close(
        (x.std(0) / x.mean(0)).double(), torch.full((6,), 0.2).double(), rtol=0.03, atol=0
    )
    several = simulator(RULE, TRAINS, fixed=("tau_rec", "tau_facil"), sweeps=100)(theta.expand(500, -1))
    torch.testing.assert_close(
        (several.std(0) / several.mean(0)).double(), torch.full((6,), 0.02).double(), rtol=0.15, atol=0
    )
    torch.manual_seed(0)
    assert torch.equal(simulate(theta.expand(20_000, -1)), x)
    data = fw.fitting.gather(TABLE).moments().mean
    assert simulate.observed(TABLE).tolist() == pytest.approx([*data[0].tolist(), *data[1, :2].tolist()])
    with pytest.raises(ShapeError, match="other times"):
        simulator(RULE, {"50Hz": [0, 0.02, 0.04, 0.07], "pair": [0, 0.1]}).observed(TABLE)
    with pytest.raises(ShapeError, match="parameter=4"):
        simulate(torch.zeros(3, 5))
    with pytest.raises(ConfigError, match="give a dict of protocols"):
        simulator(RULE, [0.1])


def test_the_prior_is_flat_in_the_box_and_sbi_takes_both():
    simulate = simulator(RULE, TRAINS, bounds={"U": (0.1, 0.5)})
    theta = simulate.prior.sample((200,))
    values = simulate.values(theta)[:, simulate.names.index("U")]
    assert bool(((values >= 0.1 - 1e-6) & (values <= 0.5 + 1e-6)).all())
    inside = simulate.prior.log_prob(theta)
    assert float(inside.std()) < 1e-4
    assert float(simulate.prior.log_prob(simulate.at.high.float() + 1)) == -torch.inf
    utils = pytest.importorskip("sbi.utils.user_input_checks", reason="needs sbi")
    prior, _, numpy_returns = utils.process_prior(simulate.prior)
    utils.check_sbi_inputs(utils.process_simulator(simulate, prior, numpy_returns), prior)
