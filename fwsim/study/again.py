"""Repetition of a run from its folder, and comparison of the results."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fwsim.errors import ConfigError, truth
from fwsim.names import known_arguments
from fwsim.paths import home_path
from fwsim.recording import Difference, first_difference
from fwsim.study import execute, files, runs
from fwsim.study import trust as trusted
from fwsim.study.execute import own_experiment
from fwsim.study.runs import Run
from fwsim.study.sweeps.run import sweep_again
from fwsim.training.processes import processes

COMPARED = {"device": "none", "processes": 1, "commit": "none"}  # entries of the manifest, and defaults


@dataclass(frozen=True)
class Repetition:
    """Comparison of a repeated run with the first one.

    Parameters
    ----------
    run
        The repetition.
    difference
        First difference of the recordings; `None` if they are equal.
    changed
        Changes of the surroundings: `"torch 2.5.0, now 2.13.0"`.
    """

    run: Run
    difference: Difference | None
    changed: tuple[str, ...]


@known_arguments
def again(
    given: str | Path | Run,
    *,
    folder: str | Path | None = None,
    device: str | None = None,
    trust: bool = False,
    force: bool = False,
) -> Repetition:
    """Repeat a finished run or sweep with its own experiment, configuration, seed and device, and compare recordings.

    Parameters
    ----------
    given
        The run, its folder, or the folder's name in `./runs`.
    folder
        Folder of the repetition; by default as for `run`.
    device
        Another device than that of the run.
    trust
        Execute the run's copy of the experiment, and use its analysis, even if another user made the run.
    force
        Replace a run in `folder`; never the one that is repeated.

    Raises
    ------
    ConfigError
        The run is not finished, its copy of the experiment was changed, or it is not trusted.
    RecordingError
        A file in its folder has changed since the run.
    """
    truth(trust=trust, force=force)
    first = runs.find_run(given)
    manifest = first.manifest
    if first.state != "finished":
        raise ConfigError(f"{first.folder} is {first.state}; only finished runs can be repeated and compared")
    if files.fingerprint(first.experiment) != manifest["source_sha256"]:
        raise ConfigError(f"{first.experiment} was changed since the run; run it again instead")
    trusted.check(first, trust=trust)
    if folder is not None and os.path.realpath(home_path(folder, "folder")) == os.path.realpath(first.folder):
        raise ConfigError(f"{first.folder} is the run that is repeated; choose another place with --to")
    repeat = sweep_again if "sweep" in manifest else _run_again
    second = repeat(first, folder=folder, device=device, trust=trust, force=force)
    return processes().from_first(lambda: _compared(first, second))


def _compared(first: Run, second: Run) -> Repetition:
    return Repetition(second, first_difference(first.recording, second.recording), _changed(first, second))


def _run_again(first: Run, *, folder: str | Path | None, device: str | None, trust: bool, force: bool) -> Run:
    manifest = first.manifest
    experiment = own_experiment(first, trust=trust)
    return execute.run(
        experiment,
        experiment.configure(manifest["configuration"]),
        seed=manifest["seed"],
        device=device or manifest["device"],
        folder=folder,
        force=force,
    )


def _changed(first: Run, second: Run) -> tuple[str, ...]:
    """Differences of device, commit and versions."""
    before, after = (
        {name: run.manifest.get(name, absent) for name, absent in COMPARED.items()} | run.manifest["versions"]
        for run in (first, second)
    )
    return tuple(
        f"{name} {before.get(name, 'none')}, now {after.get(name, 'none')}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )
