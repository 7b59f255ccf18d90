"""Work on one batch: load the experiment from its source, run the points, store how each ended."""

from __future__ import annotations

import shutil
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import fwsim
from fwsim._allocator import keep_freed_memory
from fwsim.engine.threads import using_threads
from fwsim.errors import ConfigError, RecordingError
from fwsim.paths import typed
from fwsim.study import files
from fwsim.study.context import Context, pick_device
from fwsim.study.experiment import Experiment, from_module, returned
from fwsim.study.sweeps import records
from fwsim.study.sweeps.points import Point
from fwsim.study.sweeps.records import Failure

_ONE_AT_A_TIME = threading.Lock()  # a worker of several threads still has one device and one global generator


@dataclass(frozen=True)
class Task:
    """A batch in the form that is sent to a worker: source and configurations, no functions.

    Parameters
    ----------
    source
        Source of the experiment file.
    name
        Name of the experiment.
    folder
        Folder of the run, at the same path for client and workers.
    points
        Points of the batch.
    device
        As given by the user: "auto", "cpu", "cuda", "cuda:1".
    version
        Version of fwsim, which the worker needs too.
    """

    source: bytes
    name: str
    folder: Path
    points: tuple[Point, ...]
    device: str
    version: str = fwsim.__version__

    @property
    def batches(self) -> Path:
        """Folder of the batches."""
        return self.folder / "batches"


def work_apart(task: Task) -> int:
    """`work` in a worker's process."""
    keep_freed_memory()
    return work(task)


def work(task: Task) -> int:
    """Run a batch, store how its points ended, and return the number of failures.

    Raises
    ------
    ConfigError
        This worker cannot run any point: it has another fwsim, cannot access the folder, or lacks the device.
    """
    if task.version != fwsim.__version__:
        raise ConfigError(
            f"a worker has fwsim {fwsim.__version__} and the sweep {task.version}; install the same version"
        )
    if not (task.folder / files.MANIFEST).is_file():
        raise ConfigError(
            f"a worker cannot see {task.folder}; choose a folder that all machines share with --to"
        )
    with _ONE_AT_A_TIME, using_threads(1):  # workers share the cores, and sums do not depend on their number
        experiment = _load(task.source, task.name, task.folder / files.EXPERIMENT)
        device = worker_device(task.device)
        contexts = _contexts(task, device)
        ended = attempt(experiment, task.points, contexts)
    try:
        records.write(task.batches, task.points, ended)
    except OSError as error:
        raise RecordingError(
            f"{task.batches} cannot be written: {error.strerror or error}; free some space or check the permissions, "
            f"then: fwsim resume {typed(task.folder)}"
        ) from None
    _remove_streamed(task, contexts)  # its data are in the batch now
    return sum(isinstance(each, Failure) for each in ended)


def attempt(
    experiment: Experiment, points: Sequence[Point], contexts: Sequence[Context]
) -> list[xr.Dataset | Failure]:
    """Run points together; if that fails, in halves, until single points fail."""
    try:
        configs = [experiment.configure(point.configuration) for point in points]
        recordings = (
            [experiment.run(configs[0], contexts[0])]
            if len(points) == 1 or experiment.batching is None
            else list(experiment.batching.run(configs, contexts))
        )
        if len(recordings) != len(points):
            raise TypeError(f"run_batch returned {len(recordings)} recordings for {len(points)} points")
        return [_checked(returned(each)) for each in recordings]
    except (Exception, SystemExit) as error:
        if len(points) == 1:
            return [Failure(files.place_of(error, experiment.path), traceback.format_exc())]
    half = len(points) // 2
    return [
        *attempt(experiment, points[:half], contexts[:half]),
        *attempt(experiment, points[half:], contexts[half:]),
    ]


def worker_device(name: str) -> torch.device:
    """Device of this worker: if a machine's workers are numbered, each has its own GPU."""
    device = pick_device(name)
    if device.type != "cuda" or device.index is not None:
        return device
    from distributed import get_worker

    try:
        number = int(get_worker().name)
    except (TypeError, ValueError):  # not on a worker, or on a single one of a machine or job
        return device
    return torch.device("cuda", number % torch.cuda.device_count())


@lru_cache(maxsize=4)
def _load(source: bytes, name: str, path: Path) -> Experiment:
    return from_module(files.load(path, ("Config", "run"), source), path, name)


def _contexts(task: Task, device: torch.device) -> list[Context]:
    """Surroundings of each point, which continues from its own checkpoints if it was begun before."""
    parent = task.folder / "points"
    begun = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
    names = [point.identity[:24] for point in task.points]
    contexts = [
        Context(parent / name, point.seed, device, resume=name in begun, show=False)
        for name, point in zip(names, task.points, strict=True)
    ]
    _remove_streamed(task, contexts)  # left by a worker that was killed
    return contexts


def _remove_streamed(task: Task, contexts: Sequence[Context]) -> None:
    if (task.folder / "points").is_dir():  # in most sweeps the points write no files
        for context in contexts:
            shutil.rmtree(context.recording, ignore_errors=True)


def _checked(recording: xr.Dataset) -> xr.Dataset:
    for name, variable in recording.variables.items():
        if variable.dtype == np.dtype(object) and not all(isinstance(v, str) for v in variable.values.flat):
            raise RecordingError(f"{name} holds objects, which cannot be stored; record numbers and strings")
    return recording.load()
