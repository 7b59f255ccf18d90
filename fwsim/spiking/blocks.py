"""Blocks of steps: functions are asked for their input of a block at once, and what a block recorded is passed on."""

from __future__ import annotations

STEPS = 1000


def begin(step: int) -> int:
    """First step of the block that a step belongs to."""
    return step // STEPS * STEPS
