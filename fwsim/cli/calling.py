"""A call of the command line: output and exit code in every case."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any, TextIO

from fwsim._allocator import keep_freed_memory
from fwsim.cli.commands import app
from fwsim.cli.completion import COMMAND, WORDS, complete
from fwsim.cli.failure import explain, fail, interruption, wants_traceback
from fwsim.cli.run import AGAIN
from fwsim.errors import one_line
from fwsim.logs import show_logs
from fwsim.study.usage import with_negative_values


def call(tokens: Sequence[str]) -> int:
    """Run a command and return its exit code.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C.
    """
    try:
        _show_what_can_be_shown(sys.stdout, sys.stderr)
        if tokens[:1] == [COMMAND] and WORDS not in os.environ:
            code = complete(app, AGAIN, tokens[1:])
        else:
            show_logs()
            keep_freed_memory()
            with _warnings_in_one_line():
                code = app(with_negative_values(tokens), exit_on_error=False, print_error=False) or 0
        _flush(sys.stdout)
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # a reader such as head ended early
        return 1
    except Exception as error:
        if interrupt := interruption(error):
            raise interrupt from error  # a library has converted it
        if wants_traceback():
            raise
        return fail(*explain(error))


def _show_what_can_be_shown(*streams: TextIO | None) -> None:
    """Print a question mark for characters that the encoding of the terminal or file lacks, instead of failing."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print what a user is to know without the file and line where Python found it."""
    show = warnings.showwarning

    def in_one_line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, UserWarning) and sys.stderr is not None:
            print(f"fwsim: {one_line(str(message))}", file=sys.stderr)
        else:
            show(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.showwarning = in_one_line
        yield


def _flush(stream: TextIO | None) -> None:
    """Detect now that nobody reads the output any more, or that the disk is full."""
    if stream is not None and not stream.closed:
        stream.flush()
