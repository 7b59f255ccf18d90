"""Who works in a folder, told without being in the way."""

import os
import threading
import time

import pytest

from fwsim.errors import ConfigError
from fwsim.study import Interrupted, Run, locks, resume, run
from tests.forked import FWSIM
from tests.study.test_execute import write_experiment


def test_looking_writes_nothing(toy):
    done = run("trace", {"steps": 2}, folder="here")
    done.update(state="running")
    (toy / "here" / ".lock").unlink()
    assert done.state == "interrupted"
    assert not (toy / "here" / ".lock").exists()


def test_looking_never_refuses_who_wants_to_work(tmp_path, forked):
    with locks.hold(tmp_path):
        assert locks.is_held(tmp_path)
    code = (
        "import sys, pathlib, fwsim.study.locks as locks\n"
        "for number in range(10**9):\n"
        "    locks.is_held(pathlib.Path(sys.argv[1]))\n"
        "    number % 100 or pathlib.Path(sys.argv[2]).write_text(str(number))"
    )
    counts = [tmp_path / "0", tmp_path / "1"]
    lookers = [forked(code, str(tmp_path), str(count), folder=tmp_path) for count in counts]

    def looked():
        return [int(count.read_text() or 0) if count.exists() else 0 for count in counts]

    try:
        while min(looked()) < 10_000:  # each looks meanwhile, on the slowest machine too
            assert [each.poll() for each in lookers] == [None, None]
            for _ in range(10):
                with locks.hold(tmp_path):
                    assert locks.is_held(tmp_path)
    finally:
        for each in lookers:
            each.kill()
            each.wait()
    assert not locks.is_held(tmp_path)


def test_a_lock_is_never_taken_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("")
    folder = tmp_path / "here"
    folder.mkdir()
    for target in (tmp_path / "victim", tmp_path / "not there"):
        (folder / ".lock").symlink_to(target)
        assert not locks.is_held(folder)
        with pytest.raises(ConfigError, match=r"\.lock is a link"), locks.hold(folder):
            pass
        (folder / ".lock").unlink()
    os.mkfifo(folder / ".lock")
    with pytest.raises(ConfigError, match="no plain file"), locks.hold(folder):
        pass
    assert not (tmp_path / "not there").exists()


def test_a_lock_goes_with_its_folder(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    with locks.hold(old):
        os.rename(old, new)
        old.mkdir()
        assert locks.is_held(new)
        assert not locks.is_held(old)


def test_who_waited_for_a_folder_that_was_replaced_gets_the_new_one(tmp_path, monkeypatch):
    sleep, tried = time.sleep, threading.Event()
    monkeypatch.setattr(time, "sleep", lambda seconds: (tried.set(), sleep(seconds)))  # between two tries
    here, aside = tmp_path / "here", tmp_path / "aside"
    here.mkdir()
    with locks.hold(here):
        found = []

        def wait():
            with locks.hold(here, patience=60):
                found.append(((here / "new").exists(), locks.is_held(here)))

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert tried.wait(60)
        os.rename(here, aside)
        here.mkdir()
        (here / "new").touch()
    waiting.join()
    assert found == [(True, True)]


def test_both_resumes_of_a_pair_are_answered(toy, forked):
    write_experiment(
        toy,
        "import time\nif not context.resume:\n    raise KeyboardInterrupt\n"
        "(context.folder / f'began{time.time_ns()}').touch()\ntime.sleep(0.5)\nreturn xr.Dataset()",
    )
    with pytest.raises(Interrupted):
        run("made", folder="here")
    pair = [forked(FWSIM, "resume", "here", "--no-analyse", folder=toy) for _ in range(2)]
    said = [each.communicate(timeout=300)[1] for each in pair]
    assert sorted(each.returncode for each in pair) == [0, 2]
    refused = said[0] or said[1]
    assert "here is running in another process" in refused or "here is finished" in refused
    assert refused.count("\n") == 1
    done = Run(toy / "here")
    assert len(list(done.folder.glob("began*"))) == 1
    assert len(done.manifest["resumed"]) == 1
    with pytest.raises(ConfigError, match="is finished"):
        resume("here")
