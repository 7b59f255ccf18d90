"""Numbers of threads: torch works on so many, what comes afterwards is right, and nothing else sets the number."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fwsim.engine import threads
from fwsim.engine.threads import use_threads, using_threads

ROOT = Path(__file__).parents[2]
CODE = """
import threading, torch
from fwsim.engine.products import matmul
from fwsim.engine.threads import use_threads, using_threads

def residual():
    draws = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 182, n, dtype=torch.float64, generator=draws) for n in (182, 1))
    return float((a @ torch.linalg.solve(a, b) - b).abs().max())

def work():
    before = torch.get_num_threads()
    for number in (1, 2, 3):
        with using_threads(number):
            assert torch.get_num_threads() == number
            torch.randn(300, 300) @ torch.randn(300, 300)
            assert residual() < 1e-9
    matmul(torch.randn(300, 300), torch.randn(300, 300))
    assert torch.get_num_threads() == before == 2

assert residual() < 1e-9
work()
assert residual() < 1e-9
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert residual() < 1e-9
for number in (1, 3, 2):
    use_threads(number)
    assert torch.get_num_threads() == number
    assert residual() < 1e-9
"""


def test_equations_are_solved_right_after_other_numbers_of_threads():
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("own", [True, False])
def test_the_number_of_threads_is_put_back_after_an_error(monkeypatch, own):
    if not own:  # as with another OpenMP or BLAS
        numbers = [torch.get_num_threads()]
        monkeypatch.setattr(threads, "_library", lambda: None)
        monkeypatch.setattr(torch, "set_num_threads", numbers.append)
        monkeypatch.setattr(torch, "get_num_threads", lambda: numbers[-1])
    before = torch.get_num_threads()
    seen = []

    def fails():
        with using_threads(1):
            seen.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (seen, torch.get_num_threads()) == ([1], before)
    use_threads(before)
    assert torch.get_num_threads() == before


def test_nothing_else_calls_torch_for_the_number():
    """In the texts of the repository the name stands in backticks."""
    paths = [path for kind in ("*.py", "*.md", "*.toml", "Makefile") for path in ROOT.glob(kind)]
    for folder in ("fwsim", "experiments", "analysis", "benchmarks", "docs", "tests", "paper", "conda"):
        paths += [path for kind in ("*.py", "*.md") for path in (ROOT / folder).rglob(kind)]
    call = re.compile(r"(?<!`)(torch\.|import .*\b)set_num_threads")
    calling = {path.relative_to(ROOT).as_posix() for path in paths if call.search(path.read_text())}
    assert calling == {"fwsim/engine/threads.py", "tests/engine/test_use_threads.py"}
