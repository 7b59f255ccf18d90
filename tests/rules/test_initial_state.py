"""Responses of rules that begin in a given state."""

import pytest
import torch

import fwsim as fw
from fwsim.errors import ConfigError, ShapeError
from fwsim.rules.rule import PresynapticRule
from tests.rules.cases import CASES, exact, respond, trains

RULE = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.8)


def after(rule, events, end):
    """State at `end` after events `(time, is_post)`, one after the other."""
    state, now = rule.rest(), 0.0
    for time, is_post in events:
        state, now = rule.propagate(state, exact(time - now)), time
        state = rule.at_post(state) if is_post else rule.at_pre(state)[0]
    return rule.propagate(state, exact(end - now))


@pytest.mark.parametrize("name", CASES)
def test_two_halves_are_the_whole(name):
    rule, cut = CASES[name], 0.40003
    pre, post = trains(1, 12, seed=5)[0], trains(1, 12, seed=6)[0]
    post = post[~torch.isin(post, pre)]
    whole = respond(rule, pre, post)
    events = [(t.item(), k) for k, train in enumerate((pre, post)) for t in train if t < cut]
    events = [each for each in events if not (each[1] and isinstance(rule, PresynapticRule))]
    state = after(rule, sorted(events), cut)
    late = [train[train > cut] - cut for train in (pre, post)]
    given = late[:1] if isinstance(rule, PresynapticRule) else late
    torch.testing.assert_close(rule.respond(*given, state=state), whole[pre > cut], rtol=0, atol=1e-10)


def test_the_state_is_that_of_time_0():
    x = 1 - 0.6 * torch.exp(exact(-0.1 / 0.2))
    u = 0.3 + 0.5 * torch.exp(exact(-0.1 / 0.8))
    rule = fw.TsodyksMarkram(U=0.3, tau_rec=0.2, tau_facil=0.8, convention="maass2002")
    found = rule.respond(exact([0.1]), state={"u": 0.8, "x": 0.4})
    torch.testing.assert_close(found, (u * x)[None], rtol=0, atol=1e-12)
    rest = rule.respond(exact([0.1]), state={"x": 0.4})
    torch.testing.assert_close(rest, (0.3 * x)[None], rtol=0, atol=1e-12)


def test_states_may_differ_between_synapses_and_have_gradients():
    x = exact([0.2, 0.9]).requires_grad_()
    found = RULE.respond(exact([0.05, 0.1]), state={"x": x})
    assert found.shape == (2, 2)
    for row, value in zip(found, (0.2, 0.9)):
        torch.testing.assert_close(row, RULE.respond(exact([0.05, 0.1]), state={"x": value}))
    found[:, 0].sum().backward()
    slope = RULE.respond(exact([0.05]), state={"x": 1.0}) - RULE.respond(exact([0.05]), state={"x": 0.0})
    torch.testing.assert_close(x.grad, slope.expand(2), rtol=0, atol=1e-12)


def test_random_release_has_the_mean_of_its_rule():
    rule, times = fw.StochasticRelease(RULE, sites=100), trains(1, 5)
    found = rule.respond(times.expand(2000, -1), state={"u": 0.9, "x": 0.5}).mean(0)
    expected = RULE.respond(times, state={"u": 0.9, "x": 0.5})[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=5 * 0.05 / 2000**0.5)


@pytest.mark.parametrize(
    ("rule", "state", "error", "said"),
    [
        (RULE, {"y": 0.5}, ConfigError, "variable of state='y' is unknown; use one of 'u', 'x'"),
        (RULE, {"x": torch.nan}, ConfigError, "state of x is NaN or infinite"),
        (RULE, {"x": "much"}, ConfigError, "state of x='much' is not a number"),
        (RULE, 0.5, ConfigError, "state=0.5 is not allowed; give values by name, such as {'u': 0.5, 'x': 0.5}"),
        (RULE, {"x": torch.ones(3)}, ShapeError, "state of x has shape [3], the synapses have [2]"),
        (
            fw.StochasticRelease(RULE, depletion="site"),
            {"x": 0.5},
            ConfigError,
            "state is not for depletion='site'",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(rule, state, error, said):
    with pytest.raises(error) as caught:
        rule.respond(trains(2, 3), state=state)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_spikes_before_time_0_are_refused():
    with pytest.raises(ConfigError, match="before time 0"):
        RULE.respond(exact([-0.1, 0.2]), state={"x": 0.5})


@pytest.mark.parametrize(
    "rule", [RULE, fw.StochasticRelease(RULE), fw.IndependentDepression(0.3, 0.2, 0.1)], ids=str
)
@pytest.mark.parametrize("state", [{"u": 5.0}, {"x": -3.0}, {"x": torch.tensor([0.5, 1.1])}], ids=str)
def test_fractions_lie_between_0_and_1(rule, state):
    with pytest.raises(ConfigError, match=r"is a fraction; give numbers in \[0, 1\]"):
        rule.respond(torch.tensor([0.1, 0.2]), state=state)
    rule.respond(torch.tensor([0.1, 0.2]), state={"x": 1 + 1e-7})


def test_augmentation_is_a_fraction():
    with pytest.raises(ConfigError, match="w is a fraction"):
        fw.AugmentedRelease().respond(torch.tensor([0.1, 0.2]), state={"w": 5.0})


@pytest.mark.parametrize("state", [{"u": 5.0}, {"x": -3.0}], ids=str)
def test_fractions_of_a_rule_within_another_are_known_too(state):
    with pytest.raises(ConfigError, match=r"is a fraction; give numbers in \[0, 1\]"):
        fw.spiking.Connection("E", "E", 1e-4, synapse=fw.StochasticRelease(RULE), state=state)
