"""Memory that one training step frees and the next takes again."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_… of glibc's malloc.h
KEPT = 512 * 2**20  # bytes
LARGEST = 32 * 2**20  # bytes; glibc takes no more


def keep_freed_memory() -> None:
    """Have the C library keep up to half a GiB that is freed, for this process; without glibc nothing happens.

    Otherwise arrays of megabytes go back to the system when they are freed, and the next step waits for new pages: with
    what Dask sets for its workers (`MALLOC_TRIM_THRESHOLD_`), for a third of a training step. For processes of our own,
    since it lasts as long as the process.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, KEPT)
