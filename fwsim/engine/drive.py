"""What drives a sequence from outside."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn.functional import linear


class Drive(NamedTuple):
    """C x + b in every step: `x [batch, time, input]`, `C [unit, input]`, `b [unit]`."""

    x: Tensor
    C: Tensor
    b: Tensor

    def values(self) -> Tensor:
        """Return it as numbers, `[batch, time, unit]`."""
        return linear(self.x, self.C, self.b)
