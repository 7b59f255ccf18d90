"""Freed memory that stays with the process, and large pages."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from fwsim._allocator import LARGE_PAGE, LARGEST, in_large_pages

SCRIPT = """
import resource, sys, numpy as np
if sys.argv[1] == "kept":
    from fwsim._allocator import keep_freed_memory
    keep_freed_memory()
def use():
    for _ in range(20):
        np.ones(4_000_000, dtype=np.uint8)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_pages_are_not_made_anew_where_dask_starts_the_process():
    """Twenty arrays of 4 MB, a thousand pages each, under the variable that Dask sets for its workers."""

    def faults(how: str) -> int:
        environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536", "NUMPY_MADVISE_HUGEPAGE": "0"}
        answer = subprocess.run(
            [sys.executable, "-c", SCRIPT, how], env=environment, capture_output=True, text=True, check=True
        )
        return int(answer.stdout)

    assert faults("returned") > 10 * faults("kept")


@pytest.mark.parametrize(("size", "advised"), [(LARGEST, False), (LARGEST + 4, True)])
def test_only_whole_pages_of_a_large_array_are_asked_for(monkeypatch, size, advised):
    asked = []
    monkeypatch.setattr("fwsim._allocator._advise", lambda: lambda *given: asked.append(given))
    array = torch.empty(size // 4)
    assert in_large_pages(array) is array
    assert bool(asked) == advised
    for first, length, advice in asked:
        assert advice == 14
        assert first % LARGE_PAGE == length % LARGE_PAGE == 0
        assert array.data_ptr() <= first
        assert first + length <= array.data_ptr() + size
        assert length > size - 2 * LARGE_PAGE


def test_an_array_in_large_pages_can_be_written():
    array = in_large_pages(torch.empty(LARGEST // 4 + 1000))
    array.fill_(1.0)
    assert float(array.sum(dtype=torch.float64)) == LARGEST // 4 + 1000
