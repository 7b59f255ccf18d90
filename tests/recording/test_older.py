"""Recordings of schema 1, whose inner loop had the dimension `inner`, open under the names of today."""

import json
import shutil

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim import RecordingError
from fwsim.recording import open_recording
from fwsim.recording.older import up_to_date


def network():
    return fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=20.0, eta=0.5), inner_steps=2)


def drive():
    return torch.ones(2, 4, 2)


def aged(path):
    """Make a stored recording one of schema 1: `iteration` was called `inner`, and had no coordinate beside `inner`."""
    for file in path.rglob("zarr.json"):
        text = file.read_text().replace('"iteration"', '"inner"')
        file.write_text(text.replace('"fwsim_schema": 2', '"fwsim_schema": 1'))
    shutil.rmtree(path / "digests")
    if (path / "inner").is_dir():
        for file in (path / "iteration").iterdir():
            file.unlink()
        (path / "iteration").rmdir()
    else:
        (path / "iteration").rename(path / "inner")
    return path


@pytest.mark.parametrize("record", [["hidden", "inner", "attention"], ["hidden", "attention"]])
def test_a_stored_recording_is_renamed_when_opened(tmp_path, record):
    new = fw.simulate(network(), drive(), record=record, to=tmp_path / "run.zarr")
    expected = new.load()
    old = open_recording(aged(tmp_path / "run.zarr"))
    assert old.attrs["fwsim_schema"] == 2
    assert set(old.data_vars) == set(expected.data_vars)
    for name in record:
        assert old[name].dims == expected[name].dims
        np.testing.assert_array_equal(old[name], expected[name])
    if "inner" not in record:
        np.testing.assert_array_equal(old.iteration, [0, 1, 2])
        assert old.iteration.attrs == expected.iteration.attrs


def test_an_interrupted_one_is_not_gone_on_with(tmp_path):
    stored = network()
    fw.simulate(stored, drive(), record=["inner"], to=tmp_path / "run.zarr")
    root = aged(tmp_path / "run.zarr") / "zarr.json"
    metadata = json.loads(root.read_text())
    del metadata["attributes"]["wall_time"]
    root.write_text(json.dumps(metadata))
    with pytest.raises(RecordingError, match="was begun in schema 1"):
        fw.simulate(stored, drive(), record=["inner"], to=tmp_path / "run.zarr", resume=True)


def test_a_name_that_is_taken_goes_to_the_variable_along_it():
    run = xr.Dataset(
        {
            "attention": (("time", "inner"), np.zeros((2, 3))),
            "settling": (("trial", "iteration"), np.zeros((1, 5))),
        },
        {"iteration": np.arange(5), "inner": [0, 1, 2], "trial": [0], "size": ("inner", [1, 1, 1])},
        {"fwsim_schema": 1},
    )
    new = up_to_date(run)
    assert new.attention.dims == ("time", "iteration")
    assert new.settling.dims == ("trial", "settling_iteration")
    assert new.sizes["iteration"] == 3
    assert list(new.settling_iteration) == [0, 1, 2, 3, 4]
    assert set(new.coords) == {"iteration", "settling_iteration", "trial", "size"}
    assert up_to_date(new) is new
