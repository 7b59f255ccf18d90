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


@pytest.fixture
def while_looking(monkeypatch):
    """Call a function once, while somebody who looks holds the lock that a look takes."""
    fcntl = pytest.importorskip("fcntl", reason="looking takes no lock here")
    flock, wanted = fcntl.flock, []

    def look(descriptor, how):
        flock(descriptor, how)
        if how & fcntl.LOCK_SH and wanted:
            wanted.pop()()

    monkeypatch.setattr(fcntl, "flock", look)
    return wanted.append


def test_who_works_is_seen(tmp_path):
    assert not locks.is_held(tmp_path)
    with locks.hold(tmp_path):
        assert locks.is_held(tmp_path)
    assert not locks.is_held(tmp_path)


def test_looking_is_not_seen(tmp_path, while_looking):
    with locks.hold(tmp_path):
        pass
    seen = []
    while_looking(lambda: seen.append(locks.is_held(tmp_path)))
    assert not locks.is_held(tmp_path)
    assert seen == [False]


def test_looking_never_refuses_who_wants_to_work(tmp_path, while_looking, monkeypatch):
    """Whoever finds the lock of a look tries again, and the look is over soon."""
    with locks.hold(tmp_path):
        pass
    sleep, tried, worked = time.sleep, threading.Event(), []
    monkeypatch.setattr(time, "sleep", lambda seconds: (tried.set(), sleep(seconds)))  # between two tries

    def work():
        with locks.hold(tmp_path, patience=60):
            worked.append(locks.is_held(tmp_path))

    worker = threading.Thread(target=work)
    while_looking(lambda: (worker.start(), tried.wait(60)))
    assert not locks.is_held(tmp_path)
    worker.join()
    assert worked == [True]
    assert tried.is_set()


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


@pytest.mark.parametrize("stays", [True, False])
def test_a_folder_that_is_replaced_between_opening_and_locking_its_lock(tmp_path, monkeypatch, stays):
    """The lock that was opened has gone with the old folder, and nobody who looks at the new one sees it."""
    fcntl = pytest.importorskip("fcntl", reason="locks are taken otherwise here")
    here, aside, flock = tmp_path / "here", tmp_path / "aside", fcntl.flock
    here.mkdir()

    def replace_first(descriptor, how):
        if not aside.exists():
            os.rename(here, aside)
            if stays:
                here.mkdir()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", replace_first)
    if stays:
        with locks.hold(here):
            assert (locks.is_held(here), locks.is_held(aside)) == (True, False)
    else:
        with pytest.raises(ConfigError, match="here is gone"), locks.hold(here, patience=0.1):
            pass
    assert not locks.is_held(aside)


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
