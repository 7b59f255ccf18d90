"""Checks of this machine: what it can run, what is missing, and the command that installs it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

import fwsim
from fwsim.requirements import bare, fits, package, pip, remedy, requirements, version
from fwsim.study.imports import Imports

SCARCE = 0.5  # GiB


@dataclass(frozen=True)
class Check:
    """One checked item.

    Parameters
    ----------
    name
        Name of the item.
    state
        `"ok"`, `"missing"` (needed), `"absent"` (needed by some features) or `"broken"` (installed, but not
        importable).
    detail
        Version or what was found.
    remedy
        Command that corrects it; empty if everything is in order.
    """

    name: str
    state: str
    detail: str
    remedy: str = ""


def checks() -> list[Check]:
    """Check Python, dependencies, compiler, threads, GPU and disk; every installed package is imported."""
    wanted = _wanted()
    modules = _modules(asked.name for asked, _ in wanted if fits(asked))
    imports = Imports(modules.values())
    rest = [_compiler(), _disk()]
    failed = imports.failures()
    return [
        Check("python", "ok", platform.python_version()),
        _itself(),
        *(_dependency(asked, extra, failed.get(modules.get(asked.name, ""), "")) for asked, extra in wanted),
        *(
            []
            if "torch" in failed or "torch" not in modules.values()
            else [_native(), _threads(), *_gpu(failed)]
        ),
        *rest,
    ]


def _itself() -> Check:
    try:
        metadata.version("fwsim")
    except metadata.PackageNotFoundError:
        here = Path(fwsim.__file__).parents[1]
        detail = f"{fwsim.__version__} in {here}, not installed, so what it needs is not known"
        return Check("fwsim", "missing", detail, f"{pip()} install -e {shlex.quote(str(here))}")
    return Check("fwsim", "ok", fwsim.__version__)


def _wanted() -> list[tuple[Requirement, str]]:
    """Every dependency once, with the bounds of all its mentions together."""
    found: dict[str, tuple[Requirement, str]] = {}
    for asked, extra in requirements():
        if asked.name not in found:
            found[asked.name] = (asked, extra)
        elif found[asked.name][1] == extra:
            found[asked.name][0].specifier &= asked.specifier
    return list(found.values())


def _dependency(asked: Requirement, extra: str, failure: str = "") -> Check:
    """A package; if it belongs to an extra and is not installed, its state is "absent"."""
    name = f"{asked.name} [{extra}]" if extra else asked.name
    missing, found = "absent" if extra else "missing", version(asked)
    if found is None:
        what = package(extra) if extra else shlex.quote(bare(asked))
        return Check(name, missing, "not installed", f"{pip()} install {what}")
    if not fits(asked):
        mend = f"{pip()} install {shlex.quote(bare(asked))}"
        return Check(name, missing, f"{found}, but fwsim needs {asked.specifier}", mend)
    if failure:
        return Check(name, "broken", f"{found} {failure}", remedy(asked.name, installed=True))
    return Check(name, "ok", found)


def _modules(names: Iterable[str]) -> dict[str, str]:
    """Name under which each distribution is imported."""
    offered: dict[str, list[str]] = {}
    for module, owners in metadata.packages_distributions().items():
        for owner in owners:
            offered.setdefault(owner.lower().replace("_", "-"), []).append(module)
    found = {}
    for name in names:
        plain, choices = (
            name.lower().replace("-", "_"),
            sorted(offered.get(name.lower().replace("_", "-"), [])),
        )
        found[name] = next((each for each in choices if each.lower() == plain), next(iter(choices), plain))
    return found


def _compiler() -> Check:
    for compiler in ("g++", "clang++", "cl"):
        if path := shutil.which(compiler):
            return Check("C++ compiler", "ok", f"{path} (Brian2 compiles its networks)")
    return Check(
        "C++ compiler", "absent", "Brian2 runs on numpy, slowly", "apt install g++ (or conda install gxx)"
    )


def _native() -> Check:
    from fwsim.engine.native import library

    variant, why = library.variant(), library.obstacle()
    if variant is None or why:
        return Check("native engine", "absent", f"{why}; plain torch serves, slowly", library.remedy())
    return Check("native engine", "ok", f"compiled for {variant.name}")


def _threads() -> Check:
    import torch

    limit = os.environ.get("OMP_NUM_THREADS", "not set")
    return Check(
        "threads", "ok", f"torch {torch.get_num_threads()} of {os.cpu_count()} cores, OMP_NUM_THREADS {limit}"
    )


def _gpu(failed: Mapping[str, str]) -> Iterator[Check]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            memory = properties.total_memory / 2**30
            yield Check(
                f"cuda:{index}", "ok", f"{properties.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}"
            )
        if importlib.util.find_spec("triton") is None or "triton" in failed:
            why = f"triton {failed.get('triton', 'is not installed')}"
            yield Check("GPU kernels", "absent", why, f"{pip()} install {package('gpu')}")
        else:
            yield Check("GPU kernels", "ok", f"triton {metadata.version('triton')}")
    elif shutil.which("nvidia-smi"):
        mend = f"{pip()} install torch --index-url https://download.pytorch.org/whl/cu128"
        yield Check("CUDA", "absent", f"a GPU is there, but torch {torch.__version__} cannot use it", mend)
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
