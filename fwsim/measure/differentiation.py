"""Derivatives of batched maps, and the check of what is handed to them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, number, whole

Step = Callable[[Tensor], Tensor]
"""A map or vector field `[batch, unit]` → `[batch, unit]` that treats every row alike and on its own."""


def jacobian(step: Step, states: Tensor) -> Tensor:
    """Jacobians `[batch, post, pre]` of a map at `states [batch, unit]`.

    Since rows do not mix, the derivative of Σ_batch step(x) by x holds the Jacobian of every row.
    """
    return torch.func.jacrev(lambda x: step(x).sum(0))(states).movedim(1, 0)


def pushforward(step: Step, states: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
    """Images of states `[batch, unit]` and of tangent vectors `[batch, unit, mode]` under a map."""

    def along(tangent: Tensor) -> tuple[Tensor, Tensor]:
        result = torch.func.jvp(step, (states,), (tangent,))
        return result[0], result[1]

    images, moved = torch.func.vmap(along, in_dims=-1, out_dims=(0, -1))(tangents)
    return images[0], moved


def checked_search(states: Tensor, tolerance: float | None, same: float, iterations: int) -> float:
    """Tolerance of a search from `states`, by default ε^0.6 of their dtype, once all its bounds are sensible."""
    number("same", same, above=0)
    whole("iterations", iterations, least=1)
    if tolerance is None:
        return torch.finfo(states.dtype).eps ** 0.6
    number("tolerance", tolerance, above=0)
    return tolerance


def checked_states(name: str, states: Tensor, step: Step) -> Tensor:
    """`states` without gradient, once they and their images are found to be `[batch, unit]` and finite."""
    if not callable(step):
        raise ConfigError(f"step is {step!r}; give a function [batch, unit] → [batch, unit]")
    if not isinstance(states, Tensor) or states.ndim != 2 or not states.is_floating_point():
        given = (
            f"{states.dtype} {list(states.shape)}"
            if isinstance(states, Tensor)
            else f"a {type(states).__name__}"
        )
        raise ShapeError(f"{name} is {given}; give a floating-point torch tensor [batch, unit]")
    if states.numel() == 0:
        raise ShapeError(f"{name} has shape {list(states.shape)}; give at least one state of one unit")
    states = states.detach()
    with torch.no_grad():
        images = step(states)
    if not isinstance(images, Tensor):
        raise ConfigError(f"step returns a {type(images).__name__}; it must return a tensor [batch, unit]")
    if images.shape != states.shape:
        raise ShapeError(
            f"step maps {list(states.shape)} to {list(images.shape)}; it must keep [batch, unit]"
        )
    bad = ~(states.isfinite() & images.isfinite()).all(-1)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise ConfigError(f"{name}[{row}] or its image is NaN or infinite; give states where step is finite")
    return states
