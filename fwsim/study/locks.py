"""Locks on folders: one process at a time works in a folder. Reading takes no lock and writes nothing."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fwsim.errors import ConfigError

LOCK = ".lock"
PATIENCE = 1.0  # s; a test for a lock blocks others for microseconds
PAUSE = 0.01  # s between two tries


@contextmanager
def hold(folder: Path, name: str = LOCK, *, patience: float = PATIENCE) -> Iterator[None]:
    """Lock a folder while working in it; the system releases it when the process ends.

    The lock remains with the folder if that is renamed.

    Raises
    ------
    ConfigError
        Another process has locked it, or the lock file cannot be opened.
    """
    from filelock import FileLock, Timeout

    path, ends = folder / name, time.monotonic() + patience
    while True:
        try:
            before = _identity(folder)
            if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
                raise ConfigError(f"{path} is a link or no plain file; remove it")
            lock = FileLock(path, timeout=max(0.0, ends - time.monotonic()), poll_interval=PAUSE)
            lock.acquire()
        except Timeout:
            raise taken(folder) from None
        except FileNotFoundError:  # it is being replaced, or was deleted
            if time.monotonic() < ends:
                time.sleep(PAUSE)
                continue
            raise ConfigError(f"{folder} is gone") from None
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be opened: {error.strerror or error}; check the permissions"
            ) from None
        try:
            # Otherwise it was replaced meanwhile, and the lock has gone with the old one.
            if _is_still(folder, before):
                yield
                return
        finally:
            lock.release()


def taken(folder: Path) -> ConfigError:
    """The error about a folder in which another process works."""
    return ConfigError(f"{folder} is running in another process; wait for it, or stop it first")


def is_held(folder: Path, name: str = LOCK) -> bool:
    """Whether a process is working in a folder."""
    try:
        import fcntl
    except ImportError:  # no shared locks on this system: try the exclusive one
        return _is_held_anywhere(folder, name)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(folder / name, flags)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # readers share this lock
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def _is_held_anywhere(folder: Path, name: str) -> bool:
    try:
        with hold(folder, name, patience=0):
            return False
    except ConfigError:
        return True


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _is_still(folder: Path, identity: tuple[int, int]) -> bool:
    with suppress(FileNotFoundError):
        return _identity(folder) == identity
    return False
