"""Enough to repeat a run, nothing about the person, and one file for other programs."""

import json
import sys

import numpy as np
import pytest
import xarray as xr

from fwsim import ConfigError, RecordingError
from fwsim.recording import origin, provenance, write_netcdf
from tests.recording.runs import record


def describe(configuration=None):
    return provenance(configuration or {}, seed=3, device="cpu", dtype="float32")


def test_the_configuration_comes_back():
    configuration = {
        "tau": np.array([0.5, 1.0]),
        "n": np.int64(3),
        "name": "é",
        "to": None,
        "deep": {"x": [1]},
    }
    said = json.loads(describe(configuration)["configuration"])
    assert said == {"tau": [0.5, 1.0], "n": 3, "name": "é", "to": None, "deep": {"x": [1]}}


def test_what_is_no_data_is_refused():
    with pytest.raises(ConfigError, match="plain data"):
        describe({"function": print})


def test_versions_name_what_computed():
    assert {"fwsim", "python", "torch", "numpy", "zarr"} <= set(json.loads(describe()["versions"]))


@pytest.mark.parametrize(
    ("argument", "kept"),
    [
        ("/home/ada/bin/fwsim", "fwsim"),
        ("--out=/home/ada/runs/a.zarr", "--out=a.zarr"),
        ("~ada/x", "x"),
        ("C:\\Users\\ada\\x.csv", "x.csv"),
        ("tcp://ada-host:8786", "<address>"),
        ("tau=0.1:100:log9", "tau=0.1:100:log9"),
        ("runs/3", "runs/3"),
        ("-n", "-n"),
    ],
)
def test_the_command_keeps_no_folders_and_hosts(monkeypatch, argument, kept):
    monkeypatch.setattr(sys, "argv", ["fwsim", argument])
    assert describe()["command"] == f"fwsim {kept}"


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch, tmp_path):
    (tmp_path / "origin.py").touch()
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "origin.py"))
    assert origin._commit.__wrapped__() == "unknown"


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert origin._commit.__wrapped__() == "unknown"


def test_netcdf_round_trip(tmp_path):
    run = record()
    write_netcdf(run, tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as back:
        xr.testing.assert_equal(back, run.assign(memory=run.memory.astype(np.float32)))
        assert back.attrs == run.attrs
        assert back.hidden.attrs == run.hidden.attrs
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.nc"]


def test_netcdf_readers_notice_damage(tmp_path):
    run = record(steps=40)
    write_netcdf(run, tmp_path / "run.nc")
    content = bytearray((tmp_path / "run.nc").read_bytes())
    place = content.find(np.ascontiguousarray(run.hidden.values[0, 0]).tobytes())
    assert place > 0
    content[place] ^= 1
    (tmp_path / "run.nc").write_bytes(content)
    with (
        xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as read,
        pytest.raises(OSError, match="filter"),
    ):
        read.hidden.load()


def test_netcdf_overwrites_nothing(tmp_path):
    (tmp_path / "run.nc").write_text("mine")
    with pytest.raises(RecordingError, match="exists"):
        write_netcdf(record(steps=40), tmp_path / "run.nc")
    assert (tmp_path / "run.nc").read_text() == "mine"
    with pytest.raises(RecordingError, match="cannot be written"):
        write_netcdf(record(steps=40), tmp_path / "missing" / "run.nc")


def test_netcdf_of_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(RecordingError, match="No space"):
        write_netcdf(record(steps=40), tmp_path / "run.nc")
    assert not list(tmp_path.iterdir())
