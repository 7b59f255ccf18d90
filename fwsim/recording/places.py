"""Place of a new recording: a new folder, or beside the recording that it will replace."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fwsim.errors import FwsimError, RecordingError
from fwsim.recording import digests
from fwsim.recording.plain_files import read_object

DRAFT, REPLACED = ".part", ".replaced"
"""Suffixes of hidden folders beside a recording: one being written, and one being replaced."""


@dataclass(frozen=True)
class Place:
    """Where a recording will be.

    Parameters
    ----------
    path
        Final folder.
    written
        Folder in which it is written; a different one if it replaces a recording.
    """

    path: Path
    written: Path

    @classmethod
    def of(cls, path: Path, *, overwrite: bool = False) -> Place:
        """Choose where to write.

        Raises
        ------
        RecordingError
            The path exists, and may not be replaced or is no recording.
        """
        _clear(path)
        if not os.path.lexists(path):
            return cls(path, path)
        if not overwrite:
            raise RecordingError(
                f"{path} exists already; choose another path or remove it (overwrite=True replaces a recording, "
                "resume=True continues an interrupted run)"
            )
        if not is_recording(path):
            raise RecordingError(
                f"{path} exists and is no recording by fwsim, so overwrite=True leaves it; choose another path"
            )
        if digests.being_written(path):
            raise RecordingError(f"{path} is being written by another run; wait for it, or stop it first")
        return cls(path, _beside(path, DRAFT))

    def settle(self) -> None:
        """Move a finished recording to its final folder; a replaced one is deleted afterwards."""
        if self.written == self.path:
            return
        old = _beside(self.path, REPLACED)
        if os.path.lexists(self.path):
            if not is_recording(self.path):
                raise RecordingError(
                    f"{self.path} is no recording any more and is left alone; the new one is {self.written}"
                )
            os.rename(self.path, old)
        try:
            os.rename(self.written, self.path)
        except OSError:
            os.rename(old, self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def abandon(self) -> None:
        """Delete an unfinished recording that was to replace another one."""
        if self.written != self.path:
            shutil.rmtree(self.written, ignore_errors=True)


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Hidden folder beside a path, to be renamed; it is deleted at the end if it still exists."""
    draft = _beside(path, DRAFT)
    try:
        draft.mkdir(parents=True)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def complete_file(path: Path, suffix: str = "") -> Iterator[Path]:
    """Hidden file beside a path, with this suffix, to be written; it is renamed when it is complete, else deleted.

    Raises
    ------
    RecordingError
        It cannot be written.
    """
    draft = _beside(path, f"{DRAFT}{suffix}")
    try:
        yield draft
        os.rename(draft, path)
    except FwsimError:
        raise
    except Exception as error:  # a library that cannot store something may raise anything
        storage = isinstance(error, OSError)
        remedy = "choose another folder or free some space" if storage else "convert it or leave it out"
        reason = " ".join(str(error).split())
        raise RecordingError(f"{path} cannot be written: {reason}; {remedy}") from error
    finally:
        draft.unlink(missing_ok=True)


def publish(draft: Path, place: Place) -> None:
    """Rename a draft to its final folder.

    Raises
    ------
    RecordingError
        The folder exists, because another run has begun meanwhile.
    """
    try:
        os.rename(draft, place.written)
    except OSError as error:
        if os.path.lexists(place.written):
            raise RecordingError(
                f"{place.path} was begun by another run meanwhile; wait for it, or choose another path"
            ) from error
        raise


def is_recording(path: Path) -> bool:
    """Whether fwsim wrote the existing folder, damaged or not."""
    if path.is_symlink() or not path.is_dir():
        return False
    if any(os.path.lexists(path / name) for name in (digests.LIST, digests.JOURNAL)):
        return True
    try:
        attributes = read_object(path / "zarr.json")[0].get("attributes")
    except RecordingError:
        return False
    return isinstance(attributes, dict) and "fwsim_schema" in attributes


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{kind}")


def _clear(path: Path) -> None:
    """Restore a recording that a killed replacement moved aside, and delete unfinished ones of killed runs."""
    for kind in (REPLACED, DRAFT):
        hidden = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{32}}{re.escape(kind)}")
        for each in path.parent.glob(f".*{kind}"):
            if not hidden.fullmatch(each.name) or not is_recording(each) or digests.being_written(each):
                continue
            if kind == REPLACED and not os.path.lexists(path):
                os.rename(each, path)
            else:
                shutil.rmtree(each, ignore_errors=True)
