"""The native engine gives the same numbers, whichever compiler made it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fwsim.engine.native.library import variant

ROOT = Path(__file__).parents[2]
TESTS = (
    "engine/test_rate_compiled.py",
    "engine/test_rate_gradients.py",
    "engine/test_kernels.py",
    "spiking/test_native_run.py",
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_engine_compiled_by_clang(tmp_path):
    """Clang, unlike GCC, takes it that registers which are template arguments begin at whole registers."""
    clang = shutil.which("clang++")
    if clang is None:
        pytest.skip("needs clang++")
    environment = os.environ | {"CXX": clang, "FWSIM_NATIVE": "required", "FWSIM_VARIANTS": variant().name}
    build = [
        "setup.py",
        "--quiet",
        "build_ext",
        "--build-lib",
        tmp_path,
        "--build-temp",
        tmp_path / "objects",
    ]
    subprocess.run([sys.executable, *build], cwd=ROOT, env=environment, check=True)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-n0",
            "-p",
            "no:cacheprovider",
            *(f"tests/{each}" for each in TESTS),
        ],
        cwd=ROOT,
        env=environment | {"FWSIM_NATIVE_FOLDER": str(tmp_path / "fwsim/engine/native")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
