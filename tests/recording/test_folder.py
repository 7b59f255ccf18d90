"""A recording on disk is the recording in memory, or a prefix of it, or a clear error."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import fwsim.recording.folder as folder
from fwsim import RecordingError
from fwsim.recording import Extent, Recorder, digests, open_recording, reading
from tests.recording.runs import record, timeless

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("small_chunks")
def test_round_trip_over_many_chunks(tmp_path):
    memory, stored = record(), record(tmp_path / "run.zarr")
    assert len(list((tmp_path / "run.zarr" / "hidden").glob("c.*"))) > 10
    assert stored.hidden.chunks is not None  # lazy
    xr.testing.assert_identical(timeless(stored), timeless(memory))
    assert {n: stored[n].dtype for n in stored.variables} == {n: memory[n].dtype for n in memory.variables}
    assert stored.valid_steps == stored.steps == 503


def test_plain_xarray_reads_the_same(tmp_path):
    memory, _ = record(), record(tmp_path / "run.zarr")
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "run.zarr", consolidated=False), memory)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_round_trip_of_any_size(data, tmp_path_factory):
    shape = [data.draw(st.integers(0, 5), label=name) for name in ("trial", "unit")]
    steps, block, chunk_bytes = (data.draw(st.integers(low, 40)) for low in (0, 1, 1))
    every = data.draw(st.integers(1, max(1, steps)), label="every")
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64"]))
    values = np.random.default_rng(0).standard_normal((shape[0], steps, shape[1])).astype(dtype)
    values[values > 1], values[values < -1] = np.nan, 0.0

    def run(to):
        extent = Extent(steps, 0.1, {"trial": shape[0], "unit": shape[1]}, every=every, dtype=dtype)
        recorder = Recorder(["hidden"], extent, to=to)
        for start in range(0, steps, block):
            recorder.write("hidden", values[:, list(recorder.wanted("hidden", start, start + block))])
        return recorder.finish({"hidden": values[:, -1] if steps else values.sum(1)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "CHUNK_BYTES", 8 * chunk_bytes)
        stored = run(tmp_path_factory.mktemp("any") / "run.zarr")
    xr.testing.assert_identical(timeless(stored), timeless(run(None)))
    np.testing.assert_array_equal(stored.hidden, values[:, every - 1 :: every])


@given(
    shape=st.lists(st.integers(0, 300), min_size=1, max_size=5),
    itemsize=st.sampled_from([2, 4, 8]),
    data=st.data(),
)
def test_chunks_are_bounded_and_split_time_first(shape, itemsize, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    chunks = folder.chunk_shape(tuple(shape), itemsize, axis)
    assert np.prod(chunks, dtype=float) * itemsize <= folder.CHUNK_BYTES
    assert all(1 <= chunk <= max(1, size) for chunk, size in zip(chunks, shape))
    others_whole = all(c == max(1, n) for i, (c, n) in enumerate(zip(chunks, shape)) if i != axis)
    assert others_whole or chunks[axis] == 1


def test_an_existing_path_is_refused_and_left_alone(tmp_path):
    for path in (tmp_path, tmp_path / "file"):
        if path != tmp_path:
            path.write_text("mine")
        with pytest.raises(RecordingError, match="exists already"):
            record(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be written") as caught:
        record(tmp_path / "file" / "run.zarr")
    assert "\n" not in str(caught.value)
    if os.geteuid() == 0:
        pytest.skip("root may write to a read-only folder")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(RecordingError, match="cannot be written: Permission denied"):
        record(tmp_path / "closed" / "run.zarr")


@pytest.mark.usefixtures("small_chunks")
def test_a_full_disk_is_an_error_and_what_was_written_stays(tmp_path, monkeypatch):
    recorder = record(tmp_path / "run.zarr", until=200)
    recorder._store.wait()
    before = open_recording(tmp_path / "run.zarr").load()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zarr.storage._local._put", full)
    with pytest.raises(RecordingError, match="No space left on device"):
        recorder.write("hidden", np.zeros((2, 281, 5), np.float32))
    monkeypatch.undo()
    xr.testing.assert_identical(open_recording(tmp_path / "run.zarr").load(), before)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("until", [0, 37, 185, 481])
def test_an_interrupted_run_is_a_prefix(tmp_path, until):
    recorder = record(tmp_path / "run.zarr", until=until)
    recorder._store.wait()
    part, whole = open_recording(tmp_path / "run.zarr"), record()
    check_prefix(part, whole)
    assert part.valid_steps <= until
    assert until < 100 or part.valid_steps > until - 100


@pytest.mark.usefixtures("small_chunks")
def test_a_kill_between_the_list_of_digests_and_its_folder_leaves_an_interrupted_run(tmp_path):
    record(tmp_path / "run.zarr", until=185)._store.wait()
    before = open_recording(tmp_path / "run.zarr").load()
    (tmp_path / "run.zarr" / "digests").mkdir()
    xr.testing.assert_identical(open_recording(tmp_path / "run.zarr").load(), before)
    (tmp_path / "run.zarr" / "journal.sha256").unlink()
    with pytest.raises(RecordingError, match=r"digests/zarr\.json is missing"):
        open_recording(tmp_path / "run.zarr")


@pytest.mark.usefixtures("small_chunks")
def test_a_recording_can_be_opened_while_it_is_written(tmp_path):
    """Readers hold nobody up, and see a prefix at every moment."""
    done = []
    writer = threading.Thread(target=lambda: done.append(record(tmp_path / "run.zarr")))
    writer.start()
    seen, whole = set(), record()
    while writer.is_alive():
        if (tmp_path / "run.zarr").exists():
            part = open_recording(tmp_path / "run.zarr")
            seen.add(int(part.valid_steps))
            np.testing.assert_array_equal(part.hidden, whole.hidden[:, : part.sizes["time"]])
            np.testing.assert_array_equal(part.spike_time, whole.spike_time[: part.sizes["spike"]])
    writer.join()
    assert done[0].valid_steps == 503
    assert seen


def test_a_run_that_writes_faster_than_it_is_read_is_read_again(tmp_path, monkeypatch):
    """As long as the list of checksums changes between two attempts, for up to a minute."""
    whole, opened, attempts = record(tmp_path / "run.zarr"), reading._opened, []

    def overtaken(root):
        attempts.append(root)
        if len(attempts) <= 50:
            raise RecordingError("the checksum of a file is not that of what was written")
        return opened(root)

    monkeypatch.setattr(reading, "_opened", overtaken)
    monkeypatch.setattr(digests, "stamp", lambda root: len(attempts))
    xr.testing.assert_identical(open_recording(tmp_path / "run.zarr").load(), whole.load())
    assert len(attempts) == 51
    monkeypatch.setattr(reading, "PATIENCE", 0.0)
    attempts.clear()
    with pytest.raises(RecordingError, match="the checksum of a file"):
        open_recording(tmp_path / "run.zarr")


def check_prefix(part, whole):
    """Everything before the first missing sample, and nothing else."""
    assert "wall_time" not in part.attrs
    assert not [name for name in part.variables if name.startswith("final_")]
    end = (part.valid_steps + 1) * part.dt * (1 - 1e-9)
    for name in part.variables:
        if any(d == "time" or d.endswith("_time") or d == "spike" for d in part[name].dims):
            dimension = next(d for d in part[name].dims if d == "spike" or d.endswith("time"))
            times = whole.spike_time if dimension == "spike" else whole[dimension]
            expected = whole[name].isel({dimension: (times < end).values})
            np.testing.assert_array_equal(part[name], expected, err_msg=name)


@pytest.mark.usefixtures("small_chunks")
def test_what_was_not_written_ends_what_is_valid_and_what_was_lost_is_an_error(tmp_path):
    whole = record()
    recorder = record(tmp_path / "run.zarr", until=300)
    recorder.close()
    path = tmp_path / "run.zarr" / "hidden"
    length = zarr.open_array(path).chunks[1] * 2
    journal = tmp_path / "run.zarr" / "journal.sha256"
    later = sorted(path.glob("c.*"), key=lambda each: int(each.name.split(".")[2]))[2:]
    for (
        chunk
    ) in later:  # as if the run had been killed before it wrote the third chunk, and after it announced it
        chunk.unlink()
    lines = [line for line in journal.read_text().splitlines() if "hidden/c" not in line or line[-3] in "01"]
    announced = next(
        line for line in journal.read_text().splitlines() if line.endswith(f"hidden/{later[0].name}")
    )
    journal.write_text("\n".join([*lines, announced, announced[:30]]))
    part = open_recording(tmp_path / "run.zarr")
    assert part.valid_steps == length
    np.testing.assert_array_equal(part.hidden, whole.hidden[:, :length])
    np.testing.assert_array_equal(part.memory_time, whole.memory_time[: length // 10])
    (path / "c.0.1.0").unlink()
    with pytest.raises(RecordingError, match=r"hidden is damaged: 1 of its files are missing.*c\.0\.1\.0"):
        open_recording(tmp_path / "run.zarr")


PEAK = """
import sys, torch
import fwsim as fw
from fwsim.engine.threads import use_threads
use_threads(1)
steps = int(sys.argv[2])
net = fw.FastWeightNetwork(4, 50, fw.Hebbian(tau=20.0, eta=0.1))
def drive(start, stop):
    return torch.randn(1, stop - start, 4, generator=torch.Generator().manual_seed(start))
fw.simulate(net, drive, steps=steps, record=["hidden", fw.Record("memory", every=1000)], to=sys.argv[1])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("steps", [300_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_peak_memory_does_not_depend_on_the_number_of_steps(tmp_path, steps):
    """The whole process, drive and all; only the time coordinate grows, 8 bytes a step; hidden states would, 200."""
    short, long = (
        int(subprocess.check_output([sys.executable, "-c", PEAK, tmp_path / str(each), str(each)], cwd=ROOT))
        for each in (10_000, steps)
    )
    assert long < 1.1 * short, (short, long)
