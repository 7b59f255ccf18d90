"""Quantities as people type them."""

import pytest

from fwsim.errors import ConfigError
from fwsim.units import quantity


@pytest.mark.parametrize(
    ("given", "dimension", "si"),
    [
        (0.2, "time", 0.2),
        ("0.2", "time", 0.2),
        ("200 ms", "time", 0.2),
        ("200ms", "time", 0.2),
        ("1.6 min", "time", 96.0),
        ("1e3 us", "time", 1e-3),
        ("10 Hz", "rate", 10.0),
        ("-70 mV", "voltage", -0.07),
        ("inf", "time", float("inf")),
    ],
)
def test_quantities(given, dimension, si):
    assert quantity(given, dimension) == pytest.approx(si, rel=1e-15)


@pytest.mark.parametrize("given", ["10 mV", "soon", "", "ms", "1 2 s", True, None, [1.0], "nan"])
def test_what_is_no_time_says_so(given):
    with pytest.raises(ConfigError):
        quantity(given, "time")


def test_an_unknown_dimension_is_named():
    with pytest.raises(
        ConfigError, match=r"dimension='mass' is unknown; use one of 'time', 'rate', 'voltage'"
    ):
        quantity(1.0, "mass")
