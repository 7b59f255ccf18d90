"""The read-outs against their closed forms and limits."""

import math

import pytest
import torch

import fwsim as fw
from tests.rules.cases import exact

READ = {"logistic": lambda v: 1 / (1 + math.exp(-v)), "cloglog": lambda v: -math.expm1(-math.exp(v))}
both = pytest.mark.parametrize("readout", READ)


@both
def test_regular_train_has_its_closed_form(readout):
    rule = fw.LinearNonlinear(baseline=-2.0, a=(0.3, 0.1), tau_trace=(0.05, 0.4), readout=readout)
    traces = sum(a / math.expm1(0.1 / tau) for a, tau in zip(rule.a, rule.tau_trace))
    assert math.isclose(rule.steady_state(10.0).release, READ[readout](-2.0 + traces), rel_tol=1e-12)


@both
def test_facilitation_multiplies_while_release_is_small(readout):
    times = exact([0.0, 0.01, 0.02, 0.03])
    release = fw.LinearNonlinear(baseline=-15.0, a=0.4, tau_trace=1e6, readout=readout).respond(times)
    torch.testing.assert_close(release[1:] / release[:-1], exact([math.exp(0.4)] * 3), rtol=1e-6, atol=0)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturates_at_one_with_finite_gradients(readout, dtype):
    a = torch.tensor(50.0, dtype=dtype, requires_grad=True)
    release = fw.LinearNonlinear(a=a, tau_trace=10.0, readout=readout).respond(
        torch.arange(100, dtype=dtype) / 100
    )
    assert torch.isclose(release[-1], torch.ones((), dtype=dtype))
    (gradient,) = torch.autograd.grad(release.sum(), a)
    assert gradient.isfinite()


def test_unknown_readout_is_refused():
    with pytest.raises(fw.ConfigError, match="'logistic', 'cloglog'"):
        fw.LinearNonlinear(readout="probit")


def test_a_and_tau_trace_must_match():
    with pytest.raises(fw.ShapeError, match="a 2, tau_trace 3"):
        fw.LinearNonlinear(a=(0.1, 0.2), tau_trace=(1.0, 2.0, 3.0))
