"""Origin of a recording: enough to repeat the run, and nothing about the person."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import fwsim
from fwsim.errors import ConfigError
from fwsim.names import known_arguments

LIBRARIES = ("torch", "numpy", "brian2", "scipy", "xarray", "zarr")


@known_arguments
def provenance(
    configuration: Mapping[str, Any], *, seed: int, device: str, dtype: str
) -> dict[str, str | int]:
    """Describe the run that starts now, as attributes of its recording.

    Parameters
    ----------
    configuration
        The configuration of the run: strings, numbers, lists, arrays, dictionaries.
    seed
        The seed from which every random stream is derived.
    device, dtype
        Device and precision of the computation.

    Returns
    -------
    dict
        `configuration` and `versions` (one JSON string each), `seed`, `device`, `dtype`,
        `commit` (`"unknown"` outside a checkout, with `+changes` if edited), `command` (folders
        and addresses removed) and `started` (UTC).

    Raises
    ------
    ConfigError
        The configuration contains something that is not data.
    """
    try:
        described = json.dumps(configuration, default=_plain)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the configuration is not plain data: {error}; give numbers, strings, lists"
        ) from error
    return {
        "configuration": described,
        "seed": int(seed),
        "device": str(device),
        "dtype": str(dtype),
        "versions": _versions(),
        "commit": _commit(),
        "command": " ".join(_anonymous(argument) for argument in sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


@cache
def _versions() -> str:
    found = {"fwsim": fwsim.__version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return json.dumps(found)


@cache
def _commit() -> str:
    """Commit of the checkout that tracks this file, not of one that merely contains it."""
    here = Path(__file__).resolve()
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        commit = _git(here.parent, "rev-parse", "HEAD")
        changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _anonymous(argument: str) -> str:
    """Remove the folders of absolute paths and the hosts of addresses."""
    argument = re.sub(r"\w+://\S*", "<address>", argument)
    return re.sub(r"(^|[=,:\s])(?:~[^/\\\s]*|[A-Za-z]:)?[/\\](?:[^/\\=,:]*[/\\])*", r"\1", argument)
