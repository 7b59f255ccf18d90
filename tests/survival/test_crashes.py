"""Jobs that are killed before a change to the disk: nothing half calls itself whole, and all go on to the same bits."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POINTS = [1, pytest.param(75, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
"""Of each of eleven jobs; of those that have fewer, all."""


@pytest.mark.parametrize("points", POINTS)
def test_crash_points(tmp_path, points, record_property):
    command = [sys.executable, "-W", "ignore", "-m", "tests.survival.crashes", str(tmp_path), str(points)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [line.split() for line in done.stdout.splitlines()]
    tried, killed = (sum(int(job[place]) for job in jobs) for place in (1, 2))
    assert (len(jobs), tried) == (11, killed)
    record_property("crash points tried", tried)
