"""On a disk that is really full: one line with folder and remedy, and the same values once there is space again."""

import shutil
import subprocess

import pytest

from fwsim.recording import checksums
from fwsim.study import Run


@pytest.fixture
def disk(toy):
    """Folder on a disk of its own, in memory, and a function that gives it another size."""
    place = toy / "disk"
    place.mkdir()
    if shutil.which("mount") is None or _mount(place, "size=300k").returncode:
        pytest.skip("a small disk needs the rights of root")
    yield place, lambda size: _mount(place, f"remount,size={size}").check_returncode()
    subprocess.run(["umount", "-l", place], check=True)


def _mount(place, options):
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)


def test_a_sweep_on_a_full_disk(fwsim, disk):
    place, resize = disk
    sweep = ("sweep", "leak", "--over", "tau=1,2,4", "--steps", "20000", "--workers", "1", "--to")
    code, _, said = fwsim(*sweep, "disk/sweep")
    line = next(each for each in said.splitlines() if each.startswith("fwsim: "))
    assert code == 1
    assert f"{place / 'sweep'}" in line or "disk/sweep:" in line
    assert "free some space" in line
    assert "fwsim resume" in line
    assert "Traceback" not in said
    resize("20m")
    assert fwsim("resume", "disk/sweep")[0] == 0
    assert fwsim(*sweep, "whole")[0] == 0
    assert checksums(Run("disk/sweep").recording) == checksums(Run("whole").recording)
