"""Zarr stores that record the digest of every file before they write it, and check it whenever they read it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from fwsim.errors import RecordingError
from fwsim.recording import plain_files
from fwsim.recording.digests import Journal, digest
from fwsim.recording.plain_files import REMEDY


class CheckedStore(LocalStore):
    """Reads the files of one recording, and checks that each has its known content.

    Parameters
    ----------
    root
        Folder of the recording, or of one of its arrays.
    files
        Path within the folder → digests that the content may have; none if only the existence of the file is known,
        as in recordings of schema 1. Other files do not exist for the store.
    bounded
        Called with path and content of each file that is read; raises an error if the file would decode to more than
        declared.
    """

    def __init__(
        self,
        root: Path,
        files: Mapping[str, tuple[str, ...]],
        bounded: Callable[[str, bytes], None] | None = None,
    ) -> None:
        super().__init__(root, read_only=True)
        self._files, self._bounded = dict(files), bounded
        self._identity = _identity(root)

    def read(self, key: str) -> bytes | None:
        """Content of a file.

        Raises
        ------
        RecordingError
            The file is missing, or has another content than was written.
        """
        if key not in self._files:
            return None
        path = self.root / key
        content = plain_files.read(path)
        expected = self._files[key]
        if expected and digest(content) not in expected:
            raise RecordingError(
                f"{self.root} is damaged or was replaced: the checksum of {key} is not that of what was written; "
                f"{REMEDY}"
            )
        if not expected and _identity(self.root) != self._identity:
            raise RecordingError(
                f"{self.root} was replaced by another recording since it was opened; open it again"
            )
        if self._bounded is not None:
            self._bounded(key, content)
        return content

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Content of a file, checked; see `read`."""
        content = await asyncio.to_thread(self.read, key)
        return self._buffer(content, prototype, byte_range)

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Content of a file, checked; see `read`."""
        return self._buffer(self.read(key), prototype, byte_range)

    async def exists(self, key: str) -> bool:
        """Whether the recording has this file."""
        return key in self._files

    def with_read_only(self, read_only: bool = False) -> CheckedStore:
        """Return the store itself, since it never writes."""
        return self

    @staticmethod
    def _buffer(
        content: bytes | None, prototype: BufferPrototype | None, byte_range: ByteRequest | None
    ) -> Buffer | None:
        if byte_range is not None:
            raise RecordingError(
                "a file of a recording is read as a whole, or its checksum cannot be checked"
            )
        if content is None:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)


class JournalStore(LocalStore):
    """Writes the files of a recording, each after the journal has recorded its digest.

    Parameters
    ----------
    root
        Folder of the recording.
    journal
        Journal of the recording.
    """

    def __init__(self, root: Path, journal: Journal) -> None:
        super().__init__(root)
        self.journal = journal

    async def set(self, key: str, value: Buffer) -> None:
        """Announce a file and write it."""
        self._announce(key, value)
        await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Announce a file and write it, unless it exists."""
        if not (self.root / key).exists():
            await self.set(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Announce a file and write it."""
        self._announce(key, value)
        super().set_sync(key, value)

    async def delete_dir(self, prefix: str) -> None:
        """Remove a folder."""
        self.journal.forget(prefix)
        await super().delete_dir(prefix)

    def _announce(self, key: str, value: Any) -> None:
        self.journal.announce(key, digest(memoryview(value.as_numpy_array())))


def _identity(root: Path) -> tuple[int, ...] | None:
    """Identity of a folder, to detect that another one has replaced it."""
    try:
        status = os.stat(root / "zarr.json")
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
