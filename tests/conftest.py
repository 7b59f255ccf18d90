"""Fixtures shared by all tests."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

gc.disable()  # until all tests are collected: imports make many objects and little garbage

if shutil.which("nvidia-smi") is None:
    os.environ["TRITON_INTERPRET"] = (
        "1"  # Triton looks when it is imported, and any test may be the first to do so
    )

os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(
    prefix="fwsim-tests-"
)  # the key that signs runs, not the user's own
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

LONGEST_FIRST = ("survival", "study", "experiments", "spiking", "cli", "engine", "training", "rules", "")
"""Folders of tests, those with the longest files first; "" has the files in no folder."""

LOADED = {"modules": 0}
"""Number of modules when these were last left out of garbage collections."""

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


@pytest.fixture(scope="session")
def forked():
    """Start code as a script in a process that need not load fwsim: code, arguments, folder → as `Popen`."""
    from tests.forked import Server

    server = Server()
    yield server.start
    server.close()


@pytest.fixture(autouse=True)
def brian2_in_numpy(request, monkeypatch):
    """Run Brian2 without compiling: short runs end before their code would be compiled. `compiled` undoes this."""
    if "compiled" not in request.keywords:
        monkeypatch.setattr("fwsim.spiking.backend._compiles", lambda module: False)


@pytest.fixture(scope="module")
def numpy_target():
    """Let Brian2 run a test's own Brian2 objects without compiling."""
    import brian2

    target, brian2.prefs.codegen.target = brian2.prefs.codegen.target, "numpy"
    yield
    brian2.prefs.codegen.target = target


def pytest_addoption(parser):
    """How many random inputs of each kind to try in `tests/survival`, in place of the tests' own numbers."""
    parser.addoption("--inputs", type=int, default=None, help="random inputs of each kind")


def pytest_collection_modifyitems(items):
    """Long files first, so that no worker is left alone with one in the end."""

    def place(item):
        folder = "/".join(item.path.relative_to(item.config.rootpath).parts[1:-1][:1])
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)


def leave_out_of_collections():
    """Leave what lives now, modules and caches, out of later garbage collections; every run of Brian2 makes one."""
    gc.collect()
    gc.freeze()


def pytest_collection_finish():
    """Search for garbage again, but seldom: tests of tensors and symbols make many objects and few cycles."""
    leave_out_of_collections()
    gc.set_threshold(50_000)
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def garbage_of_a_file():
    """Collect what the tests of a file have left; their caches stay."""
    yield
    leave_out_of_collections()


def pytest_runtest_logfinish():
    """Leave out what a test was the first to load, too: one test may load torch's compiler or all of Brian2."""
    if len(sys.modules) >= LOADED["modules"] + 50:
        LOADED["modules"] = len(sys.modules)
        leave_out_of_collections()


def pytest_terminal_summary(terminalreporter):
    """Say on how many inputs, or crash points, a test tried the code, and what came of inputs at random."""
    ended = (each for kind in ("passed", "failed") for each in terminalreporter.stats.get(kind, ()))
    properties = [
        (report.nodeid, *each) for report in ended if report.when == "call" for each in report.user_properties
    ]
    for test, name, value in properties:
        if name.endswith(" tried"):
            terminalreporter.write_line(f"{test}: {value} {name}")
    fuzzed = [value for _, name, value in properties if name == "fuzzed"]
    if fuzzed:
        from tests.survival.fuzzing import table

        for line in table(fuzzed):
            terminalreporter.write_line(line)
