"""What analyses of sweeps have in common: point by point, and intervals over networks."""

import numpy as np
import pytest
import xarray as xr

from fwsim.study import each_point, each_run, finite, mean_interval, verdict


def sweep():
    """Two dimensions of points, one of them without a coordinate, over units."""
    values = np.arange(12.0).reshape(2, 3, 2)
    return xr.DataArray(values, {"tau": [0.1, 0.2]}, ("tau", "seed", "unit")).to_dataset(name="rate")


def test_points_are_analysed_one_by_one_and_keep_their_places():
    seen = []

    def analyse(point):
        seen.append(point.sizes)
        return point.sum()

    found = each_point(sweep(), ["seed", "tau"], analyse)
    assert seen == 6 * [{"unit": 2}]
    assert found["rate"].dims == ("seed", "tau")
    xr.testing.assert_equal(found.transpose("tau", "seed"), sweep().sum("unit"))


def test_results_without_coordinates_get_those_of_the_recording():
    found = each_point(sweep(), ["tau"], lambda point: xr.Dataset({"rate": ((), float(point.rate.sum()))}))
    xr.testing.assert_equal(found, sweep().sum(["seed", "unit"]))


def test_a_run_is_its_only_point():
    one = sweep().isel(tau=0, seed=0)
    xr.testing.assert_equal(each_point(one, [], lambda point: 2 * point), 2 * one)


def test_intervals_are_over_the_values_that_are_there():
    values = xr.DataArray([[1.0, np.nan], [3.0, np.inf]])
    assert finite(values).tolist() == [1.0, 3.0]
    half = 12.706204736 * np.sqrt(2) / np.sqrt(2)  # t(0.975, one degree of freedom) · s / √n
    assert mean_interval(values) == pytest.approx([2, 2 - half, 2 + half], rel=1e-6)
    assert mean_interval(xr.DataArray([4.0, np.nan])) == pytest.approx([4, np.nan, np.nan], nan_ok=True)
    assert np.isnan(mean_interval(xr.DataArray([np.nan]))).all()


def test_verdicts_of_intervals():
    """A word for each side of the bounds; an end on a bound is not beyond it; one network has no interval."""
    assert verdict(np.array([80.0, 76.0, 84.0]), 60, 75) == "survives"
    assert verdict(np.array([80.0, 75.0, 85.0]), 60, 75) == "in part"
    assert verdict(np.array([55.0, 50.0, 60.0]), 60, 75) == "in part"
    assert verdict(np.array([50.0, 45.0, 55.0]), 60, 75, ("no", "perhaps", "yes")) == "no"
    assert verdict(mean_interval(xr.DataArray([70.0])), 60, 75) == "undecided"


def test_a_run_is_its_only_run():
    """Sweeps are in the tests of analyses that join runs and sweeps."""
    one = sweep().isel(tau=0, seed=0, drop=True).assign_attrs(experiment_seed=7)
    (found,) = each_run(one)
    assert found["seed"].values.tolist() == [7]
    xr.testing.assert_equal(found.isel(seed=0, drop=True), one)
