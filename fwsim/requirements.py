"""What fwsim needs of other packages: to import it, and the command that mends it where that fails."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlparse
from urllib.request import url2pathname

from fwsim.errors import ConfigError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""Package that is imported → name under which it is installed, where more differs than - and _."""


def required(module: str, purpose: str, *, extra: str = "") -> ModuleType:
    """Import a module that something needs.

    Parameters
    ----------
    module
        Name to import.
    purpose
        What needs it, to begin the message with.
    extra
        Extra of fwsim that it comes with; empty: it comes with fwsim.

    Raises
    ------
    ConfigError
        It is not installed, or cannot be imported for whatever reason.
    """
    try:
        return import_module(module)
    except Exception as error:  # packages that do not fit each other raise anything
        raise ConfigError(failure(module, purpose, error, extra=extra)) from error


@cache
def obstacle(module: str) -> str | None:
    """Why something that can be done without cannot be imported, and the remedy; `None` if it can.

    Warns, once a process, where it is installed.
    """
    try:
        import_module(module)
    except Exception as error:
        why = reason(error, module)
        mend = remedy(_distribution(module), installed=why != MISSING)
        if why != MISSING:
            lost = f"{module} {why}, so fwsim does without, more slowly; {mend}"
            warnings.warn(lost, RuntimeWarning, stacklevel=2)
        return f"{why} ({mend})"
    return None


def culprit(error: BaseException) -> str | None:
    """Package of others whose import an error comes from; `None` if it comes from anything else."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and _installed(top):
            return top
    name = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    return name if name and name != "fwsim" else None


def _installed(top: str) -> bool:
    try:
        return top != "fwsim" and bool(metadata.version(_distribution(top)))
    except (metadata.PackageNotFoundError, ValueError):
        return False


def failure(module: str, purpose: str, error: Exception, *, extra: str = "") -> str:
    """One line: what needs a module, why it cannot be imported, and what to do."""
    name = _distribution(module)
    why = reason(error, module)
    return f"{purpose} needs {name}, which {why}; {remedy(name, installed=why != MISSING, extra=extra)}"


MISSING = "is not installed"


def reason(error: BaseException, module: str) -> str:
    """Why importing a module failed."""
    top = module.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name == top:
        return MISSING
    return f"cannot be imported ({type(error).__name__}: {' '.join(str(error).split()) or 'no message'})"


def remedy(name: str, *, installed: bool, extra: str = "") -> str:
    """Command that mends a package.

    One that is installed and fails is mended by what fwsim's metadata say of the versions beside it, or put there anew.
    """
    if not installed:
        return f"{pip()} install {package(extra) if extra else name}"
    if unfit := [shlex.quote(str(each)) for each in _unfit()]:
        return f"{pip()} install {' '.join(unfit)}"
    return f"{pip()} install --force-reinstall --no-deps {name}"


def pip() -> str:
    """Name the pip of the Python that runs."""
    beside = Path(sys.executable).with_name("pip")
    return "pip" if shutil.which("pip") == str(beside) else f"{shlex.quote(sys.executable)} -m pip"


def package(extra: str) -> str:
    """What pip takes to add an extra: fwsim from where it was installed, or else what the extra asks for.

    fwsim is on no index, so that its name alone would not be found.
    """
    url, editable = _installed_from()
    if editable:
        return f"-e {shlex.quote(f'{url2pathname(urlparse(url).path)}[{extra}]')}"
    if url:
        return shlex.quote(f"fwsim[{extra}] @ {url}")
    return " ".join(shlex.quote(bare(each)) for each, its in requirements() if its == extra)


def origin() -> str | None:
    """Return what pip takes to install fwsim again from where it was installed; `None` where that is not known."""
    url, _ = _installed_from()
    return shlex.quote(f"fwsim @ {url}") if url else None


def _installed_from() -> tuple[str, bool]:
    """Address that fwsim was installed from, empty if it is not known or gone; and whether as an editable clone."""
    found = (each.read_text("direct_url.json") for each in metadata.distributions(name="fwsim"))
    described = json.loads(next(filter(None, found), "{}"))  # what was built in a clone says nothing of it
    url, editable = described.get("url", ""), bool(described.get("dir_info", {}).get("editable"))
    there = not url.startswith("file:") or editable or Path(url2pathname(urlparse(url).path)).exists()
    return (url, editable) if there else ("", False)


def requirements() -> Iterator[tuple[Requirement, str]]:
    """What the installed package asks for on this Python, each with its extra; empty for the core."""
    from packaging.requirements import Requirement

    try:
        texts = metadata.requires("fwsim") or ()
    except metadata.PackageNotFoundError:  # on a path, and not installed
        return
    for text in texts:
        asked = Requirement(text)
        found = re.search(r"extra == ['\"]([^'\"]+)['\"]", str(asked.marker or ""))
        extra = found.group(1) if found else ""
        if asked.marker is None or asked.marker.evaluate({"extra": extra}):
            yield asked, extra


def bare(requirement: Requirement) -> str:
    """Name and versions of a requirement, without its conditions."""
    return f"{requirement.name}{requirement.specifier}"


def version(requirement: Requirement) -> str | None:
    """Version of what is installed; `None` if nothing is."""
    try:
        return metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None


def fits(requirement: Requirement) -> bool:
    """Whether a version is installed that will do."""
    found = version(requirement)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _unfit() -> list[str]:
    """Requirements of the core that what is installed does not fulfil."""
    return [bare(each) for each, extra in requirements() if not extra and not fits(each)]


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return DISTRIBUTIONS.get(top, top.replace("_", "-"))
