"""Opening a recording on disk, written by fwsim or by another program."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fwsim.errors import RecordingError
from fwsim.names import known_arguments
from fwsim.paths import local_path
from fwsim.recording import (
    digests,
    display,  # noqa: F401  # registers what recordings show in a notebook
)
from fwsim.recording.arrays import restored
from fwsim.recording.older import RENAMED, up_to_date
from fwsim.recording.plain_files import REMEDY, damaged, read_object
from fwsim.recording.schema import SCHEMA
from fwsim.recording.stored import StoredArray

OF_THE_PROCESS = ("versions", "commit", "command", "started")
"""Attributes that may differ between a run and its continuation."""

PATIENCE = 60.0
"""Seconds for which a recording is read again while a run is writing to it; readers do not block the run."""

AT_THE_END = ("wall_time", "valid_steps")
"""Attributes that a run gets at its end."""


@known_arguments
def open_recording(path: str | PathLike[str]) -> xr.Dataset:
    """Open a recording lazily: of a run or a sweep, streamed or written at its end.

    Parameters
    ----------
    path
        Folder written with `to=`, or an experiment's `recording.zarr`.

    Returns
    -------
    Dataset
        Variables are read chunk by chunk when needed, and every file is compared with its checksum then. An
        interrupted run (no attribute `wall_time`, no final state) contains the first `valid_steps` of `steps` steps,
        for which all chunks exist.

    Raises
    ------
    RecordingError
        Not a recording, one of a later schema, or a damaged one. Later damage is detected when the data
        are read.
    """
    root = local_path(path)
    end = time.monotonic() + PATIENCE
    while True:
        before = digests.stamp(root)
        try:
            return _opened(root)
        except RecordingError:
            if digests.stamp(root) == before or time.monotonic() > end:
                raise


def _opened(root: Path) -> xr.Dataset:
    head = Head.of(root)
    try:
        return up_to_date(_dataset(head))
    except RecordingError:
        raise
    except Exception as error:  # whatever a hostile or broken file makes the libraries raise
        raise damaged(root, error) from error


@known_arguments
def finished(path: str | PathLike[str], attributes: Mapping[str, Any]) -> xr.Dataset | None:
    """Recording of the run with these attributes, if it exists and is finished.

    Raises
    ------
    RecordingError
        The path contains another run, or no recording.
    """
    root = local_path(path)
    if not root.exists():
        return None
    head = Head.of(root)
    head.check_same_run(attributes)
    return open_recording(root) if head.finished else None


@dataclass(frozen=True)
class Head:
    """Attributes and digests of a recording, before any array is read.

    Parameters
    ----------
    path
        Folder of the recording.
    attributes
        Attributes of the whole recording.
    known
        Digests of its files; `None` in schema 1.
    """

    path: Path
    attributes: dict[str, Any]
    known: digests.Known | None

    @classmethod
    def of(cls, path: Path) -> Head:
        """Read attributes and digests.

        Raises
        ------
        RecordingError
            It is no recording, one of a later schema, or damaged.
        """
        if not (path / "zarr.json").is_file() or (path / "zarr.json").is_symlink():
            inside = path / "recording.zarr"
            hint = (
                inside
                if inside.is_dir()
                else "the folder that simulate(to=…) wrote, or a run's recording.zarr"
            )
            raise RecordingError(f"{path} is not a recording; give {hint}")
        metadata, content = read_object(path / "zarr.json")
        attributes = metadata.get("attributes", {})
        if (metadata.get("zarr_format"), metadata.get("node_type")) != (3, "group"):
            raise RecordingError(f"{path} is not a recording (a group of Zarr format 3); open it with xarray")
        if not isinstance(attributes, dict):
            raise RecordingError(f"{path} is damaged: its attributes are no JSON object; {REMEDY}")
        schema = _schema(path, attributes)
        known = digests.known(path)
        if known is None and schema > 1:
            raise RecordingError(
                f"{path} was not written by a run, or has lost its {digests.LIST}: there are no checksums; restore it, "
                "or open it with xarray"
            )
        if known is not None and digests.digest(content) not in known.files.get("zarr.json", ()):
            raise RecordingError(
                f"{path} is damaged: the checksum of zarr.json is not that of what was written; {REMEDY}"
            )
        if known is not None and not known.finished:
            attributes = {name: value for name, value in attributes.items() if name not in AT_THE_END}
        return cls(path, {**attributes, "fwsim_schema": schema}, known)

    @property
    def schema(self) -> int:
        """Number of its schema."""
        return int(self.attributes["fwsim_schema"])

    @property
    def finished(self) -> bool:
        """Whether the run is finished. In schema 1 the attribute `wall_time` shows it, for streamed runs only."""
        return "wall_time" in self.attributes if self.known is None else self.known.finished

    def check_same_run(self, attributes: Mapping[str, Any]) -> None:
        """Refuse a recording of a run with other attributes.

        Raises
        ------
        RecordingError
            An attribute differs.
        """
        for name, value in attributes.items():
            stored = self.attributes.get(name)
            if name not in OF_THE_PROCESS and stored != value:
                short = f": {stored!r}, now {value!r}" if len(str(value)) < 40 else ""
                raise RecordingError(
                    f"{self.path} was recorded with another {name}{short}; give the same, or another path"
                )

    def arrays(self) -> dict[str, StoredArray]:
        """All arrays, in the order of their creation.

        Raises
        ------
        RecordingError
            An array is damaged, or no run writes such an array.
        """
        if self.known is None:
            names = sorted(e.name for e in os.scandir(self.path) if e.is_dir(follow_symlinks=False))
            return {name: StoredArray(self.path / name, None) for name in names}
        names = [name.split("/")[0] for name in self.known.files if name.count("/") == 1]
        files: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in names}
        for name, allowed in self.known.files.items():
            folder, _, key = name.partition("/")
            if key:
                files[folder][key] = allowed
        last = self.known.last
        return {
            name: StoredArray(
                self.path / name, each, finished=self.finished, last=last.partition("/") if last else None
            )
            for name, each in files.items()
            if not (last == f"{name}/zarr.json" and len(each) == len(each["zarr.json"]) == 1)
        }


def _dataset(head: Head) -> xr.Dataset:
    kept = head.arrays()
    by_xarray = head.known is None and any(each.declared.by_xarray for each in kept.values())
    if head.finished or by_xarray:
        for stored in kept.values():
            if not by_xarray:
                stored.check_complete()
        run = _coordinated({name: each.variable() for name, each in kept.items()}, head.attributes)
        return xr.decode_cf(run, mask_and_scale=False, decode_coords=False) if by_xarray else run
    # Of an unfinished run only the arrays of its start are used, since the others may be incomplete.
    dimensions = {name for stored in kept.values() if stored.streamed for name in stored.dimensions}
    dimensions |= set(str(head.attributes.get("coordinates", "")).split())
    kept = {name: stored for name, stored in kept.items() if stored.streamed or name in dimensions}
    for stored in kept.values():
        if stored.axis is None:
            stored.check_complete()
    growing = [stored for stored in kept.values() if stored.streamed]
    limit = min((_first_missing(stored, kept) for stored in growing), default=math.inf)
    valid = {}
    if limit < math.inf:
        for dimension in {stored.streamed for stored in growing}:
            valid[dimension] = slice(0, int(np.searchsorted(_times(dimension, kept), limit)))
    variables = {name: stored.variable().isel(valid, missing_dims="ignore") for name, stored in kept.items()}
    attributes = {**head.attributes, "valid_steps": _steps_before(limit, head.attributes)}
    return _coordinated(variables, attributes)


def _coordinated(variables: dict[str, xr.Variable], attributes: Mapping[str, Any]) -> xr.Dataset:
    """Dataset with the coordinates that it had before it was stored."""
    attributes = dict(attributes)
    listed = [attributes.pop("coordinates", "")]
    for variable in variables.values():
        listed.append(variable.attrs.pop("coordinates", ""))
        variable.attrs.pop("_FillValue", None)
    names = {name for each in listed if isinstance(each, str) for name in each.split()}
    run = xr.Dataset({name: restored(each) for name, each in variables.items()}, attrs=attributes)
    return run.set_coords(names & set(variables))


def _times(dimension: str | None, kept: dict[str, StoredArray]) -> np.ndarray:
    """Times of the samples along a streamed dimension in s."""
    stored = kept["spike_time" if dimension == "spike" else str(dimension)]
    return stored.read()


def _first_missing(stored: StoredArray, kept: dict[str, StoredArray]) -> float:
    """Time of the first sample that may be missing, in s."""
    length = stored.shape[stored.axis or 0]
    if stored.streamed != "spike":
        return math.inf if stored.complete else float(_times(stored.streamed, kept)[length])
    # Spikes of an unfinished run may end anywhere: spikes at the time of the last one may be missing.
    times = _times("spike", kept)[:length]
    return float(times[-1]) if len(times) else -math.inf


def _steps_before(limit: float, attributes: Mapping[str, Any]) -> int:
    if limit == math.inf:
        return int(attributes["steps"])
    steps = math.ceil(max(limit, 0.0) / attributes["dt"] - 1e-6) - 1 - attributes["first_step"]
    return max(0, steps)


def _schema(path: Path, attributes: Mapping[str, Any]) -> int:
    """Number of the schema; experiments' own recordings had none in schema 1."""
    schema = attributes.get("fwsim_schema", 1 if "experiment_configuration" in attributes else None)
    if schema is None:
        raise RecordingError(
            f"{path} is not a recording by fwsim (no fwsim_schema); open it with xarray instead"
        )
    if type(schema) is not int or schema not in (*RENAMED, SCHEMA):
        raise RecordingError(
            f"{path} has schema {schema!r:.40} and this fwsim reads 1 to {SCHEMA}; use the version that wrote it"
        )
    return schema
