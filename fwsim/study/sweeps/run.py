"""Sweeping an experiment: from a specification to one labelled dataset, and going on with what is missing."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import xarray as xr

from fwsim.errors import ConfigError, RecordingError, truth, whole
from fwsim.names import known_arguments
from fwsim.paths import home_path, typed
from fwsim.progress import track
from fwsim.study import files, places, runs
from fwsim.study import trust as trusted
from fwsim.study.config import Config
from fwsim.study.execute import (
    attributes,
    begin,
    note_resumed,
    now,
    origin,
    own_experiment,
    refuse_finished,
    watch,
)
from fwsim.study.experiment import Experiment, load_experiment
from fwsim.study.runs import Run
from fwsim.study.sweeps import records
from fwsim.study.sweeps.axes import Axis, Over, few_enough, parse_axes, parse_seeds
from fwsim.study.sweeps.cluster import connect
from fwsim.study.sweeps.dataset import Ended, assemble, describe
from fwsim.study.sweeps.dispatch import LostClusterError, dispatch
from fwsim.study.sweeps.points import Point, Space, batches
from fwsim.study.sweeps.records import Failure, StoredPoint
from fwsim.study.sweeps.worker import Task
from fwsim.study.writing import write_file
from fwsim.units import outside

ATTEMPTS = 4  # rounds: one to run, two to repeat batches that were damaged, one to check
MEMORY = "1 GB"  # of one batch
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}


@dataclass(frozen=True)
class SweepPlan:
    """The definition of a sweep, as in its manifest.

    Parameters
    ----------
    axes, seeds
        The points.
    memory
        Largest number of bytes of a batch.
    size
        Largest number of points in a batch; None: as many as memory allows.
    """

    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    memory: float
    size: int | None

    @property
    def space(self) -> Space:
        """Its points by index."""
        return Space(self.axes, self.seeds)

    @classmethod
    def kept(cls, entry: Mapping[str, Any]) -> SweepPlan:
        """Plan in a manifest."""
        axes = tuple(map(Axis.kept, entry["axes"]))
        return cls(axes, tuple(entry["seeds"]), entry["memory"], entry["size"])


@known_arguments
def sweep(
    experiment: str | Path | ModuleType | Experiment,
    over: Over | None = None,
    seeds: int | str | Iterable[int] = 1,
    config: Config | Mapping[str, Any] | None = None,
    *,
    quick: bool = False,
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    batch_memory: float | str = MEMORY,
    folder: str | Path | None = None,
    force: bool = False,
) -> xr.Dataset:
    """Run an experiment at all points of a grid and return one dataset with the parameters as dimensions.

    Parameters
    ----------
    experiment
        A name from `fwsim list`, a path, or a module.
    over
        Parameter → values: `"0.1:100:log9"`, `"0:1:lin5"`, `"100 ms,1 s"` or a list; a tuple of parameters →
        a tuple of such values, one for each, if they change together.
    seeds
        Number of seeds (0 … n−1), or a list. Each point has its own seed, derived from its seed and configuration.
    config
        Values that differ from the experiment's defaults at all points.
    quick
        Start from the experiment's `QUICK` overrides; only with `config` as values.
    device
        Device of every worker.
    workers
        Number of processes on this machine, by default one per GPU, otherwise one per core; or of Slurm jobs.
    scheduler
        Address of a running Dask cluster, such as `"tls://host:8786"`, or `"slurm"`. A cluster without certificates
        (`"tcp://…"`) accepts connections from anyone who reaches it, and causes a warning.
    cluster
        Options of Slurm jobs, as in `dask_jobqueue.SLURMCluster`; for a cluster with certificates, their files
        `tls_ca_file`, `tls_client_cert` and `tls_client_key`.
    batch_size, batch_memory
        Largest number of points and of bytes (or `"2 GB"`) of a batch; see `fwsim.study.sweeps.points.batches`.
    folder
        Folder of the sweep; by default `runs/<experiment>-<date>-<time>-sweep`. All workers must have access to it.
    force
        Replace a run in `folder`.

    Returns
    -------
    Dataset
        The recordings, over the parameters (of those that change together, the first names the
        dimension), then `seed`, then their own dimensions; opened lazily. `failed` marks points that failed; their
        values are NaN. `point_seed` is the seed with which `run` repeats a point. `attrs["folder"]` is the
        folder of the sweep.

    Raises
    ------
    ConfigError
        An argument is not allowed; nothing has been run.
    StudyError
        All points failed, or the cluster was lost.
    Interrupted
        Ctrl-C; `resume_sweep` continues.

    Examples
    --------
    >>> recording = sweep("forgetting", over={"tau": "1:100:log9", "eta": [0.1, 0.3]}, seeds=3)  # doctest: +SKIP
    >>> recording.strength.dims  # doctest: +SKIP
    ('tau', 'eta', 'seed', 'trial', 'lag')
    """
    truth(quick=quick, force=force)
    experiment = load_experiment(experiment)
    if not isinstance(over, Mapping | None):
        raise ConfigError(
            f"over={over!r} is not allowed; give values by parameter, e.g. over={{'tau': '1:100:log9'}}"
        )
    if batch_size is not None:
        whole("batch_size", batch_size, least=1)
    plan = SweepPlan(parse_axes(experiment, over or {}), parse_seeds(seeds), _bytes(batch_memory), batch_size)
    few_enough(plan.axes, plan.seeds)
    config = _base(experiment, config, plan.space, quick)
    where = (scheduler, workers, experiment.device(device), cluster or {})
    return _result(_start(experiment, plan, config, folder, where, force=force))


def sweep_again(
    first: Run,
    *,
    folder: str | Path | None = None,
    device: str | None = None,
    trust: bool = False,
    force: bool = False,
) -> Run:
    """Run a sweep again at the same points, on this machine, from the sources in its folder."""
    manifest = first.manifest
    experiment = own_experiment(first, trust=trust)
    config = experiment.configure(manifest["configuration"])
    plan, device = SweepPlan.kept(manifest["sweep"]), experiment.device(device or manifest["device"])
    return _start(experiment, plan, config, folder, (None, None, device, {}), force=force)


def _start(
    experiment: Experiment,
    plan: SweepPlan,
    config: Config,
    folder: str | Path | None,
    where: tuple[str | None, int | None, str, Mapping[str, Any]],
    *,
    force: bool,
) -> Run:
    """Run all points of a plan; `where` contains scheduler, workers, device and options, as for `connect`."""
    if folder is None:
        folder = runs.fresh_folder(experiment.name, "sweep")
    folder = home_path(folder, "folder", new=True)
    places.check_free(folder, force=force)
    todo = _batches(experiment, plan, config, files.fingerprint(experiment.path))
    entries = {"sweep": asdict(plan), "points": sum(map(len, todo)), "failed": 0}
    with connect(*where, len(todo), folder.parent) as client:
        entries = {**origin(config, plan.seeds[0], where[2]), **entries}
        with begin(experiment, folder, entries, force=force) as started:
            _execute(started, experiment, plan, todo, client)
    return started


@known_arguments
def resume_sweep(
    given: str | Path | Run,
    *,
    device: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: Mapping[str, Any] | None = None,
    retry_failed: bool = False,
    trust: bool = False,
) -> xr.Dataset:
    """Run the missing part of a sweep: points that were never finished, and outdated ones.

    Parameters
    ----------
    given
        The run, its folder, or the folder's name in `./runs`.
    device, workers, scheduler, cluster
        As in `sweep`; they may differ from those of the start.
    retry_failed
        Run failed points again.
    trust
        Execute the sweep's copy of the experiment even if it was changed, or if another user made the sweep.

    Raises
    ------
    ConfigError
        Nothing is missing, another process is running the sweep, or it is not trusted.
    """
    truth(retry_failed=retry_failed, trust=trust)
    found = runs.find_run(given)
    if "sweep" not in found.manifest:
        raise ConfigError(f"{found.folder} is not a sweep; use resume")
    _refuse_finished(found, retry_failed)
    trusted.check(found, found.experiment.name, trust=trust)
    with found.lock():
        _refuse_finished(found, retry_failed)  # another process may have finished it meanwhile
        manifest = found.manifest
        experiment = own_experiment(found, trust=trust)
        plan, config = SweepPlan.kept(manifest["sweep"]), experiment.configure(manifest["configuration"])
        device = experiment.device(device or manifest["device"])
        todo = _batches(experiment, plan, config, files.fingerprint(found.experiment))
        with connect(scheduler, workers, device, cluster or {}, len(todo), found.folder) as client:
            note_resumed(found, origin(config, manifest["seed"], device), trust=trust)
            if retry_failed:
                found.update(state="interrupted", digests=None)
                records.forget_failures(_kept_batches(found))
            _execute(found, experiment, plan, todo, client)
    return _result(found)


def _refuse_finished(run: Run, retry_failed: bool) -> None:
    failed = run.manifest["failed"]
    if not (retry_failed and failed):
        refuse_finished(run, "; --retry-failed runs its failed points again" if failed else "")


def finished_points(run: Run) -> int:
    """Number of points of a sweep that have ended, successfully or not."""
    manifest = run.manifest
    return manifest["points"] if manifest["state"] == "finished" else len(records.read(_kept_batches(run)))


def _execute(
    run: Run, experiment: Experiment, plan: SweepPlan, todo: Sequence[Sequence[Point]], client: Any
) -> None:
    """Run the missing points and combine the dataset, in a locked folder."""
    kept = _kept_batches(run)
    try:
        with watch(run, experiment):
            records.discard_drafts(kept)
            began, total = time.monotonic(), sum(map(len, todo))
            known = _do_missing(run, experiment, todo, client)
            ended = [(point, known[point.identity]) for batch in todo for point in batch]
            failed = _report_failures(run, plan.space, ended)
            run.update(failed=failed)
            if failed == total:
                raise files.StudyError(f"all {total} points failed, the first with {_first_error(ended)}")
            shutil.rmtree(run.recording_path, ignore_errors=True)
            described = describe(experiment, plan.space)
            assemble(run.recording_path, plan.space, described, ended, attributes(run))
            run.finish(recording="whole", finished=now(), wall_time=time.monotonic() - began)
        if not failed:
            shutil.rmtree(kept, ignore_errors=True)
    except LostClusterError as error:
        run.update(state="interrupted")
        raise LostClusterError(f"{error}; continue with: fwsim resume {typed(run.folder)}") from error


def _do_missing(
    run: Run, experiment: Experiment, todo: Sequence[Sequence[Point]], client: Any
) -> dict[str, StoredPoint | Failure]:
    """Run points that are missing or damaged, and return how every point ended."""
    kept, total = _kept_batches(run), sum(map(len, todo))
    for _ in range(ATTEMPTS):
        records.discard_damaged(kept)
        known = records.read(kept)
        missing = [[point for point in batch if point.identity not in known] for batch in todo]
        tasks = _tasks(run, experiment, [batch for batch in missing if batch])
        if not tasks:
            return known
        with track(f"sweeping {experiment.name}", total) as advance:
            advance(total - sum(map(len, missing)))
            dispatch(tasks, client, advance)
    raise RecordingError(
        f"batches in {kept} are not as they were written, {ATTEMPTS - 1} times over; look after the disk, "
        f"then: fwsim resume {typed(run.folder)}"
    )


def _result(run: Run) -> xr.Dataset:
    manifest = run.manifest
    if manifest["failed"]:
        warnings.warn(
            f"{manifest['failed']} of {manifest['points']} points failed, see {run.folder / 'failed.csv'};"
            " resume_sweep(..., retry_failed=True) runs them again",
            stacklevel=outside(),
        )
    return run.recording.assign_attrs(folder=str(run.folder))


def _batches(experiment: Experiment, plan: SweepPlan, config: Config, source: str) -> list[tuple[Point, ...]]:
    points = plan.space.points(experiment, config.model_dump(mode="json"), source)
    return batches(experiment, points, memory=plan.memory, size=plan.size)


def _tasks(run: Run, experiment: Experiment, missing: Sequence[Sequence[Point]]) -> list[Task]:
    manifest = run.manifest
    common = (run.experiment.read_bytes(), experiment.name, run.folder.absolute())
    return [Task(*common, tuple(batch), manifest["device"]) for batch in missing]


def _kept_batches(run: Run) -> Path:
    return run.folder / "batches"


def _base(
    experiment: Experiment, config: Config | Mapping[str, Any] | None, space: Space, quick: bool
) -> Config:
    """Configuration that is the same at all points."""
    both = [name for name in space.parameters if isinstance(config, Mapping) and name in config]
    if both:
        raise ConfigError(f"{both[0]} is both swept and set; give it once")
    return experiment.configure(config, quick=quick)


def _report_failures(run: Run, space: Space, ended: Ended) -> int:
    """Write `failed.csv` with the failures, and return their number."""
    path = run.folder / "failed.csv"
    rows = [(point, each) for point, each in ended if isinstance(each, Failure)]
    if not rows:
        path.unlink(missing_ok=True)
        return 0
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow([*space.parameters, "seed", "point_seed", "error", "traceback"])
    for point, failure in rows:
        values = [point.configuration[name] for name in space.parameters]
        table.writerow([*values, space.seeds[point.index[-1]], point.seed, failure.error, failure.traceback])
    write_file(path, text.getvalue())
    return len(rows)


def _first_error(ended: Iterable[tuple[Point, StoredPoint | Failure]]) -> str:
    return next(each.error for _, each in ended if isinstance(each, Failure))


def _bytes(given: float | str) -> float:
    """Number of bytes of `2e9` or `"2 GB"`."""
    match = re.fullmatch(r"\s*([\d.]+(?:[eE][-+]?\d+)?)\s*([a-zA-Z]*)\s*", str(given))
    unit = match[2] or "B" if match else ""
    try:
        value = float(match[1]) * BYTES[unit] if match else 0.0
    except (KeyError, ValueError):
        value = 0.0
    if not 0 < value < math.inf:
        raise ConfigError(f"batch memory {given!r} is not allowed; write e.g. '2 GB' ({', '.join(BYTES)})")
    return value
