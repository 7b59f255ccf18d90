"""Sweeps that a user stops."""

from contextlib import contextmanager

import pytest

from fwsim.study.sweeps import records


@pytest.fixture
def stopped_after(monkeypatch):
    """Context in which a user presses Ctrl-C once so many batches are kept."""

    @contextmanager
    def stopped(batches):
        write, kept = records.write, []

        def stop(*arguments):
            if len(kept) == batches:
                raise KeyboardInterrupt
            kept.append(write(*arguments))

        with monkeypatch.context() as patch:
            patch.setattr(records, "write", stop)
            yield

    return stopped
