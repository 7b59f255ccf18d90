"""Compiled work shared out on OpenMP's threads without Python in between.

A thread that enters through Python first has to wait for the interpreter's lock: some tens of microseconds, in which
small runs are done.

While a part runs, numbers too small for full precision (below 1e-38 in float32) count as 0. A memory that decays is
full of them, and an Intel core spends a hundred times the usual time on each.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I32, I64, POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
X86 = platform.machine().lower() in ("x86_64", "amd64")
# In results and in operands: bits of the register that controls the vector units.
SUBNORMALS_ARE_ZERO = 0x8040


def _share(typingctx: Any, team: Any, part: Any, parts: Any, total: Any, work: Any, given: Any) -> tuple:
    """Call the compiled function `work(part, first, last, *given)` for consecutive parts of `total`.

    Parameters
    ----------
    team
        Address of `GOMP_parallel`, which GNU's and LLVM's OpenMP have: all parts, one a thread. 0: part number
        `part` alone.
    """
    signature = work.get_call_type(typingctx, (types.int64, types.int64, types.int64, *given.types), {})

    def codegen(context: Any, builder: Any, outer: Any, args: Any) -> Any:
        compiled = work.dispatcher.overloads[signature.args]
        context.add_linking_libs([compiled.library])
        team, part, parts, total, _, given = args
        holder = cgutils.pack_struct(builder, (I64(0), parts, total, given))
        place = cgutils.alloca_once_value(builder, holder)

        def call(builder: Any, part: Any, parts: Any, total: Any, given: Any) -> None:
            bounds = [builder.sdiv(builder.mul(total, builder.add(part, I64(end))), parts) for end in (0, 1)]
            function = context.declare_function(builder.module, compiled.fndesc)
            values = [part, *bounds, *cgutils.unpack_tuple(builder, given)]
            with _no_subnormals(builder):
                context.call_conv.call_function(
                    builder, function, signature.return_type, signature.args, values
                )

        with builder.if_else(builder.icmp_signed("==", team, I64(0))) as (alone, together):
            with alone:
                call(builder, part, parts, total, given)
            with together:
                body = _thread(builder.module, holder.type, compiled.fndesc.mangled_name, call)
                kind = ir.FunctionType(ir.VoidType(), [body.type, POINTER, I32, I32])
                start = builder.inttoptr(team, kind.as_pointer())
                threads = builder.trunc(parts, I32)
                builder.call(start, [body, builder.bitcast(place, POINTER), threads, I32(0)])
        return context.get_dummy_value()

    return types.void(team, part, parts, total, work, given), codegen


share: Any = intrinsic(_share)


@contextmanager
def _no_subnormals(builder: Any) -> Iterator[None]:
    """Emit code that counts subnormal numbers as 0 in what is emitted inside, and then as before (on x86 alone)."""
    if not X86:
        yield
        return
    kind = ir.FunctionType(ir.VoidType(), [POINTER])
    store, load = (
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}mxcsr")
        for name in ("st", "ld")
    )
    before, during = (cgutils.alloca_once(builder, I32) for _ in range(2))
    builder.call(store, [builder.bitcast(before, POINTER)])
    builder.store(builder.or_(builder.load(before), I32(SUBNORMALS_ARE_ZERO)), during)
    builder.call(load, [builder.bitcast(during, POINTER)])
    yield
    builder.call(load, [builder.bitcast(before, POINTER)])


def _thread(module: Any, holder: Any, name: str, call: Any) -> Any:
    """Write the function that each thread runs: it takes the next part until none is left."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), f"fwsim_thread_{name}")
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    place = builder.bitcast(function.args[0], holder.as_pointer())
    held = builder.load(place)
    parts, total, given = (builder.extract_value(held, i) for i in (1, 2, 3))
    taken = builder.gep(place, [I32(0), I32(0)])
    again, go_on, done = (function.append_basic_block(label) for label in ("again", "go_on", "done"))
    builder.branch(again)
    builder.position_at_end(again)
    part = builder.atomic_rmw("add", taken, I64(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", part, parts), go_on, done)
    builder.position_at_end(go_on)
    call(builder, part, parts, total, given)
    builder.branch(again)
    builder.position_at_end(done)
    builder.ret_void()
    return function
