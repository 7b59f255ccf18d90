"""Derivatives of the operations of programs, as operations again.

For each operation, what the gradient for its result contributes to that for an operand, which is added up for all
operations that read the operand (reverse mode). A contribution is a sign and a product of two operands, of which the
second may be missing. Where torch's functions have a corner, the conventions are torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Term = tuple[int, Any, Any]
"""Sign, first factor, second factor or `None`."""

Derivative = Callable[[Any, tuple[Any, ...], Any, Any], Term]
"""`(code, operands, result, gradient) → contribution`; `code` appends operations."""


def _plain(sign: int) -> Derivative:
    return lambda code, operands, result, gradient: (sign, gradient, None)


def _other(sign: int, place: int) -> Derivative:
    return lambda code, operands, result, gradient: (sign, gradient, operands[place])


def _factor(function: Callable[..., Any], sign: int = 1) -> Derivative:
    """`gradient · function(code, result, *operands)`."""
    return lambda code, operands, result, gradient: (sign, gradient, function(code, result, *operands))


def _over(function: Callable[..., Any], sign: int = 1) -> Derivative:
    """`gradient / function(code, result, *operands)`."""
    return lambda code, operands, result, gradient: (
        sign,
        code.operation("divide", gradient, function(code, result, *operands)),
        None,
    )


def _where(condition: Callable[..., Any]) -> Derivative:
    """The gradient where a condition is true, else 0."""
    return lambda code, operands, result, gradient: (
        1,
        code.operation("select", condition(code, *operands), gradient, code.number(0.0)),
        None,
    )


def _divisor(code: Any, operands: tuple[Any, ...], result: Any, gradient: Any) -> Term:
    return -1, code.operation("divide", gradient, operands[1]), result


def _smaller(code: Any, a: Any, b: Any) -> Any:
    """1 where a < b, ½ where both are the same, else 0."""
    both = code.operation("add", code.operation("less", a, b), code.operation("less_equal", a, b))
    return code.operation("multiply", both, code.number(0.5))


def _base(code: Any, result: Any, a: Any, b: Any) -> Any:
    """Return b a^(b − 1), and 0 where b = 0."""
    less = code.operation("power", a, code.operation("subtract", b, code.number(1.0)))
    zero = code.operation("equal", b, code.number(0.0))
    return code.operation("select", zero, code.number(0.0), code.operation("multiply", b, less))


def _exponent(code: Any, result: Any, a: Any, b: Any) -> Any:
    """Return a^b ln a, and 0 where a = 0 and b ≥ 0."""
    grown = code.operation("multiply", result, code.operation("log", a))
    none = code.operation(
        "multiply",
        code.operation("equal", a, code.number(0.0)),
        code.operation("less_equal", code.number(0.0), b),
    )
    return code.operation("select", none, code.number(0.0), grown)


def _bell(code: Any, result: Any, a: Any) -> Any:
    """2/√π e^{−a²}."""
    exponent = code.operation("negate", code.operation("multiply", a, a))
    return code.operation("multiply", code.operation("exp", exponent), code.number(2 / math.sqrt(math.pi)))


def _one_minus_square(code: Any, value: Any) -> Any:
    return code.operation("multiply_subtract", value, value, code.number(1.0))


def _one_plus_square(code: Any, value: Any) -> Any:
    return code.operation("multiply_add", value, value, code.number(1.0))


def _root(code: Any, result: Any, a: Any) -> Any:
    return code.operation("square_root", _one_minus_square(code, a))


DERIVATIVES: dict[str, tuple[Derivative | None, ...]] = {
    "copy": (_plain(1),),
    "negate": (_plain(-1),),
    "add": (_plain(1), _plain(1)),
    "subtract": (_plain(1), _plain(-1)),
    "multiply": (_other(1, 1), _other(1, 0)),
    "divide": (_over(lambda code, result, a, b: b), _divisor),
    "multiply_add": (_other(1, 1), _other(1, 0), _plain(1)),
    "multiply_subtract": (_other(-1, 1), _other(-1, 0), _plain(1)),
    "minimum": (
        _factor(lambda code, result, a, b: _smaller(code, a, b)),
        _factor(lambda code, result, a, b: _smaller(code, b, a)),
    ),
    "maximum": (
        _factor(lambda code, result, a, b: _smaller(code, b, a)),
        _factor(lambda code, result, a, b: _smaller(code, a, b)),
    ),
    "absolute": (_factor(lambda code, result, a: code.operation("sign", a)),),
    "sign": (None,),
    "relu": (_where(lambda code, a: code.operation("less", code.number(0.0), a)),),
    "square_root": (_over(lambda code, result, a: code.operation("add", result, result)),),
    "power": (_factor(_base), _factor(_exponent)),
    "exp": (_factor(lambda code, result, a: result),),
    "log": (_over(lambda code, result, a: a),),
    "tanh": (_factor(lambda code, result, a: _one_minus_square(code, result)),),
    # the logistic function e^a/(1 + e^a), since the result is ln(1 + e^a)
    "softplus": (
        _factor(lambda code, result, a: code.operation("exp", code.operation("subtract", a, result))),
    ),
    "sin": (_factor(lambda code, result, a: code.operation("cos", a)),),
    "cos": (_factor(lambda code, result, a: code.operation("sin", a), -1),),
    "tan": (_factor(lambda code, result, a: _one_plus_square(code, result)),),
    "asin": (_over(_root),),
    "acos": (_over(_root, -1),),
    "atan": (_over(lambda code, result, a: _one_plus_square(code, a)),),
    "sinh": (_factor(lambda code, result, a: code.operation("cosh", a)),),
    "cosh": (_factor(lambda code, result, a: code.operation("sinh", a)),),
    "erf": (_factor(_bell),),
    "erfc": (_factor(_bell, -1),),
    "less": (None, None),
    "less_equal": (None, None),
    "equal": (None, None),
    "select": (
        None,
        _where(lambda code, a, b, c: a),
        _where(lambda code, a, b, c: code.operation("equal", a, code.number(0.0))),
    ),
}
"""By operation, one for each operand; `None` where there is no gradient."""
