"""Differences of predictive densities between rules, and their errors."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.fitting import compare_populations, differences, synthetic_table
from tests.fitting.recorded import population

TM = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.1)


def test_differences_have_the_error_of_paired_units():
    random = np.random.default_rng(0)
    common = 5 * random.standard_normal(400)  # units differ far more than rules do
    values = np.stack(
        [common, common - 0.2 + random.standard_normal(400), common - 0.01 * np.arange(400) % 2]
    )
    values = np.concatenate([values, np.full((1, 400), np.nan)])
    found = differences(
        xr.DataArray(values, {"rule": ["best", "worse", "like it", "none"]}, ("rule", "unit"))
    )
    assert found.difference.sel(rule="best") == 0
    off = values[1] - values[0]
    np.testing.assert_allclose(found.difference.sel(rule="worse"), off.sum())
    np.testing.assert_allclose(found.difference_error.sel(rule="worse"), np.sqrt(400) * off.std(ddof=1))
    assert bool(found.told_apart.sel(rule="worse"))
    assert not bool(found.told_apart.sel(rule="none"))
    assert np.isnan(found.difference.sel(rule="none"))
    with pytest.raises(fw.ShapeError, match="give \\[rule, unit\\]"):
        differences(xr.DataArray(values, dims=("model", "unit")))


def test_a_rule_of_another_name_cannot_be_told_apart():
    table = synthetic_table(TM, sweeps=10, cv=0.3, seed=1)
    rules = {"right": TM, "the same": TM, "no facilitation": fw.TsodyksMarkram(0.3, 0.2, 0.0)}
    compared = fw.compare_rules(
        rules, table, starts=4, fixed={"no facilitation": "tau_facil"}, progress=False
    )
    assert not bool(compared.told_apart.sel(rule=["right", "the same"]).any())
    assert bool(compared.told_apart.sel(rule="no facilitation"))
    np.testing.assert_allclose(
        compared.log_predictive_density.sel(rule="right"),
        compared.held_out_log_likelihood.sel(rule="right").sum(),
        rtol=1e-9,
    )


def test_rules_are_compared_on_what_was_left_out_of_cells():
    table, _ = population(4, 6, seed=4)
    table["held_out"] = (table.protocol == "100") & (table.pulse >= 4)
    options = {"chains": 1, "warmup": 150, "moves": 60, "exact": 0}
    stiff = fw.TsodyksMarkram(U=0.05, tau_rec=0.02, tau_facil=0.0)
    compared = compare_populations({"free": TM, "stiff": stiff}, table, options={
        "stiff": {"fixed": ("U", "tau_rec", "tau_facil")}}, **options)  # fmt: skip
    assert compared.density.sizes == {"rule": 2, "cell": 4}
    assert compared.difference.sel(rule="free") == 0
    assert compared.difference.sel(rule="stiff") < -20
    for column, message in (
        ("other", "no column"),
        ("pulse0", "leaves nothing"),
        ("all", "keeps no response"),
    ):
        marked = table.assign(pulse0=False, all=table.cell == "a0")
        with pytest.raises(fw.ConfigError, match=message):
            compare_populations([TM], marked, held_out=column)
