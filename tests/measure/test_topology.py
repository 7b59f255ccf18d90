"""Loops in clouds of states whose topology is known. The package is an extra."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError

needs_gudhi = pytest.mark.skipif(
    importlib.util.find_spec("gudhi") is None, reason="needs gudhi (extra topology)"
)


def ring(points, units=2, noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(points) / points
    flat = np.stack([np.cos(angle), np.sin(angle)], 1)
    turned = flat @ np.linalg.qr(random.normal(size=(units, units)))[0][:2]
    return turned + noise * random.normal(size=turned.shape)


@needs_gudhi
def test_a_regular_polygon_has_the_loop_of_theory():
    """Of 60 points on a circle: born at the side 2 sin(π/60), filled at the side √3 of the largest triangle.

    Adamaszek & Adams 2017, Pac. J. Math. 290:1: the complex of the circle has the shape of a circle up to √3.
    """
    found = fw.measure.loops(3 * ring(60))
    assert found.birth.values[0] == pytest.approx(6 * np.sin(np.pi / 60))
    assert found.death.values[0] == pytest.approx(3 * np.sqrt(3))
    assert found.lifetime.values[0] == pytest.approx(3 * np.sqrt(3) - 6 * np.sin(np.pi / 60))
    assert bool(found.ring)
    assert found.p_value.values[0] == 1 / 40


@needs_gudhi
def test_a_ring_is_told_from_a_line():
    random = np.random.default_rng(0)
    assert bool(fw.measure.loops(ring(300, 20, 0.05)).ring)
    line = np.linspace(-1, 1, 300)[:, None] * random.normal(size=20) + 0.05 * random.normal(size=(300, 20))
    found = fw.measure.loops(line)
    assert not bool(found.ring)
    assert not found.significant.any()


@needs_gudhi
def test_a_cloud_in_three_directions_has_no_loop():
    """Controls that lose the correlations of units find loops in a third of such clouds (`calibration.py`)."""
    found = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        cloud = random.normal(size=(150, 3)) @ random.normal(size=(3, 20))
        found.append(bool(fw.measure.loops(cloud, points=40, seed=seed).significant.any()))
    assert sum(found) <= 1


@needs_gudhi
def test_two_loops_are_no_ring():
    """Two circles that touch at a point have two loops."""
    circle = ring(200)
    eight = np.concatenate([circle - [1, 0], circle + np.array([1, 0])])
    found = fw.measure.loops(eight, points=80)
    assert int(found.significant.sum()) == 2
    assert not bool(found.ring)


@needs_gudhi
def test_recordings_and_seeds():
    states = xr.DataArray(ring(60).reshape(3, 20, 2), dims=("trial", "time", "unit"), attrs={"units": "Hz"})
    run = xr.Dataset({"rate": states.transpose("unit", "trial", "time")})
    found = fw.measure.loops(run)
    assert found.equals(fw.measure.loops(torch.tensor(ring(60))))
    for name in ("birth", "death", "lifetime"):
        assert found[name].attrs["units"] == "Hz"
    assert fw.measure.loops(states).lifetime.attrs["units"] == "Hz"
    assert (np.diff(fw.measure.loops(ring(100, 5, 0.3)).lifetime.values) <= 0).all()


@needs_gudhi
@pytest.mark.parametrize(
    ("states", "options", "error", "said"),
    [
        (ring(60), {"points": 3}, ConfigError, "points=3"),
        (ring(60), {"shuffles": 5}, ConfigError, "shuffles=5"),
        (np.full((20, 2), np.inf), {}, ConfigError, "NaN or infinite"),
        (np.ones((20, 2)), {}, ConfigError, "do not vary"),
        (np.ones(20), {}, ShapeError, r"states has shape \[20\]"),
    ],
)
def test_bad_requests_are_refused(states, options, error, said):
    with pytest.raises(error, match=said):
        fw.measure.loops(states, **options)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gudhi", None)
    with pytest.raises(ConfigError, match="loops needs gudhi"):
        fw.measure.loops(ring(60))
