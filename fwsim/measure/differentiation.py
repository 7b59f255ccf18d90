"""Derivatives of batched maps, and checks of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, FwsimError, ShapeError, number, type_of, whole

PRECISIONS = (torch.float32, torch.float64)
"""Allowed types of states: linear algebra does not exist for half precision."""

AXES = ("trial", "point", "start", "batch", "time", "unit")
"""Names that the axes of states may have as a DataArray, with the units last."""

Step = Callable[[Tensor], Tensor]
"""A map or vector field `[batch, unit]` → `[batch, unit]` that is applied to every row separately."""


def jacobian(step: Step, states: Tensor) -> Tensor:
    """Jacobians `[batch, post, pre]` of a map at `states [batch, unit]`.

    Rows do not interact, so the derivative of Σ_batch step(x) by x contains the Jacobian of every row.
    """
    return torch.func.jacrev(lambda x: step(x).sum(0))(states).movedim(1, 0)


def pushforward(step: Step, states: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
    """Images of states `[batch, unit]` and of tangent vectors `[batch, unit, mode]` under a map."""

    def along(tangent: Tensor) -> tuple[Tensor, Tensor]:
        result = torch.func.jvp(step, (states,), (tangent,))
        return result[0], result[1] + torch.zeros_like(
            tangent
        )  # torch returns None for a derivative that is 0

    images, moved = torch.func.vmap(along, in_dims=-1, out_dims=(0, -1))(tangents)
    return images[0], moved


def checked_search(states: Tensor, tolerance: float | None, same: float, iterations: int) -> float:
    """Tolerance of a search from `states`, by default ε^0.6 of their dtype, after a check of all its limits."""
    number("same", same, above=0)
    whole("iterations", iterations, least=1)
    if tolerance is None:
        return torch.finfo(states.dtype).eps ** 0.6
    number("tolerance", tolerance, above=0)
    return tolerance


def as_tensor(given: Any) -> Any:
    """Arrays and lists of real numbers as a tensor; anything else as it is, for checks to refuse."""
    if isinstance(given, Tensor) or not (isinstance(given, list | tuple) or hasattr(given, "__array__")):
        return given
    try:
        values = np.asarray(given)
    except (ValueError, TypeError):  # rows of different lengths, a Dataset
        return given
    if values.dtype.kind not in "iuf":
        return given
    return torch.tensor(values.astype(np.float32 if values.dtype == np.float32 else np.float64))


def checked_states(name: str, states: Any, step: Step) -> Tensor:
    """`states` without gradient, after a check that they and their images are finite and `[batch, unit]`."""
    if not callable(step):
        raise ConfigError(f"step is {step!r}; give a function [batch, unit] → [batch, unit]")
    as_they_are(name, states, AXES)
    states = as_tensor(states)
    plain = isinstance(states, Tensor) and states.dtype in PRECISIONS and states.layout == torch.strided
    if not plain or states.ndim != 2:
        given = (
            f"{states.dtype} {list(states.shape)}{' (sparse)' * (states.layout != torch.strided)}"
            if isinstance(states, Tensor)
            else type_of(states)
        )
        raise ShapeError(
            f"{name} is {given}; give a floating-point tensor or an array [batch, unit], float64 or float32"
        )
    if states.numel() == 0:
        raise ShapeError(f"{name} has shape {list(states.shape)}; give at least one state of one unit")
    states = states.detach().clone()  # so that a step that works in place does not change the caller's tensor
    with torch.no_grad():
        images = step(states.clone())
    if not isinstance(images, Tensor):
        raise ConfigError(f"step returns {type_of(images)}; it must return a tensor [batch, unit]")
    if images.shape != states.shape:
        raise ShapeError(
            f"step maps {list(states.shape)} to {list(images.shape)}; it must keep [batch, unit]"
        )
    if images.dtype != states.dtype:
        raise ShapeError(
            f"step maps {states.dtype} to {images.dtype}; give {name} in the precision in which it computes"
        )
    bad = ~(states.isfinite() & images.isfinite()).all(-1)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise ConfigError(f"{name}[{row}] or its image is NaN or infinite; give states where step is finite")
    return states


def require_rows(states: Tensor, step: Step) -> None:
    """Raise `ConfigError` unless a step gives a state the same image again, also among other states.

    A step that draws random numbers (dropout), or that mixes rows (batch normalisation), is no map of a state.
    Both calls have as many rows: BLAS rounds by their number, which a step function or a chaotic step would make large.
    """
    with torch.no_grad():
        one, other = step(states.clone())[:1], step(states[:1].expand_as(states).clone())[:1]
    rounding = torch.finfo(states.dtype).eps ** 0.5
    if not torch.allclose(one, other, rounding, rounding):
        raise ConfigError(
            "step gives a state another image among other states, or when it is called again; it must map every "
            "row [unit] separately, without random numbers (use model.eval() for dropout and batch normalisation)"
        )


def require_derivative(states: Tensor, step: Step) -> None:
    """Raise `ConfigError` unless torch can differentiate a step at `states` that `checked_states` has checked."""
    require_rows(states, step)
    try:
        with torch.no_grad():
            derivative = jacobian(step, states[:1])
    except FwsimError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [""])[0][:120]
        raise ConfigError(
            f"step cannot be differentiated by torch.func ({type(error).__name__}: {reason}); "
            "write it with functions of torch alone, no NumPy and no .item()"
        ) from error
    if not bool(derivative.any()) and _moves(states[:1], step):
        raise ConfigError(
            "step changes with its states, but torch finds the derivative 0; leave out torch.no_grad() and .detach() "
            "within it"
        )


def _moves(states: Tensor, step: Step) -> bool:
    """Whether images have a slope at states, by central differences.

    At a minimum the difference is 0; at a jump it does not halve with its width.
    """
    eps = torch.finfo(states.dtype).eps
    width = eps ** (1 / 3) * max(1.0, float(states.abs().max()))
    with torch.no_grad():
        ends = [step(states + part * width) for part in (1.0, -1.0, 0.5, -0.5)]
    whole, half = ends[0] - ends[1], ends[2] - ends[3]
    change, size = float(whole.abs().max()), max(1.0, *(float(end.abs().max()) for end in ends))
    return change > 1000 * eps * size and float((whole - 2 * half).abs().max()) < 0.1 * change
