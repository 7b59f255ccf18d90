"""Exact means for Poisson trains, from the linear equations of the moments of the state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import torch

from fwsim.rules.derive.symbols import Polynomial, structure
from fwsim.rules.rule import SpikeRule

if TYPE_CHECKING:
    from torch import Tensor

MOST = 1000  # largest number of moments; a rule that needs more is sampled

Exponents = tuple[int, ...]


def poisson_moments(
    rule: SpikeRule, pre: Tensor, post: Tensor, *, order: int = 60
) -> tuple[Tensor, Tensor, dict[str, Tensor]] | None:
    """Mean release, its truncation error and mean state under independent Poisson trains.

    For a monomial m of the state, d⟨m⟩/dt = ⟨∇m·drift⟩ + r_pre⟨m(s⁺_pre) − m⟩ + r_post⟨m(s⁺_post) − m⟩.
    With affine drift and polynomial jumps the right side is linear in moments. If it needs ever higher moments, it is
    cut at `order`, and for the error at five sixths of it. A spike of a Poisson train sees the mean state.

    Parameters
    ----------
    rule
        With tensors as parameters.
    pre, post
        Rates in Hz, of the shape of the result.
    order
        Largest power of one variable.

    Returns
    -------
    tuple or None
        `None` if a jump or the output is no polynomial, or if too many moments are needed.
    """
    polynomials = _numeric_polynomials(rule)
    if polynomials is None:
        return None
    drift, jump_pre, jump_post, output = polynomials
    names = structure(rule).names
    means = {name: _unit(i, names) for i, name in enumerate(names)}
    generate = _generator(names, drift, [(pre, jump_pre), (post, jump_post)])
    equations = _close(generate, [*output, *means.values()], order)
    if equations is None:
        return None
    moments = _solve(equations, order, pre.shape)
    release = _mean(output, moments, pre)
    rough = _mean(output, _solve(equations, 5 * order // 6, pre.shape), pre)
    state = {name: moments[exponents] for name, exponents in means.items()}
    return release, (release - rough).detach().abs(), state


def _numeric_polynomials(
    rule: SpikeRule,
) -> tuple[list[Polynomial], list[Polynomial], list[Polynomial], Polynomial] | None:
    """Drift, both jumps (one polynomial for each variable) and output, with numbers as coefficients."""
    kind = structure(rule)
    expressions = [
        *kind.drift.values(), *kind.pre[0].values(), *kind.post.values(), kind.pre[1]
    ]  # fmt: skip
    symbolic = [kind.polynomial(expression) for expression in expressions]
    numeric: list[Polynomial] = []
    for polynomial in symbolic:
        if polynomial is None:
            return None
        values = kind.evaluate(rule, polynomial)
        numeric.append({e: torch.as_tensor(v, dtype=torch.float64) for e, v in values.items()})
    count = len(kind.names)
    return numeric[:count], numeric[count : 2 * count], numeric[2 * count : 3 * count], numeric[-1]


def _generator(
    names: list[str], drift: list[Polynomial], jumps: list[tuple[Tensor, list[Polynomial]]]
) -> Callable[[Exponents], Polynomial]:
    """M ↦ polynomial whose mean is d⟨m⟩/dt."""
    one: Polynomial = {(0,) * len(names): torch.ones((), dtype=torch.float64)}
    identity = [{_unit(i, names): torch.ones((), dtype=torch.float64)} for i in range(len(names))]
    active = [
        (rate, [_powers(polynomial, one) for polynomial in after])
        for rate, after in jumps
        if not _same(after, identity)
    ]

    def generate(exponents: Exponents) -> Polynomial:
        total: Polynomial = {}
        for i, exponent in enumerate(exponents):
            if exponent:
                lowered = tuple(e - (i == j) for j, e in enumerate(exponents))
                _add(total, _times({lowered: exponent}, drift[i]))
        for rate, powers in active:
            after = one
            for power, exponent in zip(powers, exponents):
                after = _times(after, power(exponent)) if exponent else after
            _add(total, {e: rate * value for e, value in after.items()})
            _add(total, {exponents: -rate})
        return total

    return generate


def _unit(i: int, names: list[str]) -> Exponents:
    return tuple(int(i == j) for j in range(len(names)))


def _powers(polynomial: Polynomial, one: Polynomial) -> Callable[[int], Polynomial]:
    """Powers of a polynomial, each computed from the previous one."""

    @cache
    def power(exponent: int) -> Polynomial:
        return one if exponent == 0 else _times(power(exponent - 1), polynomial)

    return power


def _same(one: list[Polynomial], other: list[Polynomial]) -> bool:
    return all(
        a.keys() == b.keys() and all(bool((a[e] == b[e]).all()) for e in a) for a, b in zip(one, other)
    )


def _times(one: Polynomial, other: Polynomial) -> Polynomial:
    product: Polynomial = {}
    for e, a in one.items():
        _add(product, {tuple(map(sum, zip(e, f))): a * b for f, b in other.items()})
    return product


def _add(total: Polynomial, more: Polynomial) -> None:
    for e, value in more.items():
        total[e] = total[e] + value if e in total else value


def _close(
    generate: Callable[[Exponents], Polynomial], start: list[Exponents], order: int
) -> dict[Exponents, Polynomial] | None:
    """Equations of all moments that the first ones need, `None` if they are too many."""
    equations: dict[Exponents, Polynomial] = {}
    waiting = deque(start)
    while waiting:
        exponents = waiting.popleft()
        if exponents in equations or not any(exponents) or max(exponents) > order:
            continue
        equations[exponents] = generate(exponents)
        if len(equations) > MOST:
            return None
        waiting.extend(equations[exponents])
    return equations


def _solve(equations: dict[Exponents, Polynomial], order: int, shape: torch.Size) -> dict[Exponents, Tensor]:
    """Stationary moments, without all powers above `order`."""
    kept = [exponents for exponents in equations if max(exponents) <= order]
    index = {exponents: k for k, exponents in enumerate(kept)}
    zero = torch.zeros(shape, dtype=torch.float64)
    cells, values, constants = [], [], []
    for row, exponents in enumerate(kept):
        constant = zero
        for e, value in equations[exponents].items():
            if e in index:
                cells.append(row * len(kept) + index[e])
                values.append(value.expand(shape))
            elif not any(e):
                constant = constant + value
        constants.append(constant)
    flat = torch.zeros(*shape, len(kept) ** 2, dtype=torch.float64)
    matrix = flat.index_copy(-1, torch.tensor(cells), torch.stack(values, -1)).unflatten(-1, (len(kept), -1))
    size = matrix.detach().abs().amax(-1)
    solution = torch.linalg.solve(matrix / size[..., None], -torch.stack(constants, -1) / size)
    return dict(zip(kept, solution.unbind(-1)))


def _mean(polynomial: Polynomial, moments: dict[Exponents, Tensor], like: Tensor) -> Tensor:
    terms = [value * moments[e] if any(e) else value.expand(like.shape) for e, value in polynomial.items()]
    return sum(terms, torch.zeros_like(like))
