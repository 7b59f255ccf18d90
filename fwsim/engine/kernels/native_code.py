"""Machine code for expressions, element by element over rows of numbers.

Numba takes seconds to compile what LLVM alone does in some hundredths of a second, so the expressions of a network
become machine code anew in each process, and nothing of it has to be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from threading import Lock
from typing import Any

import numba  # noqa: F401  # sets LLVM up
import sympy
from llvmlite import binding as llvm
from llvmlite import ir

from fwsim.engine.kernels.native_functions import Vectors
from fwsim.engine.kernels.numba_vectors import VECTOR_BYTES

relu, softplus = (sympy.Function(name, real=True) for name in ("relu", "softplus"))
tanh = sympy.tanh
FUNCTIONS = {sympy.exp: "exp", sympy.Min: "minimum", relu: "relu", softplus: "softplus", tanh: "tanh"}
_compiling = Lock()

Assignments = tuple[tuple[sympy.Symbol, sympy.Expr], ...]
"""Rows and what is written to them; all are computed before any is written."""


@dataclass(frozen=True)
class Code:
    """Functions in memory: `addresses` of `void f(number *rows)`, valid as long as this lives."""

    engine: Any
    addresses: tuple[int, ...]


def unknown(expression: Any) -> str | None:
    """Name what of an expression cannot become machine code, if there is something."""
    for part in sympy.preorder_traversal(expression):
        known = (
            part.is_Symbol
            or part.is_Add
            or part.is_Mul
            or part.func in FUNCTIONS
            or (part.is_number and part.is_real)
        )
        if not (known or (part.is_Pow and part.exp.is_Integer)):
            return str(part.func)
    return None


@lru_cache(maxsize=128)
def compile_rows(
    functions: tuple[Assignments, ...],
    rows: tuple[sympy.Symbol, ...],
    itemsize: int,
    vectors: int,
    stride: int,
) -> Code:
    """Compile functions over rows that lie `stride` numbers apart and are `vectors` vectors long.

    Parameters
    ----------
    functions
        What each does.
    rows
        Name of every row, in order.
    itemsize
        8 or 4 bytes a number.
    """
    module = ir.Module("fwsim_rows")
    module.triple = llvm.get_process_triple()
    places = {row: place * stride for place, row in enumerate(rows)}
    for number, assignments in enumerate(functions):
        _write_function(module, f"rows_{number}", assignments, places, itemsize, vectors)
    with _compiling:
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
        )
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), machine)
        engine.finalize_object()
        addresses = tuple(engine.get_function_address(f"rows_{number}") for number in range(len(functions)))
    return Code(engine, addresses)


def _write_function(
    module: Any, name: str, assignments: Assignments, places: Mapping[Any, int], itemsize: int, vectors: int
) -> None:
    """Write a loop over vectors; each turn loads what it needs of every row, computes, and stores."""
    number, i64 = (ir.DoubleType() if itemsize == 8 else ir.FloatType()), ir.IntType(64)
    lanes = VECTOR_BYTES // itemsize
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [number.as_pointer()]), name)
    entry, loop, done = (function.append_basic_block(block) for block in ("entry", "loop", "done"))
    ir.IRBuilder(entry).branch(loop)
    builder = ir.IRBuilder(loop)
    start = builder.phi(i64)
    start.add_incoming(i64(0), entry)

    code = _Expressions(Vectors(builder, itemsize, lanes), function.args[0], start, places)
    targets, values = zip(*assignments)
    shared, results = sympy.cse(values, order="none")
    for symbol, expression in shared:
        code.known[symbol] = code.value(expression)
    computed = [code.value(result) for result in results]
    for target, result in zip(targets, computed):
        builder.store(result, code.pointer(target), align=itemsize)

    after = builder.add(start, i64(lanes))
    start.add_incoming(after, loop)
    builder.cbranch(builder.icmp_signed("<", after, i64(vectors * lanes)), loop, done)
    ir.IRBuilder(done).ret_void()


class _Expressions:
    """Turns sympy expressions into instructions; a row is loaded once."""

    def __init__(self, vectors: Vectors, rows: Any, start: Any, places: Mapping[Any, int]) -> None:
        self.vectors, self.rows, self.start, self.places = vectors, rows, start, places
        self.known: dict[Any, Any] = {}

    def pointer(self, row: sympy.Symbol) -> Any:
        """Place of this turn's vector in a row."""
        b = self.vectors.builder
        offset = b.add(self.start, ir.IntType(64)(self.places[row]))
        return b.bitcast(b.gep(self.rows, [offset]), self.vectors.kind.as_pointer())

    def value(self, expression: Any) -> Any:
        """Emit an expression."""
        v = self.vectors
        if expression in self.known:
            return self.known[expression]
        if expression.is_Symbol:
            self.known[expression] = v.builder.load(self.pointer(expression), align=v.itemsize)
            return self.known[expression]
        if expression.is_number:
            return v.constant(float(expression))
        if expression.is_Add:
            return self._sum(expression.args)
        if expression.is_Mul or expression.is_Pow:
            return self._product(expression)
        ordered = sorted(expression.args, key=lambda each: each.is_number)  # NaN passes in the first operand
        name, operands = FUNCTIONS[expression.func], [self.value(each) for each in ordered]
        function = getattr(v, name)
        return reduce(function, operands) if len(operands) > 1 else function(*operands)

    def _sum(self, terms: tuple) -> Any:
        """Add up, and subtract what has a minus sign."""
        v = self.vectors
        plus = [term for term in terms if not term.could_extract_minus_sign()]
        minus = [-term for term in terms if term.could_extract_minus_sign()]
        total = self.value(plus[0]) if plus else v.builder.fneg(self.value(minus.pop(0)))
        for term in plus[1:]:
            total = v.add(total, self.value(term))
        for term in minus:
            total = v.subtract(total, self.value(term))
        return total

    def _product(self, expression: Any) -> Any:
        """Multiply numerators, and divide by the denominators once."""
        v = self.vectors
        over: list[Any] = []
        under: list[Any] = []
        for factor in sympy.Mul.make_args(expression):
            base, power = factor.args if factor.is_Pow else (factor, 1)
            (over if power > 0 else under).extend([self.value(base)] * abs(int(power)))
        top = reduce(v.multiply, over) if over else v.constant(1.0)
        return v.divide(top, reduce(v.multiply, under)) if under else top
