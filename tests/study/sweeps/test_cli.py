"""`fwsim sweep`, `fwsim resume` and `fwsim list` of sweeps."""

import pytest

from fwsim.study import Run

SWEEP = ["sweep", "leak", "--over", "eta=1,2,3", "--workers", "1", "--to", "runs/here"]


def test_a_sweep_from_the_command_line(fwsim, toy):
    code, out, err = fwsim(*SWEEP, "--over", "tau=100ms:1s:log2", "--seeds", "2", "--steps", "4")
    assert (code, err) == (0, "")
    assert out.startswith("12 points: 12 done, 0 failed, in ")
    assert "recorded: runs/here" in out
    recording = Run(toy / "runs" / "here").recording
    assert dict(recording.sizes) == {"eta": 3, "tau": 2, "seed": 2, "time": 4}
    assert "finished: 12 of 12 points" in fwsim("list")[1]


def test_zipped_quick_and_force(fwsim, toy):
    for _ in range(2):
        assert fwsim("sweep", "leak", "--quick", "--over", "tau=1,2 eta=3,4", "--to", "z", "--force")[0] == 0
    assert dict(Run(toy / "z").recording.sizes) == {"tau": 2, "seed": 1, "time": 5}
    code, _, err = fwsim("sweep", "leak", "--seeds", "2", "--to", "z")
    assert (code, err.count("\n")) == (2, 1)
    assert "replace it with --force" in err


def test_one_point_is_no_points(fwsim, toy):
    assert fwsim("sweep", "leak", "--quick", "--over", "tau=1")[1].startswith("1 point: 1 done")


def test_failures_are_summed_up_and_retried(fwsim, toy):
    code, out, err = fwsim(*SWEEP, "--fails-above", "2")
    assert (code, err) == (0, "")
    assert out.startswith("3 points: 2 done, 1 failed, in ")
    assert "again: fwsim resume runs/here --retry-failed" in out
    assert "finished: 3 of 3 points, 1 failed" in fwsim("list")[1]
    code, out, _ = fwsim("resume", "runs/here", "--retry-failed", "--workers", "1")
    assert (code, out.startswith("3 points: 2 done, 1 failed, in ")) == (0, True)


def test_an_interrupted_sweep_is_listed_and_resumed(fwsim, toy, stopped_after):
    with stopped_after(1):
        code, _, err = fwsim(*SWEEP, "--batch-size", "1")
    assert (code, err) == (130, "fwsim: interrupted; continue with: fwsim resume runs/here\n")
    assert "interrupted: 1 of 3 points" in fwsim("list")[1]
    assert fwsim("resume", "here", "--workers", "1")[1].startswith("3 points: 3 done")


def test_help(fwsim):
    assert "fwsim sweep NAME [OPTIONS]" in fwsim("sweep")[1]
    out = fwsim("sweep", "leak", "--help")[1]
    for part in (
        "--over",
        "--seeds",
        "--scheduler",
        "--cluster",
        "--batch-memory",
        "--eta",
        "How does a leaky",
    ):
        assert part in out


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ("sweep leaks --over tau=1,2", "unknown experiment 'leaks'; did you mean 'leak'?"),
        ("sweep --over tau=1,2 leak", "stands before the experiment; write: fwsim sweep NAME"),
        ("sweep leak --over tua=1,2", "unknown parameter 'tua'; did you mean 'tau'"),
        ("sweep leak --over 1:2:log3", "names no parameter"),
        ("sweep leak --over tau=1:2:log0", "is an empty range"),
        ("sweep leak --over tau=1mV,2mV", "'mV' is not a unit of time"),
        ("sweep leak --seeds x", "seeds='x' is not allowed"),
        ("sweep leak --seeds 2 --workers 0", "workers=0 is not allowed"),
        ("sweep leak --seeds 2 --batch-memory much", "batch memory 'much' is not allowed"),
        ("sweep leak --seeds 2 --scheduler somewhere", "scheduler='somewhere' is not known"),
        ("sweep leak --seeds 2 --cluster queue", "'queue' is not KEY=VALUE"),
        ("sweep leak --seeds 2 --cluster queue=long", "are for scheduler='slurm'"),
    ],
)
def test_wrong_use_is_one_line_and_2(fwsim, toy, tokens, said):
    code, out, err = fwsim(*tokens.split())
    assert (code, out) == (2, "")
    assert err.startswith("fwsim: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (toy / "runs").exists()


def test_options_of_sweeps_are_not_for_runs(fwsim, toy):
    fwsim("run", "trace", "--quick", "--no-analyse", "--to", "one")
    code, _, err = fwsim("resume", "one", "--workers", "2")
    assert (code, "is no sweep" in err) == (2, True)
