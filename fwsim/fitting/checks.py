"""Checks of options that several functions of this package have."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import torch

from fwsim.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import Tensor


def check_level(level: float) -> None:
    """Raise unless `level` is a probability strictly between 0 and 1."""
    if not isinstance(level, Real) or not 0 < level < 1:
        raise ConfigError(f"level={level!r} is not allowed; give a probability between 0 and 1, such as 0.95")


def as_times(times: ArrayLike | Tensor) -> Tensor:
    """Spike times as a tensor of doubles; raise unless they are real numbers in rows of equal length."""
    if not isinstance(times, torch.Tensor) and hasattr(times, "to_numpy"):
        times = times.to_numpy(copy=True)
    try:
        return torch.as_tensor(times, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(
            f"times are not an array of numbers ({type(times).__name__}); give seconds [..., spike], trains of "
            "unequal length filled up with NaN"
        ) from error
