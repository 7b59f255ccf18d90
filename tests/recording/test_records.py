"""Which samples a record keeps, and how they lie in the recording."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwsim import ConfigError, RecordingError, ShapeError, ms
from fwsim.recording import VARIABLES, Extent, Record, Recorder, Variable, as_records
from tests.recording.runs import RECORDS, record, samples


def test_the_schema_of_the_design():
    run = record()
    assert run.hidden.dims == ("trial", "time", "unit")
    assert run.memory.dims == ("trial", "memory_time", "timescale", "post", "pre")
    assert run.inner.dims == ("inner_trial", "inner_time", "iteration", "inner_unit")
    assert run.spike_time.dims == run.spike_unit.dims == ("spike",)
    assert run.time.dtype == np.float64
    np.testing.assert_array_equal(run.timescale, [0.1, 1, 10])
    np.testing.assert_array_equal(run.inner_unit, [4, 0])
    assert {
        "fwsim_schema",
        "configuration",
        "seed",
        "versions",
        "commit",
        "device",
        "dtype",
        "wall_time",
    } <= set(run.attrs)
    assert all(isinstance(value, (str, int, float)) for value in run.attrs.values())
    for name in run.variables:
        assert {"units", "long_name"} <= set(run[name].attrs), name


def test_values_are_those_of_the_kept_steps():
    run = record()
    np.testing.assert_array_equal(run.hidden, samples("hidden", range(503)))
    np.testing.assert_array_equal(run.memory, samples("memory", range(9, 503, 10)).astype(np.float16))
    np.testing.assert_array_equal(run.inner, samples("inner", range(20, 503))[1:, :, :, [4, 0]])
    np.testing.assert_allclose(run.memory_time, np.arange(1, 51) * 10e-3, rtol=1e-15)
    np.testing.assert_array_equal(run.final_hidden, samples("hidden", [503])[:, 0])
    assert run.final_step == 503


@pytest.mark.parametrize("to", [None, "run.zarr"])
@pytest.mark.parametrize("recorded", [["attention"], ["inner"], ["inner", "attention"]])
def test_inner_and_attention_lie_along_the_iterations(tmp_path, to, recorded):
    sizes = {"trial": 1, "unit": 3, "iteration": 4, "past": 2}
    recorder = Recorder(recorded, Extent(2, 1.0, sizes), to=to and tmp_path / to)
    for name in recorded:
        recorder.write(name, np.zeros((1, 2, 4, {"inner": 3, "attention": 2}[name])))
    run = recorder.finish()
    if "inner" in recorded:
        assert run["inner"].dims == ("trial", "time", "iteration", "unit")
    assert set(run.data_vars) == set(recorded)
    np.testing.assert_array_equal(run.indexes["iteration"], [0, 1, 2, 3])
    assert run["iteration"].attrs["units"] == "1"
    assert set(run.mean("trial").data_vars) == set(recorded)
    assert run.sel(iteration=2)[recorded[0]].ndim == 3


def test_no_variable_is_named_like_a_dimension():
    """xarray would make it a coordinate, which arithmetic, means and `data_vars` leave out."""
    extent = Extent(4, 1.0, {"trial": 1, "unit": 3})
    with pytest.raises(ConfigError, match="record='hidden_time' is also the name of a dimension"):
        Recorder([Record("hidden", every=2), Record("rate", name="hidden_time")], extent)
    with pytest.raises(ConfigError, match="has a meaning of its own"):
        Record("hidden", name="iteration")
    with pytest.raises(ConfigError, match="record='unit' is also"):
        Recorder(["unit"], extent, variables={"unit": Variable(("trial", "time", "unit"), "1", "unit")})


@given(
    steps=st.integers(0, 200),
    first=st.integers(0, 50),
    every=st.integers(1, 30),
    dt=st.sampled_from([1.0, 0.1, 1e-4, 0.3]),
    bounds=st.tuples(st.integers(0, 260), st.integers(0, 260)).map(sorted),
)
def test_kept_steps_are_those_whose_time_fits(steps, first, every, dt, bounds):
    low, high = bounds
    extent = Extent(steps, dt, every=every, first_step=first)
    expected = [t for t in range(steps) if (first + t + 1) % every == 0 and low < first + t + 1 <= high]
    assert list(extent.kept(None, low * dt, high * dt)) == expected
    np.testing.assert_allclose(
        extent.times(extent.kept()), np.arange(first // every + 1, (first + steps) // every + 1) * every * dt
    )


def test_two_halves_have_the_samples_of_the_whole():
    records = (Record("hidden", every=7),)
    whole = record(steps=100, records=records)
    halves = [record(steps=n, first_step=first, records=records) for n, first in ((45, 0), (55, 45))]
    np.testing.assert_array_equal(np.concatenate([h.hidden_time for h in halves]), whole.hidden_time)
    np.testing.assert_array_equal(np.concatenate([h.hidden for h in halves], axis=1), whole.hidden)


def test_the_every_of_the_run_needs_no_dimension_of_its_own():
    extent = Extent(10, 0.5, {"trial": 1, "unit": 2}, every=5)
    recorder = Recorder(["hidden"], extent)
    recorder.write("hidden", np.zeros((1, 2, 2)))
    run = recorder.finish()
    assert run.hidden.dims == ("trial", "time", "unit")
    np.testing.assert_array_equal(run.time, [2.5, 5.0])


@given(cuts=st.sets(st.integers(1, 99)))
def test_blocks_of_any_size_give_every_wanted_step_once(cuts):
    recorder = Recorder([Record("hidden", every=3)], Extent(100, 1.0, {"trial": 1, "unit": 1}))
    edges = [0, *sorted(cuts), 100]
    wanted = [step for pair in itertools.pairwise(edges) for step in recorder.wanted("hidden", *pair)]
    assert wanted == list(range(2, 100, 3))
    assert not recorder.wanted("memory", 0, 100)


def test_a_selection_keeps_the_coordinates_of_the_run():
    recorder = Recorder(
        [Record("hidden", units=[2, 0])],
        Extent(1, 1.0, {"trial": 1, "unit": 3}),
        coordinates={"unit": np.array([10, 20, 30])},
    )
    recorder.write("hidden", np.arange(3.0).reshape(1, 1, 3))
    run = recorder.finish()
    np.testing.assert_array_equal(run.hidden_unit, [30, 10])
    np.testing.assert_array_equal(run.hidden, [[[2, 0]]])


def test_a_variable_can_be_declared():
    voltage = Variable(("trial", "time", "compartment"), "V", "membrane potential", "float64")
    extent = Extent(2, 1 * ms, {"trial": 1, "compartment": 3})
    recorder = Recorder(["v"], extent, variables={"v": voltage})
    recorder.write("v", np.ones((1, 2, 3)))
    run = recorder.finish()
    assert run.v.attrs == {"units": "V", "long_name": "membrane potential"}
    assert run.v.dtype == np.float64


def test_what_is_handed_over_may_be_reused():
    recorder = Recorder(["hidden"], Extent(2, 1.0, {"trial": 1, "unit": 1}))
    block = np.ones((1, 1, 1), np.float32)
    recorder.write("hidden", block)
    block[:] = 2
    recorder.write("hidden", block)
    assert recorder.finish().hidden.values.ravel().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"every": 0}, "every=0"),
        ({"every": True}, "every=True"),
        ({"every": 2.5}, "every=2.5"),
        ({"dtype": "int8"}, "dtype='int8'"),
        ({"units": []}, "units="),
        ({"units": [1, 1]}, "different"),
        ({"trials": [-1]}, "from 0"),
        ({"trials": [0.5]}, "indices"),
        ({"trials": [True, False]}, "mask"),
        ({"units": np.array([False, True])}, "mask"),
        ({"units": [float("inf")]}, "indices"),
        ({"units": (each for each in [0.5])}, "indices"),
        ({"start": "soon"}, "^start: 'soon' is not a time"),
        ({"start": 2, "stop": 1}, "before"),
        ({"stop": "3 mV"}, "not a unit of time"),
    ],
)
def test_a_record_that_selects_nothing_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        Record("hidden", **options)


@pytest.mark.parametrize(
    ("given_record", "said"),
    [
        (
            Record("hidden", every=11),
            "every=11 keeps nothing of hidden in 10 steps of 1 s; choose a smaller every$",
        ),
        (Record("hidden", start=10), "between 10 and inf s keeps nothing"),
        (Record("hidden", units=[3]), "there are 3"),
        (Record("attention", units=[0]), "selects nothing"),
        (Record("spike_time", every=2), "events"),
        ("step", "dimensions"),
        ("rate_", "unknown"),
        ("memory", "size"),
    ],
)
def test_a_record_that_does_not_fit_the_run_is_refused(given_record, said):
    sizes = {"trial": 1, "unit": 3, "iteration": 1, "past": 1}
    with pytest.raises(ConfigError, match=said):
        Recorder([given_record], Extent(10, 1.0, sizes))


def test_records_are_checked_against_what_there_is():
    assert as_records("hidden", ["hidden"]) == (Record("hidden"),)
    assert as_records((), ["hidden"]) == ()
    with pytest.raises(ConfigError, match="hidden"):
        as_records(["memory"], ["hidden"])
    with pytest.raises(ConfigError, match="2 times"):
        as_records(["hidden", Record("hidden", every=2)], ["hidden"])
    with pytest.raises(ConfigError, match="5"):
        as_records(5, ["hidden"])


def test_samples_that_do_not_fit_are_refused():
    extent = Extent(2, 1.0, {"trial": 1, "unit": 3})
    recorder = Recorder(["hidden"], extent)
    with pytest.raises(ShapeError, match=r"\[1, sample, 3\]"):
        recorder.write("hidden", np.zeros((1, 2, 4)))
    recorder.write("hidden", np.zeros((1, 1, 3)))
    with pytest.raises(RecordingError, match="1 of 2"):
        recorder.finish()
    with pytest.raises(ShapeError, match="3 samples"):
        recorder.write("hidden", np.zeros((1, 2, 3)))
    with pytest.raises(ConfigError, match="memory"):
        recorder.write("memory", np.zeros((1, 1, 3)))


def test_a_number_too_large_for_its_type_is_an_error_and_infinity_is_kept():
    extent = Extent(2, 1.0, {"trial": 1, "unit": 1})
    recorder = Recorder([Record("hidden", dtype="float16")], extent)
    recorder.write("hidden", np.array([[[np.inf]]], np.float32))
    with pytest.raises(RecordingError, match="float16"):
        recorder.write("hidden", np.array([[[1e6]]], np.float32))


def test_a_recording_larger_than_the_machine_is_refused_at_once():
    with pytest.raises(RecordingError, match="GiB"):
        Recorder(["memory"], Extent(10**9, 1.0, {"trial": 1, "post": 10**3, "pre": 10**3}))


def test_attributes_are_strings_or_numbers():
    with pytest.raises(ConfigError, match="list"):
        Recorder([], Extent(1, 1.0), attributes={"list": [1]})
    assert type(Recorder([], Extent(1, 1.0), attributes={"n": np.int64(1)}).finish().attrs["n"]) is int


def test_every_variable_of_the_schema_that_is_recorded_has_one_streamed_dimension():
    streamed = {
        name: set(v.dimensions) & {"time", "spike"} for name, v in VARIABLES.items() if name != "step"
    }
    assert all(len(found) == 1 for found in streamed.values())
    assert {r if isinstance(r, str) else r.variable for r in RECORDS} <= set(streamed)
