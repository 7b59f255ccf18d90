"""What the command line prints where not everything can be shown, or nobody reads."""

import io
import os
import subprocess
import sys

import pytest

from fwsim import cli

FWSIM = [sys.executable, "-m", "fwsim.cli"]
COMMANDS = [
    "list",
    "--help",
    "run --help",
    "fit --help",
    "run --again --help",
    "run näme",
    "analyse ∞",
    "__complete run ",
    "run trace --quick --no-analyse --to Ω",
    "new é --from trace",
]


@pytest.fixture
def greek(toy):
    (toy / "experiments" / "trace.py").write_text(
        (toy / "experiments" / "trace.py").read_text("utf-8").replace("How fast", "τ ≤ ∞: how fast"), "utf-8"
    )
    return toy


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("tokens", COMMANDS)
def test_what_an_encoding_lacks_is_replaced(greek, monkeypatch, encoding, tokens):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as caught:
        cli.main(tokens.split(" "))
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    assert caught.value.code == (2 if tokens in ("run näme", "analyse ∞") else 0), err
    assert "unexpected" not in err
    assert err.count("\n") == (caught.value.code == 2)
    if tokens == "list":
        assert "? ? ?: how fast does a trace decay?" in out


EACH = """
import sys
from fwsim.cli import main
errors = sys.stdout.errors
for line in sys.argv[1:]:
    sys.stdout.reconfigure(errors=errors)
    try:
        main(line.split())
    except SystemExit as ended:
        assert ended.code == 0, line
"""


def test_without_a_locale(greek):
    """In one process, which takes seconds to load; each command finds the stream as Python opens it."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lines = ["list", "run trace --quick --no-analyse --to here", "run trace --help", "report here"]
    command = [sys.executable, "-c", EACH, *lines]
    done = subprocess.run(command, capture_output=True, cwd=greek, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "τ ≤ ∞" in (greek / "here" / "report.html").read_text("utf-8")


def shell(line, cwd):
    line = line.replace("fwsim", f"{sys.executable} -m fwsim.cli", 1)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix")
def test_nobody_reads(toy):
    assert shell("fwsim list | true", toy) == (0, "", "")
    assert shell("fwsim list >&-", toy) == (0, "", "")
    assert shell("fwsim run nothing 2>&-", toy) == (2, "", "")
    assert shell("fwsim --version >&- 2>&- <&-", toy) == (0, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk(toy):
    code, _, err = shell("fwsim list >/dev/full", toy)
    assert code == 1
    assert err == (
        "fwsim: standard output, or a file: No space left on device; free some space, or give a place on another "
        "disk with --to\n"
    )


def test_warnings_are_one_line_without_python(toy, fwsim):
    """The experiment warns while it runs; the reader of the terminal needs no path of a Python file."""
    path = toy / "experiments" / "trace.py"
    text = path.read_text("utf-8")
    path.write_text(f"{text}\n\nimport warnings\nwarnings.warn('200 is\\n200 s', UserWarning)\n", "utf-8")
    code, _, err = fwsim("run", "trace", "--quick", "--no-analyse", "--to", "here")
    assert (code, err) == (0, "fwsim: 200 is 200 s\n")
