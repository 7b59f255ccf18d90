"""`run.json` with other entries, also with a digest that is right: every command that reads it answers in one line."""

import json
import shutil

import pytest

import fwsim as fw
from fwsim.study import analyse, manifest, run
from tests.survival.fuzzing import changed, damaged, fresh
from tests.survival.test_command_lines import bound, cleaned

COMMANDS = [
    ["list"],
    ["checksum", "{}"],
    ["resume", "{}", "--no-analyse", "--trust", "--workers", "1"],
    ["resume", "{}", "--no-analyse", "--trust"],
    ["analyse", "{}", "--trust"],
    ["report", "{}", "--trust"],
    ["compare", "{}", "--trust"],
    ["run", "--again", "{}", "--no-analyse", "--trust", "--to", "new", "--workers", "1"],
    ["run", "--again", "{}", "--no-analyse", "--to", "new"],
    ["run", "trace", "--steps", "2", "--no-analyse", "--to", "{}", "--force"],
    ["run", "trace", "--config", "{}/run.json", "--no-analyse", "--to", "new"],
]


@pytest.fixture
def place(toy):
    """Folders of a run and a sweep, finished and not, of an experiment whose length is bounded."""
    bound(toy / "experiments" / "trace.py")
    leak = toy / "experiments" / "leak.py"
    text = leak.read_text().replace("steps: int = 20", "steps: Annotated[int, Field(ge=1, le=50)] = 20")
    text = text.replace(
        "import numpy", "from typing import Annotated\nfrom pydantic import Field\nimport numpy"
    )
    leak.write_text(text.replace("os._exit(9)", "raise ValueError"))
    analyse(run("trace", {"steps": 2}, folder="good/run"))
    fw.sweep("leak", {"tau": [1.0, 2.0]}, 1, {"steps": 2}, workers=1, folder="good/sweep")
    for name in ("run", "sweep"):
        part = shutil.copytree(f"good/{name}", f"good/{name}-part")
        shutil.rmtree(f"{part}/recording.zarr")
        left = {**manifest.read(toy / part), "state": "interrupted", "digests": None, "finished": None}
        manifest.write(toy / part, left)
    return toy


SWEEP = {
    **dict.fromkeys(("experiment", "question", "source_sha256", "device", "commit", "command"), "x"),
    "state": "finished", "started": "2026-12-01T00:00:00+00:00", "seed": 0, "configuration": {}, "versions": {},
    "points": 2, "failed": 0,
}  # fmt: skip


def test_manifests(fuzz, place):
    kept = set(place.iterdir())
    names = sorted(each.name for each in (place / "good").iterdir())

    def attempt(random, watch):
        name = names[random.integers(len(names))]
        work = fresh(place / "good" / name, place / "runs" / name)
        file = work / "run.json"
        entries = json.loads(file.read_bytes())
        if random.integers(3):
            entries = changed(random, entries)
            if isinstance(entries, dict) and random.integers(3):
                entries["sha256"] = manifest.digest(entries)
            file.write_text(json.dumps(entries))
        else:
            file.write_bytes(damaged(random, file.read_bytes()))
        tokens = [each.format(f"runs/{name}") for each in COMMANDS[random.integers(len(COMMANDS))]]
        watch.command(tokens, place if tokens[0] != "resume" else None)
        cleaned(place, kept)

    fuzz("run.json", attempt, 80, 4000)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([{"names": ["tau"], "rows": [[1.0, 1.0], [2.0]]}], "more or fewer values than the axis has names"),
        ([{"names": ["tau", "eta"], "rows": [[1.0], [2.0]]}], "more or fewer values than the axis has names"),
        ([{"names": [], "rows": [[], []]}], "names: List should have at least 1 item"),
        ([{"names": ["tau"], "rows": []}], "rows: List should have at least 1 item"),
    ],
)
def test_axes_that_are_no_axes(tmp_path, axes, said):
    plan = {"axes": axes, "seeds": [0], "memory": 1e9, "size": None}
    manifest.write(tmp_path, {**SWEEP, "sweep": plan})
    with pytest.raises(fw.ConfigError, match=said) as caught:
        manifest.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "run.json").write_bytes(b"\xe7")
    with pytest.raises(fw.ConfigError, match="no text in UTF-8; restore it from a copy"):
        manifest.read(tmp_path)
