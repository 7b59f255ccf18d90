"""The closed forms of relaxation, and rules of one's own that are not as they should be."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from mpmath import mp

import fwsim as fw
from fwsim.rules.base import PresynapticRule
from fwsim.rules.functions import exp, log, minimum
from fwsim.rules.parameters import number, time_constant
from fwsim.rules.propagate import exponential_difference
from tests.rules.cases import exact


@pytest.mark.parametrize("gap", [0.0, 1e-18, 1e-12, 1e-6, 1e-2, 1.0, 1e3, 1e18])
@pytest.mark.parametrize("sign", [1, -1])
def test_overlap_of_two_decays_keeps_all_digits(gap, sign):
    mp.dps = 60
    a, b = (3.0, 3.0 + gap) if sign > 0 else (3.0 + gap, 3.0)
    for t in (1e-9, 0.1, 20.0):
        if a == b:
            expected = float(t * mp.exp(-mp.mpf(a) * t))
        else:
            expected = float((mp.exp(-mp.mpf(a) * t) - mp.exp(-mp.mpf(b) * t)) / (mp.mpf(b) - mp.mpf(a)))
        got = exponential_difference(exact(a), exact(b), exact(t))
        np.testing.assert_allclose(got, expected, rtol=1e-13)


@dataclass(frozen=True, eq=False)
class Linear(PresynapticRule):
    """Any linear drift of two variables."""

    matrix: tuple = field(default=((-1, 0), (0, -1)))
    speed: Any = number(1.0)

    def rest(self):
        return {"a": 0, "b": 0}

    def drift(self, state):
        a, b = state["a"], state["b"]
        return {name: self.speed * (row[0] * a + row[1] * b) for name, row in zip("ab", self.matrix)}

    def on_pre(self, state):
        return {**state, "a": state["a"] + 1}, state["a"] + state["b"]


@pytest.mark.parametrize(
    "matrix", [((-1, 2), (-3, -1)), ((-2, 1), (1, -3)), ((-1, 0), (5, -4)), ((-1, 0), (5, -1))]
)
def test_any_linear_drift_is_exact(matrix):
    """Ringing, exchanging and driven variables."""
    speed = exact([1.0, 0.5])
    moved = Linear(matrix=matrix, speed=speed).propagate({"a": 0.3, "b": -0.2}, 0.7)
    for k in range(2):
        expected = scipy.linalg.expm(0.7 * float(speed[k]) * np.array(matrix)) @ [0.3, -0.2]
        np.testing.assert_allclose([moved["a"][k], moved["b"][k]], expected, rtol=0, atol=1e-14)


def test_modes_that_coincide_are_refused():
    with pytest.raises(fw.ConfigError, match="modes of the drift coincide"):
        Linear(matrix=((-1, 1), (-1, -3))).propagate({"a": 1.0, "b": 0.0}, 1.0)


def test_ringing_has_no_brian2_code():
    with pytest.raises(fw.ConfigError, match="ring"):
        Linear(matrix=((-1, 2), (-3, -1))).brian2()


@dataclass(frozen=True, eq=False)
class Wrong(PresynapticRule):
    """A drift that a rule may not have."""

    kind: str = "quadratic"
    tau: Any = time_constant(1.0)

    def rest(self):
        return {"a": 1}

    def drift(self, state):
        return {"a": (1 - state["a"] ** 2) / self.tau if self.kind == "quadratic" else -state["a"] / self.tau}

    def on_pre(self, state):
        return state, state["a"]


@pytest.mark.parametrize(("kind", "message"), [("quadratic", "not affine"), ("restless", "not 0 at rest")])
def test_a_drift_that_cannot_be_solved_is_named(kind, message):
    with pytest.raises(fw.ConfigError, match=message):
        Wrong(kind=kind).respond(exact([0.0, 1.0]))


@dataclass(frozen=True, eq=False)
class Warmed(PresynapticRule):
    """A rate of decay that depends on a parameter through every function that rules may use."""

    warmth: Any = number(0.5)

    def rest(self):
        return {"s": 0}

    def drift(self, state):
        return {"s": -(exp(self.warmth) + log(self.warmth) + minimum(self.warmth, 1)) * state["s"]}

    def on_pre(self, state):
        return {"s": state["s"] + 1}, state["s"]


def test_functions_of_parameters_keep_batches_and_gradients():
    warmth = exact([0.6, 2.0]).requires_grad_()
    left = Warmed(warmth).respond(exact([[0.0, 0.3]] * 2))[:, 1]
    rate = warmth.exp() + warmth.log() + warmth.clamp(max=1)
    np.testing.assert_allclose(left.detach(), (-0.3 * rate).exp().detach(), rtol=1e-14)
    (gradient,) = torch.autograd.grad(left.sum(), warmth)
    (expected,) = torch.autograd.grad((-0.3 * rate).exp().sum(), warmth)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        ("drift", {"a": 0}, "drift gives a; it must give a, b, as rest does"),
        ("on_pre", ({}, 1.0), "on_pre gives nothing"),
        ("on_pre", {"a": 0, "b": 0}, "the state and the release"),
        ("at_post", {"a": 0, "b": 0, "c": 0}, "on_post gives a, b, c"),
    ],
)
def test_a_function_that_forgets_a_variable_is_named(function, given, said):
    incomplete = type("Incomplete", (Linear,), {function: lambda self, state: given})
    with pytest.raises(fw.ConfigError, match=said):
        incomplete().respond(exact([0.0, 0.1]))
