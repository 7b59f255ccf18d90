"""What a kernel returns for a sequence."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from fwsim.engine.trace import Trace


class Trajectory(NamedTuple):
    """Hidden states, the inner states if they were asked for, and the memory after the last step.

    `hidden [batch, time, unit]`; `inner [batch, time, iteration, unit]` or `None`; `trace` is `None` for a
    network without memory.
    """

    hidden: Tensor
    inner: Tensor | None
    trace: Trace | None
