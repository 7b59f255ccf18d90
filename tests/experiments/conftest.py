"""What all tests of experiments and their analyses have in common."""

import pytest


@pytest.fixture(autouse=True)
def figures_in_one_format(monkeypatch):
    """Draw each figure once: that all formats are written is tested elsewhere, and costs as much as an analysis."""
    monkeypatch.setattr("fwsim.study.figures.FORMATS", ("png",))
