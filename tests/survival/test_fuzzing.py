"""The watch sees what must not happen, and the changes of inputs are changes."""

import contextlib
import json
import subprocess
import sys
import time

import numpy as np
import pytest

from fwsim.errors import ConfigError
from tests.survival import fuzzing
from tests.survival.fuzzing import Watch, changed, damaged, disturbed, fresh, reshaped, retyped, tree


def raised(error):
    raise error


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "here"
    place.mkdir()
    (place / "a.json").write_text('{"a": 1}')
    (place / "b").write_bytes(b"12345678")
    return place


def found(watch):
    return {name: len(each) for name, each in watch.faults.items() if each}


def test_values_and_errors_of_fwsim_are_no_faults(folder):
    watch = Watch()
    assert watch.call(lambda: 3, folder).value == 3
    assert watch.call(lambda: raised(ConfigError("no, because")), folder).refused == "no, because"
    assert watch.command(["list"]).value
    assert watch.command(["no such command"]).refused.startswith("fwsim: ")
    assert not found(watch)
    assert watch.refused == 2


def test_other_errors_and_exits_are_faults(monkeypatch):
    watch = Watch()
    watch.call(lambda: raised(KeyError("x")))
    for code, said in (
        (1, "Traceback"),
        (1, "fwsim: unexpected KeyError"),
        (1, "two\nlines"),
        (3, ""),
        (None, ""),
    ):
        monkeypatch.setattr("fwsim.cli.main", lambda tokens, code=code, said=said: _exit(code, said))
        before = len(watch.faults["unexpected"])
        watch.command(["list"])
        assert len(watch.faults["unexpected"]) > before
    assert set(found(watch)) == {"unexpected"}


def _exit(code, said):
    print(said, file=sys.stderr)
    if code is not None:
        raise SystemExit(code)


def test_a_refusal_that_changes_the_disk_is_a_fault(folder):
    def refuses():
        (folder / "b").write_text("other")
        raise ConfigError("no")

    watch = Watch()
    watch.call(refuses, folder)
    assert found(watch) == {"changed files": 1}


def test_what_waits_without_end_is_ended_and_a_fault(monkeypatch):
    monkeypatch.setattr(fuzzing, "TICK", 0.01)
    watch = Watch()
    watch.call(lambda: time.sleep(3600))
    assert found(watch) == {"hangs": 1}


def endless():
    for _ in iter(list, None):
        len("")


def caught():
    with contextlib.suppress(BaseException):
        endless()


@pytest.mark.parametrize("work", [endless, caught])
def test_what_works_without_end_is_ended_and_a_fault(monkeypatch, work):
    """By its calls of functions, which are as many on every machine."""
    monkeypatch.setattr(fuzzing, "MOST_CALLS", 1000)
    watch = Watch()
    watch.call(lambda: [len("") for _ in range(900)])
    assert not found(watch)
    watch.call(work)
    assert found(watch) == {"hangs": 1}
    assert sys.getprofile() is None


@pytest.mark.skipif(not fuzzing._memory(), reason="the system does not tell how much memory was used")
def test_what_takes_much_memory_is_a_fault():
    """In a process of its own: memory that earlier tests free meanwhile would hide what is taken."""
    script = """
import numpy as np
from tests.survival.fuzzing import Watch
watch = Watch(bytes=2**26)
watch.call(lambda: np.ones(2**20).sum())
print(sum(map(len, watch.faults.values())))
watch.call(lambda: np.ones(2**24).sum())
print(len(watch.faults['over 2 GB']))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]


def test_what_would_take_the_machine_down_fails_in_its_own_process():
    script = (
        "import numpy as np; from tests.survival.fuzzing import bounded_addresses\n"
        "with bounded_addresses(): np.empty(2**31)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "MemoryError" in done.stderr


def test_inputs_are_other_ones_and_the_same_ones_of_a_seed(folder):
    value, content, text = {"a": [1, {"b": "x"}], "c": None}, bytes(range(100)), "a,b\n1,2\n3,4\n"
    arrays = {"a": np.arange(3), "b": np.zeros((2, 2))}
    kinds = {
        "damaged": lambda random: damaged(random, content) != content,
        "changed": lambda random: json.dumps(changed(random, value)) != json.dumps(value),
        "retyped": lambda random: retyped(random, text) != text.encode(),
        "reshaped": lambda random: repr(reshaped(random, arrays)) != repr(arrays),
    }
    for name, differs in kinds.items():
        assert sum(differs(np.random.default_rng(seed)) for seed in range(200)) > 150, name
    assert damaged(np.random.default_rng(3), content) == damaged(np.random.default_rng(3), content)
    assert value == {"a": [1, {"b": "x"}], "c": None}


def test_a_folder_is_disturbed_in_all_ways(folder, tmp_path):
    seen = set()
    for seed in range(200):
        work = fresh(folder, tmp_path / "work")
        path = disturbed(np.random.default_rng(seed), work)
        kind = "gone"
        if path.is_symlink():
            kind = "link"
        elif path.exists():
            kind = "file" if path.is_file() else "folder" if path.is_dir() else "pipe"
        seen.add(kind)
    assert seen == {"gone", "link", "file", "folder", "pipe"}
    assert len(tree(folder)) == 2
