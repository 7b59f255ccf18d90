"""What a failure says: one line on standard error, and an exit code."""

from __future__ import annotations

import os
import sys

from cyclopts import CycloptsError

from fwsim.distributed import processes
from fwsim.errors import ConfigError, FwsimError


def explain(error: Exception) -> tuple[str, int]:
    """One line and exit code for an error: 2 for wrong use, else 1."""
    if isinstance(error, CycloptsError):
        from fwsim.study.usage import wrong_use

        return wrong_use(error), 2
    if isinstance(error, FwsimError):
        return str(error), 2 if isinstance(error, ConfigError) else 1
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}; FWSIM_DEBUG=1 shows where", 1
    return f"unexpected {type(error).__name__}: {error}; FWSIM_DEBUG=1 shows where, please report it", 1


def fail(message: str, code: int) -> int:
    """Say it, and in which of several processes; return the exit code."""
    here = processes()
    name = f"fwsim, process {here.rank} of {here.count}:" if here.several else "fwsim:"
    print(name, " ".join(message.split()), file=sys.stderr)
    return code


def wants_traceback() -> bool:
    """Whether the environment asks for tracebacks: `FWSIM_DEBUG=1`."""
    return os.environ.get("FWSIM_DEBUG", "0") not in ("", "0")
