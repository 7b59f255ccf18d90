"""Calls of functions in this thread, counted: as many on every machine, however fast and however busy it is."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

CALLS = {"call", "c_call"}
"""Events of a profile that are calls of functions, in Python and in C."""


def calls_of(work: Callable[[], Any]) -> int:
    """Do some work, and return how many calls of functions it made."""
    calls = itertools.count()
    sys.setprofile(lambda frame, event, value: event in CALLS and next(calls))
    try:
        work()
    finally:
        sys.setprofile(None)
    return next(calls)


def act_at_call(number: int, act: Callable[[], Any]) -> None:
    """Act at this call from now on, the first of which has the number 1; `sys.setprofile(None)` takes it back."""
    left = itertools.count(number, -1)
    next(left)

    def see(frame: Any, event: str, value: Any) -> None:
        if event in CALLS and not next(left):
            act()

    sys.setprofile(see)
