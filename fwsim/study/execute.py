"""Running an experiment in a folder of its own, and going on after an interruption."""

from __future__ import annotations

import json
import logging
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
import xarray as xr

from fwsim.distributed import processes
from fwsim.errors import ConfigError, FwsimError
from fwsim.recording import can_resume, provenance
from fwsim.study import files, runs
from fwsim.study.config import Config
from fwsim.study.context import Context, pick_device
from fwsim.study.experiment import Experiment, load_experiment
from fwsim.study.runs import Run
from fwsim.study.store import save_recording

log = logging.getLogger(__name__)

SCRATCH = ".process-"  # folders of the processes beside the first one
LINGER = 5.0  # s that a process which failed leaves to the first one, which torchrun ends with it, to say why


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; the run keeps what it had done and can be resumed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"{run.folder} was interrupted")


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
    """Run an experiment and keep its configuration, sources and recording in a folder.

    Under torchrun all processes run it, to train networks together, and the first one keeps what it records.

    Parameters
    ----------
    experiment
        A name from `fwsim list`, a path, or a module.
    config
        The experiment's `Config`, or values that differ from its defaults.
    seed
        From which every random stream is derived.
    device
        "auto", "cpu", "cuda", "cuda:1".
    quick
        Start from the experiment's `QUICK` overrides; only with `config` as values.
    folder
        Where to; `runs/<experiment>-<date>-<time>-<seed>` when not given.
    force
        Replace a run that is in `folder`.

    Raises
    ------
    ConfigError
        Anything that was given is not allowed; nothing has been written then.
    StudyError
        The experiment failed; `error.txt` in the folder has the traceback.
    Interrupted
        Ctrl-C; `resume` goes on.

    Examples
    --------
    >>> done = run("associative_retrieval", {"units": 20}, seed=3)  # doctest: +SKIP
    >>> done.recording["hidden"]  # doctest: +SKIP
    """
    experiment = load_experiment(experiment)
    config = experiment.configure(config, quick=quick)
    together = processes()
    if folder is None:
        folder = together.from_first(lambda: runs.fresh_folder(experiment.name, seed))
    context = Context(Path(folder), seed, pick_device(device))
    entries = origin(config, seed, _shared(context.device))
    started = together.from_first(lambda: begin(experiment, context.folder, entries, force=force))
    _execute(started, experiment, config, context)
    return started


def begin(experiment: Experiment, folder: Path, entries: Mapping[str, Any], *, force: bool) -> Run:
    """Make the folder of a run, with its manifest and the sources of experiment and analysis."""
    manifest = {
        "experiment": experiment.name,
        "question": experiment.question,
        "source_sha256": files.fingerprint(experiment.path),
        "state": "running",
        **entries,
    }
    sources = {Run(folder).experiment.name: experiment.path}
    analysis = files.find_analysis(experiment.path)
    if analysis is not None:
        sources[Run(folder).analysis.name] = analysis
    return runs.create(folder, manifest, sources, force=force)


def resume(given: str | Path | Run, *, device: str | None = None) -> Run:
    """Go on with a run that was interrupted or failed, from its own sources and checkpoints.

    Parameters
    ----------
    given
        The run, its folder, or the folder's name in `./runs`.
    device
        Another device than the run began on.

    Raises
    ------
    ConfigError
        It is finished, or running in another process.
    """
    together = processes()
    found = together.from_first(lambda: _resumable(given))
    manifest = found.manifest
    experiment = load_experiment(found.experiment, name=manifest["experiment"])
    config = experiment.configure(manifest["configuration"])
    context = Context(found.folder, manifest["seed"], pick_device(device or manifest["device"]), resume=True)
    entries = origin(config, context.seed, _shared(context.device))
    together.from_first(lambda: _reopen(found, entries))
    _execute(found, experiment, config, context)
    return found


def _resumable(given: str | Path | Run) -> Run:
    found = runs.find_run(given)
    if found.state in ("finished", "running"):
        raise ConfigError(f"{found.folder} is {found.state}; only interrupted or failed runs can be resumed")
    if "sweep" in found.manifest:
        raise ConfigError(f"{found.folder} is a sweep; use resume_sweep, or 'fwsim resume'")
    return found


def _reopen(run: Run, entries: Mapping[str, Any]) -> None:
    """Note that a run goes on, and clear away what processes beside the first one left when they were killed."""
    for left in run.folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    note_resumed(run, entries)


def note_resumed(run: Run, entries: Mapping[str, Any]) -> None:
    """Add to the manifest from where, and with which sources, a run goes on."""
    again = {key: entries[key] for key in ("started", "device", "processes", "versions", "commit", "command")}
    resumed = [*run.manifest.get("resumed", []), again]
    run.update(source_sha256=files.fingerprint(run.experiment), resumed=resumed)


def _execute(run: Run, experiment: Experiment, config: Config, context: Context) -> None:
    if not processes().first:
        _accompany(run, experiment, config, context)
        return
    with hold(run, experiment):
        _set_aside(run.recording_path)
        recording = experiment.run(config, context)
        if not isinstance(recording, xr.Dataset):
            raise TypeError(f"run returned {type(recording).__name__}, not the recording (an xarray.Dataset)")
        kind = save_recording(recording, run.recording_path, attributes(run))
        run.update(state="finished", recording=kind, finished=now())


def _accompany(run: Run, experiment: Experiment, config: Config, context: Context) -> None:
    """Run an experiment beside the first process, which keeps it; what this one writes is thrown away."""
    with TemporaryDirectory(prefix=SCRATCH, dir=run.folder, ignore_cleanup_errors=True) as scratch:
        try:
            experiment.run(config, replace(context, folder=Path(scratch), show=False))
        except Exception:
            time.sleep(LINGER)
            raise


def _shared(device: torch.device) -> str:
    """Name of the device that all processes were given, of which each may have its own."""
    return device.type if processes().several else str(device)


@contextmanager
def hold(run: Run, experiment: Experiment) -> Iterator[None]:
    """Hold a run's folder while working in it; whatever happens, the manifest says so.

    Raises
    ------
    Interrupted
        Ctrl-C.
    StudyError
        The experiment failed; errors of fwsim pass as they are.
    """
    with run.lock():
        run.update(state="running", error=None)
        log.info(
            "%s: %s, seed %s, %s", run.folder, experiment.name, run.manifest["seed"], run.manifest["device"]
        )
        began = time.monotonic()
        try:
            yield
            log.info("%s: finished after %.1f s", run.folder, time.monotonic() - began)
        except KeyboardInterrupt:
            run.update(state="interrupted", finished=now())
            raise Interrupted(run) from None
        except Exception as error:
            reason = files.place_of(error, experiment.path)
            (run.folder / "error.txt").write_text(traceback.format_exc())
            run.update(state="failed", error=reason, finished=now())
            if isinstance(error, FwsimError):
                raise
            where = run.folder / "error.txt"
            raise files.StudyError(
                f"{experiment.name} failed: {reason}; the traceback is in {where}"
            ) from error


def _set_aside(recording: Path) -> None:
    """Make room for the resumed recording, unless the interrupted one can go on; it is kept beside it."""
    if recording.exists() and not can_resume(recording):
        kept = recording.with_name("recording.interrupted.zarr")
        shutil.rmtree(kept, ignore_errors=True)
        recording.rename(kept)


def origin(config: Config, seed: int, device: str) -> dict[str, Any]:
    """Entries of the manifest that say what is run, with what, and since when."""
    values = config.model_dump(mode="json")
    entries = provenance(values, seed=seed, device=device, dtype="")
    del entries["dtype"]  # the experiment's own business
    return {
        **entries,
        "processes": processes().count,
        "configuration": values,
        "versions": json.loads(str(entries["versions"])),
    }


def attributes(run: Run) -> dict[str, str | int]:
    """What the recording itself says about its run, strings and numbers only."""
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
