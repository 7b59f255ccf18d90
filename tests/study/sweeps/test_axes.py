"""Axes and seeds of a sweep: what is written becomes values; what is wrong, double or endless is refused."""

import itertools
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from fwsim.errors import ConfigError
from fwsim.study import Config, load_experiment
from fwsim.study.experiment import Experiment
from fwsim.study.sweeps import axes
from fwsim.study.sweeps.axes import (
    LONGEST_SEED,
    MOST,
    Axis,
    few_enough,
    parse_assignments,
    parse_axes,
    parse_seeds,
)


@pytest.fixture
def trace(toy):
    return load_experiment("trace")


def column(experiment, **over):
    (axis,) = parse_axes(experiment, over)
    return [row[0] for row in axis.rows]


class Optional(Config):
    """Fields that may be None."""

    maybe: float | None = None
    "A number."
    count: int | None = None
    "A whole number."
    whether: bool | None = None
    "Yes or no."
    word: str | None = None
    "A text."
    kind: Literal["none", "some"] | None = "some"
    "One of two words, of which one is none."
    counts: tuple[int, ...] = (1,)
    "Whole numbers."


@pytest.fixture
def optional():
    return Experiment("optional", Path("optional.py"), "", Optional, run=None, quick={})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("0.1:100:log4", [0.1, 1.0, 10.0, 100.0]),
        ("100ms : 1s : lin4", [0.1, 0.4, 0.7, 1.0]),
        ("0.1:9:log1", [0.1]),
        ("10:1:log2", [10.0, 1.0]),
        ("200 ms,1 s, 2", [0.2, 1.0, 2.0]),
        (["200 ms", 3], [0.2, 3.0]),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (range(1, 3), [1.0, 2.0]),
        (0.5, [0.5]),
    ],
)
def test_values_of_a_time(trace, given, expected):
    np.testing.assert_allclose(column(trace, tau=given), expected, rtol=1e-12)


def test_values_of_other_fields(trace):
    assert column(trace, steps="1:100:log3") == [1, 10, 100]
    assert column(trace, steps="4,5") == [4, 5]
    assert column(trace, order="1,2") == [1, 2]
    assert column(trace, offset="yes,no") == [True, False]
    assert column(trace, taus="1s,[500ms,2]") == [(1.0,), (0.5, 2.0)]
    assert column(trace, taus=[(1, 2), [3]]) == [(1.0, 2.0), (3.0,)]


def test_zipped_parameters_are_one_axis(trace):
    over = {("tau", "steps"): ("0.1:10:log3", [1, 2, 3]), "order": [1, 2]}
    zipped, order = parse_axes(trace, over)
    assert zipped.names == ("tau", "steps")
    assert [row[1] for row in zipped.rows] == [1, 2, 3]
    np.testing.assert_allclose([row[0] for row in zipped.rows], [0.1, 1, 10])
    assert order == Axis(("order",), ((1,), (2,)))


def test_assignments_of_the_command_line(trace):
    over = parse_assignments(["tau=100 ms,1 s steps=3,4", "order=1,2"])
    assert over == {("tau", "steps"): ("100 ms,1 s", "3,4"), "order": "1,2"}
    assert [len(axis) for axis in parse_axes(trace, over)] == [2, 2]


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"tua": "1,2"}, "unknown parameter 'tua'; did you mean 'tau'"),
        ({"seed": "1,2"}, "seed is not a parameter; give seeds"),
        ({"tau": ""}, "tau has no values"),
        ({"tau": []}, "tau has no values"),
        ({"tau": "1:2:log0"}, "is an empty range"),
        ({"tau": "0:2:log3"}, "a log range needs positive ends"),
        ({"tau": "1:2:3"}, "is no range; write start:stop:log9"),
        ({"tau": "1:2"}, "is no range"),
        ({"tau": "1:inf:lin3"}, "cannot end a range"),
        ({"tau": "1mV:2mV:log3"}, "tau: '1mV': 'mV' is not a unit of time; use one of s"),
        ({"tau": "1s,2Hz"}, "tau: '2Hz': 'Hz' is not a unit of time"),
        ({"steps": "one:2:lin2"}, "steps: 'one' is not a number"),
        ({"steps": "0,1"}, "steps='0' is not allowed: should be greater than 0"),
        ({"steps": "1:2:lin5"}, "occurs twice"),
        ({"tau": [1, 2, 1.0]}, "tau=1.0 occurs twice"),
        ({("tau", "steps"): ("1,2", "1,2,3")}, "equally many values: tau has 2, steps has 3"),
        ({("tau", "steps"): ("1,2",)}, "give one list of values for each"),
        ({("tau", "steps"): ("1,2", "1,2"), "tau": "1,2"}, "tau is swept twice"),
        ({("tau", "tau"): ("1,2", "1,2")}, "tau is swept twice"),
        ({3: "1,2"}, "3 names no parameter"),
    ],
)
def test_bad_axes_are_one_line(trace, over, said):
    with pytest.raises(ConfigError) as caught:
        parse_axes(trace, over)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "said"), [(["1:2:log3"], "names no parameter"), (["tau=1", "tau=2"], "swept twice")]
)
def test_bad_assignments(texts, said):
    with pytest.raises(ConfigError, match=said):
        parse_assignments(texts)


@pytest.mark.parametrize(
    ("given", "expected"),
    [(3, (0, 1, 2)), ("3", (0, 1, 2)), ("3,", (3,)), ("7,5", (7, 5)), (range(2, 4), (2, 3)), ([9], (9,))],
)
def test_seeds(given, expected):
    assert parse_seeds(given) == expected
    assert parse_seeds(np.array(expected)) == expected


@pytest.mark.parametrize("given", [0, "0", "", "a", "1,a", [], [1, 1], [-1], [0.5], [True], 1.5])
def test_bad_seeds(given):
    with pytest.raises(ConfigError, match="seed"):
        parse_seeds(given)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("maybe", "none,1", [None, 1.0]),
        ("maybe", "None,NULL", None),
        ("maybe", ["none", None], None),
        ("maybe", [None, 1.0], [None, 1.0]),
        ("count", "none,3", [None, 3]),
        ("count", "1:9:lin3", [1, 5, 9]),
        ("whether", "none,yes,no", [None, True, False]),
        ("kind", "none,some", ["none", "some"]),  # the text, where there is such a text
        ("word", "none,other", ["none", "other"]),
        ("word", [None, "nan"], [None, "nan"]),
        ("counts", "1:100:log4", [(1,), (5,), (22,), (100,)]),
    ],
)
def test_none_is_typed_where_a_field_takes_it(optional, name, given, expected):
    if expected is None:
        with pytest.raises(ConfigError, match="maybe=None occurs twice"):
            column(optional, **{name: given})
    else:
        assert column(optional, **{name: given}) == expected


def test_none_is_not_swept_beside_the_text_that_labels_it(optional):
    with pytest.raises(ConfigError, match="word=none occurs twice"):
        column(optional, word=[None, "none"])


def test_none_is_refused_where_a_field_does_not_take_it(trace):
    with pytest.raises(ConfigError, match="tau: 'none' is not"):
        column(trace, tau="1,none")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2:200:log7", [2, 4.30886938006, 9.28317766723, 20, 43.0886938006, 92.8317766723, 200]),
        ("0.1:0.5:lin5", [0.1, 0.2, 0.3, 0.4, 0.5]),
        (np.arange(0.1, 0.4, 0.1), [0.1, 0.2, 0.3, 0.4]),
        ([20.000000000000004, 1 / 3], [20, 1 / 3]),  # what was meant to have all its digits keeps them
        ([1, 2.5], [1, 2.5]),
    ],
)
def test_values_are_what_people_write(trace, given, expected):
    assert column(trace, tau=given) == expected


@pytest.mark.parametrize(
    "given", [[0.3, 0.1 + 0.2], [1.0, 1 + 1e-13], [2, 2.0], [0.0, -0.0], "1:1.0000000000001:lin3"]
)
def test_values_that_are_the_same_to_twelve_digits_are_refused(trace, given):
    with pytest.raises(ConfigError, match="occurs twice in its axis, to 12 digits"):
        column(trace, tau=given)


class Compared:
    """A value that counts how often any is compared with another."""

    count = 0

    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return hash(self.value)

    def __eq__(self, other):
        Compared.count += 1
        return self.value == other.value


class ComparedSeed(Compared, int):
    """A seed."""

    def __new__(cls, value):
        return int.__new__(cls, value)


def test_long_axes_take_linear_time(trace, monkeypatch):
    """Each value is looked up, not compared with all others."""
    alike = axes._alike
    monkeypatch.setattr(axes, "_alike", lambda row: Compared(alike(row)))
    monkeypatch.setattr(Compared, "count", 0)
    assert len(column(trace, tau="0:1:lin2000")) == 2000
    assert len(parse_seeds(map(ComparedSeed, range(2000)))) == 2000
    assert Compared.count < 2000


@pytest.mark.parametrize(
    "given",
    ["0:1:lin100001", "0:1:log1000000000000", f"0:1:lin{'9' * 5000}", range(10**12), itertools.count()],
)
def test_axes_are_counted_before_they_are_made(trace, given):
    with pytest.raises(ConfigError, match="100,000") as caught:
        column(trace, tau=given)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "given",
    ["1000000", 10**9, "9" * 900, range(10**12), itertools.count(), ",".join(map(str, range(MOST + 1)))],
)
def test_seeds_are_counted_before_they_are_made(given):
    with pytest.raises(ConfigError, match="100,000") as caught:
        parse_seeds(given)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("given", ["9" * 5000, "1," + "9" * 5000, [10**LONGEST_SEED]])
def test_seeds_without_end_are_refused(given):
    with pytest.raises(ConfigError, match="a seed has more than 1000 digits"):
        parse_seeds(given)


def test_any_whole_number_is_a_seed():
    assert parse_seeds([2**31, 2**63, 2**64 + 1]) == (2**31, 2**63, 2**64 + 1)
    assert parse_seeds(f"{2**64},0") == (2**64, 0)
    with pytest.raises(ConfigError, match="seed 7 is given twice"):
        parse_seeds([1, 7, 3, 7])


def test_points_are_counted_before_they_are_made():
    axis = Axis(("tau",), tuple((float(value),) for value in range(1000)))
    few_enough([axis], range(100))
    with pytest.raises(
        ConfigError, match=r"101,000 points \(1000 tau × 101 seeds\) are more than the 100,000"
    ):
        few_enough([axis], range(101))
