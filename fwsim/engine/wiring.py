"""What the memory of a network connects: which activities read and write it, and the gates of a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fwsim.errors import ConfigError, choice

Read = Callable[[Tensor], Tensor]

PRE = ("units", "inputs", "previous")
READS = ("additive", "multiplicative")
GATES = ("keep", "store")
BIAS = {"keep": 3.0, "store": 0.0}  # at first 95 % of the memory is kept, and a write has half its strength


@dataclass(frozen=True)
class MemoryWiring:
    """The presynaptic side of a memory, how its answer counts, and its gates; see `FastWeightNetwork`.

    Parameters
    ----------
    pre
        Activities of the presynaptic side in their order, some of `PRE`.
    multiplicative
        Whether the memory scales the static weights, (W ⊙ A) p, instead of being added to them, A p.
    gates
        Which gates there are, some of `GATES`.
    """

    pre: tuple[str, ...] = ("units",)
    multiplicative: bool = False
    gates: tuple[str, ...] = ()

    @property
    def special(self) -> str | None:
        """What a matrix is needed for, as it was asked for; `None` for h hᵀ, added, without gates."""
        if self.pre != ("units",):
            return f"pre={self.pre!r}"
        if self.multiplicative:
            return "read='multiplicative'"
        return f"gates={self.gates!r}" if self.gates else None

    def described(self) -> dict[str, Any]:
        """The three options as plain data, by their names."""
        read = "multiplicative" if self.multiplicative else "additive"
        return {"pre": list(self.pre), "read": read, "gates": list(self.gates)}

    @property
    def constant(self) -> bool:
        """Whether the memory's answer is the same in all inner iterations."""
        return "units" not in self.pre

    def width(self, inputs: int, units: int) -> int:
        """Number of presynaptic channels."""
        return sum(inputs if name == "inputs" else units for name in self.pre)

    def presynaptic(self, x: Tensor, previous: Tensor, state: Tensor) -> Tensor:
        """Presynaptic activity `[…, pre]` of inputs, the state before the step, and that which is asked for."""
        parts = {"inputs": x, "previous": previous, "units": state}
        chosen = [parts[name] for name in self.pre]
        return chosen[0] if len(chosen) == 1 else torch.cat(chosen, dim=-1)

    def static(self, W: Tensor, C: Tensor) -> Tensor | None:
        """Static weights that a multiplicative memory scales, `[unit, pre]`; `None` if it is additive.

        `W [unit, unit]` and `C [unit, input]` are those of the network.
        """
        if not self.multiplicative:
            return None
        return torch.cat([C if name == "inputs" else W for name in self.pre], dim=-1)

    def reading(self, read: Read, x: Tensor, previous: Tensor) -> Read:
        """Return the function from a state of the inner loop to the memory's answer in one step, both `[batch, unit]`.

        Parameters
        ----------
        read
            From a presynaptic side `[batch, pre]` to the answer.
        x, previous
            Input of the step `[batch, input]`, and the state before it `[batch, unit]`.
        """
        if self.pre == ("units",):
            return read
        if self.constant:
            answer = read(self.presynaptic(x, previous, previous))
            return lambda _: answer
        return lambda state: read(self.presynaptic(x, previous, state))

    def of_states(self) -> MemoryWiring:
        """The same with the state of the inner loop in place of the state before the step, as in recall."""
        return replace(self, pre=tuple("units" if name == "previous" else name for name in self.pre))


PLAIN = MemoryWiring()
"""h hᵀ, added, without gates."""


def wiring(
    pre: Any, read: Any, gates: Any, *, write: str, self_connections: bool, inner_steps: int
) -> MemoryWiring:
    """Check what a user asks for.

    Raises
    ------
    ConfigError
        A name is unknown, or the options do not go together.
    """
    choice("read", read, READS)
    made = MemoryWiring(_names("pre", pre, PRE), read == "multiplicative", _names("gates", gates, GATES))
    if not made.pre:
        raise ConfigError(f"pre={pre!r} is not allowed; name at least one of {', '.join(PRE)}")
    if write == "before" and made.pre != ("units",):
        raise ConfigError(
            f"write='before' with pre={pre!r} is not possible; use write='final', or pre='units'"
        )
    if not self_connections and made.pre not in (("units",), ("previous",)):
        raise ConfigError(
            f"self_connections=False with pre={pre!r} is not possible; use it with pre='units' or 'previous'"
        )
    check_iterations(made, inner_steps)
    return made


def check_iterations(made: MemoryWiring, *inner_steps: int) -> None:
    """Raise `ConfigError` if a loop is to iterate although the memory's answer is the same in all iterations."""
    if made.constant and max(inner_steps) > 1:
        raise ConfigError(
            f"inner_steps={max(inner_steps)} with pre={made.pre!r} iterates nothing, since the state of the loop does "
            "not read the memory; use 1, or pre='units'"
        )


def _names(option: str, given: Any, allowed: Sequence[str]) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Sequence):
        raise ConfigError(f"{option}={given!r} is not allowed; name some of {', '.join(allowed)}")
    for name in names:
        choice(option, name, tuple(allowed))
    if len(set(names)) < len(names):
        raise ConfigError(f"{option}={given!r} is not allowed; name each once")
    return tuple(names)
