"""Operations that programs of the native engine consist of, and the functions of sympy that they stand for."""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import count
from typing import Any

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from fwsim.engine.native.library import library

relu, softplus = (sympy.Function(name, real=True) for name in ("relu", "softplus"))

FUNCTIONS: dict[Any, str] = {
    relu: "relu",
    softplus: "softplus",
    sympy.Abs: "absolute",
    sympy.Min: "minimum",
    sympy.Max: "maximum",
    **{getattr(sympy, name): name for name in ("exp", "log", "tanh", "sign", "sin", "cos", "tan")},
    **{getattr(sympy, name): name for name in ("asin", "acos", "atan", "sinh", "cosh", "erf", "erfc")},
}
"""Operation that a function of sympy stands for."""

CONDITIONS = (
    sympy.Lt,
    sympy.Le,
    sympy.Gt,
    sympy.Ge,
    sympy.Eq,
    sympy.Ne,
    sympy.And,
    sympy.Or,
    sympy.Not,
    sympy.ITE,
)
"""What the condition of a `Piecewise` may consist of."""


@cache
def operations() -> dict[str, int]:
    """Number of each operation, by its name."""
    name = library().fwsim_operation
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_int64]
    return {found.decode(): number for number, found in enumerate(iter(map(name, count()).__next__, None))}


def unknown(expression: Any) -> str | None:
    """Name what of an expression no operation stands for, if there is something."""
    for part in sympy.preorder_traversal(expression):
        known = (
            part.is_Symbol
            or part.func in (sympy.Add, sympy.Mul, sympy.Pow, sympy.Piecewise, *CONDITIONS)
            or part.func in FUNCTIONS
            or isinstance(
                part, (BooleanTrue, BooleanFalse, sympy.functions.elementary.piecewise.ExprCondPair)
            )
            or (part.is_number and part.is_real and part.is_finite)
        )
        if not known:
            return str(part.func)
    return None
