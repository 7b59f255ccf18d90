"""After one flipped bit, in every kind of file: the same values, or whoever reads it says what is damaged."""

import pytest
import torch

import fwsim as fw
from fwsim.errors import FwsimError
from fwsim.recording import checksums
from fwsim.study import analyse, resume_sweep, run
from fwsim.training.checkpoints import load_checkpoint
from tests.survival.crashes import STREAM
from tests.survival.fuzzing import ctrl_c, flipped, fresh, loaded
from tests.survival.test_checkpoints import trained
from tests.survival.test_recordings import contents, interrupted, shown, simulated, small  # noqa: F401


def flips(random, folder, work):
    """Copy of a folder with one bit flipped in one of its files, kinds of files alike, and its name there."""
    fresh(folder, work)
    files = sorted(each for each in work.rglob("*") if each.is_file() and not each.name.endswith(".lock"))
    files = [each for each in files if each.stat().st_size]
    kinds = sorted({(each.suffix, each.parent.name) for each in files})
    kind = kinds[random.integers(len(kinds))]
    alike = [each for each in files if (each.suffix, each.parent.name) == kind]
    file = alike[random.integers(len(alike))]
    content = file.read_bytes()
    file.write_bytes(flipped(content, int(random.integers(8 * len(content)))))
    return str(file.relative_to(work))


def test_finished_runs_and_sweeps(fuzz, toy):
    (toy / "experiments" / "stream.py").write_text(STREAM)
    analyse(run("trace", {"steps": 3}, folder="run"))
    run("stream", {"steps": 30}, folder="stream")
    fw.sweep("leak", {"tau": [1.0, 2.0]}, 1, {"steps": 3}, workers=1, folder="sweep")
    names = ("run", "stream", "sweep")
    right = {name: checksums(fw.study.Run(name).recording) for name in names}
    fw.study.write_report("run")
    page = shown(toy / "run")
    (toy / "run" / "report.html").unlink()
    before, work = {name: contents(toy / name) for name in names}, toy / "work"

    def attempt(random, watch):
        name = names[random.integers(len(names))]
        file = flips(random, toy / name, work)
        other = contents(work) != before[name]
        said = watch.command(["checksum", "work"], work)
        if other and said.refused is None:
            watch.fault("silent values", f"checksum says nothing of {file}")
        found = watch.call(lambda: checksums(fw.study.Run("work").recording), work).value
        opened = watch.call(lambda: checksums(fw.open_recording(work / "recording.zarr")), work).value
        for values in (found, opened):
            if values not in (None, right[name]):
                watch.fault("silent values", f"other values by {file}")
        reports = name == "run" and random.integers(5) == 0
        reported = reports and watch.command(["report", "work", "--trust"], work).value
        if reported and shown(work) != page and file.split("/")[-1] not in shown(work):
            watch.fault("silent values", f"another report by {file}")
        if file.endswith(".py") and watch.command(["report", "work"], work).refused is None:
            watch.fault("silent values", f"{file} is executed")

    fuzz("bit flips: finished runs and sweeps", attempt, 40, 500)


def test_interrupted_recordings(fuzz, small, tmp_path):  # noqa: F811
    right = checksums(simulated(tmp_path / "whole"))
    interrupted(tmp_path / "good")

    def attempt(random, watch):
        file = flips(random, tmp_path / "good", tmp_path / "work")
        end = watch.call(
            lambda: checksums(simulated(tmp_path / "work", resume=True)), tmp_path / "work"
        ).value
        if end not in (None, right):
            watch.fault("silent values", f"goes on to other values by {file}")

    fuzz("bit flips: interrupted recordings", attempt, 20, 150)


def test_interrupted_sweeps(fuzz, toy, monkeypatch):
    from fwsim.study.sweeps import run as sweep_run

    over = {"eta": [1.0, 2.0]}
    fw.sweep("leak", over, 1, {"steps": 4}, folder="whole", workers=1, batch_size=1)
    right = checksums(fw.study.Run("whole").recording)
    with monkeypatch.context() as stops:
        stops.setattr(sweep_run, "assemble", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            fw.sweep("leak", over, 1, {"steps": 4}, folder="good", workers=1, batch_size=1)

    def attempt(random, watch):
        file = flips(random, toy / "good", toy / "work")
        resumed = watch.call(lambda: resume_sweep("work", workers=1))
        if resumed.refused is None and checksums(fw.study.Run("work").recording) != right:
            watch.fault("silent values", f"ends with other values by {file}")

    fuzz("bit flips: interrupted sweeps", attempt, 6, 150)


def test_trainings(fuzz, tmp_path):
    right, work = trained(tmp_path / "whole"), tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "good", stop=2)
    weights = load_checkpoint(tmp_path / "good" / "best.pt")["model"]

    def attempt(random, watch):
        file = flips(random, tmp_path / "good", work)
        best = watch.call(lambda: load_checkpoint(work / "best.pt"), work).value
        end = watch.call(lambda: trained(work, resume=True), work).value
        if end not in (None, right) or not (best is None or _alike(best["model"], weights)):
            watch.fault("silent values", f"other weights by {file}")

    fuzz("bit flips: trainings", attempt, 40, 200)


def _alike(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["run.json", "digests.json"])
def test_bits_of_what_a_run_says_of_itself(toy, name):
    """One bit in 37, from the beginning of the file to its end."""
    done = run("trace", {"steps": 2}, folder="here")
    file, right = done.folder / name, checksums(done.recording)
    content = file.read_bytes()
    for bit in range(0, 8 * len(content), 37):
        file.write_bytes(flipped(content, bit))
        other = loaded(file.read_bytes()) != loaded(content)
        try:
            assert checksums(done.recording) == right
            assert not (other and not done.differences())
        except FwsimError:
            pass
