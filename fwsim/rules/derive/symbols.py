"""The equations of a rule, derived from the rule itself with sympy, once for each kind of rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import sympy

from fwsim.errors import ConfigError
from fwsim.rules.derived import derives
from fwsim.rules.functions import SYMPY_NAMES
from fwsim.rules.parameters import component_names, declared, leaves
from fwsim.rules.rule import AssociativeRule, SpikeRule, Values

Polynomial = dict[tuple[int, ...], Any]
"""Exponents of the state variables → coefficient."""

Route = tuple[str, ...]
"""Variables from the one that is changed to the one that changes it; a variable alone has a route of its own."""

MOST_ROUTES = 64  # largest number between two variables; denser systems are solved as a matrix


@dataclass(frozen=True, eq=False)
class Structure:
    """A rule on symbols, and what is derived from it.

    Parameters
    ----------
    rule
        The rule with a symbol for every parameter.
    state
        A symbol for every variable.
    """

    rule: SpikeRule
    state: Values

    @property
    def names(self) -> list[str]:
        """Variables of the state, in order."""
        return list(self.state)

    @cached_property
    def drift(self) -> Values:
        """Right-hand sides of the differential equations."""
        return {name: sympy.sympify(value) for name, value in self.rule.drift(self.state).items()}

    @cached_property
    def rest(self) -> Values:
        """State of rest."""
        return {name: sympy.sympify(value) for name, value in self.rule.rest().items()}

    @cached_property
    def pre(self) -> tuple[Values, Any]:
        """State after a presynaptic spike, and the value that it read."""
        after, output = self.rule.at_pre(self.state)
        return {name: sympy.sympify(value) for name, value in after.items()}, sympy.sympify(output)

    @cached_property
    def post(self) -> Values:
        """State after a postsynaptic spike."""
        return {name: sympy.sympify(value) for name, value in self.rule.at_post(self.state).items()}

    @cached_property
    def jacobian(self) -> dict[tuple[str, str], Any]:
        """Nonzero entries ∂(drift of i)/∂j, in 1/s.

        Raises
        ------
        ConfigError
            The drift is not affine, or `rest` is not its fixed point.
        """
        at_rest = {self.state[name]: value for name, value in self.rest.items()}
        entries = {}
        for i, expression in self.drift.items():
            if sympy.simplify(expression.subs(at_rest)) != 0:
                raise ConfigError(
                    f"{self._owner}: the drift of {i} is not 0 at rest; correct rest() or drift()"
                )
            for j, symbol in self.state.items():
                slope = sympy.simplify(expression.diff(symbol))
                if slope.free_symbols & set(self.state.values()):
                    raise ConfigError(
                        f"{self._owner}: the drift of {i} is not affine; carry products as variables"
                    )
                if slope != 0:
                    entries[i, j] = slope
        return entries

    @property
    def _owner(self) -> str:
        return type(self.rule).__name__

    @cached_property
    def components(self) -> list[list[str]]:
        """Groups of variables that the drift couples with each other."""
        group = {name: {name} for name in self.names}
        for i, j in self.jacobian:
            merged = group[i] | group[j]
            for name in merged:
                group[name] = merged
        found = []
        for name in self.names:
            ordered = [other for other in self.names if other in group[name]]
            if ordered not in found:
                found.append(ordered)
        return found

    def routes(self, component: list[str]) -> dict[tuple[str, str], list[Route]] | None:
        """Routes from variable j to variable i along which the drift carries a change, by (i, j).

        `None` if there are loops, or more than `MOST_ROUTES` routes between two variables.
        """
        sources: dict[str, list[str]] = {name: [] for name in component}
        for i, j in self.jacobian:
            if i != j and i in sources:
                sources[i].append(j)
        found: dict[tuple[str, str], list[Route]] = {}
        for i in component:
            waiting: list[Route] = [(i,)]
            while waiting:
                route = waiting.pop()
                found.setdefault((i, route[-1]), []).append(route)
                if len(found[i, route[-1]]) > MOST_ROUTES or any(j in route for j in sources[route[-1]]):
                    return None
                waiting += [(*route, j) for j in sources[route[-1]]]
        return found

    def drivers_first(self) -> list[str]:
        """Variables in an order in which each comes after those that drive it, except for loops."""
        drivers = {name: {name} for name in self.names}
        for _ in self.names:
            for i, j in self.jacobian:
                drivers[i] = drivers[i] | drivers[j]
        return sorted(self.names, key=lambda name: len(drivers[name]))

    @property
    def reached_by_post(self) -> bool:
        """Whether postsynaptic spikes change anything."""
        return any(after != self.state[name] for name, after in self.post.items())

    def places(self) -> dict[str, str]:
        """Place of each variable, from the spikes that reach it: `"pre"`, `"post"` or `"synapse"`."""
        reach: dict[str, set[str]] = {}
        influences: dict[str, set[str]] = {}
        for name, symbol in self.state.items():
            changes = {"pre": self.pre[0][name], "post": self.post[name]}
            reach[name] = {side for side, after in changes.items() if after != symbol}
            inputs = set().union(*(e.free_symbols for e in (*changes.values(), self.drift[name])))
            influences[name] = {other for other, s in self.state.items() if s in inputs}
        for _ in self.names:
            for name in self.names:
                reach[name] = reach[name].union(*(reach[other] for other in influences[name]))
        return {n: "synapse" if len(sides) == 2 else next(iter(sides), "pre") for n, sides in reach.items()}

    def polynomial(self, expression: Any) -> Polynomial | None:
        """Coefficients of an expression as a polynomial in the state, `None` if it is no polynomial."""
        generators = list(self.state.values())
        if not expression.is_polynomial(*generators):
            return None
        return dict(sympy.Poly(expression, *generators).terms())

    def evaluate(self, rule: SpikeRule, expressions: dict[Any, Any]) -> dict[Any, Any]:
        """Values of expressions in the parameters, for the parameters of `rule`."""
        symbols = [symbol for _, symbol, _ in leaves(self.rule)]
        compiled = _compiled(tuple(symbols), tuple(expressions.values()))
        return dict(zip(expressions, compiled(*(value for _, value, _ in leaves(rule)))))


@lru_cache(maxsize=1024)
def _compiled(symbols: tuple, expressions: tuple) -> Callable[..., list]:
    return sympy.lambdify(symbols, list(expressions), modules=[SYMPY_NAMES, "math"])


@derives(AssociativeRule)
def places(rule: AssociativeRule) -> dict[str, str]:
    """Place of each variable, `"pre"`, `"post"` or `"synapse"`, derived from the spikes that change it."""
    return structure(rule).places()


def structure(rule: SpikeRule) -> Structure:
    """Structure of a rule; all rules that differ only in parameter values share it."""
    return _structure(_signature(rule))


@lru_cache(maxsize=256)
def _structure(signature: Hashable) -> Structure:
    rule = _symbolic(signature)
    kind = Structure(rule, {name: _symbol(name) for name in rule.rest()})
    _check_complete(kind)
    return kind


def _check_complete(kind: Structure) -> None:
    """Raise unless names are unique, and every function of a rule returns all variables of its state."""
    owner, rule, state = type(kind.rule).__name__, kind.rule, kind.state
    parameters = [name for name, _, _ in leaves(rule)]
    for name in parameters:
        if name in state or parameters.count(name) > 1:
            both = "both a parameter and a variable" if name in state else "the name of two parameters"
            raise ConfigError(f"{owner}: {name!r} is {both}; rename one")
    pair = rule.at_pre(state)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ConfigError(
            f"{owner}: on_pre gives {type(pair).__name__}; it must give the state and the release"
        )
    given = {"drift": rule.drift(state), "on_pre": pair[0], "on_post": rule.at_post(state)}
    for function, values in given.items():
        if not isinstance(values, dict) or values.keys() != state.keys():
            found = ", ".join(values) or "nothing" if isinstance(values, dict) else type(values).__name__
            raise ConfigError(
                f"{owner}: {function} gives {found}; it must give {', '.join(state)}, as rest does"
            )


def _symbol(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


def _signature(rule: Any) -> Hashable:
    """Everything in a rule that determines its equations: options, numbers of components, nested rules."""
    specs = declared(rule)
    described = []
    for f in fields(rule):
        value = getattr(rule, f.name)
        if f.name in specs and value is not None:
            value = len(value) if isinstance(value, tuple) else "scalar"
        elif dataclasses.is_dataclass(value):
            value = _signature(value)
        described.append((f.name, value))
    return type(rule), tuple(described)


def _symbolic(signature: Any) -> SpikeRule:
    cls, described = signature
    specs = declared(cls)
    rule = object.__new__(cls)
    for name, value in described:
        if name in specs and value == "scalar":
            value = _symbol(name)
        elif name in specs and value is not None:
            value = tuple(_symbol(part) for part in component_names(name, value))
        elif isinstance(value, tuple) and value and isinstance(value[0], type):
            value = _symbolic(value)
        object.__setattr__(rule, name, value)
    return rule
