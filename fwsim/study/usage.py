"""Errors of the command line, each in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from fwsim.errors import ConfigError, causes, short

VALUES = {int: "a whole number", float: "a number", bool: "yes or no"}
NEGATIVE = re.compile(r"-(\d|\.\d|inf)", re.IGNORECASE)
CLOSE = 0.75  # similarity of a suggested name; 1 means equal


def with_negative_values(tokens: Sequence[str]) -> list[str]:
    """Join values that begin with a minus to their option: the `-5s` of `--tau -5s` looks like an option."""
    joined: list[str] = []
    option = ""
    for token in tokens:
        if option and NEGATIVE.match(token):
            if joined[-1] == option:
                joined.pop()
            joined.append(f"{option}={token}")
            continue
        if token.startswith("--") and len(token) > 2:
            option = token.partition("=")[0]
        joined.append(token)
    return joined


def wrong_use(error: CycloptsError) -> str:
    """One line that names the option, what was given, and what is allowed."""
    error.verbose = False  # otherwise its text begins with the path of the source
    said = _own_words(error)
    if said:
        return said
    if isinstance(error, UnknownOptionError):
        return _unknown_option(error)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"{short(error.unused_tokens[0])} is one word too many; options begin with --, and --help shows them"
    if isinstance(error, MissingArgumentError) and error.argument:
        return _missing(error)
    if (
        isinstance(error, CoercionError)
        and error.token
        and error.token.keyword
        and error.target_type in VALUES
    ):
        return f"{error.token.keyword}={error.token.value!r} is not allowed: give {VALUES[error.target_type]}"
    return str(error)


def _own_words(error: BaseException) -> str:
    """Message of fwsim about a value, raised while it was read; empty if there is none."""
    return next((str(each) for each in causes(error) if isinstance(each, ConfigError)), "")


def _missing(error: MissingArgumentError) -> str:
    name = error.keyword or (error.argument.name if error.argument else "")
    if name.startswith("-"):
        return f"{name} needs a value; write {name} and the value, or leave it out"
    return f"{name} is missing; see {' '.join(['fwsim', *(error.command_chain or ())])} --help"


def _unknown_option(error: UnknownOptionError) -> str:
    given = (error.token.keyword or error.token.value).partition("=")[0]
    known = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    bare = {name.lstrip("-"): name for name in known}
    close = difflib.get_close_matches(given.lstrip("-"), bare, n=1, cutoff=CLOSE)
    hint = f"did you mean {bare[close[0]]}?" if close else "--help shows the options"
    return f"unknown option {given}; {hint}"
