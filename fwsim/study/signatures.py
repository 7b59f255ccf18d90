"""Signatures that identify the runs of this user, with a key that only this user can read."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from fwsim.paths import read_plain_file

log = logging.getLogger(__name__)

SIZE = 32  # bytes of the key
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def sign(content: bytes, folder: Path) -> str | None:
    """Signature of content that this user writes to a folder; None if no key can be stored."""
    key = _key()
    return None if key is None else _signature(key, content, folder)


def is_own(content: bytes, folder: Path, signature: str | None) -> bool:
    """Whether `sign` gave this signature for this content, and the owner of the folder has not changed since.

    If this user cannot store a key (the home folder cannot be written), only the owner of the folder is compared.
    """
    key = _key()
    if key is None:
        return folder.stat().st_uid == _user()
    return signature is not None and hmac.compare_digest(signature, _signature(key, content, folder))


def key_path() -> Path:
    """Path of the key of this user."""
    import platformdirs

    return platformdirs.user_state_path("fwsim", appauthor=False) / "key"


def _signature(key: bytes, content: bytes, folder: Path) -> str:
    owner = b"%d " % folder.stat().st_uid
    return hmac.new(key, owner + content, hashlib.sha256).hexdigest()


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0


def _key() -> bytes | None:
    """Key of this user, created when first needed; None if it cannot be stored, or if others can read it."""
    path = key_path()
    try:
        found = path.lstat()
        if found.st_uid != _user() or (os.name == "posix" and found.st_mode & OTHERS):
            log.warning("%s is not used: others can read it; remove it, and a new one is made", path)
            return None
        key = read_plain_file(path, most=SIZE)
        return key if len(key) == SIZE else None
    except FileNotFoundError:
        return _made(path)
    except OSError as error:
        log.info("no key at %s: %s", path, error)
        return None


def _made(path: Path) -> bytes | None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SIZE))
        with suppress(FileExistsError):  # another process has created it meanwhile
            os.link(draft, path)
        return read_plain_file(path, most=SIZE)
    except OSError as error:
        log.info("no key can be kept at %s: %s", path, error)
        return None
    finally:
        with suppress(OSError):
            draft.unlink()
