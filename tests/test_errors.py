"""Checks of single values: what passes, and what a refusal says."""

import math

import numpy as np
import pytest

from fwsim.errors import ConfigError, number, whole


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
