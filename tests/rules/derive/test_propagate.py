"""The closed forms of relaxation, and rules of one's own that are not as they should be."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from mpmath import mp

import fwsim as fw
from fwsim.fitting import synthetic_table
from fwsim.rules.decays import chained
from fwsim.rules.functions import exp, log, minimum
from fwsim.rules.parameters import number, time_constant
from fwsim.rules.rule import PresynapticRule
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
        got = chained([exact(a), exact(b)], exact(t))
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


@dataclass(frozen=True, eq=False)
class Chain(PresynapticRule):
    """A spike raises a, a drives b, b drives c, and c drives a where `back` is not 0."""

    t1: Any = time_constant(0.1)
    t2: Any = time_constant(0.05)
    t3: Any = time_constant(0.2)
    back: Any = None

    def rest(self):
        return {"a": 0, "b": 0, "c": 0}

    def drift(self, s):
        fed = 0 if self.back is None else self.back * (s["b"] + s["c"])
        a, b, c = (fed - s["a"]), (s["a"] - s["b"]), (s["b"] - s["c"])
        return {"a": a / self.t1, "b": b / self.t2, "c": c / self.t3}

    def on_pre(self, s):
        return {**s, "a": s["a"] + 1}, 1 + s["b"] + 2 * s["c"]


@dataclass(frozen=True, eq=False)
class Loop(Chain):
    """The same with c driving a."""

    back: Any = number(0.25)


TRAIN = exact([0.0, 0.01, 0.05, 0.0501, 0.2, 0.9])
COARSE = exact([0.0, 0.01, 0.05, 0.06, 0.2, 0.9])
TIMES = {
    "apart": (0.1, 0.05, 0.2),
    "two alike": (0.1, 0.1, 0.2),
    "three alike": (0.1, 0.1, 0.1),
    "two nearly alike": (0.1, 0.1 * (1 + 1e-9), 0.2),
    "three nearly alike": (0.1, 0.1 * (1 + 1e-7), 0.1 * (1 - 1e-6)),
    "near the switch to series": (0.1, 0.07, 0.075),
    "first instant": (0.0, 0.1, 0.1),
    "middle instant": (0.1, 0.0, 0.1),
    "last instant": (0.1, 0.1, 0.0),
    "two instant": (0.1, 0.0, 0.0),
    "stiff": (1e-6, 0.1, 0.1),
}


def by_mpmath(rule, times):
    """Releases of a chain or loop with 40 digits; time constants of 0 as 10⁻²⁵ s."""
    with mp.workdps(60):
        t1, t2, t3 = (mp.mpf(10) ** -25 if t == 0 else mp.mpf(t) for t in (rule.t1, rule.t2, rule.t3))
        back = mp.mpf(rule.back or 0)
        drift = mp.matrix([[-1 / t1, back / t1, back / t1], [1 / t2, -1 / t2, 0], [0, 1 / t3, -1 / t3]])
        modes, right = mp.eig(drift + mp.mpf(10) ** -30 * mp.matrix([[1, 3, 2], [0, 5, 1], [1, 0, 7]]))
        left, state, released = mp.inverse(right), mp.matrix([0, 0, 0]), []
        for k, time in enumerate(times.tolist()):
            waited = mp.mpf(time) - mp.mpf(times[max(k - 1, 0)].item())
            decay = mp.diag([mp.exp(mode * waited) for mode in modes])
            state = right * decay * left * state if k else state
            released.append(float(mp.re(1 + state[1] + 2 * state[2])))
            state[0] += 1
    return released


@pytest.mark.parametrize("kind", [Chain, Loop])
@pytest.mark.parametrize("case", TIMES)
def test_three_variables_with_any_time_constants(case, kind):
    rule = kind(*TIMES[case])
    np.testing.assert_allclose(rule.respond(TRAIN), by_mpmath(rule, TRAIN), rtol=1e-11)


@pytest.mark.parametrize("kind", [Chain, Loop])
def test_one_row_with_equal_time_constants_leaves_the_others_as_they_are(kind):
    each = [TIMES[case] for case in ("apart", "three alike", "middle instant", "two nearly alike")]
    taus = [exact(tau).requires_grad_() for tau in zip(*each)]
    together = kind(*taus).respond(TRAIN.expand(len(each), -1))
    slopes = torch.autograd.grad(together[:, -1].sum(), taus)
    for row, values in enumerate(each):
        alone = [exact(tau).requires_grad_() for tau in values]
        expected = kind(*alone).respond(TRAIN)
        torch.testing.assert_close(together[row], expected, rtol=1e-12, atol=0)
        for got, wanted in zip(slopes, torch.autograd.grad(expected[-1], alone)):
            torch.testing.assert_close(got[row], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [Chain, Loop])
@pytest.mark.parametrize("case", ["apart", "two alike", "three alike", "three nearly alike"])
def test_first_and_second_derivatives_of_three_variables(case, kind):
    taus = [exact(tau).requires_grad_() for tau in TIMES[case]]

    def released(*taus):
        return kind(*taus).respond(TRAIN)[1:]

    assert torch.autograd.gradcheck(released, taus, eps=1e-5, atol=1e-6)
    assert torch.autograd.gradgradcheck(released, taus, eps=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", [Chain, Loop])
def test_three_variables_in_brian2(kind):
    each = list(TIMES.values())
    rule, train = kind(*(exact(tau) for tau in zip(*each))), COARSE.expand(len(each), -1)
    got = fw.spiking.respond(rule, train, dt=0.01)
    torch.testing.assert_close(got, rule.respond(train), rtol=0, atol=1e-12)
    rule = kind(*TIMES["three alike"])  # numbers are written as they are, not as one for each synapse
    got = fw.spiking.respond(rule, COARSE, dt=0.01)
    torch.testing.assert_close(got, rule.respond(COARSE), rtol=0, atol=1e-12)


def test_a_chain_of_five_equal_time_constants():
    """Its last variable is the density of a gamma distribution: an independent closed form."""

    @dataclass(frozen=True, eq=False)
    class Five(PresynapticRule):
        tau: Any = time_constant(0.1)

        def rest(self):
            return dict.fromkeys("abcde", 0)

        def drift(self, s):
            given = [0, *(s[name] for name in "abcd")]
            return {name: (before - s[name]) / self.tau for name, before in zip("abcde", given)}

        def on_pre(self, s):
            return {**s, "a": s["a"] + 1}, s["e"]

    x = exact([0.1, 1.0, 4.0, 30.0])
    released = Five(0.1).respond(torch.stack([torch.zeros(4).double(), 0.1 * x], -1))[:, 1]
    torch.testing.assert_close(released, x**4 / 24 * torch.exp(-x), rtol=1e-12, atol=0)


def test_a_rate_network_carries_chains_with_equal_time_constants():
    """At a held rate the chain settles at rate times τ; a step of any length holds that."""
    synapse = Chain(0.02, 0.02, 0.02)
    net = fw.RateNetwork([fw.Projection([[0.0]], synapse=synapse)], tau=0.01, dt=0.001)
    run = fw.simulate(
        net, torch.full((1, 800, 1), 5.0, dtype=torch.float64), record=["release"], progress=False
    )
    np.testing.assert_allclose(run["release"].squeeze()[-1], 1 + 3 * 5.0 * 0.02, rtol=1e-9)


def test_variables_that_follow_each_other_instantly_are_refused():
    with pytest.raises(fw.ConfigError, match="follow each other instantly"):
        Linear(matrix=((-1, 1), (1, -1)), speed=1e18).propagate({"a": 1.0, "b": 0.0}, 1.0)


def test_equal_modes_have_no_hebbian_memory():
    class Alpha(fw.HebbianTraces):
        def rest(self):
            return {**super().rest(), "v": 0}

        def drift(self, s):
            tau = self.tau[0]
            return {**super().drift(s), "v": (s["w"] - s["v"]) / tau}

        def strength(self, s):
            return s["v"]

    with pytest.raises(fw.ConfigError, match="relax alike"):
        Alpha(tau=1.0, eta=0.1).reduced()


def test_ringing_modes_in_brian2():
    rule = Linear(matrix=((-1, 2), (-3, -1)), speed=exact([1.0, 5.0]))
    train = COARSE.expand(2, -1)
    got = fw.spiking.respond(rule, train, dt=0.01)
    torch.testing.assert_close(got, rule.respond(train), rtol=0, atol=1e-12)


@pytest.mark.slow
def test_a_fit_may_begin_where_time_constants_agree():
    table = synthetic_table(Chain(), sweeps=5, gain=5.0, seed=0)
    fit = fw.fit(Chain(0.1, 0.1, 0.1), table, starts=1)
    torch.testing.assert_close(fit.rule.respond(TRAIN), Chain().respond(TRAIN), rtol=0.2, atol=0)


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


@pytest.mark.parametrize("interval", [-0.1, float("nan"), torch.tensor([0.1, -0.1])], ids=str)
def test_no_interval_is_negative(interval):
    with pytest.raises(fw.ConfigError, match="give seconds from 0 on"):
        fw.TsodyksMarkram().propagate({"u": 0.5, "x": 0.2}, interval)


def test_infinite_silence_leaves_what_never_relaxes():
    chain = fw.TsodyksMarkram(0.5, tau_rec=0.1, tau_facil=0.1, convention="tm1998", tau_inact=float("inf"))
    left = chain.propagate({"u": 0.5, "x": 0.3, "y": 0.2}, float("inf"))
    assert {name: value.item() for name, value in left.items()} == pytest.approx({"u": 0, "x": 0.8, "y": 0.2})
    kept = fw.TsodyksMarkram(0.5, tau_rec=float("inf")).propagate({"u": 0.5, "x": 0.2}, float("inf"))
    assert kept["x"].item() == pytest.approx(0.2)
