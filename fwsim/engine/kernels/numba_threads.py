"""Compiled kernels on the threads that torch uses, and on as many.

OpenMP's threads wait actively for their next work, and for some milliseconds after torch's last operation other
threads would have to share the cores with them. So the kernels, which release the interpreter's lock, run on the
calling thread's own team where the runtime that torch loaded can be asked for it, and on plain threads elsewhere.
Numba's own threading layers would bring a second team, and refuse two callers at once, as Dask's workers are.
"""

from __future__ import annotations

import ctypes
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock, Timer
from typing import Any

import torch

from fwsim.progress import DELAY

_compiling = Lock()
_compiled: set[tuple[str, Any]] = set()


def share_out(kernel: Any, batch: int, *arrays: Any) -> None:
    """Call a kernel for consecutive parts of the batch, one a thread; see `numba_team.share`."""
    parts = thread_count(batch)
    _compile(kernel, arrays)
    team = _openmp() if parts > 1 else 0
    if team or parts == 1:
        kernel(team, 0, parts, batch, *arrays)
        return
    pool = _pool(os.getpid(), parts - 1)
    others = [pool.submit(kernel, 0, part, parts, batch, *arrays) for part in range(1, parts)]
    kernel(0, 0, parts, batch, *arrays)
    for other in others:
        other.result()


@cache
def _openmp() -> int:
    """Address of what runs a function on a team of GNU's or LLVM's OpenMP; 0 if torch has loaded neither."""
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):
        return 0


@cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """Plain threads of this process (a forked child has none of its parent's)."""
    return ThreadPoolExecutor(workers, thread_name_prefix="fwsim")


def thread_count(batch: int) -> int:
    """Threads that a run uses: torch's number, but no more than there are batch entries."""
    return max(1, min(torch.get_num_threads(), batch))


def _compile(kernel: Any, arrays: tuple) -> None:
    """Compile a kernel for the run's precision if it is not, and say so if that takes long."""
    name, precision = kernel.__name__, arrays[1].dtype
    if (name, precision) in _compiled:
        return
    notice = Timer(DELAY, _notify, (name, precision))
    notice.daemon = True
    notice.start()
    try:
        with _compiling:
            kernel(0, 0, 1, 0, *arrays)
    finally:
        notice.cancel()
    _compiled.add((name, precision))


def _notify(name: str, precision: Any) -> None:
    print(f"fwsim: compiling the {name} kernel for {precision}, once on this machine", file=sys.stderr)
