"""A rule as Brian2 code, exact from event to event.

Brian2 refuses coupled equations in its event-driven form, and uses Euler's method in
other forms. Here the code of an event propagates the state itself, with the exact solution since the last
event, so that no integrator is involved. So variables are not up to date between events.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import sympy
import torch
from sympy.printing.str import StrPrinter

from fwsim.errors import ConfigError
from fwsim.requirements import required
from fwsim.rules.derive.brian2_relaxation import relaxation
from fwsim.rules.derive.symbols import Structure, structure
from fwsim.rules.derived import derives
from fwsim.rules.parameters import as_tensors, batch_shape, leaves
from fwsim.rules.rule import SpikeRule

if TYPE_CHECKING:
    import numpy as np

UNITS = {"s": "second", "Hz": "hertz", "1": "1"}


@dataclass(frozen=True)
class Brian2Code:
    """Pieces of a Brian2 model of one synapse rule.

    A presynaptic rule may be in every synapse (`Synapses(..., model=code.model, on_pre=code.on_pre)`) or in
    the neuron: add `code.on_pre` to its `reset`, and set
    `neurons.resetter["spike"].when = "after_thresholds"`, so that it is done before synapses read it. An associative
    rule is in the synapse. Call `initialise` on the group before the run.

    Names in Brian2 begin with the prefix, or with `syn_` without one, so that none is a reserved name of Brian2.

    Parameters
    ----------
    model
        Declarations of variables and parameters.
    on_pre, on_post
        Statements for the two kinds of spikes; `on_post` is `None` if it does nothing. After `on_pre`, the variable
        named `output` contains the value that the spike reads: append e.g. `v_post += J*release`.
    output
        `"release"` or `"weight"`, with the prefix.
    last_event
        Name of the variable with the time at which the state was last computed.
    initial
        Variable or parameter, by its name in Brian2 → value in SI units, one number or one for each member of the
        group.
    units
        Parameter, by its name in Brian2 → name of its unit, if it has one.
    variables
        Variable of the rule → its name in Brian2.
    functions
        Name → maker of a function that the code calls and Brian2 lacks.
    """

    model: str
    on_pre: str
    on_post: str | None
    output: str
    last_event: str
    initial: dict[str, float | np.ndarray]
    units: dict[str, str]
    variables: dict[str, str]
    functions: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def initialise(
        self, group: Any, state: Mapping[str, float | np.ndarray] | None = None, since: Any = 0.0
    ) -> None:
        """Set a Brian2 group to rest, with the parameters of the rule and the functions that its code calls.

        With `state`, variables of the rule have these values at the time `since` in s; both are numbers, or have one
        value for each member of the group.
        """
        brian2 = required("brian2", "Brian2Code.initialise")
        for name, value in self.initial.items():
            unit = getattr(brian2, self.units[name]) if name in self.units else 1
            setattr(group, name, value * unit)
        for name, value in (state or {}).items():
            setattr(group, self.variables[name], value)
        if state:
            setattr(group, self.last_event, since * brian2.second)
        group.namespace.update({name: make() for name, make in self.functions.items()})


@derives(SpikeRule, name="brian2")
def brian2_code(rule: SpikeRule, *, prefix: str = "") -> Brian2Code:
    """The rule in Brian2, propagated exactly from event to event.

    Parameters
    ----------
    prefix
        Prefix of every name, for models with several rules.
    """
    if prefix and not prefix.isidentifier():
        raise ConfigError(f"prefix={prefix!r} cannot begin a name; give letters, digits and _ as in 'ee_'")
    kind = structure(rule)
    output = f"{prefix}{rule.output}"
    write = Writer(kind, prefix or "syn_", output)
    on_pre = [
        *relaxation(rule, kind, write, settle=True),
        f"{output} = {write.now(kind.pre[1])}",
        *_assignments(kind.pre[0], write),
    ]
    on_post = [*relaxation(rule, kind, write, settle=False), *_assignments(kind.post, write)]
    initial, units, declarations = _parameters(rule, write)
    for name, value in write.constants.items():
        initial[name] = _plain(value, batch_shape(rule))
        declarations.append(f"{name} : 1 (constant)")
    variables = {name: write.names[name] for name in kind.names}
    declarations += [f"{name} : 1" for name in (*variables.values(), output)]
    declarations.append(f"{write.last_event} : second")
    return Brian2Code(
        model="\n".join(declarations),
        on_pre="\n".join(on_pre),
        on_post="\n".join(on_post) if kind.reached_by_post else None,
        output=output,
        last_event=write.last_event,
        initial=initial,
        units=units,
        variables=variables,
    )


class Writer(StrPrinter):
    """Expressions as Brian2 code, with every name of the rule translated to a name for Brian2.

    `names` has the translations, which begin with the start and no `_`. Names that begin with the `prefix`, that is the
    start and a `_`, belong to the code, so that the two kinds differ.
    """

    def __init__(self, kind: Structure, start: str, output: str) -> None:
        super().__init__()
        self.prefix = f"{start}_"
        self.last_event = f"{self.prefix}last_event"
        self.constants: dict[str, torch.Tensor] = {}
        self._texts: dict[Any, str] = {}
        symbols = {name: symbol for name, symbol, _ in leaves(kind.rule)} | dict(kind.state)
        self.names = _translated(symbols, start, output)
        for name, symbol in symbols.items():
            self._texts[symbol] = self.names[name]
        self.current = {
            symbol: self.symbol(f"{self.prefix}{self.names[name].removeprefix(start)}_now")
            for name, symbol in kind.state.items()
        }

    def __call__(self, expression: Any) -> str:
        """Write an expression."""
        return str(self.doprint(expression))

    def now(self, expression: Any) -> str:
        """Write an expression with the variables at the present time."""
        return self(expression.subs(self.current))

    def constant(self, value: torch.Tensor) -> str:
        """Write a number; numbers that differ between synapses become constants of the model."""
        value = value.detach()
        if value.numel() == 1 or bool((value == value.flatten()[0]).all()):
            return f"({value.flatten()[0].item()!r})"
        name = f"{self.prefix}constant_{len(self.constants) + 1}"
        self.constants[name] = value
        return name

    def symbol(self, text: str) -> sympy.Dummy:
        """Make a symbol, different from all of the rule, for a variable of the code."""
        made = sympy.Dummy(real=True)
        self._texts[made] = text
        return made

    def _print_Symbol(self, expr: Any) -> str:  # noqa: N802
        return self._texts[expr]

    _print_Dummy = _print_Symbol  # noqa: N815

    def _print_Exp1(self, expr: Any) -> str:  # noqa: N802
        return repr(math.e)

    def _print_Min(self, expr: Any) -> str:  # noqa: N802
        return reduce(lambda least, part: f"clip({least}, -inf, {part})", map(self._print, expr.args))

    def _print_Abs(self, expr: Any) -> str:  # noqa: N802
        return f"abs({self._print(expr.args[0])})"

    def _print_Float(self, expr: Any) -> str:  # noqa: N802
        return repr(float(expr))


def _translated(names: Iterable[str], start: str, output: str) -> dict[str, str]:
    """A name in Brian2 for each name of a rule, all different, and none equal to the output's.

    Brian2 takes ASCII, and reserves the endings `_pre` and `_post` (so `tau_pre` is written `pre_tau`) and `_`.
    """
    found: dict[str, str] = {}
    for name in names:
        plain = re.sub("[^A-Za-z0-9_]", lambda each: f"u{ord(each[0]):x}", name)
        for side in ("pre", "post"):
            if plain.endswith(f"_{side}"):
                plain = f"{side}_{plain.removesuffix(f'_{side}')}"
        text = start + re.sub("^_+", lambda each: "u" * len(each[0]), plain)
        if text.endswith(("_pre", "_post", "_")):
            text += "0"
        found[name] = next(
            each
            for each in chain([text], (f"{text}_{k}" for k in count(2)))
            if each != output and each not in found.values()
        )
    return found


def _assignments(after: dict[str, Any], write: Writer) -> list[str]:
    lines = [f"{write.names[name]} = {write.now(value)}" for name, value in after.items()]
    return [*lines, f"{write.last_event} = t"]


def _parameters(rule: SpikeRule, write: Writer) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Initial values (including states at rest), units and declarations."""
    numeric = as_tensors(rule)
    shape = batch_shape(rule)
    initial, units, declarations = {}, {}, []
    for original, value, spec in leaves(numeric):
        name = write.names[original]
        flags = "constant" if value.ndim else "shared, constant"
        declarations.append(f"{name} : {UNITS[spec.unit]} ({flags})")
        initial[name] = _plain(value, shape)
        if spec.unit != "1":
            units[name] = UNITS[spec.unit]
    for original, value in numeric.rest().items():
        initial[write.names[original]] = _plain(torch.as_tensor(value, dtype=torch.float64), shape)
    return initial, units, declarations


def _plain(value: torch.Tensor, shape: torch.Size) -> Any:
    value = value.detach().cpu()
    return value.expand(shape).flatten().numpy() if value.ndim else value.item()
