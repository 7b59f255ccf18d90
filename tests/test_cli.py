"""The command line from `fwsim run` to `fwsim list`, and what it says of wrong use."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from fwsim import cli
from fwsim.study import Run
from tests.forked import FWSIM

HEAVY = (
    "torch", "xarray", "brian2", "zarr", "dask", "triton", "matplotlib",
    "pydantic", "sympy", "pandas", "numpy", "scipy",
)  # fmt: skip


def only_run(toy):
    (folder,) = (toy / "runs").iterdir()
    return folder


@pytest.mark.parametrize("tokens", [["--help"], ["--version"], ["run"], ["runn"], ["run", "--help"]])
def test_help_and_typing_errors_load_nothing_heavy(tokens):
    code = (
        "import sys\nfrom fwsim.cli import main\n"
        f"try:\n    main({tokens!r})\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_help_has_examples(fwsim):
    code, out, _ = fwsim("--help")
    assert code == 0
    assert "fwsim run associative_retrieval --quick" in out
    for command in ("list", "new", "run", "resume", "analyse", "report", "doctor"):
        assert command in out


def test_run_records_and_analyses(fwsim, toy):
    code, out, err = fwsim("run", "trace", "--tau", "300 ms", "--seed", "3")
    folder = only_run(toy)
    assert (code, err) == (0, "")
    assert str(folder.relative_to(toy)) in out
    assert "time constant (s)   0.3" in out
    assert (folder / "results" / "trace.pdf").exists()
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"


def test_analyse_again_and_with_another(fwsim, toy):
    fwsim("run", "trace", "--quick", "--no-analyse")
    folder = only_run(toy)
    assert not (folder / "results").exists()
    assert fwsim("analyse", folder.name)[0] == 0
    assert (folder / "results" / "table.csv").exists()
    code, out, _ = fwsim("analyse", str(folder), "--analysis", "analysis/trace.py")
    assert code == 0
    assert "results-trace" in out


def test_a_run_without_analysis_says_so(fwsim, toy):
    (toy / "analysis" / "trace.py").unlink()
    code, out, _ = fwsim("run", "trace", "--quick")
    assert code == 0
    assert "write analysis/trace.py" in out


def test_list_does_not_run_experiments(fwsim, toy):
    (toy / "experiments" / "bomb.py").write_text('"""Does it explode?"""\nraise SystemExit(99)\n')
    fwsim("run", "trace", "--quick", "--no-analyse")
    (toy / "runs" / "odd").mkdir()
    (toy / "runs" / "odd" / "run.json").write_text("{")
    code, out, _ = fwsim("list")
    assert code == 0
    for part in ("Does it explode?", "How fast does a trace decay?", "Hebbian", "finished", "damaged"):
        assert part in out
    assert "MemoryRule" not in out


def test_new_without_a_source_writes_a_short_pair_that_runs_and_explains_its_columns(fwsim, toy):
    assert fwsim("new", "short")[0] == 0
    pair = [toy / folder / "short.py" for folder in ("experiments", "analysis")]
    assert all(len(path.read_text().splitlines()) <= 36 for path in pair)
    code, out, _ = fwsim("run", "short", "--tau", "5s", "--to", "here")
    assert (code, "expected: exp(−lag/τ)" in out) == (0, True)
    assert "lag (s),time since" in (toy / "here" / "results" / "columns.csv").read_text()


def test_new_starts_a_pair_that_runs(fwsim, toy):
    code, out, _ = fwsim("new", "mine", "--from", "trace")
    assert (code, out.split()[:2]) == (0, ["experiments/mine.py", "analysis/mine.py"])
    assert fwsim("run", "mine", "--quick")[0] == 0
    assert fwsim("new", "mine", "--from", "trace")[0] == 2


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("lst", "Did you mean"),
        ("run traces", "unknown experiment 'traces'; did you mean 'trace'?"),
        ("run gone/trace.py", "there is no file gone/trace.py"),
        ("run .", "fwsim: . is a folder; give a .py file, or a name from 'fwsim list'\n"),
        ("run analysis", "fwsim: analysis is a folder; give a .py file, or a name from 'fwsim list'\n"),
        ("run --quick trace", "stands before the experiment"),
        ("run --again", "fwsim: RUN is missing; write: fwsim run --again RUN\n"),
        ("run --again runs/one --to", "--to needs a value"),
        ("run trace --again runs/one", "write: fwsim run --again RUN"),
        ("run trace --steps 3 --again=runs/one", "write: fwsim run --again RUN"),
        ("sweep --again runs/one", "write: fwsim run --again RUN"),
        ("run trace --step 3", "did you mean --steps?"),
        ("run trace --nonsense 3", "unknown option --nonsense; --help shows the options"),
        ("run trace --taus 1,2", "as options: --taus 1 --taus 2"),
        ("run trace --steps", "--steps needs a value"),
        ("run trace --steps 0", "steps='0' is not allowed: should be greater than 0"),
        ("run trace --order 3", "order='3' is not allowed: should be 1 or 2"),
        ("run trace --tau 3mV", "'mV' is not a unit of time; use one of s,"),
        ("run trace --seed -1", "seed=-1 is not allowed"),
        ("run trace --device abacus", "device='abacus' is unknown"),
        ("run trace --config gone.toml", "cannot be read"),
        ("run trace --to experiments --force", "is not a run"),
        ("run broken", "NameError: name 'nonsense' is not defined (line 2)"),
        ("analyse gone", "unknown run 'gone'"),
        ("resume gone", "unknown run 'gone'"),
        ("new mine --from traces", "did you mean 'trace'?"),
        ("new 3d", "cannot name an experiment"),
        ("new class --from trace", "no keyword of Python"),
        ("report gone", "unknown run 'gone'"),
        ("report", "fwsim: RUNS is missing; see fwsim report --help\n"),
        (
            "run trace quick",
            "fwsim: 'quick' is one word too many; options begin with --, and --help shows them\n",
        ),
        ("fit t.csv", "--rule with one of tsodyks_markram, varela"),
        ("run trace --quick --seed abc", "fwsim: --seed='abc' is not allowed: give a whole number\n"),
        ("sweep trace --workers abc", "fwsim: --workers='abc' is not allowed: give a whole number\n"),
        ("run trace --seed 1.5", "fwsim: --seed='1.5' is not allowed: give a whole number\n"),
        ("sweep trace --workers 1.5", "fwsim: --workers='1.5' is not allowed: give a whole number\n"),
        (
            "sweep trace --seeds 2 --trials 4",
            "--trials is the number of points of a search; give --sampler tpe",
        ),
        ("fit t.csv --replicates 20.5", "--replicates='20.5' is not allowed: give a whole number"),
        ("explore gone --port 80.5", "--port='80.5' is not allowed: give a whole number"),
        ("run trace --seed", "fwsim: --seed needs a value; write --seed and the value, or leave it out\n"),
        (
            "sweep trace",
            "nothing to sweep over; give --over or --seeds, e.g. fwsim sweep trace --over steps=",
        ),
    ],
)
def test_wrong_use_is_one_line_and_2(fwsim, toy, tokens, said):
    (toy / "experiments" / "broken.py").write_text("\nnonsense\n")
    code, out, err = fwsim(*tokens.split())
    assert (code, out) == (2, "")
    assert err.startswith("fwsim: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (toy / "runs").exists()


def test_an_existing_folder_needs_force(fwsim, toy):
    tokens = ["run", "trace", "--quick", "--no-analyse", "--to", "here"]
    assert [fwsim(*tokens)[0], fwsim(*tokens)[0], fwsim(*tokens, "--force")[0]] == [0, 2, 0]


def test_a_failure_is_one_line_and_1(fwsim, toy, monkeypatch):
    source = (toy / "experiments" / "trace.py").read_text()
    (toy / "experiments" / "trace.py").write_text(source.replace("    noise =", "    1 / 0\n    noise ="))
    code, _, err = fwsim("run", "trace", "--quick", "--to", "bad")
    assert code == 1
    assert "ZeroDivisionError" in err
    assert "bad/error.txt" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("FWSIM_DEBUG", "1")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        cli.main(["run", "trace", "--quick"])


def test_ctrl_c_keeps_what_was_done_and_resume_goes_on(fwsim, toy, forked):
    process = forked(
        FWSIM, *["run", "trace", "--pause", "20ms", "--steps", "400", "--to", "here"], folder=toy
    )
    kept = toy / "here" / "checkpoints" / "done.txt"
    while process.poll() is None and not (kept.exists() and kept.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err == "fwsim: interrupted; continue with: fwsim resume here\n"
    done = int(kept.read_text())
    assert 0 < done < 400

    manifest = json.loads((toy / "here" / "run.json").read_text())
    assert manifest["state"] == "interrupted"
    Run(toy / "here").update(
        configuration={**manifest["configuration"], "pause": 0.0}
    )  # not to wait for the rest
    code, out, _ = fwsim("resume", "here")
    assert code == 0
    assert "time constant (s)" in out
    assert Run(toy / "here").recording.attrs["began_at"] >= done


def test_doctor(fwsim, monkeypatch):
    from fwsim.study import doctor

    for state, expected in (("missing", 1), ("absent", 0)):
        monkeypatch.setattr(doctor, "checks", lambda: [doctor.Check("x", state, "gone", "pip install x")])  # noqa: B023
        code, out, _ = fwsim("doctor")
        assert (code, "pip install x" in out) == (expected, True)


def test_no_colour_when_asked_or_off_a_terminal(toy):
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "fwsim.cli", "--help"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "\x1b[3" not in done.stdout  # styles may stay, colours may not


def test_an_unexpected_error_is_one_line_too(fwsim, monkeypatch):
    import fwsim.study.doctor as doctor

    def fail():
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(doctor, "checks", fail)
    code, _, err = fwsim("doctor")
    assert (code, err) == (
        1,
        "fwsim: unexpected RuntimeError: two lines; FWSIM_DEBUG=1 shows where, please report it\n",
    )


def test_a_report_from_the_command_line(fwsim, toy):
    fwsim("run", "trace", "--quick", "--no-analyse", "--to", "here")
    assert fwsim("report", "here") == (0, "here/report.html\n", "")
    assert "<svg" in (toy / "here" / "report.html").read_text()
    code, _, err = fwsim("report")
    assert (code, err.count("\n")) == (2, 1)


def test_tables_are_whole_where_nobody_looks(monkeypatch, capfd):
    from fwsim.cli import terminal

    monkeypatch.delenv("COLUMNS", raising=False)
    terminal.table("", ("a", "b"), [("x" * 300, "y" * 300)])
    assert f"{'x' * 300}   {'y' * 300}" in capfd.readouterr().out


def test_logs_go_to_standard_error(toy):
    command = [sys.executable, "-m", "fwsim.cli", "run", "trace", "--quick", "--no-analyse", "--to", "here"]
    environment = {**os.environ, "FWSIM_LOG": "info"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "recorded: here\n"
    assert "here: finished after" in done.stderr
