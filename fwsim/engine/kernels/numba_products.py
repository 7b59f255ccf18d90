"""One matrix times what several batch entries send: each of its rows is loaded once for all of them.

Worth it for matrices that do not stay in the first-level cache, where a product for a single entry waits for its rows.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fwsim.engine.kernels.numba_vectors import VECTOR_BYTES, broadcast, in_blocks, vector_at

GROUP = 4  # entries
BLOCK = 6  # vectors of each entry's result that are held in registers at once


def _multiply_block(builder: Any, operands: dict, kind: Any, itemsize: int, vectors: int, start: Any) -> None:
    """Emit the products for columns `start …` of `vectors` vectors, with all sums in registers."""
    i64 = ir.IntType(64)

    def results(entry: int, vector: int) -> Any:
        first = builder.mul(operands["out_stride"], i64(entry))
        return vector_at(
            builder, operands["out"], builder.add(builder.add(first, start), i64(vector * kind.count)), kind
        )

    sums = [[cgutils.alloca_once(builder, kind) for _ in range(vectors)] for _ in range(GROUP)]
    for entry, parts in enumerate(sums):
        for vector, part in enumerate(parts):
            builder.store(builder.load(results(entry, vector), align=itemsize), part)
    with cgutils.for_range(builder, operands["count"]) as loop:
        first = builder.add(builder.mul(loop.index, operands["stride"]), start)
        row = [
            builder.load(
                vector_at(builder, operands["rows"], builder.add(first, i64(v * kind.count)), kind),
                align=itemsize,
            )
            for v in range(vectors)
        ]
        for entry, parts in enumerate(sums):
            place = builder.add(builder.mul(operands["value_stride"], i64(entry)), loop.index)
            value = broadcast(builder, builder.load(builder.gep(operands["value"], [place])), kind)
            for numbers, part in zip(row, parts):
                product = builder.fmul(numbers, value, flags=("contract",))
                builder.store(builder.fadd(builder.load(part), product, flags=("contract",)), part)
    for entry, parts in enumerate(sums):
        for vector, part in enumerate(parts):
            builder.store(builder.load(part), results(entry, vector), align=itemsize)


def _multiplier(module: Any, number: Any, itemsize: int) -> Any:
    """Return the module's function that multiplies."""
    i64, pointer = ir.IntType(64), number.as_pointer()
    kinds = {
        "out": pointer,
        "out_stride": i64,
        "rows": pointer,
        "stride": i64,
        "value": pointer,
        "value_stride": i64,
        "count": i64,
        "vectors": i64,
    }
    kind = ir.VectorType(number, VECTOR_BYTES // itemsize)

    def emit(builder: Any, operands: dict, vectors: int, first: Any) -> None:
        _multiply_block(builder, operands, kind, itemsize, vectors, builder.mul(first, i64(kind.count)))

    return in_blocks(module, f"fwsim_multiply_{itemsize}", kinds, "vectors", emit, BLOCK)


def _multiply(typingctx: Any, out: Any, rows: Any, value: Any, count: Any, width: Any) -> tuple:
    """out[e, :width] += Σ_{c < count} value[e, c]·rows[c, :width] for each of `GROUP` entries e.

    `width` counts numbers and is a multiple of whole vectors.
    """
    signature = types.void(out, rows, value, types.int64, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64, itemsize = ir.IntType(64), signature.args[0].dtype.bitwidth // 8
        operands = []
        for position in range(3):
            array = context.make_array(signature.args[position])(context, builder, args[position])
            stride = cgutils.unpack_tuple(builder, array.strides)[0]
            operands += [array.data, builder.udiv(stride, i64(itemsize))]
        number = context.get_data_type(signature.args[0].dtype)
        vectors = builder.udiv(args[4], i64(VECTOR_BYTES // itemsize))
        builder.call(_multiplier(builder.module, number, itemsize), [*operands, args[3], vectors])
        return context.get_dummy_value()

    return signature, codegen


multiply: Any = intrinsic(_multiply)
