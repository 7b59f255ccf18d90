"""Fits of many cells at once: groups, new cells, checkpoints, and the steps of the sampler."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

import fwsim as fw
from fwsim.fitting.cells import recorded_cells, without_common
from fwsim.fitting.hierarchy import beginning, inverse_wishart, redrawn
from fwsim.fitting.population import FittedPopulation, scale_reduction
from tests.fitting.recorded import one_cell, population

START = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)
SHORT = {"warmup": 60, "moves": 40, "exact": 0}
TIMES = [0.0, 0.01, 0.02, 0.5]


@pytest.fixture(scope="module")
def table():
    one, _ = population(4, 6, seed=1)
    other, _ = population(4, 6, seed=2, group="b", mean=torch.tensor([1.0, -1.0, -3.0]))
    return pd.concat([one, other], ignore_index=True)


@pytest.fixture(scope="module")
def fitted(table):
    with pytest.warns(UserWarning, match=r"the chains disagree \(R̂ = .* for .* of '[ab]'\); give moves=200"):
        return fw.fit_population(START, table, groups="class", moves=100, warmup=100, exact=0)


def test_groups_have_rules_and_heterogeneous_synapses(fitted):
    assert fitted.groups == ("a", "b")
    assert fitted.rule("b").U > fitted.rule("a").U
    drawn = fitted.sample("a", 100, seed=0)
    assert drawn.U.shape == drawn.tau_rec.shape == (100,)
    assert torch.equal(drawn.tau_facil, fitted.sample("a", 100, seed=0).tau_facil)
    assert float(drawn.tau_rec.log().std()) > 0.1
    assert len(fitted.sample("a", 1000, seed=0).U.unique()) == 1000  # more than there are draws
    network = fw.RateNetwork(
        [fw.Projection(torch.zeros(100, 100), synapse=drawn)], tau=0.01, gain=fw.relu, dt=1e-3
    )
    run = fw.simulate(network, torch.ones(1, 20, 100), record=["release"])
    release = run.release.isel(time=-1).squeeze()
    assert np.isfinite(release).all()
    assert float(release.std()) > 0.01
    excitatory = fw.spiking.Population("E", 100)
    circuit = fw.spiking.Circuit([excitatory], [fw.spiking.Connection("E", "E", 1e-4, 0.1, synapse=drawn)])
    assert circuit.source(drawn) is excitatory


def test_predictions_of_a_group_have_the_shape_of_the_trains(fitted):
    one = fitted.predict(TIMES, "a")
    both = fitted.predict(torch.tensor([TIMES, [0.0, 0.01, 0.02, math.nan]], dtype=torch.float64), "a")
    torch.testing.assert_close(both[0], one)
    torch.testing.assert_close(both[1, :3], one[:3])
    assert both[1, 3].isnan()
    bands = fitted.bands(TIMES, "a")
    order = [bands[k] for k in ("response_low", "mean_low", "mean", "mean_high", "response_high")]
    assert all(bool((low <= high).all()) for low, high in pairwise(order))


def test_a_few_sweeps_of_a_new_cell_narrow_its_group(fitted):
    rule = fw.TsodyksMarkram(U=0.6, tau_rec=0.3, tau_facil=0.1)
    new = one_cell(rule, 15, 6.0, 0.2, 8, torch.Generator().manual_seed(3))
    updated = fitted.update(new, "a", moves=100)
    group = fitted.group("a")
    truth = 6.0 * rule.respond(torch.tensor(TIMES, dtype=torch.float64))
    error, before = ((each.predict(TIMES) - truth).abs().mean() for each in (updated, group))
    assert error < 0.3 * before
    gain = [axis.name for axis in fitted.cells.axes].index("gain")
    assert updated.z[:, gain].std() < 0.3 * group.z[:, gain].std()
    low, high = updated.intervals()["gain"]
    assert low < 6.0 < high


def test_an_interrupted_fit_goes_on_where_it_stopped(table, tmp_path, monkeypatch):
    monkeypatch.setattr("fwsim.fitting.population_run.EVERY", 20)
    some = table[table["class"] == "a"]
    short = {"chains": 1, "warmup": 30, "moves": 20, "exact": 0}
    whole = fw.fit_population(START, some, pooled=True, seed=5, **short)

    def stop(done, total):
        if done == 44:
            raise KeyboardInterrupt

    options = short | {"checkpoint": tmp_path / "fit.pt"}
    with pytest.raises(KeyboardInterrupt):
        fw.fit_population(START, some, seed=5, progress=stop, **options)
    torch.testing.assert_close(fw.fit_population(START, some, seed=5, **options).z, whole.z, rtol=0, atol=0)
    with pytest.raises(fw.ConfigError, match="of another fit"):
        fw.fit_population(START, some, seed=6, **options)
    damaged = bytearray((tmp_path / "fit.pt").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "fit.pt").write_bytes(damaged)
    with pytest.raises(fw.RecordingError, match=r"is damaged.*delete it and fit again"):
        fw.fit_population(START, some, seed=5, **options)
    (tmp_path / "file").touch()
    moved = []
    with pytest.raises(fw.FwsimError, match="file"):
        fw.fit_population(
            START,
            some,
            progress=lambda *at: moved.append(at),
            **options | {"checkpoint": tmp_path / "file" / "a"},
        )
    assert not [done for done, _ in moved if done]


def test_a_wild_response_does_not_count_for_its_cell(table):
    wild = table[table["class"] == "a"].reset_index(drop=True)
    cell = wild.cell[3]
    usual = wild.amplitude[wild.cell == cell].mean()
    wild.loc[3, "amplitude"] = 500.0
    means = {}
    for outliers in (0.0, 0.02):
        fitted = fw.fit_population(START, wild, chains=1, outliers=outliers, **SHORT | {"warmup": 200})
        one = fitted.cell(cell)
        means[outliers] = float(one.predict(TIMES).mean())
        assert fitted.update(wild[wild.cell == cell], "a", moves=2).cells.outliers == outliers
    assert 0.5 * usual < means[0.02] < 2 * usual < means[0.0]
    single = one.responses(TIMES, repeats=200)
    assert 1e-4 < float((single > 100).double().mean()) < 1e-2


def test_what_was_left_out_has_a_predictive_density(table):
    known = table.assign(amplitude=table.amplitude.where(table.pulse < 3))
    short = fw.fit_population(START, known, chains=1, **SHORT)
    density = short.log_predictive(table)
    assert density.sizes == {"cell": 8}
    assert np.isfinite(density).all()
    assert (density < 200).all()
    np.testing.assert_allclose(short.log_predictive(table.iloc[::-1]), density)  # cells in another order
    wrong = table.assign(amplitude=table.amplitude.where(table.pulse < 3, 3 * table.amplitude))
    assert (short.log_predictive(wrong) < density).all()


def test_sweeps_that_the_fit_saw_do_not_change_the_predictive_density(table):
    out = (table.protocol == table.protocol.iloc[0]) & (table.sweep < 2) & (table.cell != table.cell.iloc[0])
    known = table.assign(amplitude=table.amplitude.mask(out & (table.pulse > 1)))
    short = fw.fit_population(START, known, chains=1, **SHORT)
    whole = short._likewise(table, short.cells)
    both = whole.log_likelihood(short.z) - short.cells.log_likelihood(short.z)
    plain = torch.logsumexp(both, 0) - math.log(len(both))
    density = torch.tensor(short.log_predictive(table).values)
    torch.testing.assert_close(density, plain, rtol=0, atol=1e-9)
    few = without_common(whole, short.cells)
    assert [len(part.response) for part in few] == [out[table.pulse == 0].sum()] * 2
    assert abs(density[short.cells.names.index(str(table.cell.iloc[0]))]) < 1e-12


def test_each_clamp_of_a_cell_has_its_gain_and_noise(table):
    """The likelihood is that of the sweeps of each clamp alone, with the numbers of that clamp."""
    both = table.assign(clamp=np.where(table.sweep % 2, "vc", "ic"))
    both["amplitude"] *= np.where(both.clamp == "vc", 30.0, 1.0)
    cells = recorded_cells(START, both, "class", (), 0.3, 0)
    assert [axis.name for axis in cells.axes[4:]] == ["gain_ic", "noise_ic", "gain_vc", "noise_vc"]
    z = cells.start() + 0.1 * torch.randn(8, 8, generator=torch.Generator().manual_seed(0)).double()
    alone = {}
    for clamp, axes in (("ic", [4, 5]), ("vc", [6, 7])):
        part = both[both.clamp == clamp].drop(columns="clamp")
        one = recorded_cells(START, part, "class", (), 0.3, 0)
        alone[clamp] = one.log_likelihood(z[:, [0, 1, 2, 3, *axes]])
    torch.testing.assert_close(cells.log_likelihood(z), alone["ic"] + alone["vc"])
    fitted = FittedPopulation(cells, z[None], z[None, :2], z[None, :2, :, None], torch.zeros(1), (), True)
    second = fitted._likewise(both[both.clamp == "vc"])
    torch.testing.assert_close(second.log_likelihood(z), alone["vc"])
    with pytest.raises(fw.ConfigError, match="clamp 'cc' was not fitted; use ic, vc"):
        fitted._likewise(both.assign(clamp="cc"))


def test_known_cells_give_the_distribution_of_their_group():
    # with cells that are known, Gibbs steps must find the mean and the covariance from which they were drawn
    generator = torch.Generator().manual_seed(0)
    cells, root = 400, torch.tensor([[0.6, 0.0], [0.3, 0.2]], dtype=torch.float64)
    z = torch.randn(cells, 2, generator=generator, dtype=torch.float64) @ root.T + torch.tensor([1.0, -2.0])
    prior = torch.zeros(2, dtype=torch.float64), torch.full((2,), 2.0, dtype=torch.float64)
    now, kept = beginning(2, 1, prior), []
    for step in range(150):
        now = redrawn(now, z.expand(2, -1, -1), torch.zeros(cells, dtype=torch.long), prior, generator)
        if step >= 50:
            kept.append(now)
    mean = torch.stack([each.mean for each in kept]).mean((0, 1, 2))
    covariance = torch.stack([each.covariance for each in kept]).mean((0, 1, 2))
    torch.testing.assert_close(mean, z.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(covariance, torch.cov(z.T), atol=0.02, rtol=0)


def test_inverse_wishart_has_its_mean():
    scale = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    freedom = torch.full((20_000,), 8.0, dtype=torch.float64)
    drawn = inverse_wishart(
        scale.expand(20_000, 2, 2).contiguous(), freedom, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(drawn.mean(0), scale / 5, atol=0.02, rtol=0)


def test_wrong_tables_and_options_are_refused_in_one_line(table, fitted):
    for change, message in (
        ({"table": table.drop(columns="cell")}, "no column cell or pair"),
        ({"groups": "layer"}, "no column 'layer'"),
        ({"table": table.assign(**{"class": table.sweep})}, "is in 6 groups"),
        ({"table": table.assign(amplitude=-table.amplitude)}, "is not positive"),
        ({"rule": fw.StochasticRelease(START)}, "fit the rule inside"),
        ({"fixed": "tau"}, "no parameter 'tau'"),
        ({"exact": -1}, "exact"),
        (
            {"outliers": -0.1},
            "outliers=-0.1 is not allowed; it must be a finite number at least 0 and below 1",
        ),
        ({"outliers": 1}, "outliers=1 is not allowed"),
    ):
        arguments = {"rule": START, "table": table} | change
        with pytest.raises(fw.ConfigError, match=message):
            fw.fit_population(arguments.pop("rule"), arguments.pop("table"), **arguments)
    with pytest.raises(fw.ConfigError, match="group"):
        fitted.rule("c")


def test_the_summary_says_where_chains_disagree(fitted):
    found = fitted.summary().pivot(index="group", columns="parameter", values="r_hat")
    names = [axis.name for axis in fitted.cells.axes]
    np.testing.assert_array_equal(found[names], fitted.disagreement)


def test_chains_too_short_to_compare_are_not_said_to_disagree(table):
    with pytest.warns(UserWarning, match=r"too short to say whether they agree about U of 'a'; give moves=4"):
        fw.fit_population(START, table, groups="class", warmup=2, moves=2, exact=0, progress=False)


def test_chains_that_differ_are_noticed():
    draws = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chain = torch.arange(2).repeat_interleave(200)
    assert (scale_reduction(draws, chain) < 1.05).all()
    found = scale_reduction(draws + chain[:, None] * torch.tensor([0, 1, 0]), chain)
    assert found[1] > 1.1 > found[[0, 2]].amax()
