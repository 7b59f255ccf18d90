"""Loads the compiled engine in the variant for this processor, and finds the OpenMP threads of torch."""

from __future__ import annotations

import ctypes
import os
import shlex
import sys
import warnings
from functools import cache
from pathlib import Path

import torch

from fwsim.engine.native.variants import FOLDER, Variant, compiler, digest, variants
from fwsim.errors import ConfigError
from fwsim.requirements import origin, pip

PROCESS = os.getpid()  # that loaded this; another one was forked from it


@cache
def library() -> ctypes.CDLL:
    """Return the compiled engine for this processor.

    Raises
    ------
    ConfigError
        It cannot be used; the message names the remedy.
    """
    if why := obstacle():
        raise ConfigError(f"the native engine {why}; {remedy()}")
    return ctypes.CDLL(str(_path(variant())))


def vector_bytes() -> int:
    """Width of a register of the compiled engine."""
    return library().fwsim_vector_bytes()


@cache
def obstacle() -> str | None:
    """Why the native engine cannot be used; `None` if it can. See also `remedy`.

    Warns, once a process, where there is a library that cannot be used.
    """
    if not variants():
        return "is for Linux and macOS on x86-64 and ARM only"
    if variant() is None:
        return "was not compiled"
    try:
        found = ctypes.CDLL(str(_path(variant()))).fwsim_digest
    except (OSError, AttributeError) as error:
        why = f"cannot be loaded: {' '.join(str(error).split())}"
    else:
        found.restype = ctypes.c_char_p
        if found().decode() == digest() or not digest():
            return None
        why = "is older than its sources"
    lost = f"the native engine {why}, so fwsim does without, more slowly; {remedy()}"
    warnings.warn(lost, RuntimeWarning, stacklevel=2)
    return why


@cache
def variant() -> Variant | None:
    """Return the fastest variant that was compiled and that torch would use; `ATEN_CPU_CAPABILITY` limits both."""
    capability = torch.backends.cpu.get_cpu_capability().lower()
    usable = variants()
    names = [each.name for each in usable]
    usable = usable[names.index(capability) :] if capability in names else usable[-1:]
    return next((each for each in usable if _path(each).exists()), None)


def _path(chosen: Variant | None) -> Path:
    """Library of a variant; `FWSIM_NATIVE_FOLDER` names a folder of others, such as those that check memory."""
    assert chosen is not None
    return Path(os.environ.get("FWSIM_NATIVE_FOLDER") or FOLDER) / chosen.file


def remedy() -> str:
    """Give the command that compiles the engine where it is missing or old."""
    first = "" if compiler() else "apt install g++ (or conda install gxx), then "
    root = FOLDER.parents[2]
    if (root / "setup.py").exists():
        python = shlex.quote(sys.executable)
        return f"{first}cd {shlex.quote(str(root))} && {python} setup.py build_ext --inplace"
    return f"{first}{pip()} install --force-reinstall --no-deps {origin() or 'what fwsim was installed from'}"


def team() -> int:
    """Address of the function that runs work on the OpenMP threads of torch; 0 if there are none.

    There are none where torch has loaded none, and in a process that was forked: threads stay with its parent, and
    OpenMP would wait for them for ever.
    """
    return _team() if os.getpid() == PROCESS else 0


@cache
def _team() -> int:
    # Torch's module finds what it is linked to. In wheels for ARM, no other module sees that OpenMP.
    for module in (torch._C.__file__, None):
        try:
            return ctypes.cast(ctypes.CDLL(module).GOMP_parallel, ctypes.c_void_p).value or 0
        except (AttributeError, OSError, TypeError):
            continue
    return 0


def thread_count(parts: int) -> int:
    """Threads for a run of so many independent parts: torch's number, but no more than there are parts."""
    return max(1, min(torch.get_num_threads(), parts))
