"""Trust in the code of a run's folder: without a question, only unchanged code of this user's runs is executed."""

from __future__ import annotations

import os

from fwsim.errors import ConfigError
from fwsim.paths import read_plain_file
from fwsim.study import files, manifest
from fwsim.study.runs import Run

MOST = 2**24  # bytes of a source
DIGESTS = {files.EXPERIMENT: "source_sha256", files.ANALYSIS: "analysis_sha256"}
"""Sources in a run's folder, and the entries of the manifest with their digests."""


class UntrustedError(ConfigError):
    """Code of a run that is not executed without confirmation."""


def source(run: Run, name: str, *, trust: bool) -> bytes:
    """Code in a run's folder, for execution.

    Parameters
    ----------
    name
        `"experiment.py"` or `"analysis.py"`.
    trust
        Whether the caller takes responsibility for it, whoever made the run and whatever was changed.

    Raises
    ------
    ConfigError
        It cannot be read.
    UntrustedError
        It was changed since the run, or another user made the run.
    """
    try:
        code = read_plain_file(run.folder / name, most=MOST)
    except OSError as error:
        raise ConfigError(
            f"{run.folder / name} cannot be read: {error.strerror}; restore it from a copy"
        ) from None
    reason = None if trust else _doubt(run, name, code)
    if reason:
        raise UntrustedError(f"{reason}; read {run.folder / name}, and execute it with --trust (trust=True)")
    return code


def check(run: Run, *names: str, trust: bool = False) -> None:
    """Refuse code in a run's folder that is not trusted; all existing sources, or those with these names.

    Raises
    ------
    UntrustedError
        A source is not trusted; the message says why, and how to execute it anyway.
    """
    for name in names or tuple(DIGESTS):
        if os.path.lexists(run.folder / name):
            source(run, name, trust=trust)


def _doubt(run: Run, name: str, code: bytes) -> str | None:
    entries = run.manifest
    expected = entries.get(DIGESTS[name])
    if expected is not None and files.sha256(code) != expected:
        return f"{run.folder / name} was changed since the run"
    owners = {(run.folder / each).stat().st_uid for each in ("", manifest.FILE, name)}
    if expected is None or len(owners) > 1 or not manifest.is_own(run.folder, entries):
        return f"{run.folder} holds code that another user, another machine or an older fwsim put there"
    return None
