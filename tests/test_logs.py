"""Log records are there when asked for."""

import logging

import pytest

from fwsim import logs, study
from fwsim.errors import ConfigError


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.delenv("FWSIM_LOG", raising=False)
    logger = logging.getLogger("fwsim")
    yield
    logger.handlers, logger.level = [], logging.NOTSET


def test_a_run_is_silent_unless_asked(toy, monkeypatch, capsys):
    logs.show_logs()
    study.run("trace", quick=True, folder="one")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("FWSIM_LOG", "info")
    logs.show_logs()
    study.run("trace", quick=True, seed=5, folder="two")
    err = capsys.readouterr().err
    assert "fwsim.study.execute: two: trace, seed 5, cpu" in err
    assert "two: finished after" in err


def test_an_unknown_level_is_refused():
    with pytest.raises(ConfigError, match="FWSIM_LOG='loud' is unknown"):
        logs.show_logs("loud")
