"""Configurations of experiments: quantities become SI numbers, and what is wrong is said in one line."""

import json
import math
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveFloat, TypeAdapter, ValidationError

from fwsim.errors import ConfigError
from fwsim.study import Config, Hertz, Seconds, Volts
from fwsim.study.config import explain, unit_of


class Recall(Config):
    delay: Seconds = "200 ms"
    "Time until recall."
    taus: tuple[Seconds, ...] = (1.0, "2 min")
    "Time constants."
    rate: Hertz | None = None
    "Rate of the cue."
    rest: Volts = -0.07
    "Resting potential."
    units: int = Field(default=5, gt=0, description="Units.")
    form: Literal["dense", "attention"] = "dense"
    "Form of the memory."


def test_quantities_become_si():
    config = Recall(rate="0.02 kHz", rest="-65 mV")
    assert config.delay == 0.2
    assert config.taus == (1.0, 120.0)
    assert (config.rate, config.rest) == (pytest.approx(20.0), pytest.approx(-0.065))


@given(st.floats(1e-6, 1e6))
def test_seconds_and_milliseconds_agree(value):
    assert Recall(delay=f"{value!r} ms").delay == pytest.approx(Recall(delay=value / 1000).delay, rel=1e-15)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"unit": 3}, "unknown field 'unit'; did you mean 'units'?"),
        ({"units": 0}, "units=0 is not allowed: should be greater than 0"),
        ({"units": "many"}, "units='many' is not allowed: should be a whole number"),
        ({"delay": "3 mV"}, "delay: '3 mV': 'mV' is not a unit of time"),
        ({"taus": (1, "x")}, "taus.1: 'x' is not a time"),
        ({"form": "sparse"}, "form='sparse' is not allowed: should be 'dense' or 'attention'"),
    ],
)
def test_errors_are_one_line(values, said):
    with pytest.raises(ConfigError) as caught:
        Recall(**values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class Deep(Config):
    share: float = 0.5
    "A plain number."
    pairs: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    "Tuples in a tuple."
    named: dict[str, list[float]] | None = None
    "Lists by name."


@pytest.mark.parametrize(
    "values",
    [{"share": math.nan}, {"pairs": ((0, 1), (0, math.nan))}, {"named": {"a": [1.0, math.nan]}}],
    ids=str,
)
def test_nan_is_refused_at_any_depth(values):
    (name,) = values
    with pytest.raises(ConfigError, match=f"^{name}=.* is not allowed; give numbers, not NaN"):
        Deep(**values)
    assert Deep(named={"a": [math.inf]}).named == {"a": [math.inf]}


def test_several_errors_are_all_said():
    with pytest.raises(ConfigError, match=r"units=.*; .*form="):
        Recall(units=-1, form="x")


def test_a_missing_field_is_named():
    class Needy(Config):
        size: int
        "Size."

    with pytest.raises(ConfigError, match="size is missing"):
        Needy()


def test_every_field_must_be_described():
    with pytest.raises(ConfigError, match="without a description: silent"):

        class Mute(Config):
            silent: int = 3


def test_configurations_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recall().units = 3


def test_units_are_found_in_sequences_and_optionals():
    units = {name: unit_of(field) for name, field in Recall.model_fields.items()}
    assert units == {"delay": "s", "taus": "s", "rate": "Hz", "rest": "V", "units": None, "form": None}


def test_infinity_survives_json():
    config = Recall(delay="inf")
    assert Recall(**json.loads(json.dumps(config.model_dump(mode="json")))) == config


def test_a_refused_value_of_several_is_told_once():
    class Several(Config):
        scales: tuple[PositiveFloat, ...] = Field(default=(1.0,), min_length=1)
        "Scales."

    with pytest.raises(ConfigError) as caught:
        Several(scales=(-1.0,))
    assert str(caught.value) == "scales.0=-1.0 is not allowed: should be greater than 0"
    with pytest.raises(ConfigError, match=r"^scales=\(\) is not allowed: Tuple should have at least 1 item"):
        Several(scales=())
    several = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]
    with pytest.raises(ValidationError) as refused:  # as the axes of a sweep are read
        TypeAdapter(several).validate_python((-1.0,))
    told = explain(refused.value, Several, "scales")
    assert told == "scales.0=-1.0 is not allowed: should be greater than 0"
