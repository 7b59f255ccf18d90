"""A run's folder: what was run, in which state it is, and what is in it."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsim.errors import ConfigError, RecordingError
from fwsim.study.names import unknown

if TYPE_CHECKING:
    import xarray as xr

MANIFEST = "run.json"
FORMAT = 1  # of the manifest
STATES = ("running", "finished", "failed", "interrupted")


@dataclass(frozen=True)
class Run:
    """One run of an experiment, as it lies in its folder.

    Parameters
    ----------
    folder
        Holds `run.json`, the sources `experiment.py` and `analysis.py`, `recording.zarr`,
        `checkpoints/` and `results/`.
    """

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))

    @property
    def manifest(self) -> dict[str, Any]:
        """What `run.json` says: experiment, configuration, seed, versions, command, state."""
        path = self.folder / MANIFEST
        try:
            manifest = json.loads(path.read_text())
            form = manifest["fwsim_run"]
        except (OSError, ValueError, TypeError, KeyError):
            raise ConfigError(f"{self.folder} is not a run; give a folder with a {MANIFEST}") from None
        if form != FORMAT:
            raise ConfigError(
                f"{path} has format {form!r} and this fwsim reads {FORMAT}; use the version that wrote it"
            )
        return manifest

    @property
    def state(self) -> str:
        """`"running"`, `"finished"`, `"failed"` or `"interrupted"`; a killed run counts as interrupted."""
        state = self.manifest["state"]
        return "interrupted" if state == "running" and not self._locked() else state

    @property
    def experiment(self) -> Path:
        """The run's copy of the experiment file."""
        return self.folder / "experiment.py"

    @property
    def analysis(self) -> Path:
        """The run's copy of the analysis file, whether there is one or not."""
        return self.folder / "analysis.py"

    @property
    def recording_path(self) -> Path:
        """Where the recording is."""
        return self.folder / "recording.zarr"

    @property
    def recording(self) -> xr.Dataset:
        """The recording, opened lazily.

        Raises
        ------
        RecordingError
            The run has recorded nothing yet, or its recording is damaged.
        """
        if not self.recording_path.is_dir():
            raise RecordingError(
                f"{self.folder} has no recording (state: {self.state}); 'fwsim resume {self.folder}' goes on with it"
            )
        from fwsim.recording import open_recording

        if self.manifest.get("recording") == "whole":
            import xarray as xr

            from fwsim.recording.older import up_to_date

            return up_to_date(xr.open_zarr(self.recording_path, consolidated=False))
        return open_recording(self.recording_path)

    def update(self, **entries: Any) -> None:
        """Change entries of the manifest, in one step, so that it is never half written."""
        write_json(self.folder / MANIFEST, {**self.manifest, **entries})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder while working in it; the system lets go of it when the process dies.

        Raises
        ------
        ConfigError
            Another process holds it.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(
                f"{self.folder} is running in another process; wait for it, or stop it first"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _locked(self) -> bool:
        try:
            with self.lock():
                return False
        except ConfigError:
            return True


def check_free(folder: Path, *, force: bool) -> None:
    """Refuse a folder that a run cannot be made in.

    Raises
    ------
    ConfigError
        The folder has something in it, and `force` is not given, it is not a run, or it is running.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not (folder / MANIFEST).is_file():
            raise ConfigError(f"{folder} exists and is not a run; choose another place with --to")
        if not force:
            raise ConfigError(f"{folder} exists; choose another place with --to, or replace it with --force")
        with Run(folder).lock():
            pass


def create(folder: Path, manifest: dict[str, Any], sources: Mapping[str, Path], *, force: bool) -> Run:
    """Make a run's folder with its manifest and copies of its sources, in one step: a kill leaves all or nothing.

    Parameters
    ----------
    sources
        Files to copy, by the names that they get.

    Raises
    ------
    ConfigError
        The folder is not free, or cannot be written.
    """
    run, draft = Run(folder), folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    check_free(folder, force=force)
    try:
        draft.mkdir(parents=True)
        for name, source in sources.items():
            shutil.copyfile(source, draft / name)
        write_json(draft / MANIFEST, {"fwsim_run": FORMAT, **manifest})
        if folder.is_dir():
            shutil.rmtree(folder)
        os.rename(draft, folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror}; choose another place with --to"
        ) from error
    return run


def fresh_folder(experiment: str, last: int | str) -> Path:
    """Folder `runs/<experiment>-<date>-<time>-<seed, or "sweep">`, numbered where runs start in the same second."""
    stem = f"{experiment}-{datetime.now():%Y%m%d-%H%M%S}-{last}"
    folder, number = Path("runs", stem), 2
    while folder.exists():
        folder, number = Path("runs", f"{stem}-{number}"), number + 1
    return folder


def past_runs(root: Path = Path("runs")) -> list[Run]:
    """All runs below a folder, the last changed last."""
    manifests = sorted(root.glob(f"[!.]*/{MANIFEST}"), key=lambda path: (path.stat().st_mtime, path))
    return [Run(path.parent) for path in manifests]


def find_run(given: str | Path | Run) -> Run:
    """Run by its folder, or by the folder's name in `./runs`.

    Raises
    ------
    ConfigError
        There is none; the message names close matches.
    """
    if isinstance(given, Run):
        return given
    for folder in (Path(given), Path("runs") / given):
        if folder.is_dir():
            run = Run(folder)
            run.manifest  # noqa: B018 - raises where this is no run
            return run
    known = tuple(str(run.folder) for run in past_runs())
    raise ConfigError(f"{unknown('run', str(given), known[-20:])}; see 'fwsim list'")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON in one step: a reader sees the old file or the new one."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(draft, path)
