"""Exponential, hyperbolic tangent and softplus in vectors, written in LLVM's language.

A compiler calls libm for them, one number at a time. Here each is a polynomial after a reduction of its argument, with
coefficients interpolated at Chebyshev points when the module is loaded; errors are a few units in the last place, and
NaN stays NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.polynomial import Chebyshev, Polynomial

FUSED = ("contract",)  # a product and a sum may become one instruction
LN_2_REST = 2.3190468138462996e-17  # ln 2 − its nearest double


@dataclass(frozen=True)
class Precision:
    """What the approximations need to know of a floating-point format.

    Parameters
    ----------
    mantissa
        Bits of the mantissa that are stored.
    reach
        e^±reach is a normal number.
    split
        ln 2 rounded to so few bits that its product with any exponent is exact.
    exponential, logarithm
        Degrees of the polynomials.
    """

    mantissa: int
    reach: float
    split: float
    exponential: int
    logarithm: int

    @property
    def magic(self) -> float:
        """Added to a small number it leaves the nearest integer in the lowest bits."""
        return 1.5 * 2.0**self.mantissa


PRECISIONS = {
    8: Precision(52, 708.0, float(np.float32(math.log(2.0))), 11, 10),
    4: Precision(23, 87.0, 355 / 512, 6, 4),
}


class Vectors:
    """Instructions on whole vectors of one kind of number, put where `builder` stands."""

    def __init__(self, builder: Any, itemsize: int, lanes: int) -> None:
        self.builder, self.itemsize, self.precision = builder, itemsize, PRECISIONS[itemsize]
        number, bits = (ir.DoubleType(), 64) if itemsize == 8 else (ir.FloatType(), 32)
        self.kind, self.whole = ir.VectorType(number, lanes), ir.VectorType(ir.IntType(bits), lanes)
        self._suffix = f"v{lanes}f{bits}"

    def constant(self, value: float) -> Any:
        """Return a vector of one number."""
        return ir.Constant(self.kind, [value] * self.kind.count)

    def _integer(self, value: int) -> Any:
        return ir.Constant(self.whole, [value] * self.whole.count)

    def _intrinsic(self, name: str, *operands: Any) -> Any:
        kind = ir.FunctionType(self.kind, [self.kind] * len(operands))
        full = f"llvm.{name}.{self._suffix}"
        known = self.builder.module.globals.get(full)
        return self.builder.call(known or ir.Function(self.builder.module, kind, full), operands)

    def add(self, a: Any, b: Any) -> Any:
        """Sum of two."""
        return self.builder.fadd(a, b, flags=FUSED)

    def subtract(self, a: Any, b: Any) -> Any:
        """Difference of two."""
        return self.builder.fsub(a, b, flags=FUSED)

    def multiply(self, a: Any, b: Any) -> Any:
        """Product of two."""
        return self.builder.fmul(a, b, flags=FUSED)

    def divide(self, a: Any, b: Any) -> Any:
        """Quotient of two."""
        return self.builder.fdiv(a, b)

    def minimum(self, a: Any, b: Any) -> Any:
        """Return the smaller; NaN where `a` is."""
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), b, a)

    def relu(self, a: Any) -> Any:
        """max(a, 0); NaN where `a` is."""
        zero = self.constant(0.0)
        return self.builder.select(self.builder.fcmp_ordered("<", a, zero), zero, a)

    def polynomial(self, coefficients: tuple[float, ...], a: Any) -> Any:
        """Σ c_n aⁿ."""
        total = self.constant(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total = self.add(self.multiply(total, a), self.constant(coefficient))
        return total

    def _exponential(self, a: Any) -> tuple[Any, Any]:
        """Return s = 2^k and q with e^a = s (1 + q), |q| ≤ √2 − 1, for |a| within reach."""
        p, b = self.precision, self.builder
        shifted = self.add(self.multiply(a, self.constant(1 / math.log(2.0))), self.constant(p.magic))
        k = b.fsub(shifted, self.constant(p.magic))
        rest = self.subtract(a, self.multiply(k, self.constant(p.split)))
        low = (math.log(2.0) - p.split) + LN_2_REST
        rest = self.subtract(rest, self.multiply(k, self.constant(low)))
        q = self.multiply(rest, self.polynomial(_exponential_series(p.exponential), rest))
        exponent = b.shl(b.bitcast(shifted, self.whole), self._integer(p.mantissa))
        one = b.bitcast(self.constant(1.0), self.whole)
        return b.bitcast(b.add(exponent, one), self.kind), q

    def exp(self, a: Any) -> Any:
        """e^a; infinite, and not quite zero, beyond the reach of the precision."""
        high, low = self.constant(self.precision.reach), self.constant(-self.precision.reach)
        held = self.minimum(a, high)
        held = self.builder.select(self.builder.fcmp_ordered("<", held, low), low, held)
        s, q = self._exponential(held)
        return self.builder.select(
            self.builder.fcmp_ordered(">", a, high), self.constant(math.inf), self.add(self.multiply(s, q), s)
        )

    def tanh(self, a: Any) -> Any:
        """Return the hyperbolic tangent, −m/(2 + m) with m = e^{−2|a|} − 1."""
        held = self.minimum(self._intrinsic("fabs", a), self.constant(self.precision.reach / 2))
        s, q = self._exponential(self.multiply(held, self.constant(-2.0)))
        m = self.add(self.multiply(s, q), self.builder.fsub(s, self.constant(1.0)))
        size = self.divide(m, self.subtract(self.constant(-2.0), m))
        return self._intrinsic("copysign", size, a)

    def softplus(self, a: Any) -> Any:
        """ln(1 + e^a) = max(a, 0) + 2 artanh(e/(2 + e)) with e = e^{−|a|}."""
        held = self.minimum(self._intrinsic("fabs", a), self.constant(self.precision.reach))
        s, q = self._exponential(self.builder.fneg(held))
        e = self.add(self.multiply(s, q), s)
        ratio = self.divide(e, self.add(e, self.constant(2.0)))
        series = self.polynomial(_artanh_series(self.precision.logarithm), self.multiply(ratio, ratio))
        return self.add(self.multiply(ratio, series), self.relu(a))


@cache
def _exponential_series(degree: int) -> tuple[float, ...]:
    """(e^r − 1)/r on |r| ≤ ln 2/2."""
    return _interpolated(
        lambda r: sum(r**n / math.factorial(n + 1) for n in range(20)),
        degree - 1,
        -math.log(2) / 2,
        math.log(2) / 2,
    )


@cache
def _artanh_series(degree: int) -> tuple[float, ...]:
    """2 artanh(s)/s as a function of s² ≤ 1/9."""
    return _interpolated(lambda w: sum(2 * w**n / (2 * n + 1) for n in range(30)), degree, 0.0, 1 / 9)


def _interpolated(function: Callable, degree: int, low: float, high: float) -> tuple[float, ...]:
    fitted = Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(float(c) for c in fitted.convert(kind=Polynomial, domain=[-1, 1]).coef)
