"""A call of the command line: output and exit code in every case."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TextIO

from fwsim._allocator import keep_freed_memory
from fwsim.cli.commands import app
from fwsim.cli.completion import COMMAND, WORDS, complete
from fwsim.cli.failure import explain, fail, interruption, wants_traceback
from fwsim.cli.run import AGAIN
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


def _flush(stream: TextIO | None) -> None:
    """Detect now that nobody reads the output any more, or that the disk is full."""
    if stream is not None and not stream.closed:
        stream.flush()
