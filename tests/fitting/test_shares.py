"""Shares of units that each rule describes, with their intervals."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.fitting import shares


def density(values):
    return xr.DataArray(values, {"rule": ["one", "other"][: len(values)]}, ("rule", "unit"))


def test_units_that_say_nothing_leave_the_prior():
    found = shares(density(np.zeros((2, 30))), draws=20_000)
    assert abs(float(found.share_low.sel(rule="one")) - 0.025) < 0.015  # of a uniform distribution
    assert abs(float(found.share_high.sel(rule="one")) - 0.975) < 0.015
    assert float(found.number_low.sel(rule="one")) <= 1
    assert float(found.number_high.sel(rule="one")) >= 29


def test_certain_units_are_counted():
    values = np.zeros((2, 50))
    values[0, :20] = 100.0
    values[1, 20:] = 100.0
    values[:, 40:] = np.nan
    found = shares(density(values)).sel(rule="one")
    assert found.number == found.number_low == found.number_high == 20
    assert abs(float(found.share) - 0.5) < 0.02
    low, high = float(found.share_low), float(found.share_high)
    assert abs((low + high) / 2 - 0.5) < 0.02
    assert abs(high - low - 0.3) < 0.03  # of Beta(21, 21)


def test_intervals_hold_the_true_number():
    random, inside = np.random.default_rng(0), 0
    for seed in range(60):
        true = random.random(40) < random.random()
        seen = random.standard_normal(40) + 1.5 * true  # a unit decides little
        values = np.stack([-0.5 * (seen - 1.5) ** 2, -0.5 * seen**2])
        found = shares(density(values), draws=400, seed=seed).sel(rule="one")
        inside += found.number_low <= true.sum() <= found.number_high
    assert 53 <= inside <= 60


def test_what_is_no_density_of_units_is_refused():
    with pytest.raises(fw.ShapeError, match=r"give \[rule, unit\]"):
        shares(xr.DataArray(np.zeros((2, 3)), dims=("model", "unit")))
    with pytest.raises(fw.ShapeError, match="no unit has a density for every rule"):
        shares(density(np.full((2, 3), np.nan)))
