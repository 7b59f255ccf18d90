"""Lyapunov exponents of systems that have known ones; bands were set before the run."""

import math

import numpy as np
import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, DivergedError
from fwsim.measure.differentiation import jacobian


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_diagonalisable_linear_map_is_exact():
    values = torch.tensor([2.0, 0.5, -0.25], dtype=torch.float64)
    result = fw.measure.lyapunov_exponents(lambda x: x * values, torch.zeros(2, 3).double(), 50, dt=0.1)
    expected = np.log(np.abs(values.numpy())) / 0.1
    assert result.exponent.values == pytest.approx(np.tile(expected, (2, 1)), rel=1e-12)
    assert np.allclose(result.error, 0, atol=1e-10)
    assert result.time.values[-1] == pytest.approx(5.0)


def test_a_general_linear_map_after_alignment():
    W = torch.randn(4, 4, generator=generator(1), dtype=torch.float64)
    W = W @ torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.05], dtype=torch.float64)) @ torch.linalg.inv(W)
    result = fw.measure.lyapunov_exponents(lambda x: x @ W.T, torch.zeros(1, 4).double(), 50, transient=100)
    assert result.exponent.values[0] == pytest.approx(np.log([1.0, 0.5, 0.2, 0.05]), abs=1e-9)


def henon(x):
    return torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1)


def test_henon_within_its_band_and_its_sum_exactly():
    start = 0.1 * torch.rand(100, 2, generator=generator(), dtype=torch.float64)
    result = fw.measure.lyapunov_exponents(henon, start, 500, transient=100)
    assert float(result.exponent[:, 0].mean()) == pytest.approx(0.419, abs=0.006)
    assert result.exponent.sum("mode").values == pytest.approx(np.full(100, math.log(0.3)), abs=1e-9)
    assert float(result.dimension.mean()) == pytest.approx(1.258, abs=0.01)


def test_logistic_map_at_four_is_ln_2():
    start = torch.rand(300, 1, generator=generator(2), dtype=torch.float64)
    result = fw.measure.lyapunov_exponents(lambda x: 4 * x * (1 - x), start, 500, transient=50)
    assert float(result.exponent.mean()) == pytest.approx(math.log(2), abs=0.002)
    np.testing.assert_array_equal(result.running[:, -1], result.exponent)


def test_a_skew_tent_map_has_the_entropy_of_its_slopes():
    """x → x/p below p and (1 − x)/(1 − p) above: −p ln p − (1 − p) ln(1 − p), whatever the density, which is even."""
    p = 0.3
    start = torch.rand(200, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = fw.measure.lyapunov_exponents(lambda x: torch.where(x < p, x / p, (1 - x) / (1 - p)), start, 200)
    expected = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert float(found.exponent.mean()) == pytest.approx(expected, abs=0.01)


def test_the_lozi_map_has_the_printed_exponent():
    """0.47023 in Sprott 2003, *Chaos and Time-Series Analysis*, A.2.2, as public code quotes it; the sum is ln 0.5."""

    def lozi(x):
        return torch.stack([1 - 1.7 * x[:, 0].abs() + 0.5 * x[:, 1], x[:, 0]], 1)

    start = 0.1 * torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = fw.measure.lyapunov_exponents(lozi, start, 250, transient=50)
    assert found.exponent.sum("mode").values == pytest.approx(np.full(200, math.log(0.5)), abs=1e-10)
    assert float(found.exponent[:, 0].mean()) == pytest.approx(0.47023, abs=0.005)


def test_a_reset_counts_if_its_time_follows_from_the_state():
    """An integrate-and-fire unit with a constant input has the exponent 0; with resets at the grid it loses them."""
    current, steps = 1.5, 40
    period = math.log(current / (current - 1))
    dt = 4 * period / steps

    def exact(v):
        left = dt - torch.log((current - v) / (current - 1))  # time since the reset
        return torch.where(
            left > 0, current * (1 - torch.exp(-left)), current + (v - current) * math.exp(-dt)
        )

    def rounded(v):
        after = current + (v - current) * math.exp(-dt)
        return torch.where(after >= 1, after - 1, after)

    start = torch.tensor([[0.03], [0.41]], dtype=torch.float64)
    found = [
        fw.measure.lyapunov_exponents(step, start, steps, dt).exponent.values for step in (exact, rounded)
    ]
    assert found[0] == pytest.approx(np.zeros((2, 1)), abs=1e-9)
    assert found[1] == pytest.approx(np.full((2, 1), -1.0), abs=1e-9)


def test_lorenz_within_its_bands():
    dt = 0.01
    linear = torch.tensor([[-10, 10, 0], [28, -1, 0], [0, 0, -8 / 3]], dtype=torch.float64)

    def flow(x):
        xx, xy, xz = (x[:, :1] * x).unbind(1)
        return x @ linear.mT + torch.stack([torch.zeros_like(xx), -xz, xy], 1)

    def runge_kutta(x):
        k1 = flow(x)
        k2 = flow(torch.add(x, k1, alpha=dt / 2))  # a product with a number is slow in forward mode
        k3 = flow(torch.add(x, k2, alpha=dt / 2))
        k4 = flow(torch.add(x, k3, alpha=dt))
        return torch.add(torch.add(x, k1 + k4, alpha=dt / 6), k2 + k3, alpha=dt / 3)

    start = torch.randn(400, 3, generator=generator(3), dtype=torch.float64) + torch.tensor([0.0, 0.0, 25.0])
    result = fw.measure.lyapunov_exponents(runge_kutta, start, 600, dt=dt, transient=500)
    mean = result.exponent.mean("trial").values
    assert mean[0] == pytest.approx(0.906, abs=0.03)
    assert mean[1] == pytest.approx(0.0, abs=0.03)
    assert mean.sum() == pytest.approx(-(10 + 1 + 8 / 3), abs=1e-3)  # the flow's divergence is constant


def test_the_sum_of_all_exponents_is_the_mean_log_determinant():
    W = 1.5 * torch.randn(6, 6, generator=generator(4), dtype=torch.float64)

    def step(x):
        return torch.tanh(x @ W.T + 0.1)

    start = torch.randn(3, 6, generator=generator(5), dtype=torch.float64)
    result = fw.measure.lyapunov_exponents(step, start, 200, dt=0.5)
    logs, x = torch.zeros(3, dtype=torch.float64), start
    for _ in range(200):
        logs += torch.linalg.slogdet(jacobian(step, x)).logabsdet
        x = step(x)
    assert result.exponent.sum("mode").values == pytest.approx((logs / 100).numpy(), abs=1e-9)


def test_leading_exponents_equal_those_of_the_whole_spectrum():
    W = 2 * torch.randn(5, 5, generator=generator(6), dtype=torch.float64)
    start = torch.randn(2, 5, generator=generator(7), dtype=torch.float64)

    def step(x):
        return torch.tanh(x @ W.T)

    whole = fw.measure.lyapunov_exponents(step, start, 300, transient=100)
    leading = fw.measure.lyapunov_exponents(step, start, 300, transient=100, modes=2)
    assert leading.exponent.values == pytest.approx(whole.exponent.values[:, :2], abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("units", [3, 60])
def test_a_singular_map_has_exponents_of_minus_infinity(units, dtype):
    """Of a map of rank two, all but two; their rounding errors would give about ln 1e-16, or ln 1e-7."""
    left, right = torch.randn(2, units, 2, generator=generator(8), dtype=torch.float64).unbind()
    W = (left @ right.T / units).to(dtype)
    for step in (lambda x: x @ W.T, lambda x: torch.tanh(x @ W.T)):
        found = fw.measure.lyapunov_exponents(
            step, torch.ones(2, units, dtype=dtype) / units, 30, transient=5
        )
        assert np.isfinite(found.exponent.values[:, :2]).all()
        assert (found.exponent.values[:, 2:] == -np.inf).all()
    expected = np.log(np.abs(np.linalg.eigvals((right.T @ left / units).numpy())))
    linear = fw.measure.lyapunov_exponents(
        lambda x: x @ W.T, torch.zeros(1, units, dtype=dtype), 50, transient=50
    )
    assert linear.exponent.values[0, :2] == pytest.approx(np.sort(expected)[::-1], abs=0.05)
    leading = fw.measure.lyapunov_exponents(lambda x: x @ W.T, torch.zeros(1, units, dtype=dtype), 9, modes=3)
    assert leading.exponent.values[0, 2] == -np.inf


def test_a_small_exponent_that_is_resolved_is_kept():
    """Also beside large ones, where no sum rounds it away."""
    W = torch.tensor([[2.0, 1.0], [0.0, 1e-30]], dtype=torch.float64)
    found = fw.measure.lyapunov_exponents(lambda x: x @ W.T, torch.zeros(1, 2).double(), 20)
    assert found.exponent.values[0] == pytest.approx(np.log([2.0, 1e-30]))
    turn = torch.linalg.qr(torch.randn(2, 2, generator=generator(9), dtype=torch.float64))[0]
    W = turn @ torch.diag(torch.tensor([2.0, 1e-9], dtype=torch.float64)) @ turn.T
    found = fw.measure.lyapunov_exponents(lambda x: x @ W.T, torch.zeros(1, 2).double(), 20, transient=5)
    assert found.exponent.values[0] == pytest.approx(np.log([2.0, 1e-9]), abs=1e-5)


def test_bad_requests_and_divergence():
    start = torch.ones(1, 2)
    with pytest.raises(ConfigError, match="modes"):
        fw.measure.lyapunov_exponents(lambda x: x, start, 10, modes=3)
    with pytest.raises(ConfigError, match=r"steps=5\.5.*integer"):
        fw.measure.lyapunov_exponents(lambda x: x, start, 5.5)
    with pytest.raises(DivergedError) as caught:
        fw.measure.lyapunov_exponents(lambda x: x**2 + 2, start, 100)
    assert caught.value.trial == 0


def test_a_limit_cycle_has_dimension_one_and_a_ring_of_fixed_points_is_marginal():
    """Their exponent, or |eigenvalue| − 1, is 0 up to rounding, of either sign."""

    def around(turn):
        cos, sin = math.cos(turn), math.sin(turn)

        def step(x):
            radius = x.norm(dim=-1, keepdim=True)
            turned = torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], -1)
            return turned / radius * (1 + 0.5 * (radius - 1))

        return step

    start = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cycle = fw.measure.lyapunov_exponents(around(0.6), start, 100, transient=50)
    assert (cycle.dimension == 1).all()
    points = fw.measure.fixed_points(around(0.0), start)
    assert points.marginal.all()
    assert not points.stable.any()
    assert (points["index"] == 0).all()
    strict = fw.measure.fixed_points(lambda x: (1 - 1e-3) * x, start)
    assert strict.stable.all()
    assert fw.measure.fixed_points(lambda x: (1 - 1e-3) * x, start, marginal=1e-2).marginal.all()
