"""What a kernel returns for a sequence."""

from __future__ import annotations

from typing import NamedTuple

import torch
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

    def followed_by(self, rest: Trajectory) -> Trajectory:
        """Join the steps that a run goes on with; inner states are NaN where a step has fewer iterations."""
        hidden = torch.cat([self.hidden, rest.hidden], dim=1)
        if self.inner is None or rest.inner is None:
            return Trajectory(hidden, None, rest.trace)
        iterations = max(self.inner.shape[2], rest.inner.shape[2])
        inner = [lengthened(each, iterations) for each in (self.inner, rest.inner)]
        return Trajectory(hidden, torch.cat(inner, dim=1), rest.trace)


def lengthened(inner: Tensor, iterations: int) -> Tensor:
    """Inner states `[batch, time, iteration, unit]` with NaN up to a number of iterations."""
    return torch.nn.functional.pad(inner, (0, 0, 0, iterations - inner.shape[2]), value=torch.nan)
