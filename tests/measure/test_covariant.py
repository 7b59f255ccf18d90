"""Covariant Lyapunov vectors of maps whose directions are known."""

import math

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, DivergedError, ShapeError
from fwsim.measure.differentiation import pushforward
from tests.measure.test_driven_exponents import normal, rate_network


def test_vectors_of_a_linear_map_are_its_eigenvectors():
    basis = normal(4, 4, seed=1)
    values = torch.tensor([1.5, -0.9, 0.4, 0.1], dtype=torch.float64)
    W = basis @ torch.diag(values) @ torch.linalg.inv(basis)
    found = fw.measure.covariant_vectors(lambda x: x @ W.T, normal(2, 4), 6, dt=0.5, transient=80)
    expected = (basis / basis.norm(dim=0)).numpy()
    overlap = np.abs(np.einsum("btum,um->btm", found.vector.values, expected))
    assert overlap == pytest.approx(np.ones((2, 6, 4)), abs=1e-9)
    assert found.exponent.values == pytest.approx(np.tile(np.log(np.abs(values)) / 0.5, (2, 1)), abs=1e-9)
    between = np.abs(expected.T @ expected)[np.triu_indices(4, 1)].max()
    assert found.angle.values == pytest.approx(np.full((2, 6), math.acos(between)), abs=1e-7)


def baker(x):
    """x → 2x mod 1, y → y/4 + sin 2πx: hyperbolic; its directions are (1, s) with a sum over the past, and (0, 1)."""
    return torch.stack([2 * x[:, 0] % 1, x[:, 1] / 4 + torch.sin(2 * math.pi * x[:, 0])], 1)


def test_directions_of_a_hyperbolic_map():
    steps, transient = 12, 20  # doubling loses a bit per step
    start = torch.tensor([[math.sqrt(2) - 1, 0.3]], dtype=torch.float64)
    found = fw.measure.covariant_vectors(baker, start, steps, transient=transient)
    path = [start]
    for _ in range(transient + steps):
        path.append(baker(path[-1]))
    x = torch.cat(path)[:, 0].numpy()
    for k in range(steps):
        now = transient + k
        assert found.state.values[0, k] == pytest.approx(path[now][0].numpy())
        past = x[:now][::-1]
        slope = (2 * np.pi * np.cos(2 * np.pi * past) * 0.5 * 0.125 ** np.arange(len(past))).sum()
        vector = found.vector.values[0, k]
        assert vector[1, 0] / vector[0, 0] == pytest.approx(slope, abs=1e-8)
        assert vector[0, 1] == pytest.approx(0, abs=1e-8)
        assert found.angle.values[0, k] == pytest.approx(math.atan2(1, abs(slope)), abs=1e-7)
    assert found.growth.values[0, :, 1] == pytest.approx(np.full(steps, math.log(0.25)), abs=1e-8)


def test_each_step_maps_the_vectors_to_the_next_ones():
    W = 2 * normal(5, 5, seed=6)

    def step(x):
        return torch.tanh(x @ W.T)

    start = normal(2, 5, seed=7)
    found = fw.measure.covariant_vectors(step, start, 10, dt=0.1, modes=3, transient=150)
    for now in range(9):
        state = torch.tensor(found.state.values[:, now])
        image, moved = pushforward(step, state, torch.tensor(found.vector.values[:, now]))
        assert image.numpy() == pytest.approx(found.state.values[:, now + 1], abs=1e-12)
        length = moved.norm(dim=1)
        assert (length.log() / 0.1).numpy() == pytest.approx(found.growth.values[:, now], abs=1e-6)
        overlap = ((moved / length[:, None]).numpy() * found.vector.values[:, now + 1]).sum(1)
        assert np.abs(overlap) == pytest.approx(np.ones((2, 3)), abs=1e-6)
    assert np.linalg.norm(found.vector.values, axis=2) == pytest.approx(np.ones((2, 10, 3)))


def test_a_single_vector_has_no_angle():
    found = fw.measure.covariant_vectors(lambda x: 2 * x, torch.zeros(2, 3).double(), 4, modes=1, transient=2)
    assert found.angle.shape == (2, 4)
    assert np.isnan(found.angle).all()


def test_their_growth_is_that_of_the_exponents():
    def henon(x):
        return torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1)

    start = 0.1 * torch.rand(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = fw.measure.covariant_vectors(henon, start, 400, transient=50)
    wanted = fw.measure.lyapunov_exponents(henon, start, 400, transient=50)
    assert found.exponent.values == pytest.approx(wanted.exponent.values, abs=5e-3)
    assert (found.angle > 0).all()


def test_networks_with_an_input_as_they_are():
    net, drive = rate_network("reference"), normal(1, 12, 3, seed=4)
    found = fw.measure.covariant_vectors(net, None, 4, modes=2, transient=4, drive=drive)
    assert found.sizes["unit"] == fw.measure.NetworkMap(net).rest(1).shape[1]
    assert float(found.time[1]) == pytest.approx(net.dt)
    with pytest.raises(ShapeError, match="at least 12"):
        fw.measure.covariant_vectors(net, None, 4, modes=2, transient=4, drive=drive[:, :11])


def test_bad_requests_are_refused():
    start = torch.ones(1, 2, dtype=torch.float64)
    with pytest.raises(ConfigError, match="modes=3"):
        fw.measure.covariant_vectors(lambda x: x, start, 5, modes=3)
    with pytest.raises(ConfigError, match="sets a direction to zero"):
        fw.measure.covariant_vectors(lambda x: x * torch.tensor([1.0, 0.0]).double(), start, 5, transient=2)
    flat = normal(3, 2, seed=8) @ normal(2, 3, seed=9)  # of rank 2, but its third direction is not exactly 0
    with pytest.raises(ConfigError, match="sets a direction to zero"):
        fw.measure.covariant_vectors(lambda x: x @ flat.T, torch.ones(1, 3).double(), 5)
    assert (
        fw.measure.covariant_vectors(lambda x: x @ flat.T, torch.ones(1, 3).double(), 5, modes=2).angle.min()
        > 0
    )
    with pytest.raises(ConfigError, match="GiB; take fewer"):
        fw.measure.covariant_vectors(lambda x: x, start, 10**9)
    with pytest.raises(DivergedError):
        fw.measure.covariant_vectors(lambda x: x**2 + 2, start, 100)
