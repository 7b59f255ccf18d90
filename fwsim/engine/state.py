"""The state of a network between two steps."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fwsim.engine.trace import Trace


@dataclass(frozen=True, eq=False, init=False, repr=False)
class State:
    """Where a network stopped, and goes on from, in any form of its memory.

    Parameters
    ----------
    hidden
        `[batch, unit]`.
    memory
        `[batch, timescale, post, pre]`, or what it is computed from when asked for; `None` without memory.
    step
        Number of steps done.
    """

    hidden: Tensor
    stored: Tensor | Trace | None
    step: int

    def __init__(self, hidden: Tensor, memory: Tensor | Trace | None = None, step: int = 0) -> None:
        object.__setattr__(self, "hidden", hidden)
        object.__setattr__(self, "stored", memory)
        object.__setattr__(self, "step", step)

    @property
    def memory(self) -> Tensor | None:
        """The memory matrix `[batch, timescale, post, pre]`; `None` for a network without memory."""
        return self.stored.memory() if isinstance(self.stored, Trace) else self.stored

    def detach(self) -> State:
        """Cut the gradient, for truncated back-propagation through time."""
        stored = None if self.stored is None else self.stored.detach()
        return State(self.hidden.detach(), stored, self.step)

    def __repr__(self) -> str:
        """Show shapes, not numbers."""
        batch, units = self.hidden.shape
        return f"State(hidden [{batch}, {units}], {'no memory' if self.stored is None else 'memory'}, step {self.step})"
