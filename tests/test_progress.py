"""Progress bars: on a terminal, in a notebook, and nowhere else."""

import io
import sys
from types import ModuleType

import pytest
import rich.console

from fwsim import progress
from fwsim.progress import followed, track


@pytest.fixture
def cell(monkeypatch):
    """What a notebook shows below a cell, one text for each time it changes."""
    shown = []

    class Handle:
        def update(self, bundle, raw):
            assert raw
            shown.append(bundle["text/plain"])

    def display(bundle, raw, display_id):
        assert raw
        assert display_id
        shown.append(bundle["text/plain"])
        return Handle()

    module = ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(progress, "EVERY", -1.0)
    return shown


def test_a_notebook_shows_a_bar_and_takes_it_away(cell, capsys):
    with track("simulating", 4) as advance:
        for step in range(4):
            advance(loss=0.5 / (step + 1))
    assert [text.split()[0] for text in cell[:-1]] == ["simulating"] * (len(cell) - 1)
    assert [f"{k}/4" in " ".join(cell) for k in (1, 2, 3, 4)] == [True] * 4
    assert "loss 0.125" in cell[-2]
    assert cell[-1] == ""
    assert "\x1b" not in "".join(cell)
    assert capsys.readouterr() == ("", "")


def test_short_work_shows_nothing_in_a_notebook(cell, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 60.0)
    with track("simulating", 2) as advance:
        advance(2)
    assert cell == []


def test_nothing_where_it_is_not_wanted(cell):
    counted = []
    for wanted in (False, lambda done, total: counted.append((done, total))):
        with followed("simulating", 2, wanted) as moved:
            moved(1)
            moved(1)
    assert cell == []
    assert counted == [(1, 2), (2, 2)]
    with followed("simulating", 2, None) as moved:
        moved(1)
    assert cell


def test_a_bar_is_taken_away_when_the_work_fails(cell):
    def work():
        with track("simulating", 2) as advance:
            advance()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert cell[-1] == ""


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_a_terminal_shows_a_bar_and_a_pipe_none(monkeypatch, terminal, shown):
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: False)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with track("simulating", 2) as advance:
        advance()
    assert ("simulating" in stream.getvalue()) == shown
