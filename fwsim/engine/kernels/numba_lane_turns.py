"""Turning batch entries into lanes and back: tiles of as many units as entries, transposed in registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fwsim.engine.kernels.numba_lanes import vector_kind
from fwsim.engine.kernels.numba_vectors import broadcast, inlined, vector_at

I32, I64 = ir.IntType(32), ir.IntType(64)


def _tile(inwards: bool) -> Any:
    """Make the intrinsic that turns one tile."""

    def typed(
        typingctx: Any,
        entries: Any,
        start: Any,
        step: Any,
        count: Any,
        size: Any,
        rows: Any,
        row: Any,
    ) -> tuple:
        signature = types.void(entries, types.int64, types.int64, types.int64, types.int64, rows, types.int64)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            entries, rows = (
                context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 5)
            )
            kind = vector_kind(signature.args[0].dtype)
            turn = _inwards if inwards else _outwards
            builder.call(turn(builder.module, kind), [entries, *args[1:5], rows, args[6]])
            return context.get_dummy_value()

        return signature, codegen

    return typed


_tile_in: Any = intrinsic(_tile(inwards=True))
_tile_out: Any = intrinsic(_tile(inwards=False))


@inlined
def turn_in(
    entries: Any, start: int, step: int, count: int, units: int, rows: Any, row: int, lanes: int
) -> None:
    """rows[row + i, e] ← entries[start + e·step + i] for units i < `units` and entries e < `count`.

    Further lanes repeat the last entry. Places in `entries` are counted as in a flat array; `rows` is `[row, lane]`.
    """
    for unit in range(0, units, lanes):
        _tile_in(entries, start + unit, step, count, units - unit, rows, row + unit)


@inlined
def turn_out(
    rows: Any, row: int, entries: Any, start: int, step: int, count: int, units: int, lanes: int
) -> None:
    """The way back of `turn_in`."""
    for unit in range(0, units, lanes):
        _tile_out(entries, start + unit, step, count, units - unit, rows, row + unit)


def _function(module: Any, kind: ir.VectorType, name: str) -> tuple[Any, bool]:
    """Return the module's function of a name, and whether it is yet to be written."""
    pointer = kind.element.as_pointer()
    function = cgutils.get_or_insert_function(
        module,
        ir.FunctionType(ir.VoidType(), [pointer, I64, I64, I64, I64, pointer, I64]),
        f"fwsim_turn_{name}_{kind.count}",
    )
    new = function.is_declaration
    function.linkage = "linkonce_odr"
    return function, new


def _inwards(module: Any, kind: ir.VectorType) -> Any:
    function, new = _function(module, kind, "in")
    if not new:
        return function
    function.attributes.add("noinline")
    entries, start, step, count, size, rows, row = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    mask, last = _inside(builder, size, kind), builder.sub(count, I64(1))
    load = _masked(module, "load", kind)
    found = []
    for lane in range(kind.count):
        entry = builder.select(builder.icmp_signed("<", last, I64(lane)), last, I64(lane))
        place = vector_at(builder, entries, builder.add(start, builder.mul(entry, step)), kind)
        found.append(
            builder.call(load, [place, I32(_align(kind)), mask, ir.Constant(kind, [0.0] * kind.count)])
        )
    for unit, vector in enumerate(_transposed(builder, found)):
        place = builder.mul(builder.add(row, I64(unit)), I64(kind.count))
        with builder.if_then(builder.icmp_signed("<", I64(unit), size)):
            builder.store(vector, vector_at(builder, rows, place, kind), align=_align(kind))
    builder.ret_void()
    return function


def _outwards(module: Any, kind: ir.VectorType) -> Any:
    function, new = _function(module, kind, "out")
    if not new:
        return function
    function.attributes.add("noinline")
    entries, start, step, count, size, rows, row = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    mask, end = _inside(builder, size, kind), builder.sub(size, I64(1))
    store = _masked(module, "store", kind)
    found = []
    for unit in range(kind.count):
        inside = builder.select(builder.icmp_signed("<", end, I64(unit)), end, I64(unit))
        place = builder.mul(builder.add(row, inside), I64(kind.count))
        found.append(builder.load(vector_at(builder, rows, place, kind), align=_align(kind)))
    for lane, vector in enumerate(_transposed(builder, found)):
        with builder.if_then(builder.icmp_signed("<", I64(lane), count)):
            place = vector_at(builder, entries, builder.add(start, builder.mul(I64(lane), step)), kind)
            builder.call(store, [vector, place, I32(_align(kind)), mask])
    builder.ret_void()
    return function


def _align(kind: ir.VectorType) -> int:
    return {ir.FloatType(): 4, ir.DoubleType(): 8}[kind.element]


def _inside(builder: Any, size: Any, kind: ir.VectorType) -> Any:
    """Mask of the first `size` places."""
    places = ir.Constant(ir.VectorType(I64, kind.count), list(range(kind.count)))
    return builder.icmp_signed("<", places, broadcast(builder, size, places.type))


def _masked(module: Any, what: str, kind: ir.VectorType) -> Any:
    mask, pointer = ir.VectorType(ir.IntType(1), kind.count), kind.as_pointer()
    suffix = f"v{kind.count}f{8 * _align(kind)}"
    of = {
        "load": ir.FunctionType(kind, [pointer, I32, mask, kind]),
        "store": ir.FunctionType(ir.VoidType(), [kind, pointer, I32, mask]),
    }[what]
    return cgutils.get_or_insert_function(module, of, f"llvm.masked.{what}.{suffix}.p0")


def _transposed(builder: Any, rows: list) -> list:
    """Transpose a tile by exchanging halves, quarters … of pairs of rows (Eklundh 1972)."""
    count, places = len(rows), ir.VectorType(I32, len(rows))
    half = count // 2
    while half:
        for upper in (row for row in range(count) if not row & half):
            one, other = rows[upper], rows[upper + half]
            low = [i if not i & half else count + i - half for i in range(count)]
            high = [i + half if not i & half else count + i for i in range(count)]
            rows[upper] = builder.shuffle_vector(one, other, ir.Constant(places, low))
            rows[upper + half] = builder.shuffle_vector(one, other, ir.Constant(places, high))
        half //= 2
    return rows
