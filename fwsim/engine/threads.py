"""How many threads torch uses, without `torch.set_num_threads`.

With torch 2.13 for CPUs (MKL), one call of `torch.set_num_threads` with two threads or more, in any thread, makes later
factorisations wrong in the whole process: on an AMD EPYC, `torch.linalg.solve` of 182 equations left a residual of 1e9,
without an error. They are wrong whenever MKL is given a number of two or more. So OpenMP, where torch reads the number,
is given it, and MKL is only told to use one thread, or else follows the environment (`OMP_NUM_THREADS`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch


def use_threads(number: int) -> None:
    """Set the number of torch's threads of the calling thread."""
    _set(number)


@contextmanager
def using_threads(number: int) -> Iterator[None]:
    """Set the number of torch's threads of the calling thread, and put it back."""
    before = torch.get_num_threads()
    in_mkl = _set(number)
    try:
        yield
    finally:
        _set(before, in_mkl)


def _set(number: int, in_mkl: int | None = None) -> int:
    """Set the number, and return what MKL had in this thread; 0 is that of the environment."""
    torch.get_num_threads()  # the first call in a thread sets the number itself, so it comes first
    library = _library()
    if library is None:
        torch.set_num_threads(number)
        return 0
    library.omp_set_num_threads(number)
    if in_mkl is None:
        in_mkl = 1 if number == 1 else 0
    return library.MKL_Set_Num_Threads_Local(in_mkl)


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
