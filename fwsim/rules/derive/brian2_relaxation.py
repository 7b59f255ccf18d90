"""Relaxation between spikes as Brian2 statements: the closed forms of `fwsim.rules.derive.propagate`, written out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import sympy
import torch

from fwsim.errors import ConfigError
from fwsim.rules.decays import NEAR, TERMS
from fwsim.rules.derive.propagate import (
    INSTANT,
    SETTLED,
    coinciding,
    drift_matrix,
    drift_slopes,
    modes,
    without_instant,
)
from fwsim.rules.derive.symbols import Route, Structure
from fwsim.rules.rule import SpikeRule

if TYPE_CHECKING:
    from torch import Tensor

    from fwsim.rules.derive.brian2_code import Writer

NOTHING = 1e-14  # relative; smaller products of drifts are left out


def relaxation(rule: SpikeRule, kind: Structure, write: Writer, *, settle: bool) -> list[str]:
    """Statements that compute the state since the last event as `<variable>_now`.

    With `settle`, instant variables have relaxed even after no time, as between simultaneous spikes of one side.
    """
    slopes = drift_slopes(rule)
    lines = [f"{write.prefix}elapsed = t - {write.last_event}"]
    for index, component in enumerate(kind.components, 1):
        elapsed = f"{write.prefix}elapsed"
        time, clock = _settled(index, component, slopes, write) if settle else (elapsed, [])
        routes = kind.routes(component)
        chains = _Chains(write, time, index)
        part: list[str]
        if routes is None:
            part = _loop_lines(kind, component, drift_matrix(component, slopes).detach(), chains)
        else:
            part = [_chain_line(kind, name, routes, slopes, chains) for name in component]
        lines += [*clock, *chains.lines, *part]
    return lines


def _settled(index: int, names: list[str], slopes: dict, write: Writer) -> tuple[str, list[str]]:
    """Name of the time in which variables relax, and its definition."""
    elapsed = f"{write.prefix}elapsed"
    instant = [-slopes[i, i].detach() > INSTANT for i in names if (i, i) in slopes]
    if not any(bool(each.any()) for each in instant):
        return elapsed, []
    least = SETTLED * torch.stack(torch.broadcast_tensors(*instant), -1).any(-1).double()
    settled = f"{write.prefix}settled_{index}"
    return settled, [f"{settled} = {elapsed} + {write.constant(least)}*second"]


def _chain_line(kind: Structure, name: str, routes: dict, slopes: dict, chains: _Chains) -> str:
    """For every route to a variable, the decays along it; for one and two decays in the rule's own parameters."""
    write = chains.write
    elapsed = write.symbol(chains.time)
    rate = {j: -kind.jacobian.get((j, j), sympy.S.Zero) for j in kind.names}
    value, further = kind.rest[name], []
    for (i, j), ways in routes.items():
        deviation = kind.state[j] - kind.rest[j]
        for route in ways if i == name else ():
            if len(route) == 1:
                value += sympy.exp(-elapsed * rate[name]) * deviation
            elif len(route) == 2:
                slower = sympy.Min(rate[i] * elapsed, rate[j] * elapsed)
                gap = sympy.Abs(rate[i] * elapsed - rate[j] * elapsed)
                overlap = elapsed * sympy.exp(-slower) * sympy.Function("exprel")(-gap)
                value += kind.jacobian[i, j] * overlap * deviation
            else:
                further.append(f" + {_gained(route, slopes, chains)}*({write(deviation)})")
    return f"{write.now(kind.state[name])} = {write(value)}{''.join(further)}"


def _gained(route: Route, slopes: dict, chains: _Chains) -> str:
    zero = torch.zeros((), dtype=torch.float64)
    rates = [-slopes.get((name, name), zero).detach() for name in route]
    gain = math.prod(slopes[pair].detach() for pair in pairwise(route))
    return f"{chains.write.constant(gain)}*{chains.name(rates)}"


class _Chains:
    """Chains of decays as temporary variables, each computed from shorter ones: `fwsim.rules.decays.chained`."""

    def __init__(self, write: Writer, time: str, index: int) -> None:
        self.write, self.time = write, time
        self.label = f"{write.prefix}chain_{index}"
        self.lines: list[str] = []
        self._known: dict[tuple, str] = {}

    def name(self, rates: Sequence[Tensor]) -> str:
        """Name of the variable with the chain of these rates."""
        return self._of(torch.stack(torch.broadcast_tensors(*rates), -1).sort(-1).values)

    def _of(self, ascending: Tensor) -> str:
        key = (ascending.shape[-1], *ascending.flatten().tolist())
        if key not in self._known:
            text = self._first(ascending) if ascending.shape[-1] == 1 else self._joined(ascending)
            name = f"{self.label}_{len(self._known) + 1}"
            self.lines.append(f"{name} = {text}")
            self._known[key] = name
        return self._known[key]

    def _first(self, rate: Tensor) -> str:
        return f"exp(-{self.write.constant(rate[..., 0])}*{self.time}/second)"

    def _joined(self, rates: Tensor) -> str:
        """The series if rates differ little over the time, otherwise the difference of the shorter chains."""
        gap = rates[..., -1] - rates[..., 0]
        if bool((gap == 0).all()):
            return self._series(rates, gap)
        shorter = f"({self._of(rates[..., :-1])} - {self._of(rates[..., 1:])})"
        apart = f"{shorter}/{self.write.constant(torch.where(gap > 0, gap, 1.0))}"
        if bool((gap > INSTANT).all()):
            return apart
        near = f"int({self.write.constant(gap)}*{self.time} < {NEAR!r}*second)"
        return f"{near}*{self._series(rates, gap)} + (1 - {near})*{apart}"

    def _series(self, rates: Tensor, gap: Tensor) -> str:
        size = rates.shape[-1] - 1
        share = (rates[..., -1:] - rates[..., :-1]) / torch.where(gap > 0, gap, 1.0)[..., None]
        powers = [torch.zeros_like(gap) for _ in range(size)]
        terms, factor = [], 1 / math.factorial(size)
        for m in range(TERMS if bool((gap > 0).any()) else 1):
            lower = torch.full_like(gap, float(m == 0))
            for k in range(size):
                powers[k] = lower = lower + share[..., k] * powers[k]
            terms.append(self.write.constant(factor * lower))
            factor /= size + m + 1
        at = f"clip({self.write.constant(gap)}*{self.time}/second, 0, {NEAR!r})"
        total = terms.pop()
        while terms:
            total = f"({terms.pop()} + {at}*{total})"
        return f"({self.time}/second)**{size}*{self._of(rates[..., -1:])}*{total}"


def _loop_lines(kind: Structure, names: list[str], matrix: Tensor, chains: _Chains) -> list[str]:
    """Coupled variables through the modes of their drift, as numbers; if modes coincide, as a polynomial of it."""
    write = chains.write
    eye = torch.eye(len(names), dtype=torch.float64)
    enter, follow = eye, eye
    instant = -matrix.diagonal(dim1=-2, dim2=-1) > INSTANT
    if bool(instant.any()):
        enter, matrix, follow = without_instant(names, matrix, instant)
    deviations = [write(kind.state[name] - kind.rest[name]) for name in names]
    if bool(coinciding(matrix).any()):
        lines, parts = list[str](), _newton(names, matrix, chains)
        weights = [(name, follow @ product @ enter) for name, product in parts]
        totals = [[(each, w[..., i, :]) for each, w in weights] for i in range(len(names))]
        sums = [
            " + ".join(f"{each}*({_weighted(write, w, deviations)})" for each, w in total) for total in totals
        ]
    else:
        values, right, left = modes(matrix)
        lines, shown = _mode_lines(values, left @ enter.to(left), deviations, chains)
        sums = [_weighted(write, row, shown) for row in _real(follow.to(right) @ right).unbind(-2)]
    now = [write.now(kind.state[name]) for name in names]
    return [
        *lines,
        *(f"{to} = {write(kind.rest[name])} + {total}" for to, name, total in zip(now, names, sums)),
    ]


def _weighted(write: Writer, weights: Tensor, of: Sequence[str]) -> str:
    return " + ".join(f"{write.constant(w)}*({each})" for w, each in zip(weights.unbind(-1), of))


def _real(rows: Tensor) -> Tensor:
    """Weights of the real and imaginary parts of modes, one after the other; real modes unchanged."""
    if not rows.is_complex():
        return rows
    return torch.stack([rows.real, -rows.imag], -1).flatten(-2)


def _mode_lines(
    values: Tensor, left: Tensor, deviations: list[str], chains: _Chains
) -> tuple[list[str], list[str]]:
    """Every mode at the present time, from the deviations at the last event; oscillating modes in two parts."""
    write = chains.write
    lines: list[str] = []
    names: list[str] = []
    time = f"{chains.time}/second"
    for k, (value, weights) in enumerate(zip(values.unbind(-1), left.unbind(-2)), 1):
        name = f"{write.prefix}mode_{chains.label.removeprefix(write.prefix)}_{k}"
        decay = f"exp({write.constant(value.real)}*{time})"
        if not values.is_complex():
            lines.append(f"{name} = {decay}*({_weighted(write, weights, deviations)})")
            names.append(name)
            continue
        angle = f"{write.constant(value.imag)}*{time}"
        real, imaginary = (f"({_weighted(write, part, deviations)})" for part in (weights.real, weights.imag))
        lines += [
            f"{name}_a = {decay}*(cos({angle})*{real} - sin({angle})*{imaginary})",
            f"{name}_b = {decay}*(sin({angle})*{real} + cos({angle})*{imaginary})",
        ]
        names += [f"{name}_a", f"{name}_b"]
    return lines, names


def _newton(names: list[str], matrix: Tensor, chains: _Chains) -> list[tuple[str, Tensor]]:
    """exp(J t) = Σ_k K(−λ₁ … −λ_k) Π_{l<k}(J − λ_l), by chains of decays at the eigenvalues and a factor for each.

    Eigenvalues that coincide are known to half of their digits only. So each is used twice.
    """
    values = torch.linalg.eigvals(matrix)
    size = values.abs().amax(-1)
    if bool((values.imag.abs().amax(-1) > 1e-4 * size).any()):
        raise ConfigError(
            f"{', '.join(names)}: their drift oscillates and some of its modes coincide, which Brian2 code cannot "
            "have; change a time constant by a percent, or use rule.respond"
        )
    nodes = torch.cat([values.real, values.real], -1)
    eye = torch.eye(len(names), dtype=torch.float64)
    product, parts = eye.expand_as(matrix), []
    for k in range(nodes.shape[-1]):
        left = product.abs().amax((-2, -1)) > NOTHING * size**k
        if k and not bool(left.any()):
            break
        parts.append((chains.name((-nodes[..., : k + 1]).unbind(-1)), product))
        product = product @ (matrix - nodes[..., k, None, None] * eye)
    return parts
