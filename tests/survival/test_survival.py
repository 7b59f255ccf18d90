"""Killed at random moments, everything can be read as far as it goes, and goes on to the same bits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import fwsim as fw
from fwsim.recording import first_difference
from fwsim.study import Run
from tests.recording.test_folder import check_prefix

ROOT = Path(__file__).parents[2]
KILLS = [6, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


def killed(job, folder, kills):
    """Folders of the resumed jobs; a quarter of them at least were killed before they ended."""
    command = [sys.executable, "-m", "tests.survival.killed", job, str(folder), str(kills), str(kills)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= kills / 4
    return [folder / str(number) for number in range(kills)]


@pytest.mark.parametrize("kills", KILLS)
@pytest.mark.parametrize("job", ["recording", "noisy", "spiking"])
def test_recordings(tmp_path, job, kills):
    folders = killed(job, tmp_path, kills)
    whole = fw.open_recording(tmp_path / "whole").load()
    lengths = []
    for folder in folders:
        left = folder.with_name(f"{folder.name}.killed")
        if left.exists():
            part = fw.open_recording(left)
            lengths.append(part.valid_steps)
            if "wall_time" not in part.attrs:
                check_prefix(part, whole)
        resumed = fw.open_recording(folder)
        assert first_difference(whole, resumed) is None
        assert set(resumed.variables) == set(whole.variables)
        assert "wall_time" in resumed.attrs
        assert not (folder / "checkpoint.npz").exists()
    assert any(0 < length < whole.steps for length in lengths)


@pytest.mark.parametrize("kills", KILLS)
def test_training(tmp_path, kills):
    folders = killed("training", tmp_path, kills)
    whole = torch.load(tmp_path / "whole" / "final.pt", weights_only=True)
    for folder in folders:
        weights = torch.load(folder / "final.pt", weights_only=True)
        assert all(torch.equal(weights[name], whole[name]) for name in whole)
    assert any(
        (folder.with_name(f"{folder.name}.killed") / "checkpoints" / "last.pt").exists() for folder in folders
    )


@pytest.mark.parametrize("kills", KILLS)
def test_sweeps(tmp_path, kills):
    folders = killed("sweep", tmp_path, kills)
    whole = Run(tmp_path / "whole").recording.load()
    for folder in folders:
        assert Run(folder).state == "finished"
        resumed = Run(folder).recording.load()
        xr.testing.assert_equal(resumed, whole)
        np.testing.assert_array_equal(resumed["sum"], whole["sum"])
