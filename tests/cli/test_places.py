"""Where commands write: folders that may not be written, things that are there, names with ~."""

import json
import sys

import pytest

from fwsim import cli
from fwsim.cli.failure import explain

COMMANDS = {
    "new delay --from trace": "experiments",
    "run trace --quick": "runs",
    "run trace --quick --to below/here": "below",
    "sweep trace --over tau=1,2 --workers 1": "runs",
    "run --again runs/mine": "runs",
    "analyse runs/mine": "mine",
    "report runs/mine runs/other": "mine",
}
READING = ("list", "checksum runs/mine", "__complete run ")
SCRIPT = """
import ctypes, io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
OVERRIDE, SEARCH = 1, 2  # what lets root pass permissions
if os.geteuid() == 0:
    library = ctypes.CDLL(None)
    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
    class Data(ctypes.Structure):
        _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]
    data = (Data * 2)()
    library.capget(ctypes.byref(Header(0x20080522, 0)), data)
    for part in ("effective", "permitted"):
        setattr(data[0], part, getattr(data[0], part) & ~(1 << OVERRIDE | 1 << SEARCH))
    library.capset(ctypes.byref(Header(0x20080522, 0)), data)
from fwsim.cli import main
answers = {"writable": os.access(".", os.W_OK)}
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(line.split(" "))
        except SystemExit as end:
            answers[line] = (end.code, out.getvalue(), err.getvalue())
print(json.dumps(answers))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities of Linux")
def test_folders_that_may_not_be_written(fwsim, toy, forked):
    for name in ("mine", "other"):
        assert fwsim("run", "trace", "--quick", "--no-analyse", "--to", f"runs/{name}")[0] == 0
    folders = [toy, *(path for path in toy.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        tokens = json.dumps([*COMMANDS, *READING])
        out, err = forked(SCRIPT, tokens, folder=toy).communicate()
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert err == ""
    answers = json.loads(out)
    if answers["writable"]:
        pytest.skip("permissions do not bind this user")
    for line, named in COMMANDS.items():
        code, out, err = answers[line]
        assert (code in (1, 2), out, err.count("\n")) == (True, "", 1), (line, err)
        assert named in err
        assert "ermission denied" in err
        assert "--to" in err
        assert "FWSIM_DEBUG" not in err
        assert "PermissionError" not in err
    assert [answers[line][0] for line in READING] == [0, 0, 0]


def test_errors_of_the_system_say_what_to_do(tmp_path):
    full = explain(OSError(28, "No space left on device", str(tmp_path / "x")))[0]
    assert (
        full
        == f"{tmp_path / 'x'}: No space left on device; free some space, or give a place on another disk with --to"
    )
    denied = explain(PermissionError(13, "Permission denied", str(tmp_path / "x" / "y")))[0]
    assert denied == (
        f"nothing can be written in {tmp_path}: Permission denied; "
        "give another place with --to, or go to a folder of yours"
    )
    long = explain(OSError(36, "File name too long", "x" * 300))[0]
    assert long.endswith("File name too long; give a shorter name")
    for error in (full, denied, long):
        assert "FWSIM_DEBUG" not in error


def test_a_new_experiment_hides_no_other(fwsim, toy):
    code, out, err = fwsim("new", "forgetting", "--from", "trace")
    assert (code, out) == (2, "")
    assert "forgetting is the name of the experiment" in err
    assert "choose another name, or give --force" in err
    assert not (toy / "experiments" / "forgetting.py").exists()
    assert fwsim("new", "forgetting", "--from", "forgetting", "--force")[0] == 0
    assert (toy / "experiments" / "forgetting.py").is_file()


def test_new_elsewhere_and_again(fwsim, toy, monkeypatch):
    monkeypatch.setenv("HOME", str(toy))
    code, out, _ = fwsim("new", "mine", "--from", "~/experiments/trace.py", "--to=~/lab")
    made = toy / "lab" / "experiments" / "mine.py"
    assert (code, out.splitlines()[0]) == (0, str(made))
    assert out.splitlines()[-1] == f"next: fwsim run {made} --help"
    made.write_text("mine")
    assert fwsim("new", "mine", "--from", "trace", "--to", "lab")[2] == (
        "fwsim: lab/experiments/mine.py exists already; choose another name, or replace it with --force\n"
    )
    assert made.read_text() == "mine"
    assert fwsim("new", "mine", "--from", "trace", "--to", "lab", "--force")[0] == 0
    assert made.read_text() != "mine"


def test_a_report_replaces_reports_only(fwsim, toy):
    fwsim("run", "trace", "--quick", "--to", "here")
    (toy / "thesis.html").write_text("years of work")
    code, _, err = fwsim("report", "here", "--to", "thesis.html")
    assert (code, err) == (
        2,
        "fwsim: thesis.html exists; choose another place with --to, or replace it with --force\n",
    )
    assert (toy / "thesis.html").read_text() == "years of work"
    assert fwsim("report", "here", "--to", "thesis.html", "--force")[0] == 0
    assert fwsim("report", "here", "--to", "thesis.html")[0] == 0
    assert fwsim("report", "here")[0] == fwsim("report", "here")[0] == 0
    (toy / "folder.html").mkdir()
    assert fwsim("report", "here", "--to", "folder.html", "--force")[0] == 2


def test_analyses_elsewhere(fwsim, toy, monkeypatch):
    monkeypatch.setenv("HOME", str(toy))
    fwsim("run", "trace", "--quick", "--no-analyse", "--to", "here")
    code, out, _ = fwsim("analyse", "here", "--to=~/figures")
    assert (code, f"{toy}/figures/table.csv" in out) == (0, True)
    assert fwsim("analyse", "here", "--to", "figures")[0] == 0  # its own, again
    assert not (toy / "here" / "results").exists()
    (toy / "thesis").mkdir()
    (toy / "thesis" / "table.csv").write_text("years of work")
    assert fwsim("analyse", "here", "--to", "thesis")[2] == (
        "fwsim: thesis exists; choose another place with --to, or replace it with --force\n"
    )
    assert (toy / "thesis" / "table.csv").read_text() == "years of work"
    code, _, err = fwsim("analyse", "here", "--to", "here", "--force")
    assert (code, err) == (2, "fwsim: here is a run; choose another place with --to\n")


def test_repeating_a_run_in_a_place_that_is_taken(fwsim, toy):
    for name in ("one", "two"):
        fwsim("run", "trace", "--quick", "--no-analyse", "--to", name)
    assert fwsim("run", "--again", "one", "--to", "two")[2].endswith("or replace it with --force\n")
    assert fwsim("run", "--again", "one", "--to", "two", "--force")[1].endswith(
        "equal: all recorded values\n"
    )
    code, _, err = fwsim("run", "--again", "one", "--to", "./one", "--force")
    assert (code, err) == (2, "fwsim: one is the run that is repeated; choose another place with --to\n")


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("run trace --quick --to .", "--to='.' is the current folder or one above it"),
        ("run trace --quick --to ..", "--to='..' is the current folder"),
        ("run trace --quick --to /", "--to='/' is the current folder"),
        ("run trace --quick --to=", "--to='' is no path"),
        ("run trace --quick --to s3://bucket/x", "is not on this machine"),
        ("run trace --quick --to a::b", "is not on this machine"),
        ("run trace --quick --to ~nobody-of-this-name/x", "there is no home folder"),
        ("run trace --config s3://x.toml", "--config='s3://x.toml' is not on this machine"),
        ("run https://x.org/y.py", "is not on this machine"),
        ("sweep trace --seeds 2 --to a::b", "--to='a::b' is not on this machine"),
        ("sweep trace --seeds 2 --to .", "is the current folder"),
        ("run --again runs/mine --to a::b", "--to='a::b'"),
        ("report runs/mine --to .", "--to='.' is the current folder"),
        ("report s3://x", "is not on this machine"),
        ("analyse a::b", "is not on this machine"),
        ("analyse runs/mine --analysis s3://x.py", "--analysis='s3://x.py'"),
        ("compare runs/mine --analysis=", "--analysis='' is no path"),
        ("fit s3://x.csv --rule varela", "is not on this machine"),
        ("new mine --from trace --to a::b", "--to='a::b'"),
    ],
)
def test_what_is_no_place_is_refused_in_one_line(fwsim, toy, tokens, said):
    before = sorted(toy.rglob("*"))
    code, out, err = fwsim(*tokens.split(" "))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert sorted(toy.rglob("*")) == before


def test_home_folders(fwsim, toy, monkeypatch):
    monkeypatch.setenv("HOME", str(toy / "home"))
    assert fwsim("run", "trace", "--quick", "--to=~/mine")[0] == 0
    assert (toy / "home" / "mine" / "run.json").is_file()
    for tokens in (
        ("analyse", "~/mine"),
        ("report", "~/mine", "--to=~/page.html"),
        ("checksum", "~/mine"),
        ("run", "--again", "~/mine", "--to=~/other"),
        ("sweep", "trace", "--over", "tau=1,2", "--workers", "1", "--to=~/swept"),
    ):
        assert fwsim(*tokens)[0] == 0, tokens
    assert (toy / "home" / "page.html").is_file()
    assert not (toy / "~").exists()


@pytest.mark.parametrize("text", ["{", "", "[" * 100_000, '{"fwsim_run": 1'])
@pytest.mark.parametrize("command", ["analyse", "report", "resume", "checksum", "compare", "run --again"])
def test_a_damaged_run_is_named(fwsim, toy, text, command):
    (toy / "runs" / "mine").mkdir(parents=True)
    (toy / "runs" / "mine" / "run.json").write_text(text)
    code, out, err = fwsim(*command.split(), "runs/mine")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "runs/mine/run.json is damaged" in err
    assert "restore it from a copy, or run again" in err


def test_a_call_from_a_program_leaves_its_handlers(fwsim):
    import signal

    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    fwsim("--version")
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before
    assert callable(cli.main)


def test_commands_to_type_have_quotation_marks_around_paths_with_spaces(fwsim, toy):
    _, out, _ = fwsim("new", "mine", "--from", "trace", "--to", "my lab")
    assert out.endswith("next: fwsim run 'my lab/experiments/mine.py' --help\n")
    _, out, _ = fwsim("sweep", "trace", "--quick", "--seeds", "2", "--workers", "1", "--to", "my sweep")
    assert out.endswith("recorded: my sweep\nnext: fwsim analyse 'my sweep'\n")
