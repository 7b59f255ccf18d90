"""The command `fwsim`: a module for each command; `commands` lists them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fwsim.allocator import keep_freed_memory
from fwsim.cli.commands import app
from fwsim.cli.completion import COMMAND, WORDS, complete
from fwsim.cli.failure import explain, fail, wants_traceback
from fwsim.cli.run import AGAIN
from fwsim.logs import show_logs

__all__ = ["app", "main"]


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit with 0, 1 (failure), 2 (wrong use) or 130 (Ctrl-C)."""
    sys.exit(_call(sys.argv[1:] if tokens is None else list(tokens)))


def _call(tokens: list[str]) -> int:
    try:
        if tokens[:1] == [COMMAND] and WORDS not in os.environ:
            return complete(app, AGAIN, tokens[1:])
        show_logs()
        keep_freed_memory()
        return app(tokens, exit_on_error=False, print_error=False) or 0
    except KeyboardInterrupt as interrupt:
        run = getattr(interrupt, "run", None)
        return fail(f"interrupted; go on with: fwsim resume {run.folder}" if run else "interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # a reader like head left early
        return 1
    except Exception as error:
        if wants_traceback():
            raise
        return fail(*explain(error))
