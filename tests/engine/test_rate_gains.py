"""Gains and normalisations against textbook forms."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erfcx

import fwsim as fw
from fwsim import ms, mV

DOUBLE = torch.float64


def textbook_siegert(h, tau=0.02, threshold=0.02, reset=0.01, refractory=0.002, sd=0.001):
    """1/r = τ_ref + τ√π ∫ e^{u²}(1 + erf u) du, with scipy's adaptive quadrature."""
    sigma = math.sqrt(2) * sd
    integral, _ = quad(
        lambda u: erfcx(-u), (reset - h) / sigma, (threshold - h) / sigma, epsabs=0, epsrel=1e-11, limit=500
    )
    return 1 / (refractory + tau * math.sqrt(math.pi) * integral)


@pytest.mark.parametrize("sd", [0.3 * mV, 1 * mV, 5 * mV])
def test_siegert_is_the_textbook_integral(sd):
    fields = torch.linspace(0.019 - 10 * sd, 0.06, 23, dtype=DOUBLE)
    expected = [textbook_siegert(h, sd=sd) for h in fields.tolist()]
    np.testing.assert_allclose(fw.siegert(sd=sd)(fields), expected, rtol=1e-9)


def test_siegert_without_noise_is_the_deterministic_neuron():
    h = torch.linspace(0.021, 0.08, 9, dtype=DOUBLE)
    expected = 1 / (2 * ms + 20 * ms * torch.log((h - 0.01) / (h - 0.02)))
    np.testing.assert_allclose(fw.siegert(sd=1e-5)(h), expected, rtol=1e-3)


@pytest.mark.parametrize("scale", [5.0, 20.0])
def test_a_neuron_is_made_a_rectified_unit(scale):
    """No background and potential nearby have rates closer to scale · max(field, 0), nor have very different ones."""
    gain = fw.siegert(tau=0.01, threshold=0.025, reset=0.0, refractory=0.002, sd=0.001)
    background, potential = gain.rectified(scale)
    field = torch.linspace(-2, 8, 81, dtype=DOUBLE)

    def error(background, potential):
        return float((gain(background + potential * field) / scale - field.clamp(min=0)).square().sum())

    least = error(background, potential)
    for shift in (-5 * mV, -0.1 * mV, 0.0, 0.1 * mV, 5 * mV):
        for stretch in (0.2, 0.95, 1.05, 5.0):
            assert error(background + shift, potential * stretch) > least
    assert least / 81 < 0.5**2  # field by field, a root mean square error of less than half a unit


def test_what_cannot_be_rectified_is_refused():
    with pytest.raises(fw.ConfigError, match="scale"):
        fw.siegert().rectified(0.0)
    with pytest.raises(fw.ConfigError, match="high"):
        fw.siegert().rectified(10.0, low=2.0, high=1.0)
    with pytest.raises(fw.ConfigError, match="not tensors"):
        fw.siegert(tau=torch.tensor(0.01)).rectified(10.0)


def test_siegert_saturates_and_vanishes_without_nan():
    rates = fw.siegert()(torch.tensor([-1e3, -1.0, 1.0, 1e3], dtype=DOUBLE))
    assert rates[0] == 0
    assert float(rates[-1]) == pytest.approx(500.0, rel=1e-4)
    assert bool(rates.isfinite().all())


def test_siegert_is_differentiable_in_everything():
    h = torch.tensor([0.005, 0.015, 0.0199, 0.021, 0.03], dtype=DOUBLE, requires_grad=True)
    sd = torch.tensor(0.001, dtype=DOUBLE, requires_grad=True)
    tau = torch.tensor(0.02, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda h, sd, tau: fw.siegert(sd=sd, tau=tau)(h), (h, sd, tau), eps=1e-8, atol=1e-3, rtol=1e-4
    )


@pytest.mark.parametrize("alpha", [1.5, torch.tensor([[1.5], [0.2]], dtype=DOUBLE)])
def test_softplus(alpha):
    h = torch.linspace(-30, 30, 41, dtype=DOUBLE).expand(2, -1)
    np.testing.assert_allclose(fw.softplus(alpha)(h), alpha * torch.log1p(torch.exp(h / alpha)), rtol=1e-12)
    far = fw.softplus(alpha)(torch.full((2, 1), 1e4, dtype=DOUBLE))
    np.testing.assert_allclose(far, 1e4)


def test_normalisations():
    field = torch.tensor([[3.0, -1.0, 2.0, 0.0]], dtype=DOUBLE)
    pool = 5.0 / 4
    np.testing.assert_allclose(fw.divisive(2.0, 0.5)(field), field / (0.5 + 2 * pool))
    np.testing.assert_allclose(fw.subtractive(2.0)(field), field - 2 * pool)
    layered = fw.layer_norm(torch.full((4,), 3.0, dtype=DOUBLE), torch.ones(4, dtype=DOUBLE))(field)
    expected = 3 * (field - field.mean()) / torch.sqrt(field.var(correction=0) + 1e-5) + 1
    np.testing.assert_allclose(layered, expected)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fw.softplus(0.0), "alpha=0.0"),
        (lambda: fw.softplus("steep"), "steep"),
        (lambda: fw.siegert(reset=30 * mV), "reset"),
        (lambda: fw.siegert(refractory=-1 * ms), "refractory"),
        (lambda: fw.siegert(sd=float("nan")), "sd"),
        (lambda: fw.divisive(floor=0.0), "divisive: floor=0.0 .* be positive and finite"),
        (lambda: fw.divisive(float("inf")), "divisive: strength=inf is not allowed"),
        (lambda: fw.subtractive(-1.0), "subtractive: strength=-1.0 .*; it must be at least 0 and finite"),
        (
            lambda: fw.layer_norm(bias=torch.tensor([0.0, torch.nan])),
            "layer_norm: bias=tensor.* must be finite",
        ),
        (lambda: fw.layer_norm("much"), "layer_norm: gain='much' is not a number or a tensor"),
    ],
)
def test_bad_parameters(make, says):
    with pytest.raises(fw.ConfigError, match=says):
        make()
