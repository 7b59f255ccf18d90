"""Programs of the native engine: every operation against mpmath, and expressions against sympy."""

import ctypes
import math

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsim.engine.native import library
from fwsim.engine.native.operations import operations, relu, softplus, unknown
from fwsim.engine.native.program import compile_programs

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)

x, y, z, out, other = sympy.symbols("x y z out other", real=True)
k, m = sympy.symbols("k m", real=True)


def run(assignments, rows, numbers=None, dtype=np.float64):
    """Rows by symbol after a program; `rows` by symbol before it, all of one length."""
    numbers = numbers or {}
    symbols = (*rows, *(target for target, _ in assignments if target not in rows))
    programs = compile_programs((tuple(assignments),), symbols, tuple(numbers))
    return evaluate(programs, symbols, rows, list(numbers.values()), dtype)


def evaluate(programs, symbols, rows, numbers, dtype=np.float64):
    """All rows after the first program was run alone; those that `rows` lacks start as zeros."""
    length = max(len(each) for each in rows.values())
    size = np.dtype(dtype).itemsize
    register = library.vector_bytes() // size
    table = np.zeros((len(symbols), -(-length // register) * register), dtype)
    for place, symbol in enumerate(symbols):
        table[place, :length] = rows.get(symbol, 0)
    values = np.array([*numbers, *programs.literals], dtype)
    count = len(values) + programs.temporaries
    blocks = np.empty((count, library.library().fwsim_block_bytes() // size), dtype)
    addresses = np.empty(len(symbols) + count, np.int64)
    code = programs.instructions[0]
    function = getattr(library.library(), f"fwsim_program_{np.dtype(dtype).name}")
    whole, pointer = ctypes.c_int64, ctypes.c_void_p
    function.restype = None
    function.argtypes = [pointer, whole, pointer, whole, whole, pointer, whole, pointer, whole, pointer]
    function(
        code.ctypes.data, len(code), table.ctypes.data, *table.shape, blocks.ctypes.data, count,
        values.ctypes.data, len(values), addresses.ctypes.data,
    )  # fmt: skip
    return {symbol: row[:length] for symbol, row in zip(symbols, table)}


def exact(function, *arguments):
    """Values of a function of mpmath, as far as they are real, in more digits than a double has."""
    with mpmath.workdps(40):
        found = []
        for each in zip(*arguments):
            try:
                value = function(*(mpmath.mpf(float(a)) for a in each))
                found.append(float(value) if mpmath.im(value) == 0 else math.nan)
            except (ZeroDivisionError, ValueError):
                found.append(math.nan)
    return np.array(found)


def units_in_the_last_place(found, expected, dtype):
    error = np.abs(found.astype(np.float64) - expected)
    smallest = np.finfo(dtype).tiny
    return error / np.maximum(np.abs(expected) * np.finfo(dtype).eps, smallest)


WIDE = np.concatenate([np.linspace(-80, 80, 801), np.geomspace(1e-12, 1, 200), -np.geomspace(1e-12, 1, 200)])
POSITIVE = np.concatenate([np.geomspace(1e-30, 1e30, 801), np.linspace(0.5, 2, 801)])
UNIT = np.linspace(-1, 1, 401)
ACCURATE = {
    "exp": (sympy.exp(x), mpmath.exp, WIDE, 2),
    "log": (sympy.log(x), mpmath.log, POSITIVE, 2),
    "tanh": (sympy.tanh(x), mpmath.tanh, WIDE, 4),
    "softplus": (softplus(x), lambda a: mpmath.log1p(mpmath.exp(a)), WIDE, 4),
    "square root": (sympy.sqrt(x), mpmath.sqrt, POSITIVE, 1),
    "sin": (sympy.sin(x), mpmath.sin, WIDE, 2),
    "cos": (sympy.cos(x), mpmath.cos, WIDE, 2),
    "tan": (sympy.tan(x), mpmath.tan, WIDE, 2),
    "asin": (sympy.asin(x), mpmath.asin, UNIT, 2),
    "acos": (sympy.acos(x), mpmath.acos, UNIT, 2),
    "atan": (sympy.atan(x), mpmath.atan, WIDE, 2),
    "sinh": (sympy.sinh(x), mpmath.sinh, WIDE, 3),
    "cosh": (sympy.cosh(x), mpmath.cosh, WIDE, 3),
    "erf": (sympy.erf(x), mpmath.erf, WIDE, 2),
    "erfc": (sympy.erfc(x), mpmath.erfc, np.linspace(-5, 5, 401), 4),
    "1.5th power": (x ** sympy.Rational(3, 2), lambda a: a**1.5, np.geomspace(1e-20, 1e20, 801), 2),
    "inverse root": (x ** sympy.Rational(-1, 2), lambda a: 1 / mpmath.sqrt(a), POSITIVE, 2),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ACCURATE)
def test_functions_are_right_to_some_units_in_the_last_place(name, dtype):
    expression, function, numbers, allowed = ACCURATE[name]
    numbers = numbers.astype(dtype)
    found = run([(out, expression)], {x: numbers}, dtype=dtype)[out]
    assert units_in_the_last_place(found, exact(function, numbers), dtype).max() <= allowed


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("exponent", [2.2, -0.7, 0.1, 3.0, 17.0, -4.0])
def test_powers_are_right_to_some_units_in_the_last_place(exponent, dtype):
    base = np.geomspace(1e-2, 1e2, 801).astype(dtype)
    found = run([(out, x**y)], {x: base, y: np.full_like(base, exponent)}, dtype=dtype)[out]
    expected = exact(lambda a, b: a**b, base, np.full_like(base, exponent))
    fits = np.abs(np.log(expected)) < (80 if dtype is np.float32 else 700)
    assert units_in_the_last_place(found, expected, dtype)[fits].max() <= 4


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_powers_of_special_numbers_are_those_of_numpy(dtype):
    bases = [0.0, 1.0, -1.0, -2.0, -0.5, 3.0, math.inf, math.nan]
    exponents = [0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, -0.3, 2.7, math.nan]
    a, b = (np.ravel(each).astype(dtype) for each in np.meshgrid(bases, exponents))
    found = run([(out, x**y)], {x: a, y: b}, dtype=dtype)[out]
    with np.errstate(all="ignore"):
        expected = np.power(a, b)
    ordinary = ~(np.isnan(a) | np.isnan(b))  # here NaN stays NaN, even as 1^NaN and NaN^0
    np.testing.assert_allclose(found[ordinary], expected[ordinary], rtol=8 * np.finfo(dtype).eps)
    assert np.isnan(found[~ordinary]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_functions_at_their_ends(dtype):
    numbers = np.array([-np.inf, 0, np.inf, np.nan, -1.0, 1e4, -1e4], dtype)
    targets = sympy.symbols("e l t s r q a g", real=True)
    functions = (sympy.exp, sympy.log, sympy.tanh, softplus, relu, sympy.sqrt, sympy.Abs, sympy.sign)
    found = run([(t, f(x)) for t, f in zip(targets, functions)], {x: numbers}, dtype=dtype)
    with np.errstate(all="ignore"):
        expected = (
            np.exp(numbers), np.log(numbers), np.tanh(numbers), np.logaddexp(dtype(0), numbers),
            np.maximum(numbers, 0), np.sqrt(numbers), np.abs(numbers), np.sign(numbers),
        )  # fmt: skip
    for target, values in zip(targets, expected):
        np.testing.assert_allclose(found[target], values, rtol=1e-5, atol=1e-37, err_msg=str(target))


def test_nan_of_either_operand_stays():
    one, two = np.array([np.nan, 1, np.nan, 1, 2]), np.array([1, np.nan, np.nan, 2, 1])
    found = run([(out, sympy.Min(x, y)), (other, sympy.Max(x, y))], {x: one, y: two})
    np.testing.assert_array_equal(found[out], np.minimum(one, two))
    np.testing.assert_array_equal(found[other], np.maximum(one, two))


# --- expressions --------------------------------------------------------------------------------------------

LEAVES = st.sampled_from([x, y, z, k, m, sympy.Integer(2), sympy.Float(0.3), sympy.Integer(-1)])


def _grown(inner):
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda ab: ab[0] + ab[1]),
        two.map(lambda ab: ab[0] - ab[1]),
        two.map(lambda ab: ab[0] * ab[1]),
        two.map(lambda ab: ab[0] / (2 + ab[1] ** 2)),
        two.map(lambda ab: sympy.Min(*ab)),
        two.map(lambda ab: sympy.Max(*ab)),
        two.map(lambda ab: sympy.Piecewise((ab[0], ab[0] < ab[1]), (ab[1], True))),
        inner.map(sympy.tanh),
        inner.map(lambda a: sympy.exp(-(a**2))),
        inner.map(lambda a: sympy.sqrt(1 + a**2)),
        inner.map(sympy.Abs),
    )


@settings(max_examples=30, deadline=None)
@given(
    expressions=st.lists(st.recursive(LEAVES, _grown, max_leaves=5), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_random_expressions_that_overwrite_what_they_read(expressions, seed):
    """Rows are read as they were before the program, whichever are written."""
    rng = np.random.default_rng(seed)
    rows = {symbol: rng.uniform(-2, 2, 300) for symbol in (x, y, z)}
    numbers = {k: 0.7, m: -1.3}
    found = run(list(zip((x, y, out), expressions)), rows, numbers)
    for target, expression in zip((x, y, out), expressions):
        function = sympy.lambdify((*rows, *numbers), expression, "numpy")
        arrays = (np.full(300, number) for number in numbers.values())  # conditions of numpy take one shape
        expected = np.broadcast_to(function(*rows.values(), *arrays), 300)
        np.testing.assert_allclose(found[target], expected, rtol=1e-9, atol=1e-9, err_msg=str(expression))
    np.testing.assert_array_equal(found[z], rows[z])


def test_rows_can_be_exchanged():
    rows = {x: np.arange(5.0), y: np.arange(5.0, 10)}
    found = run([(x, y), (y, x)], rows)
    np.testing.assert_array_equal(found[x], rows[y])
    np.testing.assert_array_equal(found[y], rows[x])


def test_conditions():
    numbers = np.linspace(-2, 2, 9)
    both = sympy.Piecewise(
        (1, (x > -1) & (x <= 1)), (2, sympy.Eq(x, 2) | (x < -1)), (3, sympy.Ne(x, -1)), (4, True)
    )
    expected = np.where((numbers > -1) & (numbers <= 1), 1, np.where((numbers == 2) | (numbers < -1), 2, 3))
    expected[numbers == -1] = 4
    np.testing.assert_array_equal(run([(out, both)], {x: numbers})[out], expected)
    open_ended = run([(out, sympy.Piecewise((x, x > 0)))], {x: numbers})[out]
    np.testing.assert_array_equal(open_ended, np.where(numbers > 0, numbers, np.nan))


@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 1000])
def test_rows_of_any_length(length):
    numbers = np.linspace(-3, 3, length)
    np.testing.assert_allclose(
        run([(out, sympy.exp(x) + x)], {x: numbers})[out], np.exp(numbers) + numbers, rtol=1e-14
    )


def test_what_appears_twice_is_computed_once():
    programs = compile_programs(
        (((out, sympy.exp(x + y) + 1), (other, sympy.exp(x + y) * z)),), (x, y, z, out, other), ()
    )
    codes = [each[0] for each in programs.instructions[0]]
    assert codes.count(operations()["exp"]) == 1


def test_what_no_operation_stands_for_is_named():
    assert unknown(sympy.gamma(x)) == "gamma"
    assert unknown(sympy.besselj(1, x) + 1) == "besselj"
    assert unknown(sympy.Function("mine")(x)) == "mine"
    assert unknown(sympy.I * x) is not None
    assert unknown(sympy.Piecewise((sympy.tanh(x), x > 0), (0, True))) is None
