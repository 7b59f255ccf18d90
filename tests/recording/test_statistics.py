"""What a record makes of the steps between two samples, whatever blocks they come in."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsim import ConfigError, ShapeError
from fwsim.recording import Extent, Record, Recorder
from tests.recording.runs import timeless

SIZES = {"trial": 2, "unit": 3}
REDUCE = {"last": lambda window: window[:, -1], "mean": lambda window: window.mean(1)} | {
    "max": lambda window: window.max(1),
    "min": lambda window: window.min(1),
}


def run(records, steps=40, block=7, to=None, first_step=0, every=1):
    values = np.random.default_rng(0).standard_normal((2, steps, 3))
    recorder = Recorder(
        records, Extent(steps, 1.0, SIZES, every=every, dtype="float64", first_step=first_step), to=to
    )
    for start in range(0, steps, block):
        wanted = recorder.wanted("hidden", start, min(start + block, steps))
        recorder.write("hidden", values[:, list(wanted)])
    return recorder.finish(), values


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(1, 60),
    block=st.integers(1, 60),
    every=st.integers(1, 60),
    first_step=st.integers(0, 20),
    low=st.integers(0, 30),
    reduce=st.sampled_from(sorted(REDUCE)),
)
def test_samples_are_reduced_from_the_steps_since_the_last(steps, block, every, first_step, low, reduce):
    ends = [t for t in range(steps) if (first_step + t + 1) % every == 0 and first_step + t + 1 > low]
    if not ends:
        return
    recorded, values = run(
        [Record("hidden", every=every, start=low, reduce=reduce)], steps, block, first_step=first_step
    )
    expected = [REDUCE[reduce](values[:, max(0, end + 1 - every) : end + 1]) for end in ends]
    np.testing.assert_allclose(recorded.hidden, np.stack(expected, 1), rtol=1e-12)


def test_statistics_of_one_variable_stand_beside_it(tmp_path):
    patterns = np.random.default_rng(1).standard_normal((4, 3))
    records = [
        Record("hidden", every=5),
        Record("hidden", statistic=lambda h: h @ patterns.T, name="overlap"),
        Record("hidden", statistic=lambda h: (h**2).sum(-1), every=10, reduce="max", name="energy"),
        Record("hidden", trials=[1], units=[2, 0], statistic=np.abs, name="size"),
    ]
    recorded, values = run(records)
    assert recorded["overlap"].dims == ("trial", "time", "overlap_0")
    assert recorded["energy"].dims == ("trial", "energy_time")
    assert recorded["size"].dims == ("size_trial", "time", "size_unit")
    np.testing.assert_array_equal(recorded["size_unit"], [2, 0])
    np.testing.assert_array_equal(recorded["hidden"], values[:, 4::5])
    np.testing.assert_allclose(recorded["overlap"], values @ patterns.T)
    energy = (values**2).sum(-1).reshape(2, 4, 10).max(2)
    np.testing.assert_allclose(recorded["energy"], energy)
    np.testing.assert_array_equal(recorded["size"], abs(values[1:, :, [2, 0]]))
    assert recorded["energy"].attrs["long_name"] == "max of statistic of hidden state over 10 steps"
    stored, _ = run(records, to=tmp_path / "run.zarr")
    xr.testing.assert_identical(timeless(stored.load()), timeless(recorded))


def test_one_number_for_the_whole_run():
    recorded, values = run([Record("hidden", every=40, reduce="mean")])
    np.testing.assert_allclose(recorded.hidden[:, 0], values.mean(1), rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"statistic": 3}, "statistic=3"),
        ({"reduce": "median"}, "reduce='median' is unknown; use one of 'last', 'mean', 'max', 'min'"),
        ({"name": "a b"}, "cannot name"),
        ({"name": "rate"}, "meaning of its own"),
        ({"name": "time"}, "meaning of its own"),
        ({"name": "final_x"}, "cannot name"),
        ({"statistic": lambda h: h.mean()}, "makes \\[\\] of \\[2, 2, 3\\]"),
        ({"statistic": lambda h: h.mean(1)}, "makes \\[2, 3\\] of"),
        ({"statistic": lambda h: h @ np.ones(5)}, "fails on zeros \\[2, 2, 3\\]: ValueError"),
    ],
)
def test_what_is_no_statistic(options, said):
    with pytest.raises(ConfigError, match=said) as caught:
        run([Record("hidden", **options)])
    assert "\n" not in str(caught.value)


def test_two_records_of_one_name_and_events():
    with pytest.raises(ConfigError, match="name of its own"):
        run([Record("hidden"), Record("hidden", every=2)])
    with pytest.raises(ConfigError, match="events"):
        Recorder([Record("spike_time", reduce="mean")], Extent(3, 1.0))


def test_a_statistic_whose_shape_depends_on_the_values():
    with pytest.raises(ShapeError, match="it gave"):
        run([Record("hidden", statistic=lambda h: h if not h.any() else h[..., :1])])
