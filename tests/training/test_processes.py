"""Several processes train one network: they do what one process does, and the first one keeps it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fwsim.errors import ConfigError, ShapeError
from fwsim.study import Run
from fwsim.training import load_checkpoint
from fwsim.training.processes import Processes
from tests.training import together
from tests.training.together import EXPERIMENT

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Pair(NamedTuple):
    x: torch.Tensor
    y: dict
    row: int


@dataclass(frozen=True)
class Frozen:
    x: torch.Tensor
    parts: list


@given(st.integers(1, 20), st.integers(2, 6))
def test_shares_are_the_batch_and_their_weights_its_mean(examples, count):
    x = torch.arange(1.0, examples + 1)
    scale = torch.tensor(2.0)  # no axis of examples
    shares = [Processes(rank, count).share(Pair(x, {"y": (-x, scale)}, 3)) for rank in range(count)]
    seen = torch.cat([part.x for part, weight in shares if weight])
    assert sorted(seen.tolist()) == x.tolist()
    assert sum(weight for _, weight in shares) == pytest.approx(1)
    assert sum(weight * part.x.mean() for part, weight in shares) == pytest.approx(x.mean())
    for part, _ in shares:
        assert torch.equal(part.y["y"][0], -part.x)
        assert (part.y["y"][1], part.row) == (scale, 3)


def test_dataclasses_are_shared_too():
    part, weight = Processes(1, 2).share(Frozen(torch.arange(3), [torch.arange(3)]))
    assert (part.x.tolist(), part.parts[0].tolist(), weight) == ([1], [1], 1 / 3)


@pytest.mark.parametrize("batch", [(torch.ones(2), torch.ones(3)), ("no tensor",), (torch.tensor(1.0),)])
def test_batches_that_cannot_be_shared(batch):
    assert Processes().share(batch) == (batch, 1.0)
    with pytest.raises(ShapeError, match="examples along their first axis"):
        Processes(0, 2).share(batch)


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    second = Processes(rank=3, count=4, local_rank=1, local_count=2)
    assert (
        second.device(torch.device("cuda")) == second.device(torch.device("cuda:1")) == torch.device("cuda:1")
    )
    assert second.device(torch.device("cpu")) == torch.device("cpu")
    assert Processes().device(torch.device("cuda")) == torch.device("cuda")
    with pytest.raises(ConfigError, match="one GPU for 2 processes"):
        second.device(torch.device("cuda:0"))
    with pytest.raises(ConfigError, match="3 processes, but 2 CUDA devices"):
        Processes(0, 3, 0, 3).device(torch.device("cuda"))


ON_TWO_GPUS = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices"),
    ],
)


@pytest.mark.parametrize("device", ["cpu", ON_TWO_GPUS])
def test_two_processes_do_what_one_does(tmp_path, device):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    together.main(one, device)
    command = [*TORCHRUN, "-m", "tests.training.together", str(two), device]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    alone = torch.load(one / "0.pt")
    first, second = (torch.load(two / f"{rank}.pt") for rank in (0, 1))
    for name, value in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, rtol=0, atol=1e-6)
        assert torch.equal(first["weights"][name], second["weights"][name])
    for name in ("loss", "validation"):
        assert first[name] == second[name] == pytest.approx(alone[name], abs=1e-6)
    assert alone["diverged"] == first["diverged"] == second["diverged"]
    assert "loss became NaN or infinite at step 0" in alone["diverged"]
    assert "[2, 3] examples" in first["refused"]
    assert load_checkpoint(two / "checkpoints" / "last.pt")["rows"][-1]["loss"] == first["loss"][-1]

    assert first["run"] == second["run"]
    runs = Run(one / "run"), Run(two / "run")
    assert [run.manifest["processes"] for run in runs] == [1, 2]
    kept = [sorted(path.name for path in run.folder.iterdir()) for run in runs]
    assert kept[0] == kept[1]
    assert pd.read_csv(two / "run" / "tables" / "rank.csv")["rank"].tolist() == [0]
    assert runs[1].recording.loss.values == pytest.approx(runs[0].recording.loss.values, abs=1e-6)


@pytest.mark.slow
def test_interrupted_together_they_go_on_together(tmp_path):
    (tmp_path / "kept.py").write_text(EXPERIMENT)
    (tmp_path / "whole").mkdir()
    begun = [
        *TORCHRUN,
        "-m",
        "fwsim.cli",
        "run",
        "./kept.py",
        "--to",
        "cut",
        "--device",
        "cpu",
        "--pause",
        "0.05",
    ]
    options = {"env": ENVIRONMENT, "cwd": tmp_path, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*begun, "--epochs", "40"], **options)
    try:
        while not (tmp_path / "cut" / "checkpoints" / "last.pt").exists():
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    run = Run(tmp_path / "cut")
    assert run.state == "interrupted"
    assert "continue with: fwsim resume cut" in said
    (run.folder / ".process-killed").mkdir()
    (run.experiment).write_text(run.experiment.read_text().replace("time.sleep(config.pause)", "pass"))
    resumed = subprocess.run([*TORCHRUN, "-m", "fwsim.cli", "resume", "cut"], check=False, **options)
    assert resumed.returncode == 0, resumed.stderr
    assert run.state == "finished"
    assert run.recording.sizes["epoch"] == 40
    assert not list(run.folder.glob(".process-*"))


@pytest.mark.slow
def test_what_fails_says_why_once_a_process_and_is_kept(tmp_path):
    (tmp_path / "kept.py").write_text(EXPERIMENT.replace(".square()", ".square().log().log()"))
    command = [*TORCHRUN, "-m", "fwsim.cli", "run", "./kept.py", "--to", "bad", "--device", "cpu"]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "fwsim, process 0 of 2: loss became NaN" in done.stderr
    assert Run(tmp_path / "bad").state == "failed"
    swept = [*TORCHRUN, "-m", "fwsim.cli", "sweep", "./kept.py", "--over", "epochs=1,2"]
    done = subprocess.run(swept, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "a sweep cannot run in the 2 processes of torchrun" in done.stderr
    assert not (tmp_path / "runs").exists()
