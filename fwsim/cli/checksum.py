"""`fwsim checksum`."""

from __future__ import annotations

from fwsim.study.arguments import RunFolder


def checksum(run: RunFolder, /) -> None:
    """Print the SHA-256 of every recorded variable of a run, to compare copies and repetitions.

    Parameters
    ----------
    run
        Its folder.
    """
    from fwsim.recording import checksums
    from fwsim.study.runs import find_run

    for name, digest in sorted(checksums(find_run(run).recording).items()):
        print(f"{digest}  {name}")
