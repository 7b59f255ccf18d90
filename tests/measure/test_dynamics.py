"""Dynamical similarity: linear systems whose eigenvalues are known. The package is an extra."""

import importlib.util
import sys

import numpy as np
import pytest
import scipy.linalg
import torch
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError

needs_dsa = pytest.mark.skipif(
    importlib.util.find_spec("DSA") is None,
    reason="needs dsa-metric (extra dsa)",
)

rng = np.random.default_rng(0)
mixing = scipy.linalg.qr(rng.normal(size=(4, 4)))[0]


def turning(angle, steps=200, start=0.0):
    time = angle * np.arange(steps) + start
    return np.stack([np.cos(time), np.sin(time)], 1)


@needs_dsa
def test_rotations_differ_by_their_eigenvalues():
    """Both have a pair of eigenvalues on the circle: the mean squared distance is 2 − 2 cos of the difference."""
    one = xr.DataArray(turning(0.1), dims=("time", "unit"), coords={"time": 0.01 * np.arange(200)})
    other = 5 * np.pad(turning(0.3, 150, 1.0), ((0, 0), (0, 2))) @ mixing + 3
    found = fw.measure.dynamical_distance(one, other, delays=1, rank=2)
    assert found == pytest.approx(2 - 2 * np.cos(0.2), abs=1e-4)
    same = 5 * np.pad(turning(0.1, 150, 1.0), ((0, 0), (0, 2))) @ mixing + 3
    assert fw.measure.dynamical_distance(one, same, delays=1, rank=2) == pytest.approx(0, abs=1e-5)


@needs_dsa
def test_the_best_rotation_of_two_maps_is_found_whatever_the_callers_seed():
    """Maps A and B that turn by 0.1 and 0.3: the angle between them is 0.2 in every pair of coordinates."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(
            fw.measure.dynamical_distance(
                turning(0.1), turning(0.3)[:, ::-1], delays=1, rank=2, method="angular", iterations=100
            )
        )
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] == pytest.approx(0.2, abs=1e-3)


@needs_dsa
def test_trials_are_not_joined_at_their_ends():
    trials = np.stack([turning(0.1, 60, start) for start in range(6)])
    states = xr.DataArray(trials, dims=("trial", "time", "unit")).transpose("unit", "time", "trial")
    assert fw.measure.dynamical_distance(states, turning(0.1), delays=2, rank=2) == pytest.approx(0, abs=1e-4)


def sampled(dt):
    return xr.DataArray(turning(0.1), dims=("time", "unit"), coords={"time": dt * np.arange(200)})


@pytest.mark.parametrize(
    ("one", "other", "options", "error", "said"),
    [
        (sampled(0.1), sampled(0.2), {}, ConfigError, "one has a sample every 0.1 s, other every 0.2 s"),
        (turning(0.1), turning(0.1), {"method": "cosine"}, ConfigError, "method='cosine'"),
        (
            turning(0.1),
            turning(0.1),
            {"rank": 4},
            ConfigError,
            "has 3 dimensions with delays=10; give rank=3",
        ),
        (turning(0.1)[:5], turning(0.1), {}, ConfigError, "needs at least 11 times"),
        (turning(0.1)[:, 0], turning(0.1), {}, ShapeError, r"one has shape \[200\]"),
        (np.full((50, 2), np.nan), turning(0.1), {}, ConfigError, "one is empty, NaN"),
        (
            sampled(0.1).rename(unit="pattern"),
            turning(0.1),
            {},
            ShapeError,
            r"dimensions \['time', 'pattern'\]",
        ),
        (
            sampled(0.1).assign_coords(time=np.arange(200.0) ** 2),
            turning(0.1),
            {},
            ConfigError,
            "equal ones",
        ),
    ],
)
def test_bad_states_are_refused_before_the_package_is_loaded(one, other, options, error, said):
    with pytest.raises(error, match=said):
        fw.measure.dynamical_distance(one, other, **options)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "DSA", None)
    with pytest.raises(ConfigError, match="dynamical_distance needs dsa-metric"):
        fw.measure.dynamical_distance(turning(0.1), turning(0.1), delays=1, rank=2)
