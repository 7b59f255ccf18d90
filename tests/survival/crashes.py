"""Jobs that are killed before one of their changes to the disk: python -m tests.survival.crashes FOLDER POINTS [JOB …].

Every change (a file opened to be written, renamed, removed or locked, a folder made or removed) is one crash point. A
process loads everything once and forks a child for each point, which kills itself there; another child then goes on
as a user would. What must hold after the crash and at the end is asserted. Of each job, the numbers of points that
were tried, of processes that were killed there, and of all points are printed.
"""

import gc
import os
import shutil
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import dask

import fwsim as fw
import fwsim.engine.observation
import fwsim.recording.folder
from fwsim.recording import checksums
from fwsim.study import Run, analyse, results, resume, resume_sweep, run, write_report
from fwsim.study.files import copy_pair

TOY = Path(__file__).parents[1] / "study" / "toy"
CHANGES = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "fcntl.flock",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STREAM = '''"""A recording that is written while it is computed?"""
import torch
import fwsim as fw
class Config(fw.study.Config):
    steps: int = 60
    "Steps."
def run(config, context):
    torch.manual_seed(0)
    net = fw.FastWeightNetwork(2, 4, fw.Hebbian(tau=9.0, eta=0.3), kernel="reference")
    def drive(start, stop):
        return torch.sin(torch.arange(start, stop, dtype=torch.float32))[None, :, None].expand(1, -1, 2)
    return fw.simulate(net, drive, steps=config.steps, to=context.recording, resume=context.resume)
'''
OTHER = '''"""Another figure."""
import xarray as xr
from matplotlib.figure import Figure
def analyse(recording): return xr.Dataset({"n": recording.sizes["time"]})
def table(result): return [{"n": int(result.n)}]
def plot(result): return {"one": Figure(figsize=(1, 1)), "two": Figure(figsize=(1, 1))}
'''


class Job:
    """What is done in a folder of a user, here, of which one process is killed."""

    def prepare(self) -> None:
        """Make what is there before, without being killed."""

    def act(self) -> None:
        """Do it."""

    def check(self) -> None:
        """Assert what must hold right after the crash."""

    def go_on(self) -> None:
        """Do it to the end, as a user would."""

    def outcome(self) -> dict:
        """What must be the same in the end."""
        return values("here")


def values(folder: str) -> dict:
    """Values of a run that is finished and whole."""
    done = Run(folder)
    assert (done.state, done.differences()) == ("finished", [])
    return checksums(done.recording)


def whole(folder: Path) -> bool:
    """Whether a folder holds a finished run; one that says so must be whole."""
    if not (folder / "run.json").exists() or Run(folder).state != "finished":
        return False
    values(str(folder))
    return True


def nothing_is_left() -> None:
    """Another run clears away what the killed one left."""
    run("trace", {"steps": 2}, folder="next", force=True)
    left = {each.name for each in Path().iterdir() if each.name.startswith(".") or "replaced" in each.name}
    assert not left, left


@dataclass
class Running(Job):
    """A run whose recording is stored when it is done, or while it is computed."""

    experiment: str
    force: bool = False

    def prepare(self) -> None:
        if self.force:
            run("trace", {"steps": 3}, folder="here")

    def act(self) -> None:
        run(self.experiment, {"steps": 60}, folder="here", force=self.force)

    def check(self) -> None:
        found = [whole(each) for each in sorted(Path().glob("here*"))]
        assert any(found) or not self.force

    def go_on(self) -> None:
        folder = Path("here")
        if not (folder / "run.json").exists():
            run(self.experiment, {"steps": 60}, folder="here", force=self.force)
        elif Run(folder).state != "finished":
            resume(folder)
        elif Run(folder).manifest["configuration"]["steps"] != 60:
            run(self.experiment, {"steps": 60}, folder="here", force=True)
        nothing_is_left()


class Resuming(Running):
    """A run that goes on."""

    def prepare(self) -> None:
        started = os.fork()
        if not started:
            kill_at(70)
            run(self.experiment, {"steps": 60}, folder="here")
        os.waitpid(started, 0)
        assert Run("here").state == "interrupted"

    def act(self) -> None:
        resume("here")


class Analysing(Job):
    """An analysis that takes the place of another one of the same name."""

    def prepare(self) -> None:
        run("trace", {"steps": 3}, folder="here")
        analyse("here", "other")
        Path("here/results-other/mine.txt").write_text("a note")
        Path("analysis/other.py").write_text(OTHER.replace('"two"', '"three"'))

    def act(self) -> None:
        analyse("here", "other")

    def check(self) -> None:
        folder = Path("here/results-other")
        assert not folder.exists() or results.damage(folder, Run("here").manifest["digests"]) is None
        values("here")

    def go_on(self) -> None:
        analyse("here", "other")

    def outcome(self) -> dict:
        assert results.damage(Path("here/results-other"), Run("here").manifest["digests"]) is None
        return {str(each): "" for each in sorted(Path("here").rglob("*")) if not each.name.endswith(".lock")}


class Reporting(Job):
    """A report that takes the place of an older one."""

    def prepare(self) -> None:
        run("trace", {"steps": 3}, folder="here")
        write_report("here")

    def act(self) -> None:
        write_report("here")

    def check(self) -> None:
        assert Path("here/report.html").read_text().rstrip().endswith("</html>")
        values("here")

    go_on = act


class Copying(Job):
    """A pair of files to start from."""

    def act(self) -> None:
        copy_pair("mine", "trace")

    def check(self) -> None:
        for kind in ("experiments", "analysis"):
            copy = Path(kind, "mine.py")
            assert not copy.exists() or copy.read_bytes() == Path(kind, "trace.py").read_bytes()

    def go_on(self) -> None:
        for kind in ("experiments", "analysis"):
            Path(kind, "mine.py").unlink(missing_ok=True)
        self.act()

    def outcome(self) -> dict:
        return {each.name: each.read_text() for each in Path().glob("*/mine.py")}


@dataclass
class Sweeping(Job):
    """A grid, also in the place of an older one, and with points that failed and are run again."""

    force: bool = False
    retry: bool = False

    def prepare(self) -> None:
        if self.force:
            run("trace", {"steps": 3}, folder="here")
        if self.retry:
            self.start()

    def start(self) -> None:
        config = {"steps": 6, "fails_above": 2.0 if self.retry else float("inf")}
        over = {"eta": [1.0, 2.0, 3.0]}
        fw.sweep("leak", over, 1, config, workers=1, batch_size=1, folder="here", force=self.force)

    def act(self) -> None:
        if self.retry:
            resume_sweep("here", workers=1, retry_failed=True)
        else:
            self.start()

    def check(self) -> None:
        found = [whole(each) for each in sorted(Path().glob("here*"))]
        assert any(found) or not self.force

    def go_on(self) -> None:
        folder = Path("here")
        if not (folder / "run.json").exists():
            self.start()
        elif Run(folder).state != "finished":
            resume_sweep(folder, workers=1)
        elif "sweep" not in Run(folder).manifest:
            self.start()
        nothing_is_left()


JOBS = {
    "run": Running("trace"),
    "stream": Running("stream"),
    "force": Running("trace", force=True),
    "resume": Resuming("trace"),
    "resumestream": Resuming("stream"),
    "analyse": Analysing(),
    "report": Reporting(),
    "new": Copying(),
    "sweep": Sweeping(),
    "sweepforce": Sweeping(force=True),
    "retry": Sweeping(retry=True),
}


def kill_at(point: int) -> None:
    """Kill this process before its change number `point` to the disk."""
    watch(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == point else None)


def watch(see) -> None:
    """Call `see` with 1, 2 … before each change."""
    number = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal number
        if event in CHANGES or (event == "open" and _writes(*arguments)):
            number += 1
            see(number)

    sys.addaudithook(hook)


def _writes(path: object, mode: object, flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & WRITING) and not str(path).startswith("/dev/")


def child(folder: Path, work) -> int:
    """Work in a folder in a forked process, and return its status; 0 is success."""
    started = os.fork()
    if not started:
        try:
            os.chdir(folder)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(started, 0)[1]


def counted(folder: Path, job: Job) -> int:
    """Number of changes that a job makes."""
    read, write = os.pipe()

    def work() -> None:
        watch(lambda number: os.write(write, b"."))
        job.act()

    assert child(folder, work) == 0
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        return len(pipe.read())


def compared(job: Job, file: Path) -> None:
    """Assert that what came of the job is what the file says, or begin the file."""
    found = repr(sorted(job.outcome().items()))
    if not file.exists():
        file.write_text(found)
    assert file.read_text() == found


def main(folder: Path, points: int, *names: str) -> None:
    """Kill jobs, by default all, at as many of their changes, spread evenly, or at all if there are fewer."""
    fwsim.recording.folder.CHUNK_BYTES, fwsim.recording.folder.PAUSE = 400, 0
    fwsim.engine.observation.NUMBERS = 60
    dask.config.set(scheduler="synchronous")  # threads do not survive a fork
    run(TOY / "experiments" / "trace.py", {"steps": 2}, folder=folder / "warm")  # loads what all need
    analyse(folder / "warm")
    gc.freeze()
    for name in names or JOBS:
        print(name, *crash(name, folder / name, points), flush=True)


def crash(name: str, folder: Path, points: int) -> tuple[int, int, int]:
    """Kill one job."""
    job, before, file = JOBS[name], folder / "before", folder / "outcome"
    shutil.copytree(TOY, before)
    (before / "experiments" / "stream.py").write_text(STREAM)
    (before / "analysis" / "other.py").write_text(OTHER)
    assert child(before, job.prepare) == 0
    shutil.copytree(before, folder / "whole")
    total = counted(folder / "whole", job)
    assert child(folder / "whole", lambda: compared(job, file)) == 0
    chosen = sorted({1 + (2 * number + 1) * total // (2 * points) for number in range(points)})
    killed = 0
    for point in chosen:
        place = folder / str(point)
        shutil.copytree(before, place)

        def act(point: int = point) -> None:
            kill_at(point)
            job.act()

        status = child(place, act)
        assert status == 0 or os.WIFSIGNALED(status), f"{name} failed at change {point}"
        killed += os.WIFSIGNALED(status)
        for work in (job.check, job.go_on, lambda: compared(job, file)):
            assert child(place, work) == 0, f"{name}, killed at change {point} of {total}"
        shutil.rmtree(place)
    return len(chosen), killed, total


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
