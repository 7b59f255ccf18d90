"""Packages that fwsim needs: their import, and the command that installs or repairs them."""

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

DISTRIBUTIONS = {"sklearn": "scikit-learn", "DSA": "dsa-metric"}
"""Name for the import → name for the installation, if they differ by more than - and _."""


def required(module: str, purpose: str, *, extra: str = "") -> ModuleType:
    """Import a module that a feature needs.

    Parameters
    ----------
    module
        Name to import.
    purpose
        The feature, as the beginning of the message.
    extra
        Extra of fwsim that contains the package; empty: the core.

    Raises
    ------
    ConfigError
        It is not installed, or cannot be imported for whatever reason.
    """
    try:
        return import_module(module)
    except Exception as error:  # packages of incompatible versions can raise anything
        raise ConfigError(failure(module, purpose, error, extra=extra)) from error


@cache
def obstacle(module: str) -> str | None:
    """Why an optional module cannot be imported, and the remedy; `None` if it can.

    Warns once per process if it is installed.
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
    """Package whose import caused an error; `None` if the error has another cause."""
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
    """Why the import of a module failed."""
    top = module.partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and error.name == top:
        return MISSING
    return f"cannot be imported ({type(error).__name__}: {' '.join(str(error).split()) or 'no message'})"


def remedy(name: str, *, installed: bool, extra: str = "") -> str:
    """Command that installs or repairs a package.

    If it is installed and fails, either the versions that fwsim requires are installed, or the package is reinstalled.
    """
    if not installed:
        return f"{pip()} install {package(extra) if extra else name}"
    if unfit := [shlex.quote(str(each)) for each in _unfit()]:
        return f"{pip()} install {' '.join(unfit)}"
    return f"{pip()} install --force-reinstall --no-deps {name}"


def pip() -> str:
    """Name of the pip of the running Python."""
    beside = Path(sys.executable).with_name("pip")
    return "pip" if shutil.which("pip") == str(beside) else f"{shlex.quote(sys.executable)} -m pip"


def package(extra: str) -> str:
    """Argument of pip to add an extra: fwsim from its origin, or otherwise the requirements of the extra.

    fwsim is on no package index, so its name alone would not be found.
    """
    url, editable = _installed_from()
    if editable:
        return f"-e {shlex.quote(f'{url2pathname(urlparse(url).path)}[{extra}]')}"
    if url:
        return shlex.quote(f"fwsim[{extra}] @ {url}")
    return " ".join(shlex.quote(bare(each)) for each, its in requirements() if its == extra)


def origin() -> str | None:
    """Argument of pip to install fwsim again from its origin; `None` if that is not known."""
    url, _ = _installed_from()
    return shlex.quote(f"fwsim @ {url}") if url else None


def _installed_from() -> tuple[str, bool]:
    """Address from which fwsim was installed, empty if unknown or deleted; and whether it is an editable clone."""
    found = (each.read_text("direct_url.json") for each in metadata.distributions(name="fwsim"))
    described = json.loads(next(filter(None, found), "{}"))  # a build in a clone lacks it
    url, editable = described.get("url", ""), bool(described.get("dir_info", {}).get("editable"))
    there = not url.startswith("file:") or editable or Path(url2pathname(urlparse(url).path)).exists()
    return (url, editable) if there else ("", False)


def requirements() -> Iterator[tuple[Requirement, str]]:
    """Requirements of the installed package on this Python, each with its extra; empty for the core."""
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
    """Installed version; `None` if it is not installed."""
    try:
        return metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return None


def fits(requirement: Requirement) -> bool:
    """Whether an accepted version is installed."""
    found = version(requirement)
    return found is not None and requirement.specifier.contains(found, prereleases=True)


def _unfit() -> list[str]:
    """Requirements of the core that the installed versions do not fulfil."""
    return [bare(each) for each, extra in requirements() if not extra and not fits(each)]


def _distribution(module: str) -> str:
    top = module.partition(".")[0]
    return DISTRIBUTIONS.get(top, top.replace("_", "-"))
