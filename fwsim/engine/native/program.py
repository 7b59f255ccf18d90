"""Programs of the native engine: expressions of sympy as lists of operations over rows of numbers.

`operations.hpp` says what each operation does, `program.hpp` how a program runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import numpy as np
import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from fwsim.engine.native.derivatives import DERIVATIVES, Term
from fwsim.engine.native.operations import FUNCTIONS, operations

MOST_FACTORS = 8  # of an integer power that is multiplied out

Assignments = tuple[tuple[sympy.Symbol, sympy.Expr], ...]
"""Rows and what is written to them; all are computed before any is written."""


@dataclass(frozen=True)
class Adjoint:
    """Backward pass of assignments: from the gradient for all rows after them to that for all rows before.

    Each of the rows and numbers has a row for its gradient, `adjoint(symbol)`. That of a row which is written becomes
    what the assignments make of all gradients; to that of others this is added.

    Parameters
    ----------
    assignments
        What is done.
    wanted
        Rows and numbers whose gradient is followed.
    """

    assignments: Assignments
    wanted: tuple[sympy.Symbol, ...]


def adjoint(symbol: sympy.Symbol) -> sympy.Symbol:
    """Row of the gradient for a row or number."""
    return sympy.Symbol(f"d_{symbol.name}", real=True)


@dataclass(frozen=True, eq=False)
class Programs:
    """Programs over the same rows.

    Parameters
    ----------
    instructions
        Of each program, `[instruction, 5]`: operation, target, three operands; see `program.hpp`.
    literals
        Numbers in the expressions; their places follow those of rows and of the numbers that are given.
    temporaries
        Temporary results that any program holds at once.
    """

    instructions: tuple[np.ndarray, ...]
    literals: tuple[float, ...]
    temporaries: int


@lru_cache(maxsize=128)
def compile_programs(
    functions: tuple[Assignments | Adjoint, ...],
    rows: tuple[sympy.Symbol, ...],
    numbers: tuple[sympy.Symbol, ...],
) -> Programs:
    """Compile what is done to rows into programs.

    Parameters
    ----------
    functions
        What each program does.
    rows
        Symbol of every row, in order.
    numbers
        Symbols that are the same number everywhere, in order.
    """
    places = {symbol: place for place, symbol in enumerate((*rows, *numbers))}
    literals: dict[float, int] = {}
    codes = [_Code(places, literals) for _ in functions]
    for code, function in zip(codes, functions):
        if isinstance(function, Adjoint):
            code.assign_adjoint(function)
        else:
            code.assign(function)
    first = len(places) + len(literals)
    located = [code.located(first) for code in codes]
    temporaries = max(used for _, used in located)
    return Programs(tuple(instructions for instructions, _ in located), tuple(literals), temporaries)


@dataclass(frozen=True)
class _Value:
    """Result of the operation of that number."""

    number: int


_Operand = int | _Value  # a place that is known already, or a result


class _Code:
    """Operations in the order in which they are done, each with a result of its own."""

    def __init__(self, places: dict[sympy.Symbol, int], literals: dict[float, int]) -> None:
        self.places, self.literals = places, literals
        self.done: dict[tuple[str, tuple[_Operand, ...]], int] = {}
        self.known: dict[Any, _Operand] = dict(places)
        self.written: list[tuple[int, _Value]] = []

    def assign(self, assignments: Assignments) -> None:
        """Compute all expressions, and say which row gets which."""
        for target, value in self._results(assignments).items():
            self._write(target, value)

    def assign_adjoint(self, function: Adjoint) -> None:
        """Compute the gradients for what the assignments read (reverse mode)."""
        results = self._results(function.assignments)
        followed: set[_Operand] = {self.places[symbol] for symbol in function.wanted}
        forward = list(self.done.items())
        for (_, operands), number in forward:
            if not followed.isdisjoint(operands):
                followed.add(_Value(number))
        gradients: dict[_Operand, _Operand] = {}
        for target, value in results.items():
            if value in followed and target in function.wanted:
                self._accumulate(gradients, value, (1, self.places[adjoint(target)], None))
        for (name, operands), number in reversed(forward):
            if (gradient := gradients.get(_Value(number))) is None:
                continue
            for operand, derivative in zip(operands, DERIVATIVES[name]):
                if derivative is not None and operand in followed:
                    term = derivative(self, operands, _Value(number), gradient)
                    self._accumulate(gradients, operand, term)
        for symbol in function.wanted:
            gradient, row = gradients.get(self.places[symbol]), adjoint(symbol)
            if symbol in results:
                self._write(row, self.number(0.0) if gradient is None else gradient)
            elif gradient is not None:
                self._write(row, self.operation("add", self.places[row], gradient))

    def _accumulate(self, gradients: dict[_Operand, _Operand], operand: _Operand, term: Term) -> None:
        """Add a contribution to the gradient for an operand."""
        sign, one, other = term
        before = gradients.get(operand)
        if before is not None and other is not None:
            name = "multiply_add" if sign > 0 else "multiply_subtract"
            gradients[operand] = self.operation(name, one, other, before)
            return
        value = one if other is None else self.operation("multiply", one, other)
        if before is not None:
            value = self.operation("add" if sign > 0 else "subtract", before, value)
        elif sign < 0:
            value = self.operation("negate", value)
        gradients[operand] = value

    def _results(self, assignments: Assignments) -> dict[sympy.Symbol, _Operand]:
        """Compute all expressions, by the row that gets them."""
        targets, expressions = zip(*assignments)
        shared, results = sympy.cse(expressions, order="none")
        for symbol, expression in shared:
            self.known[symbol] = self.value(expression)
        return {target: self.value(result) for target, result in zip(targets, results)}

    def _write(self, row: sympy.Symbol, value: _Operand) -> None:
        value = value if isinstance(value, _Value) else self.operation("copy", value)
        self.written.append((self.places[row], value))

    def operation(self, name: str, *operands: _Operand) -> _Value:
        """Append an operation, unless it was done before."""
        return _Value(self.done.setdefault((name, operands), len(self.done)))

    def number(self, value: float) -> _Operand:
        """Place of a literal number."""
        return self.literals.setdefault(value, len(self.places) + len(self.literals))

    def value(self, expression: Any) -> _Operand:
        """Compute an expression."""
        if expression not in self.known:
            self.known[expression] = self._computed(expression)
        return self.known[expression]

    def _computed(self, expression: Any) -> _Operand:
        if expression.is_number:
            return self.number(float(expression))
        if expression.is_Add:
            return self._sum(expression.args)
        if expression.is_Mul or expression.is_Pow:
            return self._quotient(expression)
        if expression.is_Piecewise:
            return self._choice(expression.args)
        if expression.is_Relational or expression.is_Boolean:
            return self._condition(expression)
        name, operands = FUNCTIONS[expression.func], [self.value(each) for each in expression.args]
        return self._chain(name, operands) if len(operands) > 1 else self.operation(name, *operands)

    def _chain(self, name: str, operands: Sequence[_Operand]) -> _Operand:
        """Combine several operands by an operation of two."""
        return reduce(lambda a, b: self.operation(name, a, b), operands[1:], operands[0])

    def _sum(self, terms: Sequence[Any]) -> _Operand:
        """Add up, and subtract what has a minus sign; products are added as they are multiplied."""
        terms = sorted(terms, key=lambda term: (term.could_extract_minus_sign(), term.is_Mul))
        first, *rest = terms
        negative = first.could_extract_minus_sign()
        total = self.value(-first if negative else first)
        total = self.operation("negate", total) if negative else total
        for term in rest:
            minus = term.could_extract_minus_sign()
            over, under = self._factors(-term if minus else term)
            if len(over) > 1 and not under:
                name = "multiply_subtract" if minus else "multiply_add"
                total = self.operation(name, self._product(over[:-1]), over[-1], total)
            else:
                total = self.operation(
                    "subtract" if minus else "add", total, self.value(-term if minus else term)
                )
        return total

    def _quotient(self, expression: Any) -> _Operand:
        """Multiply numerators, and divide by the denominators once."""
        over, under = self._factors(expression)
        top = self._product(over) if over else self.number(1.0)
        return self.operation("divide", top, self._product(under)) if under else top

    def _product(self, factors: Sequence[_Operand]) -> _Operand:
        return self._chain("multiply", factors)

    def _factors(self, expression: Any) -> tuple[list[_Operand], list[_Operand]]:
        """Numerators and denominators of a product."""
        over: list[_Operand] = []
        under: list[_Operand] = []
        for factor in sympy.Mul.make_args(expression):
            base, power = factor.args if factor.is_Pow else (factor, sympy.S.One)
            if power.is_number and float(2 * power).is_integer() and abs(power) <= MOST_FACTORS:
                whole, root = divmod(abs(float(power)), 1)
                operands = [self.value(base)] * int(whole)
                operands += [self.operation("square_root", self.value(base))] if root else []
                (over if power > 0 else under).extend(operands)
            else:
                over.append(self.operation("power", self.value(base), self.value(power)))
        return over, under

    def _choice(self, branches: Sequence[Any]) -> _Operand:
        """Take the first branch whose condition is true; NaN where none is."""
        chosen = self.number(float("nan"))
        for value, condition in reversed(branches):
            value = self.value(value)
            true = isinstance(condition, BooleanTrue)
            chosen = value if true else self.operation("select", self._condition(condition), value, chosen)
        return chosen

    def _condition(self, condition: Any) -> _Operand:
        """Compute 1 where a condition is true and 0 elsewhere."""
        if condition in self.known:
            return self.known[condition]
        if isinstance(condition, (BooleanTrue, BooleanFalse)):
            return self.number(float(bool(condition)))
        if condition.func in (sympy.And, sympy.Or):
            name = "multiply" if condition.func is sympy.And else "maximum"
            return self._chain(name, [self._condition(each) for each in condition.args])
        if condition.func in (sympy.Not, sympy.Ne):
            inner = condition.args[0] if condition.func is sympy.Not else sympy.Eq(*condition.args)
            return self.operation("subtract", self.number(1.0), self._condition(inner))
        if condition.func is sympy.ITE:
            return self.operation("select", *map(self._condition, condition.args))
        one, other = (self.value(each) for each in condition.args)
        if condition.func in (sympy.Gt, sympy.Ge):
            one, other = other, one
        names = {sympy.Lt: "less", sympy.Gt: "less", sympy.Le: "less_equal", sympy.Ge: "less_equal"}
        return self.operation(names.get(condition.func, "equal"), one, other)

    def located(self, first: int) -> tuple[np.ndarray, int]:
        """Give every result a place, temporary ones from `first` on; instructions and how many are temporary.

        A result goes straight to its row unless a later operation still reads what is in that row.
        """
        done, last_read = self._needed(), dict[_Operand, int]()
        for (_, operands), number in done.items():
            last_read |= dict.fromkeys(operands, number)
        place: dict[int, int] = {}
        late: list[tuple[int, int]] = []
        for row, value in self.written:
            if value.number in place or last_read.get(row, -1) > value.number:
                late.append((row, value.number))
                last_read[value] = len(self.done)
            else:
                place[value.number] = row
        free: list[int] = []
        used, found, codes = 0, [], operations()
        for (name, operands), number in done.items():
            reads = [place[each.number] if isinstance(each, _Value) else each for each in operands]
            for each in {each for each in operands if isinstance(each, _Value) and last_read[each] == number}:
                if place[each.number] >= first:
                    free.append(place[each.number])
            if number not in place:
                if not free:
                    free.append(first + used)
                    used += 1
                place[number] = free.pop()
            found.append((codes[name], place[number], *reads, *[reads[0]] * (3 - len(reads))))
        found += [(codes["copy"], row, *[place[number]] * 3) for row, number in late]
        return np.array(found, np.int32).reshape(-1, 5), used

    def _needed(self) -> dict[tuple[str, tuple[_Operand, ...]], int]:
        """Operations on which something that is written depends."""
        needed: set[_Operand] = {value for _, value in self.written}
        for (_, operands), number in reversed(self.done.items()):
            if _Value(number) in needed:
                needed.update(operands)
        return {key: number for key, number in self.done.items() if _Value(number) in needed}
