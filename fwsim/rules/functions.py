"""The functions a rule may use beside arithmetic: on numbers, tensors and symbols alike."""

from __future__ import annotations

import math
from typing import Any

import torch


def log(value: Any) -> Any:
    """Natural logarithm."""
    if isinstance(value, torch.Tensor):
        return value.log()
    if isinstance(value, (int, float)):
        return math.log(value)
    import sympy

    return sympy.log(value)


def exp(value: Any) -> Any:
    """Exponential function."""
    if isinstance(value, torch.Tensor):
        return value.exp()
    if isinstance(value, (int, float)):
        return math.exp(value)
    import sympy

    return sympy.exp(value)


def minimum(value: Any, limit: Any) -> Any:
    """Elementwise the smaller of two."""
    for one, other in ((value, limit), (limit, value)):
        if isinstance(one, torch.Tensor):
            return torch.minimum(one, torch.as_tensor(other, dtype=one.dtype, device=one.device))
    if isinstance(value, (int, float)) and isinstance(limit, (int, float)):
        return min(value, limit)
    import sympy

    return sympy.Min(value, limit)


SYMPY_NAMES = {"log": log, "exp": exp, "Min": minimum}
"""What sympy calls each of them, to get from symbols back to numbers and tensors."""
