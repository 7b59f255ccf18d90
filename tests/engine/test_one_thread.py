"""One thread for a while: torch works on one, and what comes afterwards is right, with as many threads as before."""

import os
import subprocess
import sys

import pytest
import torch

from fwsim.engine import threads
from fwsim.engine.threads import one_thread

CODE = """
import threading, torch
from fwsim.engine.products import matmul
from fwsim.engine.threads import one_thread

def work():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
        torch.randn(300, 300) @ torch.randn(300, 300)
    matmul(torch.randn(300, 300), torch.randn(300, 300))
    assert torch.get_num_threads() == before == 2

def residual():
    draws = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 182, n, dtype=torch.float64, generator=draws) for n in (182, 1))
    return float((a @ torch.linalg.solve(a, b) - b).abs().max())

assert residual() < 1e-9
work()
assert residual() < 1e-9
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert residual() < 1e-9
"""


def test_equations_are_solved_right_after_a_part_on_one_thread():
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
        monkeypatch.setattr(threads, "_library", lambda: None)
    before = torch.get_num_threads()
    seen = []

    def fails():
        with one_thread():
            seen.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert (seen, torch.get_num_threads()) == ([1], before)
