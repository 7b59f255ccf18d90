"""What is refused, and in which words."""

import re

import pytest
import torch

import fwsim as fw
from tests.rules.cases import exact

TIMES = exact([0.0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fw.TsodyksMarkram(U=1.5), r"U=1.5 is not allowed; it must lie in \[0, 1\]"),
        (lambda: fw.TsodyksMarkram(tau_rec=-1.0), r"tau_rec=-1.0 .* \[0, inf\] s"),
        (lambda: fw.TsodyksMarkram(U=float("nan")), "U=nan"),
        (lambda: fw.TsodyksMarkram(U="large"), "U='large' is not a number"),
        (lambda: fw.TsodyksMarkram(U=()), r"U=\(\) is empty; give a number"),
        (lambda: fw.Varela(d=torch.empty(0, 2)), "is empty; give a number"),
        (lambda: fw.TsodyksMarkram(U=None), "U=None is not a number"),
        (lambda: fw.Varela(d=None), "d=None is not a number"),
        (lambda: fw.Varela(d="deep"), "d='deep' is not a number"),
        (lambda: fw.Hebbian(tau=None, eta=0.1), "tau=None is not a number"),
        (
            lambda: fw.TsodyksMarkram(convention="markram"),
            "convention='markram' is unknown; use one of 'maass2002'",
        ),
        (
            lambda: fw.TsodyksMarkram(U=torch.rand(2), tau_rec=torch.rand(3)),
            "do not fit together: U .2., tau_rec .3.",
        ),
        (lambda: fw.TsodyksMarkram(tau_inact=0.1), "tau_inact=0.1 has no meaning in 'maass2002'"),
        (lambda: fw.Varela(d=(0.5, 0.6, 0.7)), "components d 3, tau_D 2"),
        (lambda: fw.HebbianTraces(tau=[1.0, 2.0], eta=[1.0, 2.0, 3.0]), "components tau 2, eta 3"),
        (lambda: fw.BCPNN(tau_pre=0.0), r"tau_pre=0.0 is not allowed; it must lie in \(0, inf\] s"),
        (lambda: fw.BCPNN(tau_p=torch.rand(3)), r"last axis is the time scale.*\[batch, 1\]"),
        (lambda: fw.BennaFusi(length=0), "length=0"),
        (lambda: fw.Product(fw.TsodyksMarkram(), fw.TsodyksMarkram()), "weight is a TsodyksMarkram"),
        (lambda: fw.TsodyksMarkram().steady_state(-1.0), "rate -1.0 is not allowed"),
        (lambda: fw.TsodyksMarkram().steady_state("10 s"), "'s' is not a unit of rate"),
        (lambda: fw.HebbianTraces().steady_state(1.0, 1.0, lag="a"), "lag: 'a' is not a time"),
        (lambda: fw.TsodyksMarkram().steady_state(1.0, "burst"), "train='burst' is unknown"),
        (lambda: fw.TsodyksMarkram(U=torch.rand(2)).steady_state(torch.rand(3)), "do not broadcast"),
        (lambda: fw.HebbianTraces().steady_state(1.0, 2.0), "equal pre and post rates"),
        (lambda: fw.HebbianTraces().steady_state(1.0, 1.0, lag=1.5), "lag=1.5 is not allowed"),
        (lambda: fw.TsodyksMarkram().respond(torch.tensor([0, 1])), r"give a float tensor \[..., spike\]"),
        (lambda: fw.TsodyksMarkram().respond(torch.tensor([1, 2])), "int64"),
        (lambda: fw.TsodyksMarkram().respond(TIMES.flip(0)), "ascend"),
        (lambda: fw.TsodyksMarkram().respond(torch.tensor([0.0, torch.nan, 1.0])), "NaN before a spike"),
        (lambda: fw.TsodyksMarkram(U=torch.rand(4)).respond(TIMES.expand(3, 3)), r"\[4\] do not broadcast"),
        (lambda: fw.TsodyksMarkram().brian2(prefix="2"), "prefix='2'"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(fw.FwsimError) as caught:
        make()
    assert re.search(message, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_only_optional_parameters_may_be_left_out():
    assert fw.TsodyksMarkram(tau_inact=None).tau_inact is None
    assert fw.HebbianTraces(w_max=None).w_max is None


def test_rules_cannot_be_changed():
    with pytest.raises(AttributeError):
        fw.TsodyksMarkram().U = 0.3


def test_values_survive_as_given():
    rule = fw.TsodyksMarkram(U=0.3, tau_rec=1, tau_facil=torch.tensor([0.0, 1.0]))
    assert rule.U == 0.3
    assert rule.tau_rec == 1.0
    assert rule.parameters().keys() == {"U", "tau_rec", "tau_facil"}
    assert rule.to(dtype=torch.float64).tau_facil.dtype == torch.float64
    assert torch.equal(rule.tau_facil, torch.tensor([0.0, 1.0]))


def test_spikes_may_never_recover():
    """An infinite time constant is allowed where it means something."""
    release = fw.TsodyksMarkram(0.5, float("inf"), 0.0).respond(TIMES)
    torch.testing.assert_close(release, exact([0.5, 0.25, 0.125]))


def test_gradient_does_not_pass_through_padding():
    U = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    times = exact([0.0, 0.1, torch.nan])
    fw.TsodyksMarkram(U, 0.2, 0.0).respond(times).nansum().backward()
    assert U.grad.isfinite()
