"""Recordings with a file that is damaged, lost, exchanged, or no file: the same values, or one line that says so."""

import re
from hashlib import sha256

import pytest
import torch

import fwsim as fw
from fwsim.recording import checksums, digests, open_recording
from fwsim.study import analyse, run
from tests.recording.test_folder import check_prefix
from tests.survival.fuzzing import disturbed, fresh, loaded, tree

STEPS = 40


def drive(start, stop):
    return torch.sin(torch.arange(start, stop, dtype=torch.float32))[None, :, None].expand(2, -1, 2)


def simulated(to, drive=drive, resume=False):
    """A recording that is streamed."""
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(2, 3, fw.Hebbian(tau=[9.0, 2.0], eta=0.3), kernel="reference")
    record = ["hidden", fw.Record("memory", every=5, dtype="float16")]
    return fw.simulate(net, drive, steps=STEPS, record=record, to=to, resume=resume)


def interrupted(to):
    """The same, up to some step."""

    def stops(start, stop):
        if start > 20:
            raise KeyboardInterrupt
        return drive(start, stop)

    with pytest.raises(KeyboardInterrupt):
        simulated(to, stops)


@pytest.fixture
def small(monkeypatch):
    """Chunks and checkpoints of a few steps."""
    monkeypatch.setattr("fwsim.engine.observation.NUMBERS", 60)
    monkeypatch.setattr("fwsim.recording.folder.PAUSE", 0)
    monkeypatch.setattr("fwsim.recording.folder.CHUNK_BYTES", 200)


def resealed(folder):
    """Give a recording the digests of what is in it now, so that its content is believed."""
    files = {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.stat().st_size
        and path.parent.name != "digests"
        and path.name != digests.JOURNAL
    }
    if (folder / digests.JOURNAL).exists():
        (folder / digests.JOURNAL).write_text("".join(f"{one}  {name}\n" for name, one in files.items()))
    elif (folder / digests.GROUP).is_dir():
        digests.seal(folder, files)


def looked_at(random, path):
    """One way to look at a recording."""
    match random.integers(24):
        case 0:
            from bokeh.document import Document  # loaded by the one worker that runs this file

            from fwsim.explore.page import build
            from fwsim.explore.scene import find_recording

            build(Document(), find_recording(path), "a title")
        case 1:
            repr(open_recording(path))
        case 2:
            open_recording(path)._repr_html_()
    return checksums(open_recording(path))


def forged(random, folder):
    """Damage the metadata of an array, and give all of it new digests."""
    disturbed(random, folder, "zarr.json")
    try:
        resealed(folder)
    except OSError:  # a device in the place of a file
        return


def test_recordings(fuzz, small, tmp_path):
    simulated(tmp_path / "good")
    right, work = checksums(open_recording(tmp_path / "good")), tmp_path / "work"

    def attempt(random, watch):
        believed = random.integers(3) == 0
        (forged if believed else disturbed)(random, fresh(tmp_path / "good", work))
        found = watch.call(lambda: looked_at(random, work), work)
        if found.value not in (None, right) and not believed:
            watch.fault("silent values", "other values")

    fuzz("recordings: streamed", attempt, 100, 5000)


def test_interrupted_recordings(fuzz, small, tmp_path):
    whole = simulated(tmp_path / "whole").load()
    interrupted(tmp_path / "good")
    assert 0 < open_recording(tmp_path / "good").valid_steps < STEPS
    right, work = checksums(whole), tmp_path / "work"

    def attempt(random, watch):
        believed = random.integers(4) == 0
        (forged if believed else disturbed)(random, fresh(tmp_path / "good", work))
        part = watch.call(lambda: open_recording(work).load(), work).value
        if part is not None and not believed:
            try:
                check_prefix(part, whole)
            except AssertionError as error:
                watch.fault("silent values", f"no beginning of the run: {error!s:.200}")
        kept = None if believed else work  # what is believed may be found wrong at the end alone
        end = watch.call(lambda: checksums(simulated(work, resume=True)), kept).value
        if end not in (None, right) and not believed:
            watch.fault("silent values", "goes on to other values")

    fuzz("recordings: interrupted", attempt, 50, 3000)


def test_runs_and_sweeps(fuzz, toy):
    """Whatever is in the folder: recording, sources, analysis, manifest, digests."""
    analyse(run("trace", {"steps": 3}, folder="run"))
    fw.sweep("leak", {"tau": [1.0, 2.0]}, 1, {"steps": 3}, workers=1, folder="sweep")
    right = {name: checksums(fw.study.Run(name).recording) for name in ("run", "sweep")}
    fw.study.write_report("run")
    page = shown(toy / "run")
    (toy / "run" / "report.html").unlink()
    result = (toy / "run" / "results" / "table.csv").read_bytes()
    work = toy / "work"

    def attempt(random, watch):
        name = ("run", "sweep")[random.integers(2)]
        before = contents(toy / name)
        where = disturbed(random, fresh(toy / name, work))
        other = contents(work) != before
        said = watch.command(["checksum", "work"], work)
        if said.value is not None and other:
            watch.fault("silent values", f"checksum says nothing of {where.relative_to(work)}")
        found = watch.call(lambda: checksums(fw.study.Run("work").recording), work).value
        if found not in (None, right[name]):
            watch.fault("silent values", f"other values by {where.relative_to(work)}")
        command = ("report", "analyse", "list")[min(2, random.integers(12))]
        done = watch.command([command, "work", "--trust"] if command != "list" else ["list"], work)
        if done.refused is not None or name == "sweep":
            return
        if command == "report" and shown(work) != page and where.name not in shown(work):
            watch.fault("silent values", f"another report by {where.relative_to(work)}")
        if command == "analyse" and (work / "results" / "table.csv").read_bytes() != result:
            watch.fault("silent values", f"another result by {where.relative_to(work)}")

    fuzz("folders of runs and sweeps", attempt, 50, 4000)


def shown(folder):
    """What a report says, wherever the run is and whenever; matplotlib numbers the parts of a figure at random."""
    page = (folder / "report.html").read_text().replace(folder.name, "run")
    return re.sub(r"-[mp][0-9a-f]{10}|\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", page)


def contents(folder):
    """What is in the files of a folder; JSON whose blanks are others is the same."""
    found = {}
    for path in tree(folder):
        if (place := folder / path).is_symlink() or not place.is_file():
            found[path] = "a folder" if place.is_dir() else "no plain file"
        elif place.name in ("run.json", "digests.json"):
            found[path] = loaded(content := place.read_bytes()) or content
        else:
            found[path] = place.read_bytes()
    return {path.replace(str(folder), "", 1): each for path, each in found.items()}
