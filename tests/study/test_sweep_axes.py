import numpy as np
import pytest

from fwsim.errors import ConfigError
from fwsim.study import load_experiment
from fwsim.study.sweep_axes import Axis, parse_assignments, parse_axes, parse_seeds


@pytest.fixture
def trace(toy):
    return load_experiment("trace")


def column(experiment, **over):
    (axis,) = parse_axes(experiment, over)
    return [row[0] for row in axis.rows]


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
