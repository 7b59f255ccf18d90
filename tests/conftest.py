"""Fixtures shared by all tests."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

if shutil.which("nvidia-smi") is None:
    os.environ["TRITON_INTERPRET"] = (
        "1"  # Triton looks when it is imported, and any test may be the first to do so
    )

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(
    prefix="fwsim-tests-"
)  # the key that signs runs, not the user's own
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

TOY = Path(__file__).parent / "study" / "toy"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Empty folder of a user, with the toy experiment and its analysis, as the current one."""
    import shutil

    shutil.copytree(TOY, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FWSIM_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def fwsim(toy, capfd):
    """Call the command line in the toy's folder: tokens → (exit code, stdout, stderr)."""
    from fwsim import cli

    def call(*tokens):
        with pytest.raises(SystemExit) as caught:
            cli.main(tokens)
        out, err = capfd.readouterr()
        return caught.value.code, out, err

    return call


@pytest.fixture(scope="module")
def numpy_target():
    """Brian2 without compiling, which short runs are not worth."""
    import brian2

    target, brian2.prefs.codegen.target = brian2.prefs.codegen.target, "numpy"
    yield
    brian2.prefs.codegen.target = target


def pytest_terminal_summary(terminalreporter):
    """Say on how many inputs, or crash points, a test tried the code."""
    for report in (each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, ())):
        for name, value in getattr(report, "user_properties", ()):
            if name.endswith(" tried") and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: {value} {name}")
