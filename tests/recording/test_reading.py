"""Whatever lies on the disk gives a recording or one clear line."""

import itertools
import json
import shutil
import tracemalloc

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim.recording.folder as folder
from fwsim import RecordingError
from fwsim.recording import Extent, Recorder, first_difference, open_recording, write_netcdf
from fwsim.recording.whole import write_recording
from tests.recording.runs import record


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A finished recording, to be copied before it is damaged."""
    path = tmp_path_factory.mktemp("stored") / "run.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "CHUNK_BYTES", 1500)
        record(path, steps=100)
    return path


@pytest.fixture
def copy(stored, tmp_path):
    return shutil.copytree(stored, tmp_path / "run.zarr")


def change(path, **fields):
    """Overwrite fields of a metadata file."""
    metadata = json.loads(path.read_text())
    for name, value in fields.items():
        inner = metadata
        *parents, last = name.split("__")
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    path.write_text(json.dumps(metadata))


def refused(path, said):
    tracemalloc.start()
    with pytest.raises(RecordingError, match=said) as caught:
        open_recording(path).load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 200e6


def test_what_is_no_recording(tmp_path):
    refused(tmp_path / "missing", "is not a recording")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is not a recording")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is not a recording; give the folder")
    (tmp_path / "run" / "recording.zarr").mkdir(parents=True)
    refused(tmp_path / "run", "run is not a recording; give .*run/recording.zarr$")


def test_stores_of_other_people(tmp_path):
    zarr.create_group(tmp_path / "group")
    refused(tmp_path / "group", "not a recording by fwsim")
    xr.Dataset({"hidden": ("time", np.arange(3.0))}).to_zarr(tmp_path / "xarray", consolidated=False)
    refused(tmp_path / "xarray", "not a recording by fwsim")
    record(steps=40).to_zarr(tmp_path / "copy", consolidated=False)
    refused(tmp_path / "copy", "was not written by a run")


@pytest.mark.parametrize("schema", [3, 0, "1", None, [1], 1.5, 1.0, True])
def test_another_schema(copy, schema):
    change(copy / "zarr.json", attributes__fwsim_schema=schema)
    refused(copy, "schema")


def test_damaged_chunks_are_found_when_read(copy):
    chunk = copy / "hidden" / "c.0.0.0"
    good = chunk.read_bytes()
    for bad in (b"", good[:-7], good[:20], good[:30] + bytes([good[30] ^ 1]) + good[31:], b"\0" * 10_000):
        chunk.write_bytes(bad)
        refused(copy, "hidden is damaged")


def test_a_chunk_of_a_coordinate_or_of_the_final_state_is_missing(copy):
    kept = (copy / "time" / "c.0").read_bytes()
    (copy / "time" / "c.0").unlink()
    refused(copy, "time is damaged")
    (copy / "time" / "c.0").write_bytes(kept)
    (copy / "final_hidden" / "c.0.0").unlink()
    refused(copy, "final_hidden is damaged")


def test_metadata_that_is_missing_or_nonsense(copy):
    kept = (copy / "hidden" / "zarr.json").read_text()
    for bad in (
        "",
        "{}",
        "[1, 2",
        kept[:100],
        kept.replace("float32", "object"),
        kept.replace("blosc", "pickle"),
    ):
        (copy / "hidden" / "zarr.json").write_text(bad)
        refused(copy, "damaged|was not written")
    (copy / "hidden" / "zarr.json").unlink()
    refused(copy, "hidden")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_huge_declared_shape_allocates_nothing(copy, axis):
    shape = [2, 100, 5]
    shape[axis] = 10**15
    change(copy / "hidden" / "zarr.json", shape=shape)
    refused(copy, "declares shape|damaged")


def test_a_huge_declared_chunk_allocates_nothing(copy):
    change(copy / "hidden" / "zarr.json", chunk_grid__configuration__chunk_shape=[2, 10**12, 5])
    refused(copy, "declares chunks")


def test_a_huge_declared_coordinate_allocates_nothing(copy):
    change(copy / "time" / "zarr.json", shape=[10**15])
    refused(copy, "time is damaged")


def test_a_killed_start_is_no_recording(copy):
    change(copy / "zarr.json", attributes={})
    refused(copy, "not a recording by fwsim")


@pytest.mark.parametrize("stop", [*range(0, 16, 2), 40])
def test_a_killed_finish_is_an_unfinished_run_until_the_digests_are_listed(tmp_path, monkeypatch, stop):
    """Killed at any file that `finish` writes, the run has all of its steps and no final state."""
    extent = Extent(3, 1.0, {"trial": 1, "unit": 2})
    recorder = Recorder(["hidden"], extent, to=tmp_path / "run.zarr")
    recorder.write("hidden", np.ones((1, 3, 2)))
    put, count = zarr.storage._local._put, itertools.count()

    def killed(*given, **options):
        if next(count) > stop:
            raise RuntimeError("killed")
        return put(*given, **options)

    monkeypatch.setattr("zarr.storage._local._put", killed)
    try:
        recorder.finish({"memory": np.ones((1, 1, 2, 2))})
    except RuntimeError:
        recorder.close()
    else:
        assert (tmp_path / "run.zarr" / "digests" / "zarr.json").exists()
        return
    run = open_recording(tmp_path / "run.zarr")
    assert set(run.variables) == {"hidden", "trial", "time", "unit"}
    assert run.valid_steps == 3
    assert "wall_time" not in run.attrs


def test_a_chunk_that_is_a_left_over_is_missing(copy):
    (copy / "hidden" / "c.0.1.0").rename(copy / "hidden" / "c.0.1.d41d8cd9.partial")
    refused(copy, "hidden is damaged: 1 of its files")


def fuzz(stored, folder_, data):
    path = shutil.copytree(stored, folder_ / "run.zarr")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    begin = data.draw(st.integers(0, len(content)))
    junk = data.draw(
        st.one_of(st.binary(max_size=8), st.sampled_from([b"1e9", b"-1", b"null", b'"', b"9" * 15]))
    )
    end = data.draw(st.integers(begin, len(content)))
    file.write_bytes(content[:begin] + junk + content[end:])
    before = {entry: entry.stat().st_mtime_ns for entry in path.rglob("*")}
    said = ""
    try:
        open_recording(path).load()
    except RecordingError as error:
        said = str(error)
    assert "\n" not in said
    assert {entry: entry.stat().st_mtime_ns for entry in path.rglob("*")} == before


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_fuzz(stored, tmp_path_factory, data):
    fuzz(stored, tmp_path_factory.mktemp("fuzz"), data)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(data=st.data())
def test_fuzz_for_long(stored, tmp_path_factory, data):
    folder_ = tmp_path_factory.mktemp("fuzz")
    fuzz(stored, folder_, data)
    shutil.rmtree(folder_)


MISSING = {
    "numbers": [1.0, np.nan, 2.0],
    "complex": [1 + 2j, np.nan, 2j],
    "dates": np.array(["2020-01-01", "NaT", "2020-01-03"], "M8[ns]"),
}


@pytest.mark.parametrize("values", MISSING.values(), ids=MISSING)
def test_missing_values_are_equal_to_each_other_and_to_nothing_else(values):
    one = xr.Dataset({"v": ("mode", np.array(values))})
    assert first_difference(one, one.copy(deep=True)) is None
    other = one.copy(deep=True)
    other["v"][1] = other["v"][0]
    assert "in mode 1" in str(first_difference(one, other))


@pytest.mark.parametrize(("date", "fits"), [("2200-01-01", True), ("3000-01-01", False), ("NaT", True)])
def test_a_date_beyond_nanoseconds_is_refused(tmp_path, date, fits):
    run = xr.Dataset({"when": ("time", np.array([date], "M8[s]"))})
    if fits:
        write_recording(run, tmp_path / "run")
        np.testing.assert_array_equal(open_recording(tmp_path / "run").when, run.when)
        return
    with pytest.raises(RecordingError, match="when cannot be stored: whole nanoseconds"):
        write_recording(run, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_netcdf_has_every_number_of_the_attributes(tmp_path):
    given = {"yes": True, "no": np.False_, "small": -(2**63), "large": 2**63, "larger": -(2**64), "text": "x"}
    write_netcdf(xr.Dataset({"v": 1.0}, attrs=given), tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as again:
        assert {name: again.attrs[name] for name in ("yes", "no", "small")} == {
            "yes": 1,
            "no": 0,
            "small": -(2**63),
        }
        assert (again.attrs["large"], again.attrs["larger"]) == (str(2**63), str(-(2**64)))
    with pytest.raises(RecordingError, match=r"convert it or leave it out$"):
        write_netcdf(xr.Dataset({"v": 1.0}, attrs={"what": {"a": 1}}), tmp_path / "other.nc")
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc"]


def test_the_first_difference_is_the_earliest_of_all_variables():
    time = 0.1 * np.arange(1, 6)
    one = xr.Dataset({name: ("time", np.zeros(5)) for name in ("a", "b")}, {"time": time})
    other = one.copy(deep=True)
    other["a"][3], other["b"][1] = 1.0, 2.0
    assert str(first_difference(one, other)) == "b differs first at step 1 (0.2 s): 0.0 and 2.0"
    assert str(first_difference(one.assign(c=1), other)) == "c differs first: it is in one of the two only"
