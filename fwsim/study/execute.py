"""Running an experiment in its own folder, and continuing it after an interruption."""

from __future__ import annotations

import json
import logging
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch

from fwsim.errors import FULL_DISK, ConfigError, FwsimError, causes, truth
from fwsim.names import known_arguments
from fwsim.paths import home_path, typed
from fwsim.recording import can_resume, provenance
from fwsim.study import files, places, runs
from fwsim.study import trust as trusted
from fwsim.study.config import Config
from fwsim.study.context import Context, pick_device
from fwsim.study.experiment import Experiment, from_module, load_experiment, returned
from fwsim.study.runs import Run
from fwsim.study.store import save_recording
from fwsim.study.writing import remove_drafts, write_file
from fwsim.training.processes import processes

log = logging.getLogger(__name__)

SCRATCH = ".process-"  # folders of the processes beside the first one
LINGER = 5.0  # s that a failed process waits, so that the first process can report before torchrun ends it


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run. The run keeps its finished work and can be resumed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"{run.folder} was interrupted")


@known_arguments
def run(
    experiment: str | Path | ModuleType | Experiment,
    config: Config | Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    quick: bool = False,
    folder: str | Path | None = None,
    force: bool = False,
) -> Run:
    """Run an experiment, and store its configuration, sources and recording in a folder.

    Under torchrun all processes run it, to train networks together. The first process stores the recording.

    Parameters
    ----------
    experiment
        A name from `fwsim list`, a path, or a module.
    config
        The experiment's `Config`, or values that differ from its defaults.
    seed
        The seed from which every random stream is derived.
    device
        "auto", "cpu", "cuda", "cuda:1".
    quick
        Start from the experiment's `QUICK` overrides; only with `config` as values.
    folder
        Folder of the run; by default `runs/<experiment>-<date>-<time>-<seed>`.
    force
        Replace a run in `folder`.

    Raises
    ------
    ConfigError
        An argument is not allowed; nothing has been written, except by an experiment that refuses it late.
    StudyError
        The experiment failed; `error.txt` in the folder has the traceback.
    Interrupted
        Ctrl-C; `resume` continues the run.

    Examples
    --------
    >>> done = run("associative_retrieval", {"units": 20}, seed=3)  # doctest: +SKIP
    >>> done.recording["hidden"]  # doctest: +SKIP
    """
    truth(quick=quick, force=force)
    experiment = load_experiment(experiment)
    config, device = experiment.configure(config, quick=quick), experiment.device(device)
    together = processes()
    if folder is None:
        folder = together.from_first(lambda: runs.fresh_folder(experiment.name, seed))
    place = home_path(folder, "folder", new=True)
    context = Context(place, seed, pick_device(device))
    entries = origin(config, seed, _shared(context.device))
    with ExitStack() as held:
        started = together.from_first(
            lambda: held.enter_context(begin(experiment, place, entries, force=force))
        )
        try:
            _execute(started, experiment, config, context)
        except ConfigError:
            if together.first:
                places.withdraw(place)
            raise
    return started


@contextmanager
def begin(experiment: Experiment, folder: Path, entries: Mapping[str, Any], *, force: bool) -> Iterator[Run]:
    """Make and lock the folder of a run, with its manifest and the sources of experiment and analysis."""
    run = Run(folder)
    sources = {run.experiment.name: experiment.path}
    analysis = files.find_analysis(experiment.path)
    if analysis is not None:
        sources[run.analysis.name] = analysis
    manifest = {
        "experiment": experiment.name,
        "question": experiment.question,
        "source_sha256": files.fingerprint(experiment.path),
        "analysis_sha256": analysis and files.fingerprint(analysis),
        "state": "running",
        **entries,
    }
    with places.create(folder, manifest, sources, force=force):
        yield run


@known_arguments
def resume(given: str | Path | Run, *, device: str | None = None, trust: bool = False) -> Run:
    """Continue a run that was interrupted or failed, from its own sources and checkpoints.

    Parameters
    ----------
    given
        The run, its folder, or the folder's name in `./runs`.
    device
        Another device than before.
    trust
        Execute the run's copy of the experiment even if it was changed, or if another user made the run.

    Raises
    ------
    ConfigError
        The run is finished, running in another process, or not trusted.
    """
    truth(trust=trust)
    together = processes()
    with ExitStack() as held:
        found = together.from_first(lambda: held.enter_context(_reopen(given, trust)))
        manifest = found.manifest
        experiment = own_experiment(found, trust=trust)
        config = experiment.configure(manifest["configuration"])
        device = experiment.device(device or manifest["device"])
        context = Context(found.folder, manifest["seed"], pick_device(device), resume=True)
        entries = origin(config, context.seed, _shared(context.device))
        together.from_first(lambda: note_resumed(found, entries, trust=trust))
        _execute(found, experiment, config, context)
    return found


def own_experiment(run: Run, *, trust: bool) -> Experiment:
    """The experiment of which a run has a copy; see `fwsim.study.trust`."""
    source = trusted.source(run, run.experiment.name, trust=trust)
    path = run.experiment.absolute()
    return from_module(files.load(path, ("Config", "run"), source), path, run.manifest["experiment"])


@contextmanager
def _reopen(given: str | Path | Run, trust: bool) -> Iterator[Run]:
    """Lock a run that can be resumed; a refused run is not changed."""
    found = runs.find_run(given)
    if "sweep" in found.manifest:
        raise ConfigError(f"{found.folder} is a sweep; use resume_sweep, or 'fwsim resume'")
    refuse_finished(found)
    trusted.check(found, found.experiment.name, trust=trust)
    with found.lock():
        refuse_finished(found)  # another process may have finished it meanwhile
        yield found


def refuse_finished(run: Run, hint: str = "") -> None:
    """Raise `ConfigError` for a run that is finished."""
    if run.manifest["state"] == "finished":
        raise ConfigError(f"{run.folder} is finished, so nothing can be resumed{hint}")


def note_resumed(run: Run, entries: Mapping[str, Any], *, trust: bool) -> None:
    """Record in the manifest from where and with which sources a run continues; delete what kills left."""
    for left in run.folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    remove_drafts(run.folder)
    again = {key: entries[key] for key in ("started", "device", "processes", "versions", "commit", "command")}
    sources = {
        trusted.DIGESTS[path.name]: files.fingerprint(path)
        for path in (run.experiment, run.analysis)
        if trust and path.is_file()
    }
    run.update(**sources, resumed=[*run.manifest.get("resumed", []), again])


def _execute(run: Run, experiment: Experiment, config: Config, context: Context) -> None:
    if not processes().first:
        _accompany(run, experiment, config, context)
        return
    with watch(run, experiment):
        _set_aside(run.recording_path)
        recording = returned(experiment.run(config, context))
        kind = save_recording(recording, run.recording_path, attributes(run))
        run.finish(recording=kind, finished=now())


def _accompany(run: Run, experiment: Experiment, config: Config, context: Context) -> None:
    """Run an experiment beside the first process, which stores the results; the files of this one are deleted."""
    with TemporaryDirectory(prefix=SCRATCH, dir=run.folder, ignore_cleanup_errors=True) as scratch:
        try:
            experiment.run(config, replace(context, folder=Path(scratch), show=False))
        except Exception:
            time.sleep(LINGER)
            raise


def _shared(device: torch.device) -> str:
    """Name of the device that was given for all processes; each process may get its own."""
    return device.type if processes().several else str(device)


@contextmanager
def watch(run: Run, experiment: Experiment) -> Iterator[None]:
    """Record in the manifest of a locked run how its work ends, whatever happens.

    Raises
    ------
    Interrupted
        Ctrl-C before the run is finished.
    StudyError
        The experiment failed; errors of fwsim are passed on unchanged.
    """
    began = time.monotonic()
    try:
        run.update(state="running", error=None, digests=None)
        manifest = run.manifest
        log.info("%s: %s, seed %s, %s", run.folder, experiment.name, manifest["seed"], manifest["device"])
        yield
        log.info("%s: finished after %.1f s", run.folder, time.monotonic() - began)
    except KeyboardInterrupt:
        with suppress(OSError):  # a run that no process has locked counts as interrupted
            if run.manifest["state"] == "finished":  # all that is left is to delete what it has replaced
                raise
            run.update(state="interrupted", finished=now())
        raise Interrupted(run) from None
    except (Exception, SystemExit) as error:
        failure = _failure(run, experiment, error)
        if failure is error:
            raise
        raise failure from error


def _failure(run: Run, experiment: Experiment, error: BaseException) -> Exception:
    """Record why a run failed, as far as the disk has space, and return the error to raise."""
    reason, where = files.place_of(error, experiment.path), run.folder / places.ERROR
    failures: list[BaseException] = [error]
    for keep in (
        lambda: run.update(state="failed", error=reason, finished=now()),
        lambda: write_file(where, "".join(traceback.format_exception(error))),
    ):
        try:
            keep()
        except OSError as refused:
            failures.append(refused)
    if any(map(_is_full, failures)):
        return files.StudyError(
            f"{run.folder}: {reason}; free some space on the disk, "
            f"then continue with: fwsim resume {typed(run.folder)}"
        )
    if isinstance(error, FwsimError):
        return error
    hint = f"the traceback is in {where}" if len(failures) == 1 else f"{where} cannot be written"
    return files.StudyError(f"{experiment.name} failed: {reason}; {hint}")


def _is_full(error: BaseException) -> bool:
    """Whether an error, or its cause, is a full disk."""
    return any(isinstance(each, OSError) and each.errno in FULL_DISK for each in causes(error))


def _set_aside(recording: Path) -> None:
    """Prepare the folder for the resumed recording: a recording that cannot be continued is moved beside it."""
    if recording.exists() and not can_resume(recording):
        kept = recording.with_name("recording.interrupted.zarr")
        shutil.rmtree(kept, ignore_errors=True)
        recording.rename(kept)


def origin(config: Config, seed: int, device: str) -> dict[str, Any]:
    """Entries of the manifest that describe the run: what, with which settings, since when."""
    values = config.model_dump(mode="json")
    entries = provenance(values, seed=seed, device=device, dtype="")
    del entries["dtype"]  # each experiment chooses it
    return {
        **entries,
        "processes": processes().count,
        "configuration": values,
        "versions": json.loads(str(entries["versions"])),
    }


def attributes(run: Run) -> dict[str, str | int]:
    """Attributes of the recording about its run; strings and numbers only."""
    manifest = run.manifest
    return {
        "experiment": manifest["experiment"],
        "experiment_configuration": json.dumps(manifest["configuration"]),
        "experiment_seed": manifest["seed"],
        "experiment_sha256": manifest["source_sha256"],
        "versions": json.dumps(manifest["versions"]),
        "commit": manifest["commit"],
        "started": manifest["started"],
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
