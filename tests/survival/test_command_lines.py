"""Whatever is typed, and whatever lies in a file of a configuration, gives a result or one clear line."""

import json
import os
import shutil
from itertools import pairwise

import pytest

import fwsim as fw
from fwsim.study import run
from tests.survival.fuzzing import OTHERS, changed, damaged, retyped

GOOD = [
    ["run", "trace", "--no-analyse", "--to", "new", "--steps", "2"],
    ["run", "--again", "here", "--no-analyse", "--to", "new"],
    ["sweep", "leak", "--quick", "--workers", "1", "--over", "tau=1:2:lin2", "--seeds", "1", "--to", "new"],
    ["resume", "here"],
    ["analyse", "here", "--analysis", "trace"],
    ["compare", "here"],
    ["checksum", "here"],
    ["report", "here", "--to", "page.html"],
    ["new", "mine", "--from", "trace"],
    ["fit", "table.csv", "--rule", "TsodyksMarkram"],
    ["explore", "here", "--no-browser", "--port", "70000"],
    ["list"],
    ["doctor", "--nothing"],
    [],
]
SLOW = ("fit", "doctor", "report")  # commands that are tried with words that are wrong, and seldom
OPTIONS = [
    "--tau", "--taus", "--steps", "--order", "--offset", "--seed", "--seeds", "--device", "--config", "--quick",
    "--over", "--to", "--force", "--again", "--trust", "--analysis", "--analyse", "--batch-size", "--memory",
    "--retry-failed", "--rule", "--from", "--port", "--nonsense", "-h", "--help", "--version", "--", "-", "-x",
]  # fmt: skip
WORDS = [
    "-1", "0", "2", "1e400", "nan", "inf", "3mV", "100ms", "", "é", "a" * 300, "{}", "[1", "\t", "\n", "1,2", "=", "$x",
    "%s", "*", "~", "~nobody", ".", "..", "here", "swept", "trace", "leak", "tau=1:2:lin3", "tau=1,x", "tau=", "=1",
    "tau=1:2:log0", "tau=1:1000000000:lin1000000000", "eta=nan",
    "s3://a/b", "a::b", "given.toml", "run.json", "device",
    OTHERS, "pipe", "here/recording.zarr", "9" * 5000, "\u202e", "\ud800", "[red]x[/]",
]  # fmt: skip


class NothingFails:
    """In place of a second process that imports every package."""

    def __init__(self, modules):
        self.modules = modules

    def failures(self):
        return {}


def bound(trace):
    """Let the toy `trace` take at most 50 steps without pauses, whatever its configuration says."""
    text = trace.read_text().replace("gt=0", "gt=0, le=50").replace("time.sleep(config.pause)", "pass")
    trace.write_text(text)


@pytest.fixture
def place(toy, monkeypatch, tmp_path_factory):
    """Folder of a user with a run, a sweep, a pipe and a device, and an experiment whose length is bounded."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr("fwsim.study.doctor.Imports", NothingFails)  # seconds for each `fwsim doctor`
    os.mkfifo(toy / "pipe")
    (toy / "device").symlink_to("/dev/zero")
    bound(toy / "experiments" / "trace.py")
    run("trace", {"steps": 2}, folder="here")
    fw.sweep("leak", {"tau": [1.0, 2.0]}, 1, {"steps": 2}, workers=1, folder="swept")
    (toy / "given.toml").write_text("steps = 3\n")
    (toy / "table.csv").write_text("protocol,sweep\n")
    shutil.copy("here/run.json", "run.json")
    return toy


def cleaned(folder, kept):
    """Take away what was made."""
    for each in set(folder.iterdir()) - kept:
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


def typed(random):
    """A line for the command line: a good one with words that are other, more, fewer, or in another order."""
    line = list(GOOD[random.integers(len(GOOD))])
    fixed = (
        1 if line and line[0] in ("sweep", *SLOW) else 0
    )  # the number of workers stays: others start processes
    for _ in range(int(random.integers(1, 4))):
        at = int(random.integers(fixed, len(line) + 1)) if len(line) >= fixed else 0
        words = OPTIONS if random.integers(2) else WORDS
        word = words[random.integers(len(words))]
        match random.integers(4):
            case 0:
                line.insert(at, word)
            case 1 if at < len(line) and line[at] != "1":
                del line[at]
            case 2 if at < len(line):
                line[at] = f"{line[at]}={word}" if line[at].startswith("--") else word
            case _:
                line += [OPTIONS[random.integers(len(OPTIONS))], word]
    alone = any(pair == ("--workers", "1") for pair in pairwise(line))
    return line if alone or "sweep" not in line else ["list", *line]


def test_command_lines(fuzz, place):
    kept = set(place.iterdir())

    def attempt(random, watch):
        watch.command(typed(random), place)
        cleaned(place, kept)

    fuzz("command lines", attempt, 80, 5000)


TOML = 'steps = 3\ntau = "200 ms"\ntaus = [0.5, 10.0]\norder = 2\noffset = true\n'
JSON = {"steps": 3, "tau": "200 ms", "taus": [0.5, 10.0], "order": 1, "offset": False}


def test_configurations(fuzz, place):
    kept, manifest = set(place.iterdir()), json.loads((place / "here" / "run.json").read_text())

    def attempt(random, watch):
        match random.integers(4):
            case 0:
                name, content = "x.toml", retyped(random, TOML, "= ")
            case 1:
                name, content = "x.json", damaged(random, json.dumps(JSON).encode())
            case 2:
                name, content = "x.json", json.dumps(changed(random, JSON)).encode()
            case _:
                name, content = "run.json", json.dumps(changed(random, manifest)).encode()
        (place / name).write_bytes(content)
        watch.command(["run", "trace", "--config", name, "--no-analyse", "--to", "new"], place)
        cleaned(place, kept)

    fuzz("configurations", attempt, 40, 6000)
