"""Setting of the C library: memory that a training step frees remains with the process for the next step."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_… of glibc's malloc.h
KEPT = 512 * 2**20  # bytes
LARGEST = 32 * 2**20  # bytes; glibc takes no more


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
