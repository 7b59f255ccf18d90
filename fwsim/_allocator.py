"""Memory from the system: kept by the process for its next step, and in large pages."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_… of glibc's malloc.h
KEPT = 512 * 2**20  # bytes
LARGEST = 32 * 2**20  # bytes; glibc takes no more, so anything above is new memory from the system
LARGE_PAGE, HUGEPAGE = 2 * 2**20, 14  # bytes; MADV_HUGEPAGE of Linux's mman.h


def keep_freed_memory() -> None:
    """Make the C library retain up to half a GiB of freed memory in this process; without glibc nothing happens.

    By default, arrays of megabytes go back to the system when they are freed, and the next step waits for new pages.
    With Dask's setting for its workers (`MALLOC_TRIM_THRESHOLD_`), this takes a third of a training step. Only for
    fwsim's own processes, since the setting lasts as long as the process.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, KEPT)


def in_large_pages(array: Tensor) -> Tensor:
    """Ask the system for large pages behind a new array that nothing was written to yet; return the array.

    An array above `LARGEST` always is new memory, which the system clears page by page when it is first written to.
    With pages of 4 KiB this takes a quarter of a forward run. Where there are no large pages nothing happens.
    """
    size = array.nbytes
    if size > LARGEST and array.device.type == "cpu" and (advise := _advise()):
        first = -(-array.data_ptr() // LARGE_PAGE) * LARGE_PAGE
        last = (array.data_ptr() + size) // LARGE_PAGE * LARGE_PAGE
        advise(first, last - first, HUGEPAGE)
    return array


@cache
def _advise() -> Any:
    """`madvise` of the C library, on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found = ctypes.CDLL(None).madvise
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return found
