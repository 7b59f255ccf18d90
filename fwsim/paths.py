"""Paths that users give: on this machine, with `~` for the home folder, independent of the current folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from fwsim.errors import ConfigError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # s3://…, and s3:/… that pathlib makes of it; C:/ is a drive


def local_path(given: Any, name: str = "path", *, new: bool = False) -> Path:
    """Absolute path of a file or folder on this machine, which stays the same when the current folder changes.

    Parameters
    ----------
    given
        A text or a path; a leading `~` is the home folder, also where the shell leaves it (`--to=~/x`).
    name
        What messages call it: the argument or option.
    new
        Something is to be made there: the current folder and those above it are refused.

    Raises
    ------
    ConfigError
        It is no path, empty, an address of another machine (`s3://…`, `a::b`), or of an unknown user's home.
    """
    return home_path(given, name, new=new).absolute()


def home_path(given: Any, name: str = "path", *, new: bool = False) -> Path:
    """As `local_path`, but a relative path stays relative: for what is used at once, and shown as it was typed."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else given
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise ConfigError(f"{name}={given!r} is no path; give the name of a file or folder")
    if "::" in text or _URL.match(text):
        raise ConfigError(
            f"{name}={text!r} is not on this machine; give a path without '://' and '::', such as ~/data/x"
        )
    path = Path(os.path.expanduser(text))
    if str(path).startswith("~") and text.startswith("~"):
        raise ConfigError(
            f"{name}={text!r}: there is no home folder {path.parts[0]}; give another path, or ./{text} for such a name"
        )
    if new and Path(os.path.abspath(path)) in (here := Path.cwd(), *here.parents):
        raise ConfigError(
            f"{name}={text!r} is the current folder or one above it; give the name of a new one in it"
        )
    return path
