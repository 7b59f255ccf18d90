"""Adjoints of programs of the native engine: against sympy's derivatives, and as a change of rows that has a memory."""

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fwsim.engine.native import library
from fwsim.engine.native.derivatives import DERIVATIVES
from fwsim.engine.native.operations import operations, relu, softplus
from fwsim.engine.native.program import Adjoint, adjoint, compile_programs
from tests.engine.test_native_programs import LEAVES, _grown, evaluate, k, m, out, x, y, z

if why := library.obstacle():
    pytest.skip(f"the native engine {why}", allow_module_level=True)


def back(assignments, wanted, rows, numbers=None):
    """All rows after the adjoint of assignments; `rows` before it, gradients included."""
    numbers = numbers or {}
    symbols = tuple(rows)
    programs = compile_programs((Adjoint(tuple(assignments), tuple(wanted)),), symbols, tuple(numbers))
    return evaluate(programs, symbols, rows, list(numbers.values()))


def test_every_operation_has_its_derivatives():
    assert set(DERIVATIVES) == set(operations())


SMOOTH = {
    "exp": (sympy.exp(x), (-3, 3)),
    "log": (sympy.log(x), (0.1, 9)),
    "tanh": (sympy.tanh(x), (-3, 3)),
    "square root": (sympy.sqrt(x), (0.1, 9)),
    "sin": (sympy.sin(x), (-3, 3)),
    "cos": (sympy.cos(x), (-3, 3)),
    "tan": (sympy.tan(x), (-1, 1)),
    "asin": (sympy.asin(x), (-0.9, 0.9)),
    "acos": (sympy.acos(x), (-0.9, 0.9)),
    "atan": (sympy.atan(x), (-3, 3)),
    "sinh": (sympy.sinh(x), (-3, 3)),
    "cosh": (sympy.cosh(x), (-3, 3)),
    "erf": (sympy.erf(x), (-2, 2)),
    "erfc": (sympy.erfc(x), (-2, 2)),
    "power": (x**y, (0.1, 3)),
    "fixed power": (x ** sympy.Float(1.7), (0.1, 3)),
    "quotient": (x / (y - x**3), (2.1, 3)),
    "difference": (2 - x * y - y, (-3, 3)),
    "absolute": (sympy.Abs(x) * y, (-3, 3)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_functions(name):
    expression, (low, high) = SMOOTH[name]
    rng = np.random.default_rng(0)
    rows = {symbol: rng.uniform(low, high, 200) for symbol in (x, y)}
    given_rows = rows | {out: np.zeros(200), adjoint(out): rng.normal(size=200)}
    before = {adjoint(symbol): rng.normal(size=200) for symbol in (x, y)}
    found = back([(out, expression)], (x, y, out), given_rows | before)
    for symbol in (x, y):
        slope = sympy.lambdify((x, y), sympy.diff(expression, symbol), ["scipy", "numpy"])
        expected = before[adjoint(symbol)] + given_rows[adjoint(out)] * slope(rows[x], rows[y])
        np.testing.assert_allclose(found[adjoint(symbol)], expected, rtol=1e-11, atol=1e-11)
    assert not found[adjoint(out)].any()  # what was there before is lost


def test_softplus_far_out():
    numbers = np.array([-700.0, -40, -1, 0, 1, 40, 700])
    rows = {x: numbers, out: numbers, adjoint(x): np.zeros(7), adjoint(out): np.ones(7)}
    found = back([(out, softplus(x))], (x, out), rows)[adjoint(x)]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-numbers)), rtol=1e-13)


def test_corners_are_those_of_torch():
    numbers = np.array([-1.0, 0, 1])
    cases = {
        relu(x): torch.relu,
        sympy.Abs(x): torch.abs,
        sympy.Max(x, 0.0): lambda a: torch.maximum(a, torch.zeros_like(a)),
        sympy.Min(x, 0.0): lambda a: torch.minimum(a, torch.zeros_like(a)),
        sympy.Piecewise((x, x > 0), (2 * x, True)): lambda a: torch.where(a > 0, a, 2 * a),
    }
    for expression, function in cases.items():
        leaf = torch.tensor(numbers, requires_grad=True)
        function(leaf).sum().backward()
        rows = {x: numbers, out: numbers, adjoint(x): np.zeros(3), adjoint(out): np.ones(3)}
        found = back([(out, expression)], (x, out), rows)[adjoint(x)]
        np.testing.assert_array_equal(found, leaf.grad.numpy(), err_msg=str(expression))


@settings(max_examples=25, deadline=None)
@given(
    expressions=st.lists(st.recursive(LEAVES, _grown, max_leaves=5), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_random_expressions_that_overwrite_what_they_read(expressions, seed):
    """Rows x, y and out are written, z and the number k are not; m is not followed."""
    rng, numbers = np.random.default_rng(seed), {k: 0.7, m: -1.3}
    wanted = (x, y, z, out, k)
    rows = {symbol: rng.uniform(-2, 2, 100) for symbol in (x, y, z, out)}
    upstream = {adjoint(symbol): rng.normal(size=100) for symbol in wanted}
    found = back(list(zip((x, y, out), expressions)), wanted, rows | upstream, numbers)

    def outcome(values):
        """Σ of all rows after the assignments times the gradients for them."""
        after = dict(values)
        for target, expression in zip((x, y, out), expressions):
            function = sympy.lambdify(tuple(values), expression, "numpy")
            after[target] = np.broadcast_to(function(*values.values()), 100)
        return sum(after[symbol] * upstream[adjoint(symbol)] for symbol in wanted)

    values, step = rows | {k: np.full(100, 0.7), m: np.full(100, -1.3)}, 1e-6
    for symbol in wanted:
        sides = [outcome(values | {symbol: values[symbol] + side * step}) for side in (1, -1)]
        expected = (sides[0] - sides[1]) / (2 * step)
        error = np.abs(found[adjoint(symbol)] - expected) / (1 + np.abs(expected))
        assert np.median(error) < 1e-6  # beside corners, all
        assert (error < 1e-4).mean() > 0.95
