"""Vector primitives of the Numba kernels, above all a weighted sum of rows that stays in registers.

Rows are padded to whole vectors of 64 bytes (`padded`), so no loop has a remainder; what lies in the
padding is zero or never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fwsim.engine.kernels.codes import VECTOR_BYTES

BLOCK = 8  # vectors of the result that are held in registers at once
# Other processors than those with AVX-512 would take entries out of a vector one by one.
COMPRESSES = llvm.llvm_version_info >= (19,) and llvm.get_host_cpu_features().get("avx512vl", False)
LATENCY = 8  # independent additions that keep the multiply-add units busy

# Not "nnan" and "ninf": a diverged run is recognised by its NaN and infinity.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "error_model": "numpy",
}
njit: Any = numba.njit
# Without the runtime's reference counts views are free. Numba compiles a function again with each of its callers:
# so parts of one caller become one with it before that, small ones are inlined after, rare ones stay apart.
merged = njit(_nrt=False, inline="always", **OPTIONS)
apart = njit(_nrt=False, **OPTIONS)
inlined = njit(_nrt=False, forceinline=True, **OPTIONS)


def kernel(function: Any) -> Any:
    """Compile a function that Python calls, and keep the code between processes where a folder can be written."""
    try:
        dispatcher = njit(cache=True, _nrt=False, **OPTIONS)(function)
    except RuntimeError:
        return njit(_nrt=False, **OPTIONS)(function)
    # Numba would only notice a change of the function's own file, not of those that it is built from.
    stamps = (path.stat() for path in Path(__file__).parent.glob("numba_*.py"))
    dispatcher._cache._cache_file._source_stamp = sorted((stamp.st_mtime, stamp.st_size) for stamp in stamps)
    return dispatcher


def padded(size: int, itemsize: int) -> int:
    """Return `size` rounded up to whole vectors."""
    lanes = VECTOR_BYTES // itemsize
    return -(-size // lanes) * lanes


def vector_at(builder: Any, pointer: Any, offset: Any, kind: Any) -> Any:
    """Pointer to the vector that starts `offset` numbers after `pointer`."""
    return builder.bitcast(builder.gep(pointer, [offset]), kind.as_pointer())


def _sum_block(builder: Any, operands: dict, kind: Any, itemsize: int, vectors: int, start: Any) -> None:
    """Emit the sum for columns `start …` of `vectors` vectors, with all partial sums in registers."""
    i64 = ir.IntType(64)
    chains = max(1, LATENCY // vectors)
    partial = [[cgutils.alloca_once(builder, kind) for _ in range(vectors)] for _ in range(chains)]
    scale = broadcast(builder, operands["scale"], kind)
    for chain, sums in enumerate(partial):
        for vector, accumulator in enumerate(sums):
            if chain:
                builder.store(ir.Constant(kind, [0.0] * kind.count), accumulator)
                continue
            place = builder.add(start, i64(vector * kind.count))
            old = builder.load(vector_at(builder, operands["out"], place, kind), align=itemsize)
            builder.store(builder.fmul(old, scale), accumulator)

    def add_row(position: Any, sums: list) -> None:
        row = builder.sext(builder.load(builder.gep(operands["index"], [position])), i64)
        weight = broadcast(builder, builder.load(builder.gep(operands["value"], [position])), kind)
        first = builder.add(builder.mul(row, operands["stride"]), start)
        for vector, accumulator in enumerate(sums):
            place = builder.add(first, i64(vector * kind.count))
            entry = builder.load(vector_at(builder, operands["rows"], place, kind), align=itemsize)
            product = builder.fmul(entry, weight, flags=("contract",))
            builder.store(builder.fadd(builder.load(accumulator), product, flags=("contract",)), accumulator)

    count = operands["count"]
    whole = builder.mul(builder.sdiv(count, i64(chains)), i64(chains))
    with cgutils.for_range_slice(builder, i64(0), whole, i64(chains)) as (position, _):
        for chain, sums in enumerate(partial):
            add_row(builder.add(position, i64(chain)), sums)
    if chains > 1:
        with cgutils.for_range_slice(builder, whole, count, i64(1)) as (position, _):
            add_row(position, partial[0])

    for vector in range(vectors):
        total = builder.load(partial[0][vector])
        for sums in partial[1:]:
            total = builder.fadd(total, builder.load(sums[vector]))
        place = builder.add(start, i64(vector * kind.count))
        builder.store(total, vector_at(builder, operands["out"], place, kind), align=itemsize)


def broadcast(builder: Any, number: Any, kind: Any) -> Any:
    """Fill a vector with one number."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, nothing, zeros)


def in_blocks(
    module: Any,
    name: str,
    kinds: Mapping[str, Any],
    count: str,
    emit: Callable[..., None],
    block: int = BLOCK,
) -> Any:
    """Return the module's function of a name, written when first asked for.

    Emitting it once instead of wherever it is used keeps the time to compile short.

    Parameters
    ----------
    kinds
        Name → type of its arguments.
    count
        Which of them says how many things there are.
    emit
        `(builder, arguments, size, first) → None`: work on `size` things; `block` at a time, then the rest.
    block
        Things whose partial results fit the registers.
    """
    i64 = ir.IntType(64)
    function = cgutils.get_or_insert_function(
        module, ir.FunctionType(ir.VoidType(), list(kinds.values())), name
    )
    if not function.is_declaration:
        return function
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    given = dict(zip(kinds, function.args, strict=True))
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    blocks = builder.udiv(given[count], i64(block))
    with cgutils.for_range(builder, blocks) as loop:
        emit(builder, given, block, builder.mul(loop.index, i64(block)))
    first = builder.mul(blocks, i64(block))
    done = function.append_basic_block("done")
    switch = builder.switch(builder.urem(given[count], i64(block)), done)
    for size in range(1, block):
        rest = function.append_basic_block(f"rest_{size}")
        switch.add_case(i64(size), rest)
        builder.position_at_end(rest)
        emit(builder, given, size, first)
        builder.branch(done)
    builder.position_at_end(done)
    builder.ret_void()
    return function


def _row_summer(module: Any, number: Any, itemsize: int) -> Any:
    """Return the module's function that sums rows."""
    i64, pointer = ir.IntType(64), number.as_pointer()
    kinds = {
        "out": pointer,
        "scale": number,
        "rows": pointer,
        "stride": i64,
        "index": ir.IntType(32).as_pointer(),
        "value": pointer,
        "count": i64,
        "vectors": i64,
    }
    kind = ir.VectorType(number, VECTOR_BYTES // itemsize)

    def emit(builder: Any, operands: dict, vectors: int, first: Any) -> None:
        _sum_block(builder, operands, kind, itemsize, vectors, builder.mul(first, i64(kind.count)))

    return in_blocks(module, f"fwsim_sum_rows_{itemsize}", kinds, "vectors", emit)


def _sum_rows(
    typingctx: Any, out: Any, scale: Any, rows: Any, index: Any, value: Any, count: Any, width: Any
) -> tuple:
    """out[:width] ← scale·out[:width] + Σ_{c < count} value[c]·rows[index[c], :width].

    `width` counts numbers and is a multiple of whole vectors. Numba's own loops would load and store `out`
    for every few rows; here up to `BLOCK` vectors of it stay in registers, which doubles the speed while
    the rows lie in the first-level cache.
    """
    signature = types.void(out, out.dtype, rows, index, value, types.int64, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        out, rows, index, value = (
            context.make_array(signature.args[i])(context, builder, args[i]) for i in (0, 2, 3, 4)
        )
        i64, itemsize = ir.IntType(64), signature.args[0].dtype.bitwidth // 8
        number = context.get_data_type(signature.args[0].dtype)
        stride = builder.udiv(cgutils.unpack_tuple(builder, rows.strides)[0], i64(itemsize))
        vectors = builder.udiv(args[6], i64(VECTOR_BYTES // itemsize))
        summer = _row_summer(builder.module, number, itemsize)
        builder.call(summer, [out.data, args[1], rows.data, stride, index.data, value.data, args[5], vectors])
        return context.get_dummy_value()

    return signature, codegen


sum_rows: Any = intrinsic(_sum_rows)


def _dot(typingctx: Any, a: Any, b: Any, width: Any) -> tuple:
    """Σ a b over the first `width` numbers, a multiple of whole vectors.

    Numba's own loop would add up across lanes several times, for its main part and for what is left over.
    """
    signature = a.dtype(a, b, types.int64)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one, other = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in range(2))
        i64, itemsize = ir.IntType(64), signature.args[0].dtype.bitwidth // 8
        number, lanes = context.get_data_type(signature.args[0].dtype), VECTOR_BYTES // itemsize
        kind = ir.VectorType(number, lanes)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(kind, [0.0] * lanes)) for _ in range(2)]

        def add_products(start: Any, total: Any) -> None:
            x, y = (
                builder.load(vector_at(builder, data, start, kind), align=itemsize) for data in (one, other)
            )
            product = builder.fmul(x, y, flags=("contract",))
            builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)

        pairs = builder.mul(builder.udiv(args[2], i64(2 * lanes)), i64(2 * lanes))
        with cgutils.for_range_slice(builder, i64(0), pairs, i64(2 * lanes)) as (start, _):
            add_products(start, sums[0])
            add_products(builder.add(start, i64(lanes)), sums[1])
        with builder.if_then(builder.icmp_signed("<", pairs, args[2])):
            add_products(pairs, sums[0])
        total = builder.fadd(*(builder.load(part) for part in sums))
        across = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(number, [number, kind]),
            f"llvm.vector.reduce.fadd.v{lanes}f{8 * itemsize}",
        )
        return builder.call(across, [ir.Constant(number, 0.0), total], fastmath=("reassoc",))

    return signature, codegen


dot: Any = intrinsic(_dot)


@inlined
def active_scanned(state: np.ndarray, size: int, index: np.ndarray, value: np.ndarray) -> int:
    """List the entries of `state[:size]` that are not zero; silent units then cost nothing."""
    count = 0
    for unit in range(size):
        index[count] = unit
        value[count] = state[unit]
        count += state[unit] != 0
    return count


def _active_compressed(typingctx: Any, state: Any, size: Any, index: Any, value: Any) -> tuple:
    """`active_scanned` by the instruction that moves the chosen entries of a vector together.

    All arrays have room for whole vectors.
    """
    signature = types.int64(state, types.int64, index, value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        state, index, value = (
            context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2, 3)
        )
        itemsize = signature.args[0].dtype.bitwidth // 8
        lanes, i32, i64 = VECTOR_BYTES // itemsize, ir.IntType(32), ir.IntType(64)
        numbers = ir.VectorType(context.get_data_type(signature.args[0].dtype), lanes)
        places = ir.VectorType(i32, lanes)
        size = builder.trunc(args[1], i32)
        found = cgutils.alloca_once_value(builder, i64(0))

        def compress(kind: Any, suffix: str, vector: Any, mask: Any, target: Any) -> None:
            mask_kind = ir.VectorType(ir.IntType(1), lanes)
            name = f"llvm.experimental.vector.compress.v{lanes}{suffix}"
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(kind, [kind, mask_kind, kind]), name
            )
            together = builder.call(function, [vector, mask, ir.Constant(kind, ir.Undefined)])
            builder.store(together, vector_at(builder, target, builder.load(found), kind), align=4)

        with cgutils.for_range_slice(builder, i64(0), args[1], i64(lanes)) as (start, _):
            entries = builder.load(vector_at(builder, state, start, numbers), align=itemsize)
            first = broadcast(builder, builder.trunc(start, i32), places)
            place = builder.add(first, ir.Constant(places, list(range(lanes))))
            spikes = builder.fcmp_unordered("!=", entries, ir.Constant(numbers, [0.0] * lanes))
            inside = builder.icmp_signed("<", place, broadcast(builder, size, places))
            mask = builder.and_(spikes, inside)
            compress(places, "i32", place, mask, index)
            compress(numbers, f"f{8 * itemsize}", entries, mask, value)
            number = builder.ctpop(builder.bitcast(mask, ir.IntType(lanes)))
            builder.store(builder.add(builder.load(found), builder.zext(number, i64)), found)
        return builder.load(found)

    return signature, codegen


active_compressed: Any = intrinsic(_active_compressed)
active = active_compressed if COMPRESSES else active_scanned


@inlined
def transpose(source: np.ndarray, target: np.ndarray, size: int) -> None:
    """target[j, i] ← source[i, j] in tiles that fit the cache."""
    for i0 in range(0, size, 16):
        for j0 in range(0, size, 16):
            for i in range(i0, min(size, i0 + 16)):
                for j in range(j0, min(size, j0 + 16)):
                    target[j, i] = source[i, j]


@inlined
def copy(source: np.ndarray, target: np.ndarray, size: int) -> None:
    """Copy `size` numbers; Numba's own assignment of slices would first check whether they overlap."""
    for i in range(size):
        target[i] = source[i]


@inlined
def clear(target: np.ndarray, size: int) -> None:
    """Set `size` numbers to zero."""
    for i in range(size):
        target[i] = 0


@inlined
def add(source: np.ndarray, target: np.ndarray, size: int) -> None:
    """Target += source."""
    for i in range(size):
        target[i] += source[i]


@merged
def tanh_within(x: Any, number: Any) -> Any:
    """Hyperbolic tangent of numbers (or lanes) up to 20, in operations that vectors have; see `tanh`."""
    x = x * number(1 / 32)
    y = x * x
    above = ((number(36) * y + number(6930)) * y + number(270270)) * y + number(2027025)
    below = (((y + number(630)) * y + number(51975)) * y + number(945945)) * y + number(2027025)
    t = x * above / below
    for _ in range(5):
        t = number(2) * t / (number(1) + t * t)
    return t


@inlined
def tanh(values: np.ndarray) -> None:
    """Replace values by their hyperbolic tangent, NaN by NaN, in vectors, which libm's function is not.

    The continued fraction x/(1 + x²/(3 + x²/(5 + …))) to its eighth term has a relative error below 3·10⁻¹⁸ for
    |x| ≤ 20/32; tanh 2x = 2t/(1 + t²) then goes up five times and does not enlarge a relative error. Beyond 20,
    1 − |tanh x| is below 10⁻¹⁷.
    """
    top = values.dtype.type(20)
    for i in range(values.shape[0]):
        x = values[i]
        x = top if x > top else x
        x = -top if x < -top else x
        values[i] = tanh_within(x, values.dtype.type)
