"""Checks of single values: what passes, and what a refusal says."""

import math

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError, FwsimError, causes, choice, number, short, type_of, whole


@pytest.mark.parametrize("given", [0, 3, np.int64(2)])
def test_whole_numbers_pass(given):
    whole("steps", given)


@pytest.mark.parametrize("given", [-1, 1.0, "3", None, True, math.nan, np.bool_(True)])
def test_what_is_no_whole_number_is_refused(given):
    with pytest.raises(ConfigError, match=r"steps=.* is not allowed; it must be an integer of at least 0"):
        whole("steps", given)


def test_bounds_are_met_or_not():
    number("dt", 0.1, above=0)
    number("share", 1, least=0, most=1)
    number("stop", math.inf, above=2.0, infinite=True)
    number("dt", np.float32(0.1), above=0)
    for given, bounds in (
        (0, {"above": 0}),
        (-1e-9, {"least": 0}),
        (1.1, {"most": 1}),
        (math.inf, {}),
        (math.nan, {"infinite": True}),
        (True, {}),
        ("0.1", {}),
        (1j, {}),
    ):
        with pytest.raises(ConfigError, match="is not allowed"):
            number("value", given, **bounds)


def test_a_refusal_says_all_that_is_allowed():
    with pytest.raises(ConfigError) as caught:
        number("delay", "1 ms", unit="seconds", above=0, most=2.5)
    assert (
        str(caught.value)
        == "delay='1 ms' is not allowed; it must be a finite number of seconds above 0 and at most 2.5"
    )
    with pytest.raises(ConfigError) as caught:
        number("stop", None, infinite=True)
    assert str(caught.value) == "stop=None is not allowed; it must be a number"


def test_whole_numbers_fit_into_64_bits():
    whole("steps", 2**63 - 1)
    whole("seed", 2**70, most=math.inf)
    with pytest.raises(
        ConfigError, match=r"steps=9223372036854775808 is not allowed; it must be an integer of at most"
    ):
        whole("steps", 2**63)


@pytest.mark.parametrize("given", [None, np.zeros(0), np.array(["map"]), ["map"], 1])
def test_what_is_no_name_is_no_choice(given):
    choice("kind", "map", ("map", "flow"))
    with pytest.raises(ConfigError, match=r"kind=.* is unknown; use one of 'map', 'flow'"):
        choice("kind", given, ("map", "flow"))


RULE = fw.TsodyksMarkram(0.2, 0.2, 0.5)
WRONG = {
    "spike times": lambda junk: RULE.respond(junk),
    "spike times for Brian2": lambda junk: fw.spiking.respond(RULE, junk, dt=1e-4),
    "a pattern": lambda junk: NET.write(NET.initial_state(1), junk),
    "starts": lambda junk: fw.measure.fixed_points(torch.tanh, junk, kind="map"),
    "projections": lambda junk: fw.RateNetwork(junk, tau=0.02),
    "a statistic": lambda junk: fw.measure.bootstrap([1.0, 2.0, 3.0], junk),
    "a table": lambda junk: fw.fit(RULE, junk),
    "a rule for a table": lambda junk: fw.fitting.synthetic_table(junk),
    "a recording": lambda junk: fw.measure.overlap(junk, torch.ones(1, 2)),
    "a recorded state": lambda junk: fw.load_state(junk),
    "a circuit": lambda junk: fw.spiking.rate_network(junk),
    "a circuit with rates": lambda junk: fw.spiking.simulate_rates(junk, np.zeros((1, 5, 1))),
    "a circuit with traces": lambda junk: fw.spiking.resolved_network(junk),
    "a run of a circuit": lambda junk: fw.spiking.pooled(junk, junk),
    "a rule with a release": lambda junk: fw.spiking.first_release(junk),
    "a network in rates": lambda junk: fw.continuous(junk, 0.02, 0.005),
    "a network with an input": lambda junk: fw.held(junk, torch.zeros(1, 2, 1), 3),
    "an inner loop": lambda junk: fw.measure.InnerLoop.of(junk, NET.initial_state(1), torch.zeros(1)),
    "a state": lambda junk: fw.measure.inner_path(NET, junk, torch.zeros(1, 1), 3),
    "a task": lambda junk: fw.models.MatchingNetwork(junk),
    "units of synapses": lambda junk: fw.models.mixed_synapses(junk, 0.2, 1.5),
    "a core": lambda junk: fw.models.SequenceClassifier(junk, 5, 3),
    "weights of a model": lambda junk: fw.training.load_weights(junk, {}),
    "densities": lambda junk: fw.fitting.differences(junk),
    "values of networks": lambda junk: fw.study.mean_interval(junk),
    "values of trials": lambda junk: fw.study.standard_error(junk, "trial"),
    "means to draw": lambda junk: fw.study.errorbars(None, [0], junk),
    "a name of a component": lambda junk: fw.spiking.judge(np.zeros(0), junk, 0.2),
    "a power law": lambda junk: fw.Hebbian.power_law(
        exponent=junk, shortest=0.1, longest=10.0, strength=0.5, tolerance=0.01
    ),
}
NET = fw.FastWeightNetwork(1, 2, fw.Hebbian(tau=5.0, eta=0.3))


@pytest.mark.parametrize(
    "junk", [object(), 2.5e300, {}, xr.Dataset(), "text"], ids=lambda junk: type(junk).__name__
)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_something_else_altogether_gets_one_line(what, junk):
    with pytest.raises(FwsimError) as error:
        WRONG[what](junk)
    assert "\n" not in str(error.value)


def test_a_value_is_quoted_in_a_hundred_characters():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert [short(each) for each in ("a b", 3, None, ["x"])] == ["'a b'", "3", "None", "['x']"]
    assert len(short("x" * 10**6)) == 100
    assert (short(deep), short(10**5000)) == ("(list)", "(int)")


def test_causes_end_even_in_a_circle():
    one, two = ValueError(1), KeyError(2)
    one.__cause__, two.__context__ = two, one
    assert list(causes(one)) == [one, two]
    assert list(causes(None)) == []


def test_a_type_has_its_article():
    found = [type_of(value) for value in ([], 3, None, fw.Hebbian, fw.errors, torch.zeros(1))]
    assert found == ["a list", "an int", "None", "the class Hebbian", "a module", "a Tensor"]
