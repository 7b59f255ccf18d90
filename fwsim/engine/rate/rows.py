"""What a step of a rate network does unit by unit, as expressions over rows of numbers.

The synapses' part is read off their rules (`fwsim.rules.derive.symbols`), so that no rule is written a second time.
A step has three such parts, between which the rates are sent through the projections:

- `predict`, once the field is known: the fields at first order, the synapses up to second order (what they get ahead
  depends on nothing else), and what is sent then;
- `correct`, once the field ahead is known: the fields at second order, with noise;
- `emit`: the rates, and what is sent next.

`fwsim/engine/native/rates.hpp` runs them, and does between them what connects units; `rates_backward.hpp` runs their
adjoints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy

from fwsim.engine.native import operations
from fwsim.engine.native.program import Assignments
from fwsim.engine.rate.gains import Gain, Relu, Softplus, Tanh
from fwsim.rules.derive.symbols import Structure, structure
from fwsim.rules.parameters import leaves
from fwsim.rules.rule import SpikeRule, Values

FIELD, REACHED, KICK, RATE, AHEAD, HIDDEN = WORK = sympy.symbols(
    "field reached kick rate ahead hidden", real=True
)
NORMAL = sympy.symbols("normal_1 normal_2", real=True)
KEEP, FIRST, SECOND = sympy.symbols("keep first second", real=True)
ALPHA, STEEPNESS = sympy.symbols("alpha steepness", real=True)
STATIC = sympy.Symbol("static", real=True)

GAINS: dict[type, Callable[[Any], Any]] = {
    Relu: operations.relu,
    Tanh: sympy.tanh,
    Softplus: lambda h: ALPHA * operations.softplus(STEEPNESS * h),
}
"""Expressions of gains whose functions take tensors alone."""

Entries = tuple[tuple[str, str], ...]
"""Which variable acts on which, as (to, from)."""


@dataclass(frozen=True)
class Synapse:
    """What the expressions of a projection follow from: its rule, and the entries of its relaxation."""

    structure: Structure
    keep: Entries
    first: Entries


@dataclass(frozen=True)
class Rows:
    """The three parts of a step, and the rows they work on.

    Parameters
    ----------
    predict, correct, emit
        Row → expression.
    state, sent, releases
        Rows of the state, hidden first; of what is sent, first that of static weights if there are any; and of the
        efficacies that can be recorded.
    constants
        Rows of constants.
    """

    predict: Assignments
    correct: Assignments
    emit: Assignments
    state: tuple[sympy.Symbol, ...]
    sent: tuple[sympy.Symbol, ...]
    releases: tuple[sympy.Symbol, ...]
    constants: tuple[sympy.Symbol, ...]

    @property
    def variables(self) -> tuple[sympy.Symbol, ...]:
        """All rows, in the order of `Row` in `fwsim/engine/native/rates.hpp`."""
        return (*self.differentiable, *self.releases)

    @property
    def differentiable(self) -> tuple[sympy.Symbol, ...]:
        """Rows that have an adjoint, in this order."""
        return (*WORK[:-1], *self.state, *self.sent)


def unknown(rule: SpikeRule) -> str | None:
    """Name of a function in a rule that cannot be compiled, if there is one."""
    after, release = structure(rule).pre
    found = (operations.unknown(value) for value in (*after.values(), release))
    return next((name for name in found if name), None)


def gain_expression(gain: Gain) -> sympy.Expr | None:
    """Rate as an expression in the field; `None` for a gain that takes tensors alone or cannot be compiled."""
    try:
        value, again = (sympy.sympify(GAINS.get(type(gain), gain)(HIDDEN)) for _ in range(2))
    except Exception:  # a function of tensors raises anything when it is called with a symbol
        return None
    known = {HIDDEN, ALPHA, STEEPNESS} if type(gain) in GAINS else {HIDDEN}
    if (
        value != again
        or not isinstance(value, sympy.Expr)
        or value.free_symbols - known
        or operations.unknown(value)
    ):
        return None
    return value


def row(kind: str, index: int, *names: str) -> sympy.Symbol:
    """Row of a projection: of a variable, a parameter, or a weight of its relaxation."""
    return sympy.Symbol("_".join((kind, str(index), *names)), real=True)


@lru_cache(maxsize=64)
def step_rows(gain: sympy.Expr, static: bool, synapses: tuple[Synapse, ...]) -> Rows:
    """Expressions of a network.

    Parameters
    ----------
    gain
        From `gain_expression`.
    static
        Whether there are weights without a rule.
    synapses
        Projections with a rule.
    """
    at_first = KEEP * HIDDEN + FIRST * FIELD
    at_last = HIDDEN + SECOND * (REACHED - FIELD) + KICK
    ahead = gain.xreplace({HIDDEN: at_first})
    predict, emit = [(HIDDEN, at_first), (AHEAD, ahead)], [(RATE, gain)]
    if static:
        predict.append((STATIC, ahead))
        emit.append((STATIC, gain))
    state, releases = [HIDDEN], []
    for index, synapse in enumerate(synapses):
        now = {name: row("state", index, name) for name in synapse.structure.names}
        reached, release_ahead = _step(index, synapse, now, ahead)
        predict += [(now[name], value) for name, value in reached.items()]
        predict.append((row("sent", index), release_ahead * ahead))
        _, release = _act(index, synapse, now, gain)
        emit += [(row("release", index), release), (row("sent", index), release * gain)]
        state += now.values()
        releases.append(row("release", index))
    sent = [*([STATIC] if static else []), *(row("sent", index) for index in range(len(synapses)))]
    correct = ((HIDDEN, at_last),)
    used = set().union(*(sympy.sympify(value).free_symbols for _, value in (*predict, *correct, *emit)))
    constants = used - {*WORK, *state, *sent, *releases}
    return Rows(
        tuple(predict),
        correct,
        tuple(emit),
        tuple(state),
        tuple(sent),
        tuple(releases),
        (*NORMAL, *sorted(constants, key=str)),
    )


def _step(index: int, synapse: Synapse, now: Values, ahead: Any) -> tuple[Values, Any]:
    """State of a projection after a step, and its release at first order."""
    before, _ = _act(index, synapse, now, RATE)
    at_first = {name: row("rest", index, name) for name in now}
    at_first = _added(at_first, index, "keep", synapse.keep, now)
    at_first = _added(at_first, index, "first", synapse.first, before)
    after, release = _act(index, synapse, at_first, ahead)
    change = {name: after[name] - push for name, push in before.items()}
    return _added(at_first, index, "second", synapse.first, change), release


def _act(index: int, synapse: Synapse, state: Values, rate: Any) -> tuple[Values, Any]:
    """What a rate does to the state, in 1/s, of the variables it changes; and the release."""
    kind = synapse.structure
    after, release = kind.pre
    known = {symbol: row("parameter", index, name) for name, symbol, _ in leaves(kind.rule)}
    known |= {symbol: state[name] for name, symbol in kind.state.items()}
    change = {
        name: rate * (value - kind.state[name]).xreplace(known)
        for name, value in after.items()
        if value != kind.state[name]
    }
    return change, release.xreplace(known)


def _added(values: Values, index: int, kind: str, entries: Entries, forcing: Values) -> Values:
    """Values + weights of the relaxation times a forcing."""
    values = dict(values)
    for i, j in entries:
        if j in forcing:
            values[i] = values[i] + row(kind, index, i, j) * forcing[j]
    return values
