"""Repeating a run from its folder, and streams that go on after an interruption."""

import numpy as np
import pytest
import xarray as xr

import fwsim as fw
from fwsim.errors import ConfigError
from fwsim.recording import checksums, first_difference
from fwsim.study import Interrupted, Run, again, resume, run
from tests.study.test_execute import write_experiment


def test_a_repetition_is_equal(toy):
    first = run("trace", {"steps": 6}, seed=4)
    found = again(first)
    assert found.difference is None
    assert found.changed == ()
    assert found.run.manifest["configuration"] == first.manifest["configuration"]
    assert found.run.analysis.read_bytes() == first.analysis.read_bytes()
    xr.testing.assert_equal(found.run.recording, first.recording)
    assert checksums(found.run.recording) == checksums(first.recording)


def test_a_repetition_says_where_it_differs_and_what_changed(toy):
    write_experiment(
        toy,
        "from pathlib import Path\nvalues = np.zeros((3, 5))\nif Path('other').exists():\n    values[1, 3] = 2\n"
        "return xr.Dataset({'rate': (('trial', 'time'), values)}, {'time': 0.1 * np.arange(1, 6)})",
    )
    first = run("made", folder="first")
    (toy / "other").touch()
    first.update(versions={**first.manifest["versions"], "torch": "1.0"})
    found = again("first", folder="second")
    assert str(found.difference) == "rate differs first at step 3 (0.4 s): 0.0 and 2.0 in trial 1"
    assert len(found.changed) == 1
    assert found.changed[0].startswith("torch 1.0, now ")


def test_what_cannot_be_repeated(toy):
    done = run("trace", {"steps": 2}, folder="here")
    done.experiment.write_text(done.experiment.read_text() + "\n")
    with pytest.raises(ConfigError, match="was changed since"):
        again("here")
    done.update(state="failed")
    with pytest.raises(ConfigError, match="is failed"):
        again("here")


def test_a_repeated_sweep_is_equal(toy):
    first = fw.sweep("leak", {"tau": [1.0, 2.0]}, 2, {"steps": 2}, workers=1, folder="grid")
    found = again("grid", folder="again", device="cpu")
    assert found.difference is None
    assert found.run.manifest["sweep"] == Run(toy / "grid").manifest["sweep"]
    xr.testing.assert_identical(found.run.recording["point_seed"], first["point_seed"])


STREAM = """
import torch
net = fw.FastWeightNetwork(2, 4, fw.Hebbian(tau=9.0, eta=0.3), kernel="reference")
with torch.no_grad():
    net.C.copy_(torch.ones(4, 2))
def drive(start, stop):
    if start > 60 and not context.resume and config.size == 2:
        raise KeyboardInterrupt
    (context.folder / "began").write_text(str(start)) if not (context.folder / "began").exists() else None
    return torch.sin(torch.arange(start, stop, dtype=torch.float32))[None, :, None].expand(1, -1, 2)
"""


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 100)


@pytest.mark.usefixtures("short_blocks")
def test_an_interrupted_stream_goes_on_into_its_recording(toy, monkeypatch):
    monkeypatch.setattr("fwsim.recording.folder.CHUNK_BYTES", 500)
    end = "return fw.simulate(net, drive, steps=200, to=context.recording, resume=context.resume)"
    write_experiment(toy, STREAM + end)
    with pytest.raises(Interrupted) as caught:
        run("made")
    stopped = caught.value.run
    part = stopped.recording
    assert 0 < part.valid_steps < 100
    (stopped.folder / "began").unlink()
    done = resume(stopped)
    whole = run("made", {"size": 3})
    assert first_difference(done.recording, whole.recording) is None
    assert done.manifest["recording"] == "streamed"
    assert not (done.folder / "recording.interrupted.zarr").exists()
    np.testing.assert_array_equal(part.hidden, whole.recording.hidden[:, : part.valid_steps])


@pytest.mark.usefixtures("short_blocks")
def test_a_stream_that_cannot_go_on_says_how(toy):
    write_experiment(toy, STREAM + "return fw.simulate(net, drive, steps=200, to=context.recording)")
    with pytest.raises(Interrupted) as caught:
        run("made")
    with pytest.raises(fw.RecordingError, match="resume=True"):
        resume(caught.value.run)
