"""A number for each of several batch entries, held in one vector register: the type of all lane kernels.

Where many sequences run at once, each may have a lane of its own: every operation then is one instruction for 16
entries (8 in float64), sums need no steps across a register, and no loop has a remainder. Workspace arrays are
`[row, lane]`; a vector over units is `units` rows, a vector of vectors has them one below the other.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from fwsim.engine.kernels.numba_vectors import VECTOR_BYTES, broadcast, vector_at

I64 = ir.IntType(64)


class Lanes(types.Type):
    """Numba's type of a vector register with one number for each lane."""

    def __init__(self, number: types.Float) -> None:
        self.number, self.count = number, lane_count(number.bitwidth // 8)
        super().__init__(f"Lanes({number}, {self.count})")


def lane_count(itemsize: int) -> int:
    """Batch entries that share a vector."""
    return VECTOR_BYTES // itemsize


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """Lanes are what LLVM calls a vector."""

    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, vector_kind(kind.number))


def vector_kind(number: types.Float) -> ir.VectorType:
    """LLVM's type of a vector of these numbers."""
    scalar = {32: ir.FloatType(), 64: ir.DoubleType()}[number.bitwidth]
    return ir.VectorType(scalar, lane_count(number.bitwidth // 8))


ARITHMETIC = {
    operator.add: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}


class _Arithmetic(AbstractTemplate):
    """Lanes with lanes, or with one number for all."""

    def generic(self, args: tuple, kws: dict) -> Any:
        """Type an operation."""
        lanes = [each for each in args if isinstance(each, Lanes)]
        others = [each for each in args if not isinstance(each, Lanes)]
        if len(args) == 2 and lanes and all(each == lanes[0].number for each in others):
            return signature(lanes[0], *args)
        return None


def _lower(symbol: Any, instruction: str) -> None:
    infer_global(symbol)(type(f"_Arithmetic_{instruction}", (_Arithmetic,), {}))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = vector_kind(signature.return_type.number)
        left, right = (
            value if isinstance(given, Lanes) else broadcast(builder, value, kind)
            for given, value in zip(signature.args, args, strict=True)
        )
        return getattr(builder, instruction)(left, right, flags=("contract",))

    for first, second in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(symbol, first, second)(codegen)


for _symbol, _instruction in ARITHMETIC.items():
    _lower(_symbol, _instruction)


def _get(typingctx: Any, array: Any, row: Any) -> tuple:
    """Load a row of an array `[row, lane]`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _row(context, builder, signature.args[0], args[0], args[1])
        return builder.load(place, align=signature.args[0].dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.int64), codegen


get: Any = intrinsic(_get)


def _put(typingctx: Any, array: Any, row: Any, value: Any) -> tuple:
    """Store a row of an array `[row, lane]`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _row(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], place, align=signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), codegen


put: Any = intrinsic(_put)


def _row(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    vector = vector_kind(kind.dtype)
    return vector_at(builder, data, builder.mul(row, I64(vector.count)), vector)


def _same(typingctx: Any, number: Any) -> tuple:
    """Give one number to all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return broadcast(builder, args[0], vector_kind(signature.args[0]))

    return Lanes(number)(number), codegen


same: Any = intrinsic(_same)


def _root(typingctx: Any, value: Any) -> tuple:
    """Square root."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind, number = args[0].type, signature.args[0].number
        name = f"llvm.sqrt.v{kind.count}f{number.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(function, [args[0]])

    return value(value), codegen


root: Any = intrinsic(_root)


def _unless_positive(typingctx: Any, test: Any, value: Any, other: Any) -> tuple:
    """`value` where `test` ≤ 0, else `other`, also where the test is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(args[0].type, [0.0] * args[0].type.count)
        return builder.select(builder.fcmp_ordered("<=", args[0], zero), args[1], args[2])

    return value(test, value, other), codegen


unless_positive: Any = intrinsic(_unless_positive)


def _total(typingctx: Any, value: Any, count: Any) -> tuple:
    """Sum of the first `count` lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = args[0].type
        lanes = ir.Constant(ir.VectorType(I64, kind.count), list(range(kind.count)))
        inside = builder.icmp_signed("<", lanes, broadcast(builder, args[1], lanes.type))
        kept = builder.select(inside, args[0], ir.Constant(kind, [0.0] * kind.count))
        name = f"llvm.vector.reduce.fadd.v{kind.count}f{signature.args[0].number.bitwidth}"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind.element, [kind.element, kind]), name
        )
        return builder.call(function, [ir.Constant(kind.element, 0.0), kept], fastmath=("reassoc",))

    return value.number(value, types.int64), codegen


total: Any = intrinsic(_total)
