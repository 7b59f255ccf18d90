"""Loaded by the worker processes of this machine before they take batches."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the client, who then stops its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
