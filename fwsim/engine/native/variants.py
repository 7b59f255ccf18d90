"""Instruction sets for which the native engine is compiled; `setup.py` compiles and `library` chooses.

Imports nothing but the standard library, since `setup.py` runs this file before fwsim is installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Variant:
    """Compiled code for one instruction set.

    Parameters
    ----------
    name
        Part of the file name.
    vector_bytes
        Width of a register, the macro `FWSIM_VECTOR_BYTES`.
    flags
        Options of GCC and Clang.
    """

    name: str
    vector_bytes: int
    flags: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Name of the shared library."""
        return f"engine_{self.name}.so"


AVX512 = Variant(
    "avx512",
    64,
    ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mprefer-vector-width=512"),
)
AVX2 = Variant("avx2", 32, ("-mavx2", "-mfma"))
BASELINE = Variant("baseline", 16)
NEON = Variant("neon", 16)


def variants(machine: str = platform.machine()) -> tuple[Variant, ...]:
    """Variants that a machine can use, fastest first; none where the engine has not been ported."""
    if platform.system() not in ("Linux", "Darwin"):
        return ()
    if machine.lower() in ("x86_64", "amd64"):
        return AVX512, AVX2, BASELINE
    return (NEON,) if machine.lower() in ("aarch64", "arm64") else ()


def compiler() -> str | None:
    """Return the C++ compiler: the variable `CXX`, or else the first of GCC and Clang that is there."""
    named = os.environ.get("CXX")
    return named or next(filter(None, map(shutil.which, ("g++", "clang++", "c++"))), None)


def sources() -> list[Path]:
    """C++ sources and headers, in order; only a checkout and a source archive have them."""
    return sorted(path for path in FOLDER.iterdir() if path.suffix in (".cpp", ".hpp"))


def digest() -> str:
    """Hexadecimal digits that change with any source; empty where there are no sources."""
    found = sources()
    text = b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in found)
    return hashlib.sha256(text).hexdigest()[:16] if found else ""
