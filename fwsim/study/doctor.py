"""What this machine can run, what is missing, and the command that mends it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from packaging.requirements import Requirement

import fwsim

SCARCE = 0.5  # GiB


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Parameters
    ----------
    name
        What it is.
    state
        `"ok"`, `"missing"` (needed) or `"absent"` (only some things need it).
    detail
        Version or what was found.
    remedy
        Command that mends it; empty where all is well.
    """

    name: str
    state: str
    detail: str
    remedy: str = ""


def checks() -> list[Check]:
    """Look at Python, dependencies, compiler, threads, GPU and disk."""
    return [
        Check("python", "ok", platform.python_version()),
        Check("fwsim", "ok", fwsim.__version__),
        *_dependencies(),
        _compiler(),
        _threads(),
        *_gpu(),
        _disk(),
    ]


def _dependencies() -> Iterator[Check]:
    """Every dependency of the installed package, those of extras as absent where they are."""
    seen = set()
    for text in metadata.requires("fwsim") or ():
        requirement = Requirement(text)
        extra = _extra(requirement)
        if requirement.name in seen or not _applies(requirement, extra):
            continue
        seen.add(requirement.name)
        yield _dependency(requirement, extra)


def _dependency(requirement: Requirement, extra: str) -> Check:
    bare = f"{requirement.name}{requirement.specifier}"
    remedy = f"{pip()} install {package(extra) if extra else shlex.quote(bare)}"
    name = f"{requirement.name} [{extra}]" if extra else requirement.name
    missing = "absent" if extra else "missing"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(name, missing, "not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(
            name, missing, f"{version}, but fwsim needs {requirement.specifier}", f"{pip()} install '{bare}'"
        )
    return Check(name, "ok", version)


def pip() -> str:
    """Name the pip of the Python that runs."""
    beside = Path(sys.executable).with_name("pip")
    return "pip" if shutil.which("pip") == str(beside) else f"{sys.executable} -m pip"


def package(extra: str) -> str:
    """What pip takes to add an extra to fwsim, from where it was installed: a checkout, a file, or an index."""
    described = json.loads(metadata.distribution("fwsim").read_text("direct_url.json") or "{}")
    url = described.get("url")
    if not url:
        return shlex.quote(f"fwsim[{extra}]")
    if described.get("dir_info", {}).get("editable"):
        return f"-e {shlex.quote(f'{url2pathname(urlparse(url).path)}[{extra}]')}"
    return shlex.quote(f"fwsim[{extra}] @ {url}")


def _extra(requirement: Requirement) -> str:
    """Name of the extra that asks for a requirement; empty for the core."""
    for extra in metadata.metadata("fwsim").get_all("Provides-Extra") or ():
        marker = requirement.marker
        if marker and f'extra == "{extra}"' in str(marker):
            return extra
    return ""


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _compiler() -> Check:
    for compiler in ("g++", "clang++", "cl"):
        if path := shutil.which(compiler):
            return Check("C++ compiler", "ok", f"{path} (Brian2 compiles its networks)")
    return Check(
        "C++ compiler", "absent", "Brian2 runs on numpy, slowly", "apt install g++ (or conda install gxx)"
    )


def _threads() -> Check:
    import torch

    limit = os.environ.get("OMP_NUM_THREADS", "not set")
    return Check(
        "threads", "ok", f"torch {torch.get_num_threads()} of {os.cpu_count()} cores, OMP_NUM_THREADS {limit}"
    )


def _gpu() -> Iterator[Check]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = properties.total_memory / 2**30
            yield Check(
                f"cuda:{index}", "ok", f"{properties.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}"
            )
        if importlib.util.find_spec("triton") is None:
            remedy = f"{pip()} install {package('gpu')}"
            yield Check("GPU kernels", "absent", "triton is not installed", remedy)
        else:
            yield Check("GPU kernels", "ok", f"triton {metadata.version('triton')}")
    elif shutil.which("nvidia-smi"):
        remedy = f"{pip()} install torch --index-url https://download.pytorch.org/whl/cu128"
        yield Check("CUDA", "absent", f"a GPU is there, but torch {torch.__version__} cannot use it", remedy)
    else:
        yield Check("CUDA", "absent", "no GPU; everything runs on the CPU")


def _disk() -> Check:
    free = shutil.disk_usage(".").free / 2**30
    if free < SCARCE:
        return Check("this folder", "absent", f"only {free:.2f} GiB free for ./runs", "cd to a larger disk")
    if not os.access(".", os.W_OK):
        return Check(
            "this folder", "missing", "cannot be written, and runs go to ./runs", "cd to a folder of yours"
        )
    return Check("this folder", "ok", f"{free:.1f} GiB free for ./runs")
