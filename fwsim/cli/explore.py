"""`fwsim explore`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from fwsim.study.arguments import RunFolder, Whole


def explore(
    run: RunFolder,
    /,
    *,
    port: Whole = 0,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
) -> None:
    """Look at a recording on a page in the browser: time, inner iterations, units, memory, landscape.

    Parameters
    ----------
    run
        A run's folder, or the folder of a recording.
    port
        Port to listen on, on this machine only; 0 takes a free one.
    browser
        Open the page in the browser at once.
    """
    from fwsim.explore import serve

    serve(run, port=port, browser=browser)
