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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock, Timer
from typing import Any

import torch

from fwsim.progress import DELAY

_compiling = Lock()
_compiled: set[tuple[str, Any]] = set()
_TeamWork = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def share_out(kernel: Any, batch: int, *arrays: Any) -> None:
    """Call `kernel(part, first, last, *arrays)` for consecutive parts of the batch, one a thread."""
    parts = thread_count(batch)
    bounds = [batch * part // parts for part in range(parts + 1)]
    _compile(kernel, arrays)
    left = iter(range(parts))

    def work() -> None:
        for part in left:
            kernel(part, bounds[part], bounds[part + 1], *arrays)

    if parts == 1:
        work()
    elif (team := _openmp()) is not None:
        _run_on_team(team, work, parts)
    else:
        pool = _pool(os.getpid(), parts - 1)
        others = [pool.submit(work) for _ in range(1, parts)]
        work()
        for other in others:
            other.result()


def _run_on_team(team: Any, work: Callable[[], None], threads: int) -> None:
    """Run `work` on each thread of the caller's OpenMP team."""
    errors: list[BaseException] = []

    def body(_: Any) -> None:
        try:
            work()
        except BaseException as error:  # also Ctrl-C must not be lost between C and Python
            errors.append(error)

    team(_TeamWork(body), None, threads, 0)
    if errors:
        raise errors[0]


@cache
def _openmp() -> Any | None:
    """Entry point of GNU's and LLVM's OpenMP that runs a function on a team, if torch has loaded one."""
    try:
        team = ctypes.CDLL(None).GOMP_parallel
    except (AttributeError, OSError, TypeError):
        return None
    team.argtypes = [_TeamWork, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    team.restype = None
    return team


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
            kernel(0, 0, 0, *arrays)
    finally:
        notice.cancel()
    _compiled.add((name, precision))


def _notify(name: str, precision: Any) -> None:
    print(f"fwsim: compiling the {name} kernel for {precision}, once on this machine", file=sys.stderr)
