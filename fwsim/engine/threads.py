"""One thread of torch for a while, without `torch.set_num_threads`.

With torch 2.13 for CPUs (MKL), one call of `torch.set_num_threads` with two threads or more, in any thread, makes later
factorisations wrong in the whole process: on an AMD EPYC, `torch.linalg.solve` of 182 equations left a residual of 1e9,
without an error. So the number is set where torch reads it: in OpenMP, and in MKL for the calling thread alone.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Set the number of torch's threads of the calling thread to one, and put it back."""
    threads = torch.get_num_threads()  # the first call in a thread sets the number itself, so it comes first
    library = _library()
    if library is None:
        torch.set_num_threads(1)
    else:
        library.omp_set_num_threads(1)
        before = library.MKL_Set_Num_Threads_Local(1)
    try:
        yield
    finally:
        if library is None:
            torch.set_num_threads(threads)
        else:
            library.omp_set_num_threads(threads)
            library.MKL_Set_Num_Threads_Local(before)


@cache
def _library() -> ctypes.CDLL | None:
    """Torch's own library with OpenMP and MKL; `None` where it has other ones."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        for name in ("omp_set_num_threads", "MKL_Set_Num_Threads_Local"):
            getattr(library, name).argtypes = [ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return library
