"""The kind of rule whose state is the matrix of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Self

import torch

from fwsim.errors import ConfigError
from fwsim.names import KnownArguments
from fwsim.rules.derived import Derived
from fwsim.rules.parameters import own
from fwsim.units import si

if TYPE_CHECKING:
    from torch import Tensor


class MemoryRule(KnownArguments, Derived, ABC):
    """How the memory matrix of a network is written and read.

    A memory is `[batch, timescale, post, pre]`; parameters are scalars, `[timescale]`
    or `[batch, timescale]`. Rules only know seconds. The time between two writes, `dt`,
    belongs to the network and is passed in.
    """

    underived = (
        "it is written by network states and has no response to spikes; use an associative rule such as HebbianTraces, "
        "whose reduced() is a memory rule"
    )

    def values(self) -> dict[str, Tensor]:
        """Return the parameters that were given, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor)}

    @cached_property
    def shape(self) -> torch.Size:
        """Common shape of the parameters, `[timescale]` or `[batch, timescale]`."""
        return broadcast(**self.values())

    @property
    def timescales(self) -> int:
        """Number of time scales K."""
        return self.shape[-1]

    @property
    def batch(self) -> int | None:
        """Number of batch elements for which there are parameters, `None` if they are the same for all."""
        return self.shape[0] if len(self.shape) == 2 else None

    @abstractmethod
    def write(self, memory: Tensor, pre: Tensor, post: Tensor, dt: float) -> Tensor:
        """Decay for `dt` seconds, then store one pair of patterns.

        Parameters
        ----------
        memory
            `[batch, timescale, post, pre]`.
        pre, post
            `[batch, pre]` and `[batch, post]`.
        dt
            Time since the last write in s.
        """

    def read(self, memory: Tensor, state: Tensor) -> Tensor:
        """Answer of the memory to a state of the network, Σ_k A_k state.

        Parameters
        ----------
        memory
            `[batch, timescale, post, pre]`.
        state
            `[batch, pre]`; the answer is `[batch, post]`.
        """
        return torch.einsum("bkij,bj->bi", memory, state)

    def with_values(self, **values: Tensor) -> Self:
        """Return the same rule with other parameter tensors, without checks, for values that are known to be valid."""
        other = object.__new__(type(self))  # a network calls this in every run, and copy.copy is slow
        vars(other).update(vars(self), **values)
        vars(other).pop("shape", None)
        return other

    def __repr__(self) -> str:
        """Show parameters as plain numbers."""
        shown = []
        for name, value in self.values().items():
            value = value.detach()
            shown.append(f"{name}={value.item() if value.shape == (1,) else value.tolist()}")
        return f"{type(self).__name__}({', '.join(shown)})"


def parameter(
    name: str,
    value: object,
    dimension: str = "number",
    *,
    at_least: float = -float("inf"),
    infinite: bool = False,
) -> Tensor:
    """Convert a scalar, `[timescale]` or `[batch, timescale]` to a checked tensor (float64 unless it is a tensor).

    The result is a copy, unless it is a tensor that requires a gradient; `dimension` is as in `fwsim.units.si`.

    Raises
    ------
    ConfigError
        A value is NaN, below `at_least`, infinite where this has no meaning, or has three axes.
    """
    value = si(name, value, dimension)
    try:
        tensor = own(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{name}={value!r} is not a number, list of numbers or tensor") from error
    tensor = tensor[None] if tensor.ndim == 0 else tensor
    if tensor.ndim > 2 or tensor.shape[-1] == 0:
        raise ConfigError(
            f"{name} has shape {list(tensor.shape)}; give a scalar, [timescale] or [batch, timescale]"
        )
    good = tensor.detach() >= at_least
    good &= ~tensor.detach().isnan() if infinite else tensor.detach().isfinite()
    if not bool(good.all()):
        bad = tensor.detach()[~good][0].item()
        limit = f"at least {at_least:g}" if at_least > -float("inf") else "a finite number"
        raise ConfigError(f"{name}={bad:g} is not allowed; it must be {limit}")
    return tensor


def decay(tau: Tensor, dt: float) -> Tensor:
    """Fraction that remains after `dt` seconds, e^{−dt/τ}: 0 for τ = 0, with a gradient of 0, and 1 for infinity."""
    return torch.exp(-dt / tau.clamp(min=1e-3 * dt))  # e^{−1000} is 0, and its derivative finite


def broadcast(**parameters: Tensor) -> torch.Size:
    """Common shape of parameters, or a `ConfigError` that names them all."""
    first, *others = (value.shape for value in parameters.values())
    if all(shape == first for shape in others):
        return first  # a network calls this in every run, and torch needs 20 µs
    try:
        return torch.broadcast_shapes(*(value.shape for value in parameters.values()))
    except RuntimeError as error:
        given = ", ".join(f"{name} {list(value.shape)}" for name, value in parameters.items())
        raise ConfigError(
            f"parameters do not fit together: {given}; each is a scalar, [timescale] or [batch, timescale]"
        ) from error
