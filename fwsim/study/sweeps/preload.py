"""Loaded by the worker processes of this machine before they take batches."""

from __future__ import annotations

import signal

from fwsim.logs import show_logs


def dask_setup(worker: object) -> None:
    """Log as the client does; leave Ctrl-C, which goes to all processes, to the client, who then stops its workers."""
    show_logs()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
