"""Batches that a disk, a kill or a person damaged: noticed, done again, and never in the way of others."""

import json
import os
import shutil
import sys

import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import RecordingError
from fwsim.study import Interrupted, Run, overview, resume_sweep, runs
from fwsim.study.sweeps import records
from tests.survival.fuzzing import flipped

OVER = {"eta": [1.0, 2.0, 3.0]}


@pytest.fixture
def stopped(toy, stopped_after):
    """A sweep of three batches, interrupted before its last one."""
    with stopped_after(2), pytest.raises(Interrupted):
        fw.sweep("leak", OVER, batch_size=1, workers=1, folder="runs/here")
    return sorted((toy / "runs" / "here" / "batches").glob("[!.]*"))


def flip(path, byte=None):
    """Change a bit of a byte, or of the last value."""
    content = path.read_bytes()
    path.write_bytes(flipped(content, 4 + 8 * (len(content) - 3 if byte is None else byte)))


def truncate(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


def replace(path, make):
    path.unlink()
    make(path)


DAMAGE = {
    "an empty record": lambda batch: truncate(batch / "record.json", 0),
    "half a record": lambda batch: truncate(batch / "record.json", 200),
    "no record": lambda batch: (batch / "record.json").unlink(),
    "a flipped bit in the record": lambda batch: flip(batch / "record.json", 60),
    "a record that is no object": lambda batch: (batch / "record.json").write_text("[1]"),
    "a deep record": lambda batch: (batch / "record.json").write_text("[" * 100_000),
    "a record without a digest": lambda batch: (batch / "record.json").write_text(
        '{"points": [], "parts": []}'
    ),
    "a record that is a pipe": lambda batch: replace(batch / "record.json", os.mkfifo),
    "an empty file": lambda batch: truncate(batch / "0-0.npy", 0),
    "half a file": lambda batch: truncate(batch / "0-0.npy", 200),
    "no file": lambda batch: (batch / "0-0.npy").unlink(),
    "a file that is a pipe": lambda batch: replace(batch / "0-0.npy", os.mkfifo),
    "a file that is a link": lambda batch: replace(
        batch / "0-0.npy", lambda path: path.symlink_to("/dev/zero")
    ),
    "a flipped bit in a value": lambda batch: flip(batch / "0-0.npy"),
    "a flipped bit in a header": lambda batch: flip(batch / "0-0.npy", 12),
    "a file in its place": lambda batch: (shutil.rmtree(batch), batch.write_text("x")),
    "an empty folder": lambda batch: (shutil.rmtree(batch), batch.mkdir()),
}


def assert_same_points(found, expected):
    """The experiment writes down where in its batch a point is, which batches of another size change."""
    xr.testing.assert_equal(*(each.drop_vars("point_details", errors="ignore") for each in (found, expected)))


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_batch_is_done_again(toy, stopped, fwsim, how):
    expected = fw.sweep("leak", OVER, workers=1, folder="expected").load()
    DAMAGE[how](stopped[0])
    code, out, err = fwsim("list")
    assert (code, err) == (0, "")
    assert "runs/here" in out
    assert_same_points(resume_sweep("runs/here", workers=1).load(), expected)


def test_what_is_damaged_during_a_sweep_is_done_again(toy, monkeypatch):
    expected = fw.sweep("leak", OVER, workers=1, folder="expected").load()
    write, damaged = records.write, []

    def bad(batches, points, ended):
        write(batches, points, ended)
        if len(damaged) < 2:
            damaged.append(points)
            flip(next(batches.glob("[!.]*/0-0.npy")))

    monkeypatch.setattr(records, "write", bad)
    found = fw.sweep("leak", OVER, batch_size=1, workers=1, folder="here").load()
    assert_same_points(found, expected)
    assert len(damaged) == 2


def test_a_disk_that_always_damages_is_named(toy, monkeypatch):
    write = records.write

    def bad(batches, points, ended):
        write(batches, points, ended)
        flip(next(batches.glob("[!.]*/0-0.npy")))

    monkeypatch.setattr(records, "write", bad)
    with pytest.raises(RecordingError, match="not as they were written, 3 times over; look after the disk"):
        fw.sweep("leak", OVER, workers=1, folder="here")


def test_failures_are_forgotten_and_the_rest_is_whole(toy):
    with pytest.warns(UserWarning, match="1 of 3"):
        fw.sweep("leak", OVER, config={"fails_above": 2.0}, batch_size=3, workers=1, folder="here")
    batches = toy / "here" / "batches"
    assert len(records.read(batches)) == 3
    records.forget_failures(batches)
    assert records.discard_damaged(batches) == 0
    assert len(records.read(batches)) == 2


MANY = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import fwsim as fw
swept = fw.sweep("leak", {"eta": [float(value) for value in range(1, 101)]}, batch_size=1, workers=1, folder="here",
                 config={"steps": 3})
print(float(swept["sum"].notnull().mean()), swept.sizes["eta"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of open files there")
def test_a_hundred_batches_within_64_open_files(toy, forked):
    assert forked(MANY, folder=toy).communicate() == ("1.0 100\n", "")


def write(text):
    return lambda folder: (folder / "run.json").write_text(text)


BAD_RUNS = {
    "no state": write('{"fwsim_run": 1, "started": "now"}'),
    "no start": write('{"fwsim_run": 1, "state": "finished"}'),
    "no points": write('{"fwsim_run": 1, "state": "finished", "started": "now", "sweep": {}}'),
    "no failed": write('{"fwsim_run": 1, "state": "finished", "started": "now", "sweep": {}, "points": 3}'),
    "another state": write('{"fwsim_run": 1, "state": ["finished"], "started": "now"}'),
    "no JSON": write("{"),
    "a list": write("[1]"),
    "deep": write("[" * 100_000),
    "not ours": write('{"name": "npm"}'),
    "a folder": lambda folder: (folder / "run.json").mkdir(),
    "a broken link": lambda folder: (folder / "run.json").symlink_to("nowhere"),
    "bytes": lambda folder: (folder / "run.json").write_bytes(b"\xff\xfe\x00"),
}


@pytest.mark.parametrize("how", BAD_RUNS)
def test_one_bad_folder_never_hides_the_others(toy, stopped, fwsim, how):
    bad = toy / "runs" / "bad"
    bad.mkdir()
    BAD_RUNS[how](bad)
    code, out, err = fwsim("list")
    assert (code, err) == (0, "")
    assert "interrupted: 2 of 3 points" in out
    if how != "a broken link":
        line = next(line for line in out.splitlines() if "runs/bad" in line)
        assert "damaged" in line


def test_a_run_that_cannot_be_looked_at_is_a_row(toy, stopped, monkeypatch):
    def refuse(run):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Run, "state", property(refuse))
    (run,) = runs.past_runs(toy / "runs")
    assert overview.run_row(run)[1:] == (
        "damaged",
        json.loads((run.folder / "run.json").read_text())["started"],
    )
