"""Fixtures of the tests of recordings."""

import pytest

import fwsim.recording.folder


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of a few samples, so that short runs have many."""
    monkeypatch.setattr(fwsim.recording.folder, "CHUNK_BYTES", 1500)
    monkeypatch.setattr(fwsim.recording.folder, "CHUNK_EVENTS", 64)
