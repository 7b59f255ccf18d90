"""Similarity of states, against formulas in other forms and against scipy."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(30, 5)), rng.normal(size=(30, 5))
Y[:, :3] += X[:, :3]
rotation = scipy.linalg.qr(rng.normal(size=(7, 7)))[0]


def normalised(states):
    centred = states - states.mean(0)
    return centred / np.linalg.norm(centred)


def test_procrustes_distance_is_that_of_the_best_rotation():
    distance = fw.measure.procrustes_distance(X, Y)
    Q = scipy.linalg.orthogonal_procrustes(normalised(Y), normalised(X))[0]
    assert distance == pytest.approx(np.linalg.norm(normalised(X) - normalised(Y) @ Q), abs=1e-10)
    disparity = scipy.spatial.procrustes(X, Y)[2]  # which may rescale once more
    assert distance == pytest.approx(np.sqrt(2 - 2 * np.sqrt(1 - disparity)), abs=1e-10)


def test_cka_is_the_normalised_hsic_of_linear_kernels():
    H = np.eye(30) - 1 / 30

    def hsic(K, L):
        return np.trace(K @ H @ L @ H)

    K, L = X @ X.T, Y @ Y.T
    expected = hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))
    assert fw.measure.linear_cka(X, Y) == pytest.approx(expected, abs=1e-12)


def test_neither_sees_shift_scale_rotation_and_silent_units():
    moved = 3 * np.pad(X, ((0, 0), (0, 2))) @ rotation + 5
    assert fw.measure.procrustes_distance(X, moved) == pytest.approx(0, abs=1e-7)
    assert fw.measure.linear_cka(X, moved) == pytest.approx(1)
    assert fw.measure.procrustes_distance(X, Y) == pytest.approx(fw.measure.procrustes_distance(Y, moved))
    stretched = X * [1, 1, 1, 1, 10]
    assert fw.measure.linear_cka(X, stretched) < 0.9
    assert fw.measure.procrustes_distance(X, stretched) > 0.1


def test_recordings_arrays_and_tensors():
    states = xr.DataArray(X.reshape(5, 6, 5), dims=("trial", "time", "unit"))
    run = xr.Dataset({"rate": states.transpose("time", "unit", "trial")})
    expected = fw.measure.linear_cka(X, Y)
    assert fw.measure.linear_cka(run, torch.tensor(Y).reshape(5, 6, 5)) == pytest.approx(expected)
    assert fw.measure.procrustes_distance(run, X.reshape(5, 6, 5)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("one", "other", "error", "said"),
    [
        (X, Y[:20], ShapeError, r"samples \(30,\), other \(20,\)"),
        (X[:, 0], Y, ShapeError, r"one has shape \[30\]"),
        (X, np.ones((30, 2)), ConfigError, "other does not vary"),
        (np.where(X > 2, np.nan, X), Y, ConfigError, "one is empty, NaN"),
        (xr.DataArray(X, dims=("pattern", "unit")), Y, ShapeError, r"dimensions \['pattern', 'unit'\]"),
    ],
)
def test_bad_states_are_refused(one, other, error, said):
    with pytest.raises(error, match=said):
        fw.measure.procrustes_distance(one, other)


def test_dimensions_are_names():
    with pytest.raises(ConfigError, match="dim=0 is not allowed; give names of dimensions"):
        fw.measure.linear_cka(X, Y, dim=0)
