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
KILLS = [6, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
pytestmark = pytest.mark.timeout(1800)  # the first test waits for all jobs


@pytest.fixture(scope="module", params=KILLS)
def killed(request, tmp_path_factory):
    """Folder of each job; each was killed in a quarter of the attempts at least before it ended."""
    folder, kills = tmp_path_factory.mktemp("killed"), request.param
    command = [sys.executable, "-m", "tests.survival.killed", str(folder), str(kills), str(kills)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = dict(line.split() for line in done.stdout.splitlines())
    assert min(map(int, counts.values())) >= kills / 4, counts
    assert all(len(resumed_runs(folder / job)) == kills for job in counts)
    return {job: folder / job for job in counts}


def resumed_runs(folder):
    """Folders of the resumed runs of a job."""
    return [each for each in folder.iterdir() if each.name.isdigit()]


@pytest.mark.parametrize("job", ["recording", "noisy", "spiking"])
def test_recordings(killed, job):
    whole = fw.open_recording(killed[job] / "whole").load()
    lengths = []
    for folder in resumed_runs(killed[job]):
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


def test_training(killed):
    folders = resumed_runs(killed["training"])
    whole = torch.load(killed["training"] / "whole" / "final.pt", weights_only=True)
    for folder in folders:
        weights = torch.load(folder / "final.pt", weights_only=True)
        assert all(torch.equal(weights[name], whole[name]) for name in whole)
    assert any(
        (folder.with_name(f"{folder.name}.killed") / "checkpoints" / "last.pt").exists() for folder in folders
    )


def test_sweeps(killed):
    whole = Run(killed["sweep"] / "whole").recording.load()
    for folder in resumed_runs(killed["sweep"]):
        assert Run(folder).state == "finished"
        resumed = Run(folder).recording.load()
        xr.testing.assert_equal(resumed, whole)
        np.testing.assert_array_equal(resumed["sum"], whole["sum"])
