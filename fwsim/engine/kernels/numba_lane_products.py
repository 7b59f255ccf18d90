"""Matrix times vector in every lane: the one product that lane kernels are made of.

A product loads each number of its matrix once, for one multiply–add. So that it waits for nothing else, eight rows of
the result stay in registers, or as many partial sums of fewer rows.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fwsim.engine.kernels.numba_lanes import vector_kind
from fwsim.engine.kernels.numba_vectors import LATENCY, broadcast, in_blocks, vector_at

I64 = ir.IntType(64)
SIZES = ("out_step", "row_step", "column_step", "vector_step", "rows", "columns")


def _product(shared: bool) -> Any:
    """Make the intrinsic whose matrix is shared by all lanes, or has a row of lanes for each entry."""

    def typed(
        typingctx: Any,
        out: Any,
        out_row: Any,
        matrix: Any,
        start: Any,
        row_step: Any,
        column_step: Any,
        vector: Any,
        vector_row: Any,
        vector_step: Any,
        rows: Any,
        columns: Any,
    ) -> tuple:
        steps = [types.int64] * 3
        signature = types.void(
            out, types.int64, matrix, *steps, vector, types.int64, types.int64, types.int64, types.int64
        )

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2, 6)]
            kind = vector_kind(signature.args[0].dtype)
            lanes = I64(kind.count)
            offsets = [
                builder.mul(args[1], lanes),
                args[3] if shared else builder.mul(args[3], lanes),
                builder.mul(args[7], lanes),
            ]
            pointers = [builder.gep(each, [offset]) for each, offset in zip(data, offsets, strict=True)]
            unit = I64(1) if shared else lanes
            sizes = [
                lanes,
                builder.mul(args[4], unit),
                builder.mul(args[5], unit),
                builder.mul(args[8], lanes),
                args[9],
                args[10],
            ]
            builder.call(multiplier(builder.module, kind, shared=shared), [*pointers, *sizes])
            return context.get_dummy_value()

        return signature, codegen

    return typed


# out[out_row + i] += Σ_j M(i, j) · vector[vector_row + j·vector_step] for i < rows and j < columns, in each lane.
# M(i, j) is row start + i·row_step + j·column_step of `matrix [row, lane]`, or, for all lanes, that number of a flat
# array.
multiply_shared: Any = intrinsic(_product(shared=True))
multiply: Any = intrinsic(_product(shared=False))


def multiplier(module: Any, kind: ir.VectorType, *, shared: bool, ordered: bool = False) -> Any:
    """Return the module's function that multiplies; all steps are in numbers.

    An `ordered` product adds up every row in the same order, however many rows there are: where rows are shared out
    among threads, the number of threads then changes no bit. Otherwise a few rows have several partial sums each.
    """
    pointer = kind.element.as_pointer()
    kinds = dict.fromkeys(("out", "matrix", "vector"), pointer) | dict.fromkeys(SIZES, I64)
    name = f"fwsim_multiply_{'shared' if shared else 'lanes'}{'_ordered' if ordered else ''}_{kind.count}"
    return in_blocks(module, name, kinds, "rows", partial(_multiply_rows, kind, shared, ordered))


def _multiply_rows(
    kind: Any, shared: bool, ordered: bool, builder: Any, given: dict, rows: int, first: Any
) -> None:
    """Emit the product of rows `first …`, with all partial sums in registers."""
    align = {ir.FloatType(): 4, ir.DoubleType(): 8}[kind.element]
    chains = 1 if ordered else max(1, LATENCY // rows)
    zero = ir.Constant(kind, [0.0] * kind.count)
    sums = [[cgutils.alloca_once(builder, kind) for _ in range(rows)] for _ in range(chains)]
    for partials in sums:
        for each in partials:
            builder.store(zero, each)
    corner = builder.gep(given["matrix"], [builder.mul(first, given["row_step"])])
    starts = [
        _unrelated(builder, builder.gep(corner, [builder.mul(I64(row), given["row_step"])]))
        for row in range(rows)
    ]

    def add(column: Any, partials: list) -> None:
        factor = builder.load(
            vector_at(builder, given["vector"], builder.mul(column, given["vector_step"]), kind), align=align
        )
        offset = builder.mul(column, given["column_step"])
        for start, each in zip(starts, partials, strict=True):
            place = builder.gep(start, [offset])
            entry = (
                broadcast(builder, builder.load(place), kind)
                if shared
                else builder.load(builder.bitcast(place, kind.as_pointer()), align=align)
            )
            product = builder.fmul(entry, factor, flags=("contract",))
            builder.store(builder.fadd(builder.load(each), product, flags=("contract",)), each)

    columns = given["columns"]
    whole = builder.mul(builder.udiv(columns, I64(chains)), I64(chains))
    with cgutils.for_range_slice(builder, I64(0), whole, I64(chains)) as (column, _):
        for number, partials in enumerate(sums):
            add(builder.add(column, I64(number)), partials)
    if chains > 1:
        with cgutils.for_range_slice(builder, whole, columns, I64(1)) as (column, _):
            add(column, sums[0])
    for number in range(rows):
        row = builder.mul(builder.add(first, I64(number)), given["out_step"])
        place = vector_at(builder, given["out"], row, kind)
        result = builder.load(place, align=align)
        for partials in sums:
            result = builder.fadd(result, builder.load(partials[number]))
        builder.store(result, place, align=align)


def _unrelated(builder: Any, pointer: Any) -> Any:
    """Hide how a pointer was computed.

    LLVM would save registers by stepping one pointer through all rows, an addition after the other, for which the
    multiply-add units would have to wait.
    """
    kind = ir.FunctionType(pointer.type, [pointer.type])
    return builder.asm(kind, "", "=r,0", [pointer], side_effect=False)
