"""Log records of fwsim; silent by default."""

from __future__ import annotations

import logging
import os
import sys

from fwsim.errors import choice

VARIABLE = "FWSIM_LOG"
LEVELS = ("debug", "info", "warning")


def show_logs(level: str | None = None) -> None:
    """Write log records of fwsim to standard error.

    They use Python's `logging`, with the name `fwsim` and the names of its modules. A program that sets up `logging`
    itself does not need this function.

    Parameters
    ----------
    level
        `"debug"`, `"info"` or `"warning"`; None: the value of the environment variable `FWSIM_LOG`, or nothing.

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
