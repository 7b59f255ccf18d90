"""Report of a failure: one line on standard error, and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from cyclopts import CycloptsError

from fwsim.errors import FULL_DISK, ConfigError, FwsimError, causes, one_line
from fwsim.requirements import culprit, failure
from fwsim.training.processes import processes

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
PLAIN = {
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "give a place that is there",
    errno.ENOTDIR: "a file is in the way; choose another place",
    errno.EISDIR: "give the name of a file",
    errno.EEXIST: "choose another place, or take it away",
    errno.ELOOP: "give a place without links that lead back to themselves",
}
"""Remedies for errors of the system whose message is clear."""


def explain(error: Exception) -> tuple[str, int]:
    """One line and exit code for an error: 2 for wrong use, otherwise 1."""
    if isinstance(error, CycloptsError):
        from fwsim.study.usage import wrong_use

        return wrong_use(error), 2
    if isinstance(error, FwsimError):
        return str(error), 2 if isinstance(error, ConfigError) else 1
    if module := culprit(error):
        return failure(module, "this command", error), 1
    if isinstance(error, OSError) and error.strerror:
        return _system(error), 1
    return f"unexpected {type(error).__name__}: {error}; FWSIM_DEBUG=1 shows where, please report it", 1


def _system(error: OSError) -> str:
    """What the system refused, where, and what to do."""
    path = None if error.filename is None else Path(os.fsdecode(error.filename))
    where, reason = path or "standard output, or a file", error.strerror
    if error.errno in FULL_DISK:
        return f"{where}: {reason}; free some space, or give a place on another disk with --to"
    if error.errno in FORBIDDEN and path is not None:
        if os.path.lexists(path) and not os.access(path, os.R_OK):
            return f"{path} cannot be read: {reason}; change its permissions, or ask its owner"
        folder = next((place for place in (path, *path.absolute().parents) if place.is_dir()), path)
        return (
            f"nothing can be written in {folder}: {reason}; "
            "give another place with --to, or go to a folder of yours"
        )
    remedy = PLAIN.get(error.errno or 0, "FWSIM_DEBUG=1 shows where")
    return f"{where}: {reason}; {remedy}"


def fail(message: str, code: int) -> int:
    """Print the line, with the number of the process if there are several; return the exit code."""
    here = processes()
    name = f"fwsim, process {here.rank} of {here.count}:" if here.several else "fwsim:"
    line = one_line(message)
    if sys.stderr is not None:  # otherwise print would use standard output
        print(name, line, file=sys.stderr)
    return code


def wants_traceback() -> bool:
    """Whether the environment asks for tracebacks: `FWSIM_DEBUG=1`."""
    return os.environ.get("FWSIM_DEBUG", "0") not in ("", "0")


def interruption(error: BaseException) -> KeyboardInterrupt | None:
    """Ctrl-C that a library has converted to another error; None if there was none."""
    return next((each for each in causes(error) if isinstance(each, KeyboardInterrupt)), None)
