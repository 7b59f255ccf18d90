"""Freed memory that stays with the process."""

import os
import platform
import subprocess
import sys

import pytest

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
