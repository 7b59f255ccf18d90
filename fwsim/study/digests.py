"""What lies in a folder when it is finished: the digest of every file, to compare with later."""

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
from fwsim.recording import digests as recorded
from fwsim.study import locks, manifest, writing

FILE = "digests.json"
MOST = 2**30  # bytes of the list
LATER = re.compile(r"(results(-[^/]*)?|agreement|report\.html|batches|\.process-[^/]*)(/|$)")
"""What is not of the run itself or has digests of its own: analyses, reports, batches of a sweep, processes at work."""


@dataclass(frozen=True)
class Entry:
    """One file: its size in bytes and SHA-256; of a link, that of where it leads."""

    size: int
    sha256: str

    @classmethod
    def read(cls, text: str) -> Entry:
        """Entry as it is stored: `"675 3a38…"`."""
        size, sha256 = text.split(" ")
        return cls(int(size), sha256)

    def __str__(self) -> str:
        """As it is stored."""
        return f"{self.size} {self.sha256}"


@dataclass(frozen=True)
class Listed:
    """What a finished folder held.

    Parameters
    ----------
    files
        Entries by name, relative to the folder.
    of
        Digest of the list of the run that an analysis looked at; None for a run itself.
    """

    files: Mapping[str, Entry]
    of: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the list itself."""
        return hashlib.sha256(json.dumps(self._content, sort_keys=True).encode()).hexdigest()

    @property
    def _content(self) -> dict[str, Any]:
        return {"of": self.of, "files": {name: str(each) for name, each in self.files.items()}}

    @property
    def text(self) -> str:
        """As it is stored."""
        return json.dumps({**self._content, "sha256": self.digest}, indent=2) + "\n"


def write(folder: Path, of: str | None = None) -> Listed:
    """List all files of a folder that is finished."""
    listed = Listed({name: _entry(folder / name) for name in sorted(_files(folder))}, of)
    writing.write_file(folder / FILE, listed.text)
    return listed


def read(folder: Path) -> Listed:
    """What a folder held when it was finished.

    Raises
    ------
    RecordingError
        The list is missing or damaged.
    """
    path = folder / FILE
    try:
        stored = json.loads(writing.read_file(path, MOST))
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
    """What is other than it was, file by file: `"experiment.py differs"`.

    Parameters
    ----------
    part
        A file or folder in it, to look at alone.
    deep
        Read recordings too. They have a list of their own, with which each of their files is compared when it is read;
        so it is enough otherwise that this list is the right one.
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
    """What of a recording is other than its own list says."""
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
    """That of a plain file."""
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
    """Entry of a file; a link is what it says, and nothing else is opened."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return Entry(-1, hashlib.sha256(os.readlink(path).encode(errors="surrogateescape")).hexdigest())
    if not stat.S_ISREG(found.st_mode):
        return Entry(-2, "special")
    with path.open("rb") as file:
        return Entry(found.st_size, hashlib.file_digest(file, "sha256").hexdigest())


def _files(folder: Path, part: str = "") -> Iterator[str]:
    """Names of all files that belong to a run, relative to its folder; of a finished recording, its list alone."""
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
