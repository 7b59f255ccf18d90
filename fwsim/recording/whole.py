"""Recordings that are written in one piece: results of experiments, datasets of sweeps, and later additions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
import zarr

from fwsim.errors import RecordingError
from fwsim.recording import arrays
from fwsim.recording.digests import Journal
from fwsim.recording.folder import chunk_shape
from fwsim.recording.places import draft_of
from fwsim.recording.reading import Head
from fwsim.recording.schema import SCHEMA
from fwsim.recording.stores import JournalStore


@contextmanager
def writing(path: Path) -> Iterator[zarr.Group]:
    """Group to write a recording to. At the end its digests are listed, and the folder appears complete or not at all.

    It gets the attribute `fwsim_schema`.
    """
    with draft_of(path) as draft:
        journal = Journal(draft)
        try:
            group = zarr.create_group(JournalStore(draft, journal), zarr_format=3)
            yield group
            group.attrs.update({"fwsim_schema": SCHEMA})
            journal.finish()
        finally:
            journal.close()
        os.rename(draft, path)


def write_recording(recording: xr.Dataset, path: Path) -> None:
    """Write a recording in memory, or lazy variables of another one, to a new folder.

    Raises
    ------
    RecordingError
        It contains something that cannot be stored.
    OSError
        The disk cannot be written, or the path exists.
    """
    with writing(path) as group:
        _save_all(group, recording)
        group.attrs.update(_attributes(recording))


def complete(path: Path, added: xr.Dataset, attributes: Mapping[str, Any]) -> None:
    """Add variables and attributes to a finished recording, which remains complete at every moment.

    Existing variables are not changed. The files are announced in a journal first, so that the attributes may be the
    old or the new ones until the list of digests decides.

    Raises
    ------
    RecordingError
        The recording is unfinished or damaged, or the additions cannot be stored.
    """
    head = Head.of(path)
    if not head.finished or head.known is None:
        raise RecordingError(f"{path} is not finished; continue it first (resume=True)")
    journal = Journal(path)
    try:
        journal.files = {name: allowed[-1] for name, allowed in head.known.files.items()}
        group = zarr.open_group(JournalStore(path, journal), mode="r+", zarr_format=3, use_consolidated=False)
        _save_all(group, added)
        stored = " ".join([head.attributes.get("coordinates", ""), _coordinates(added)]).strip()
        group.attrs.update({**arrays.plain(attributes), **({"coordinates": stored} if stored else {})})
        journal.finish()
    finally:
        journal.close()


def _save_all(group: zarr.Group, recording: xr.Dataset) -> None:
    for name, variable in recording.variables.items():
        if not isinstance(name, str):
            raise RecordingError(f"a variable cannot be stored under the name {name!r}; give it a text")
        arrays.save(group, name, variable, chunk_shape)


def _attributes(recording: xr.Dataset) -> dict[str, Any]:
    names = _coordinates(recording)
    return arrays.plain(recording.attrs) | ({"coordinates": names} if names else {})


def _coordinates(recording: xr.Dataset) -> str:
    """Names of the coordinates that are not those of a dimension, as in xarray."""
    return " ".join(sorted(str(name) for name in recording.coords if name not in recording.dims))
