"""`fwsim checksum`."""

from __future__ import annotations

import sys

from fwsim.study.arguments import RunFolder


def checksum(run: RunFolder, /) -> None:
    """Compare all files of a finished run with its list, and print the SHA-256 of every recorded variable.

    The values are read, and nothing is executed. Copies and repetitions of a run print the same; wall times are left
    out. If a file differs, is missing or is extra, its name is printed instead, and the exit code is 1.

    Parameters
    ----------
    run
        Folder of the run.
    """
    from fwsim.errors import RecordingError
    from fwsim.recording import checksums
    from fwsim.study.integrity import damage
    from fwsim.study.runs import find_run

    found = find_run(run)
    damaged = damage(found)
    for line in damaged:
        print(line)
    if damaged:
        files = f"{len(damaged)} {'file is' if len(damaged) == 1 else 'files are'}"
        raise RecordingError(
            f"{found.folder}: {files} not as the run left it; restore from a copy, or run again"
        )
    values = checksums(found.recording)
    if not found.manifest.get("digests"):
        print(
            f"fwsim: {found.folder} is {found.state} and lists no files, so none were compared",
            file=sys.stderr,
        )
    for name, digest in sorted(values.items()):
        print(f"{digest}  {name}")
