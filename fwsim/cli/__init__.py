"""The command `fwsim`: a module for each command; `commands` lists them.

Slow imports happen inside `main`, so that Ctrl-C is answered in one line from the first moment.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time

TYPE_CHECKING = False  # typing itself takes longer to load than all of this file
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fwsim.cli.commands import app
    from fwsim.cli.run import AGAIN

__all__ = ["AGAIN", "app", "main"]

INTERRUPTED = 130  # exit code, 128 + the number of the signal


def __getattr__(name: str) -> Any:
    if name not in ("app", "AGAIN"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fwsim.cli import commands, run

    return {"app": commands.app, "AGAIN": run.AGAIN}[name]


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failure), 2 (wrong use) or 130 (Ctrl-C)."""
    ours = tokens is None  # otherwise a program has called, which continues afterwards
    before, sys.unraisablehook = sys.unraisablehook, _press_again
    try:
        from fwsim.cli.calling import call

        code = call(sys.argv[1:] if tokens is None else list(tokens))
    except KeyboardInterrupt as interrupt:
        code = _interrupted(interrupt)
    finally:
        sys.unraisablehook = before
        if ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # while Python ends
    sys.exit(code)


def _press_again(unraisable: Any) -> None:
    """Ctrl-C in a callback, where Python would print it and continue: send it again when the callback is over."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _thread.start_new_thread(_press, (0.01,))
    else:
        sys.__unraisablehook__(unraisable)


def _press(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGINT)


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    """Say in one line how to continue, even if Ctrl-C is pressed again meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = _run_of(interrupt)
        from fwsim.paths import typed

        line = f"interrupted; continue with: fwsim resume {typed(run.folder)}" if run else "interrupted"
        failure: Any = sys.modules.get("fwsim.cli.failure")
        if hasattr(failure, "fail"):
            return failure.fail(line, INTERRUPTED)
        if sys.stderr is not None:
            print("fwsim:", line, file=sys.stderr)  # this module was still being loaded
        return INTERRUPTED
    finally:
        exec("")  # after Ctrl-C within executed text, Python would end by the signal and not with this code
        signal.signal(signal.SIGINT, before)


def _run_of(error: BaseException | None) -> Any:
    """The run that Ctrl-C has interrupted, even if it was pressed again while the run was being closed."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if getattr(error, "run", None) is not None:
            return error.run  # type: ignore[attr-defined]
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None
