"""What fwsim does, as log records: silent unless asked for."""

from __future__ import annotations

import logging
import os
import sys

from fwsim.errors import choice

VARIABLE = "FWSIM_LOG"
LEVELS = ("debug", "info", "warning")


def show_logs(level: str | None = None) -> None:
    """Write log records of fwsim to standard error.

    They go through Python's `logging`, by the name `fwsim` and its modules: a program that sets up `logging` itself
    needs nothing else.

    Parameters
    ----------
    level
        `"debug"`, `"info"` or `"warning"`; None: what the environment variable `FWSIM_LOG` says, or nothing.

    Raises
    ------
    ConfigError
        An unknown level.
    """
    level = level or os.environ.get(VARIABLE, "").lower()
    if not level:
        return
    choice(VARIABLE, level, LEVELS)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("fwsim")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
