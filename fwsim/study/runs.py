"""A run's folder: its settings, its state and its files."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fwsim import notebook
from fwsim.errors import ConfigError, RecordingError
from fwsim.names import unknown
from fwsim.paths import home_path, typed
from fwsim.study import digests, files, locks, manifest, places
from fwsim.study.writing import free_path

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Run:
    """One run of an experiment and its folder.

    Parameters
    ----------
    folder
        Contains `run.json`, the sources `experiment.py` and `analysis.py`, `recording.zarr`, `checkpoints/`,
        `results/`, and `digests.json` when it is finished.

    Raises
    ------
    ConfigError
        `folder` is no path.
    """

    folder: Path
    _place: Path = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", home_path(self.folder, "folder"))
        # Messages show the folder as the user gave it; the absolute path remains right if the current folder changes.
        object.__setattr__(self, "_place", self.folder.absolute())

    @property
    def manifest(self) -> dict[str, Any]:
        """Content of `run.json`: experiment, configuration, seed, versions, command, state.

        Raises
        ------
        ConfigError
            The folder is no run, or `run.json` was damaged or changed.
        """
        return manifest.read(self._place)

    def _repr_html_(self) -> str:
        """Show in a notebook what was run and in what state it is."""
        entries = self.manifest
        rows = [
            ("experiment", entries["experiment"]),
            ("state", self.state),
            ("seed", str(entries["seed"])),
            ("started", entries["started"]),
            ("folder", str(self.folder)),
        ]
        settings = entries["configuration"].items()
        return notebook.card(
            self,
            notebook.table(("", "run"), rows),
            notebook.table(("setting", "value"), [(name, str(value)) for name, value in settings]),
        )

    @property
    def state(self) -> str:
        """`"running"`, `"finished"`, `"failed"` or `"interrupted"`; a killed run counts as interrupted."""
        state = self.manifest["state"]
        if state != "running" or locks.is_held(self._place):
            return state
        state = self.manifest["state"]  # it may have ended between the two checks
        return "interrupted" if state == "running" else state

    @property
    def experiment(self) -> Path:
        """The run's copy of the experiment file."""
        return self.folder / files.EXPERIMENT

    @property
    def analysis(self) -> Path:
        """The run's copy of the analysis file, whether there is one or not."""
        return self.folder / files.ANALYSIS

    @property
    def recording_path(self) -> Path:
        """Path of the recording."""
        return self._place / "recording.zarr"

    @property
    def recording(self) -> xr.Dataset:
        """The recording, opened lazily.

        Raises
        ------
        RecordingError
            The run has no recording yet, or the recording has changed since the run.
        """
        if not self.recording_path.is_dir():
            state = self.state
            remedies = {
                "finished": "restore it from a copy, or run again",
                "running": "wait until it has ended",
            }
            remedy = remedies.get(state, f"continue it with: fwsim resume {typed(self.folder)}")
            raise RecordingError(f"{self.folder} has no recording (state: {state}); {remedy}")
        self.check(self.recording_path.name)
        from fwsim.recording import open_recording

        return open_recording(self.recording_path)

    def differences(self, part: str = "", *, deep: bool = False) -> list[str]:
        """All changes since the run was finished, file by file; see `fwsim.study.digests`.

        Raises
        ------
        RecordingError
            The list of files is damaged.
        """
        entries = self.manifest
        expected = entries.get("digests")
        if entries["state"] != "finished" or expected is None:
            return []
        listed = digests.read(self._place)
        if listed.digest != expected:
            return [f"{digests.FILE} differs"]
        return list(digests.differences(self._place, listed, part, deep=deep))

    def check(self, part: str = "") -> None:
        """Refuse files that have changed since the run; files of a recording are compared when they are read.

        Raises
        ------
        RecordingError
            A file was damaged or changed; the message names the first, and the command that names all.
        """
        found = self.differences(part)
        if found:
            raise RecordingError(
                f"{self.folder} is not as the run left it: {found[0]}"
                f"{f' and {len(found) - 1} more' if found[1:] else ''}; restore it from a copy or run again "
                f"('fwsim checksum {typed(self.folder)}' names all)"
            )

    def update(self, **entries: Any) -> None:
        """Change entries of the manifest in one step, so that it is never incomplete."""
        manifest.write(self._place, {**self.manifest, **entries})

    def finish(self, **entries: Any) -> None:
        """Mark the run as finished, with digests of all its files; runs that it replaces are deleted."""
        self.update(state="finished", digests=digests.write(self._place).digest, **entries)
        places.drop_replaced(self._place, self.manifest.get("replaces", []))

    def lock(self) -> AbstractContextManager[None]:
        """Lock the folder while working in it; the system releases it when the process ends.

        Raises
        ------
        ConfigError
            Another process has locked it.
        """
        return locks.hold(self._place)


def fresh_folder(experiment: str, last: int | str) -> Path:
    """Folder `runs/<experiment>-<date>-<time>-<seed, or "sweep">`, with a number if runs start in the same second."""
    return free_path(Path("runs", f"{experiment}-{datetime.now():%Y%m%d-%H%M%S}-{last}"))


def past_runs(root: Path = Path("runs")) -> list[Run]:
    """All runs below a folder, by the time of the last change."""
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        with suppress(OSError):  # no run, or it has just been deleted
            if not folder.name.startswith("."):
                found.append(((folder / manifest.FILE).lstat().st_mtime, folder))
    return [Run(folder) for _, folder in sorted(found)]


def find_run(given: str | Path | Run) -> Run:
    """A run by its folder, or by the folder's name in `./runs`.

    Raises
    ------
    ConfigError
        It does not exist; the message names close matches.
    """
    if isinstance(given, Run):
        return given
    place = home_path(given, "run")
    folders = [folder for folder in (place, Path("runs") / place) if folder.is_dir()]
    if folders:
        run = Run(next((folder for folder in folders if (folder / manifest.FILE).exists()), folders[0]))
        run.manifest  # noqa: B018 - raises where this is no run
        return run
    known = tuple(str(run.folder) for run in past_runs())
    raise ConfigError(f"{unknown('run', str(given), known[-20:])}; see 'fwsim list'")
