"""Loaded by the worker processes of this machine before their first batch."""

from __future__ import annotations

import signal

from fwsim.logs import show_logs


def dask_setup(worker: object) -> None:
    """Log like the client. Ignore Ctrl-C, which goes to all processes; the client handles it and stops its workers."""
    show_logs()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
