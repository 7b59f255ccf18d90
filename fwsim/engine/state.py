"""The state of a network between two steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from torch import Tensor

from fwsim.engine.trace import Trace
from fwsim.errors import ConfigError, ShapeError, type_of, whole
from fwsim.names import KnownArguments


@dataclass(frozen=True, eq=False, init=False, repr=False)
class State(KnownArguments):
    """Where a network stopped, and goes on from, in any form of its memory.

    Parameters
    ----------
    hidden
        `[batch, unit]`.
    memory
        `[batch, timescale, post, pre]`, or what it is computed from when asked for; `None` without memory.
    step
        Number of steps done.
    variables
        What else the network carries, by its name in recordings: `u`, `x` … of plastic synapses,
        `[batch, projection, unit]`; the `cell` of an LSTM, `[batch, unit]`.
    """

    hidden: Tensor
    stored: Tensor | Trace | None
    step: int
    variables: Mapping[str, Tensor]

    def __init__(
        self,
        hidden: Tensor,
        memory: Tensor | Trace | None = None,
        step: int = 0,
        variables: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> None:
        if not isinstance(hidden, Tensor) or hidden.ndim != 2:
            raise ShapeError(f"hidden has shape {list(np.shape(hidden))}; give a torch tensor [batch, unit]")
        if not isinstance(memory, Tensor | Trace | None):
            raise ConfigError(
                f"memory is {type_of(memory)}; give a torch tensor [batch, timescale, post, pre] or None"
            )
        whole("step", step, least=0)
        if not isinstance(variables, Mapping) or not all(
            isinstance(each, Tensor) for each in variables.values()
        ):
            raise ConfigError(
                f"variables={variables!r} is not allowed; give torch tensors by name, such as {{'u': u}}"
            )
        # Copies, through which gradients pass: what is done to a tensor later is not to reach the state.
        object.__setattr__(self, "hidden", hidden.clone())
        object.__setattr__(self, "stored", memory.clone() if isinstance(memory, Tensor) else memory)
        object.__setattr__(self, "step", step)
        own = {name: value.clone() for name, value in variables.items()}
        object.__setattr__(self, "variables", own)  # a dictionary, which can be copied and pickled

    @property
    def memory(self) -> Tensor | None:
        """The memory matrix `[batch, timescale, post, pre]`; `None` for a network without memory."""
        return self.stored.memory() if isinstance(self.stored, Trace) else self.stored

    def detach(self) -> State:
        """Cut the gradient, for truncated back-propagation through time."""
        stored = None if self.stored is None else self.stored.detach()
        variables = {name: value.detach() for name, value in self.variables.items()}
        return State(self.hidden.detach(), stored, self.step, variables)

    def _repr_html_(self) -> str:
        from fwsim.engine.display import state_html

        return state_html(self)

    def __repr__(self) -> str:
        """Show shapes, not numbers."""
        batch, units = self.hidden.shape
        memory = "no memory" if self.stored is None else "memory"
        carried = "".join(f", {name}" for name in self.variables)
        return f"State(hidden [{batch}, {units}], {memory}{carried}, step {self.step})"
