"""Digests of all files of a recording: recorded before a file is written, and checked whenever it is read.

While a recording is being written, its journal receives one line for each file, in the format of `sha256sum`, before
the file gets this content. At the end all digests are written as one list, which marks the recording as finished, and
the journal is deleted. The list is a group of the Zarr hierarchy, so other programs find no unknown file in the folder.
A file is valid if it has one of the contents that were announced for its path. So chunks that were exchanged, or come
from another recording, are detected like any other damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fwsim.errors import RecordingError
from fwsim.recording import plain_files
from fwsim.recording.plain_files import REMEDY

GROUP, JOURNAL = "digests", "journal.sha256"
LIST = f"{GROUP}/zarr.json"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def digest(content: bytes | memoryview) -> str:
    """SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Known:
    """The known digests of the files of a recording.

    Parameters
    ----------
    files
        Path within the recording → digests that the content may have; the most recently announced is last.
    finished
        Whether the digests come from the list of a finished recording.
    """

    files: dict[str, tuple[str, ...]]
    finished: bool

    @property
    def last(self) -> str | None:
        """The file that was announced last. A kill may have prevented its writing."""
        return next(reversed(self.files), None) if not self.finished else None


def known(folder: Path) -> Known | None:
    """Digests of a recording, finished or not; `None` if there are none.

    Raises
    ------
    RecordingError
        The digests are damaged.
    """
    journal = _journal(folder) if os.path.lexists(folder / JOURNAL) else None
    if journal is None and not os.path.lexists(folder / GROUP):
        return None
    # After a kill, the folder of the list may be there and the list itself not.
    if journal is not None and not os.path.lexists(folder / LIST):
        return Known(journal, finished=False)
    listed = listed_digests(folder)
    # A journal beside the list exists only while something is added to a finished recording.
    announced = journal or {}
    return Known({name: (*announced.get(name, ()), one) for name, one in listed.items()}, finished=True)


def listed_digests(folder: Path) -> dict[str, str]:
    """Path → SHA-256 of every file of a finished recording except the list itself.

    Raises
    ------
    RecordingError
        The list is missing or damaged.
    """
    path = folder / LIST
    content, _ = plain_files.read_object(path)
    attributes = content.get("attributes")
    listed = attributes.get("sha256") if isinstance(attributes, dict) else None
    if not isinstance(listed, dict) or attributes.get("sha256_of_list") != _of_list(listed):  # type: ignore[union-attr]
        raise RecordingError(f"{path} is damaged: its checksum is another; {REMEDY}")
    for name, one in listed.items():
        if not _LINE.fullmatch(f"{one}  {name}") or not _inside(name):
            raise RecordingError(f"{path} is damaged: {name!r} is no file of a recording; {REMEDY}")
    return listed


def seal(folder: Path, files: Mapping[str, str]) -> None:
    """Write the list of digests in one step. This finishes the recording."""
    attributes = {"sha256": dict(files), "sha256_of_list": _of_list(files)}
    content = {"attributes": attributes, "zarr_format": 3, "node_type": "group"}
    (folder / GROUP).mkdir(exist_ok=True)
    draft = folder / f"{LIST}.partial"
    draft.write_text(json.dumps(content, indent=2))
    os.replace(draft, folder / LIST)


def stamp(folder: Path) -> tuple[object, ...]:
    """A value that changes when a file is announced, or when the recording is finished."""
    found: list[object] = []
    for name in (JOURNAL, LIST):
        try:
            status = os.lstat(folder / name)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


def being_written(folder: Path) -> bool:
    """Whether a run is writing the recording at this moment."""
    try:
        Journal(folder, new=False).close()
    except RecordingError:
        return os.path.lexists(folder / JOURNAL)
    except OSError:
        return False
    return False


@dataclass(eq=False)
class Journal:
    """The journal of a recording that is being written. Only the process that has it open may write.

    Parameters
    ----------
    folder
        Folder of the recording; it may be renamed.
    new
        Whether the recording begins here.

    Attributes
    ----------
    files
        Path → digest that was announced last.

    Raises
    ------
    RecordingError
        Another process, or another call in this process, is writing the recording; or it is finished.
    """

    folder: Path
    new: bool = True
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | plain_files.GUARDED
        if self.new:
            flags |= os.O_CREAT
        try:
            handle = os.open(self.folder / JOURNAL, flags, 0o666)
        except FileNotFoundError:
            raise RecordingError(f"{self.folder} is finished; open it, or choose another path") from None
        self._file: IO[bytes] = os.fdopen(handle, "ab", buffering=0)
        try:
            _lock(self._file)
        except BlockingIOError:
            self._file.close()
            raise RecordingError(
                f"{self.folder} is being written by another run; wait for it, or stop it first"
            ) from None

    def announce(self, name: str, one: str) -> None:
        """Announce that a file will have the content with this digest."""
        line = f"{one}  {name}\n".encode()
        while line:  # a full disk may accept a part and refuse the rest
            line = line[self._file.write(line) :]
        self.files.pop(name, None)
        self.files[name] = one

    def forget(self, prefix: str) -> None:
        """Remove the files below a deleted folder from the journal."""
        for name in [name for name in self.files if name.startswith(f"{prefix}/")]:
            del self.files[name]

    def take_up(self, files: Mapping[str, str]) -> None:
        """Continue with existing files, and remove an incomplete last line that a kill left."""
        self.files = dict(files)
        content = plain_files.read(self.folder / JOURNAL)
        if (end := content.rfind(b"\n") + 1) < len(content):
            os.truncate(self._file.fileno(), end)

    def finish(self) -> None:
        """Write the list of digests and delete the journal."""
        seal(self.folder, self.files)
        (self.folder / JOURNAL).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Allow other processes to write."""
        self._file.close()


def _lock(file: IO[bytes]) -> None:
    """Lock a file; `BlockingIOError` if another process has locked it. Without such locks (Windows) do nothing."""
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _journal(folder: Path) -> dict[str, tuple[str, ...]]:
    path = folder / JOURNAL
    try:
        lines = (
            plain_files.read(path).decode().split("\n")[:-1]
        )  # the last one is empty, or was cut by a kill
    except UnicodeDecodeError as error:
        raise plain_files.damaged(path, error) from error
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or not _inside(match[2]):
            raise RecordingError(f"{path} is damaged: {line[:80]!r} is no line of it; {REMEDY}")
        found[match[2]] = (*found.pop(match[2], ()), match[1])
    return found


def _inside(name: str) -> bool:
    """Whether a path is inside the folder."""
    return not name.startswith("/") and "\0" not in name and not {"", ".", ".."} & set(name.split("/"))


def _of_list(files: Mapping[str, str]) -> str:
    return digest("".join(f"{one}  {name}\n" for name, one in files.items()).encode())
