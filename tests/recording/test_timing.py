"""Edges of bins and windows, which no rounding decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fwsim as fw
from fwsim.recording.timing import at_time, bin_count, bin_of, distinct, in_steps, sampling_step, window

STEPS = [1e-4, 1e-3, 0.1, 1 / 3, 5e-5, 0.025, 0.7]


def test_a_sum_of_decimals_is_a_whole_number_of_steps():
    assert 0.1 + 0.2 != 0.3
    assert in_steps([0.1 + 0.2, 0.3, 0.7], 0.1).tolist() == [3, 3, 7]
    assert in_steps(np.float32([0.3, 0.6]), 0.1).tolist() == [3, 6]
    assert in_steps(0.31, 0.1) == pytest.approx(3.1)
    assert bin_count(0.0, 0.3, 0.1) == 3
    assert bin_count(0.1, 0.4, 0.1) == 3
    assert bin_count(0.0, 0.3, 0.2) == 1
    assert bin_of(np.array([1e-6, 0.1, 0.1 + 1e-6, 0.1 + 0.2, 0.3]), 0.0, 0.1).tolist() == [0, 0, 1, 2, 2]


@given(
    dt=st.sampled_from(STEPS),
    first=st.integers(0, 10**6),
    count=st.integers(1, 300),
    width=st.integers(1, 20),
    rounded=st.booleans(),
)
def test_bins_of_steps_are_what_integers_say(dt, first, count, width, rounded):
    step = first + np.arange(1, count + 1)
    times = step * dt
    times = np.round(times, 12) if rounded else times
    expected = -(-(step - first) // width) - 1
    assert bin_of(times, first * dt, width * dt).tolist() == expected.tolist()
    if count >= width:
        assert bin_count(first * dt, (first + count) * dt, width * dt) == count // width


@given(dt=st.sampled_from(STEPS), first=st.integers(0, 10**6), count=st.integers(2, 100))
def test_a_step_is_found(dt, first, count):
    times = np.round((first + np.arange(count)) * dt, 12)
    assert sampling_step(times) == pytest.approx(dt, rel=1e-6)
    for place in (0, count // 2, count - 1):
        assert at_time(times, (first + place) * dt, "hidden") == place


@pytest.mark.parametrize(
    "times",
    [
        [],
        [1.0],
        [[1.0, 2.0]],
        [2.0, 1.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.0, 1.0, 3.0],
        [0, 1e-9, 3e-9],
        [0.0, np.nan, 2.0],
    ],
)
def test_what_has_no_step(times):
    with pytest.raises(fw.ShapeError, match="ascending"):
        sampling_step(times)


@pytest.mark.parametrize("wanted", [0.15, -0.1, 0.5, np.nan, np.inf, "x", None, True])
def test_moments_that_were_not_recorded(wanted):
    with pytest.raises((fw.RecordingError, fw.ConfigError), match=r"time[=:]|not recorded"):
        at_time([0.1, 0.2, 0.3], wanted, "hidden")
    with pytest.raises(fw.RecordingError, match="nearest"):
        at_time(np.arange(1, 9) * 1e-8, 2.5e-8, "hidden")


def test_a_moment_may_be_typed_in_a_few_digits():
    """A millionth may be missing, however far apart the samples are, or if there is only one."""
    thirds = np.arange(1, 4) / 3
    assert at_time(thirds, 0.333333, "hidden") == 0
    assert at_time(thirds[1:2], 0.666667, "hidden") == 0
    for samples, wanted in ((thirds, 0.3333), (thirds[1:2], 0.6667), (thirds[1:2], 5.0)):
        with pytest.raises(fw.RecordingError, match="was not recorded at"):
            at_time(samples, wanted, "hidden")


def test_windows():
    assert window(0.0, None, 0.3) == (0.0, 0.3)
    assert window(0.1, 0.1 + 0.2, 0.3) == (0.1, 0.3)
    for start, stop in [(0.2, 0.2), (0.2, 0.1), (0.0, 0.31), (0.3, None)]:
        with pytest.raises(fw.ConfigError, match="must be before"):
            window(start, stop, 0.3)
    for bad in (-0.1, np.nan, np.inf, "x", True):
        with pytest.raises(fw.ConfigError, match=r"start[=:]"):
            window(bad, None, 0.3)
        with pytest.raises(fw.ConfigError, match=r"stop[=:]"):
            window(0.0, bad, 0.3)


def test_times_that_are_the_same_but_for_rounding():
    found, place = distinct(np.array([[0.3 - 0.1, 0.2], [0.1, 1.0]]), 1e-12)
    assert found.tolist() == [0.1, 0.2, 1.0]
    assert place.tolist() == [[1, 1], [0, 2]]
    found, place = distinct(np.array([0.1 + 3e-8, 0.3, 0.1]), 1e-6)
    assert (found.tolist(), place.tolist()) == ([0.1, 0.3], [0, 1, 0])
    found, _ = distinct(np.array([0.1 + 3e-8, 0.3]), 1e-6)
    assert found.tolist() == [0.1, 0.3]  # without what is rounding
