"""The functions that a rule may use besides arithmetic, for numbers, tensors and symbols."""

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
    """Elementwise minimum of two."""
    for one, other in ((value, limit), (limit, value)):
        if isinstance(one, torch.Tensor):
            return torch.minimum(one, torch.as_tensor(other, dtype=one.dtype, device=one.device))
    if isinstance(value, (int, float)) and isinstance(limit, (int, float)):
        return min(value, limit)
    import sympy

    return sympy.Min(value, limit)


SYMPY_NAMES = {"log": log, "exp": exp, "Min": minimum}
"""sympy's names of these functions, for the conversion of symbols to numbers and tensors."""
