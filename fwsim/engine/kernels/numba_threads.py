"""Compiled kernels on as many threads as torch uses.

The kernels release the interpreter's lock, so plain threads carry them. Numba's own threading layers would
either clash with torch's OpenMP after a fork or refuse two callers at once, as Dask's workers are.
"""

from __future__ import annotations

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


@cache
def _pool(process: int, workers: int) -> ThreadPoolExecutor:
    """Threads of this process (a forked child has none of its parent's)."""
    return ThreadPoolExecutor(workers, thread_name_prefix="fwsim")


def share_out(kernel: Any, batch: int, *arrays: Any) -> None:
    """Call `kernel(part, first, last, *arrays)` for consecutive parts of the batch, one a thread."""
    parts = thread_count(batch)
    bounds = [batch * part // parts for part in range(parts + 1)]
    _compile(kernel, arrays)
    if parts == 1:
        kernel(0, 0, batch, *arrays)
        return
    pool = _pool(os.getpid(), parts - 1)
    others = [pool.submit(kernel, part, bounds[part], bounds[part + 1], *arrays) for part in range(1, parts)]
    kernel(0, 0, bounds[1], *arrays)
    for other in others:
        other.result()


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
