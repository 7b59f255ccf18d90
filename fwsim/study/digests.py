"""Digests of all files of a finished folder, for later comparison."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fwsim.errors import RecordingError
from fwsim.paths import read_plain_file
from fwsim.recording import digests as recorded
from fwsim.study import files, locks, manifest, writing

FILE = "digests.json"
MOST = 2**30  # bytes of the list
LATER = re.compile(r"(results(-[^/]*)?|agreement|report\.html|batches|\.process-[^/]*)(/|$)")
"""Files that are not part of the run or have their own digests: analyses, reports, batches of sweeps, locks."""


@dataclass(frozen=True)
class Entry:
    """One file: its size in bytes and its SHA-256; for a link, those of its target path."""

    size: int
    sha256: str

    @classmethod
    def read(cls, text: str) -> Entry:
        """The file in its stored form: `"675 3a38…"`."""
        size, sha256 = text.split(" ")
        return cls(int(size), sha256)

    def __str__(self) -> str:
        """Stored form."""
        return f"{self.size} {self.sha256}"


@dataclass(frozen=True)
class Listed:
    """The files of a finished folder.

    Parameters
    ----------
    files
        Files by name, relative to the folder.
    of
        For an analysis, the digest of the list of its run; None for a run itself.
    """

    files: Mapping[str, Entry]
    of: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the list."""
        return files.sha256_of(self._content)

    @property
    def _content(self) -> dict[str, Any]:
        return {"of": self.of, "files": {name: str(each) for name, each in self.files.items()}}

    @property
    def text(self) -> str:
        """Stored form."""
        return json.dumps({**self._content, "sha256": self.digest}, indent=2) + "\n"


def write(folder: Path, of: str | None = None) -> Listed:
    """List all files of a finished folder."""
    listed = Listed({name: _entry(folder / name) for name in sorted(_files(folder))}, of)
    writing.write_file(folder / FILE, listed.text)
    return listed


def read(folder: Path) -> Listed:
    """The list of files that a folder had when it was finished.

    Raises
    ------
    RecordingError
        The list is missing or damaged.
    """
    path = folder / FILE
    try:
        stored = json.loads(read_plain_file(path, most=MOST))
        listed = Listed({name: Entry.read(each) for name, each in stored["files"].items()}, stored["of"])
        if stored["sha256"] == listed.digest:
            return listed
        reason = "it was changed"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        reason = "it is no list of digests"
    raise RecordingError(f"{path} is damaged: {reason}; restore it from a copy, or run or analyse again")


def differences(folder: Path, listed: Listed, part: str = "", *, deep: bool = False) -> Iterator[str]:
    """All changes, file by file: `"experiment.py differs"`.

    Parameters
    ----------
    part
        A file or folder in it, if only this is to be compared.
    deep
        Read recordings too. A recording has its own list, with which each of its files is compared when it is read.
        So otherwise only this list is compared.
    """
    wanted = {name: each for name, each in listed.files.items() if _within(name, part)}
    for name in sorted({*wanted, *_files(folder, part)}):
        if name not in wanted:
            yield f"{name} is extra"
        elif not os.path.lexists(folder / name):
            yield f"{name} is missing"
        elif not _same(folder / name, wanted[name]):
            yield f"{name} differs"
        elif deep and name.endswith(f"/{recorded.LIST}"):
            yield from _recording_differences(folder, name.removesuffix(f"/{recorded.LIST}"))


def _recording_differences(folder: Path, inside: str) -> Iterator[str]:
    """Differences between a recording and its own list."""
    listed = recorded.listed_digests(folder / inside)
    there = set(_walk(folder, f"{inside}/")) - {f"{inside}/{recorded.LIST}"}
    for name in sorted({f"{inside}/{each}" for each in listed} | there):
        if name not in there:
            yield f"{name} is missing"
        elif name.removeprefix(f"{inside}/") not in listed:
            yield f"{name} is extra"
        elif _sha256(folder / name) != listed[name.removeprefix(f"{inside}/")]:
            yield f"{name} differs"


def _same(path: Path, expected: Entry) -> bool:
    return _read(path) == expected


def _sha256(path: Path) -> str | None:
    """SHA-256 of a plain file."""
    found = _read(path)
    return found.sha256 if found and found.size >= 0 else None


def _read(path: Path) -> Entry | None:
    try:
        return _entry(path)
    except OSError:
        return None


def _within(name: str, part: str) -> bool:
    return not part or name == part or name.startswith(f"{part}/")


def _entry(path: Path) -> Entry:
    """Size and digest of a file; for a link, of its target path. Nothing else is opened."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return Entry(-1, hashlib.sha256(os.readlink(path).encode(errors="surrogateescape")).hexdigest())
    if not stat.S_ISREG(found.st_mode):
        return Entry(-2, "special")
    with path.open("rb") as file:
        return Entry(found.st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _files(folder: Path, part: str = "") -> Iterator[str]:
    """Names of all files of a run, relative to its folder; of a finished recording, only its list."""
    if part and (os.path.islink(folder / part) or not (folder / part).is_dir()):
        yield from [part] if os.path.lexists(folder / part) else []
    elif part and os.path.lexists(folder / part / recorded.LIST):
        yield f"{part}/{recorded.LIST}"
    else:
        yield from _walk(folder, f"{part}/" if part else "", shallow=True)


def _walk(folder: Path, inside: str, *, shallow: bool = False) -> Iterator[str]:
    """Names of all files below a folder; links are not followed."""
    with os.scandir(folder / inside) as entries:
        for entry in entries:
            name = f"{inside}{entry.name}"
            if not _belongs(name, entry.name):
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield name
            elif shallow:
                yield from _files(folder, name)
            else:
                yield from _walk(folder, f"{name}/")


def _belongs(name: str, last: str) -> bool:
    if last.startswith(".") and last.endswith((locks.LOCK, writing.DRAFT)):
        return False
    return name not in (manifest.FILE, FILE) and not LATER.match(name)
