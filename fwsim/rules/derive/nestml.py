"""A presynaptic rule as a synapse model in NESTML, the modelling language of NEST, exact from spike to spike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import chain, count
from typing import Any

import sympy
from sympy.printing.precedence import precedence
from sympy.printing.str import StrPrinter

from fwsim.errors import ConfigError
from fwsim.rules.derive.equations import equations
from fwsim.rules.derive.sites import resource_of
from fwsim.rules.derive.symbols import Structure, structure
from fwsim.rules.derived import derives
from fwsim.rules.parameters import batch_shape, leaves
from fwsim.rules.rule import PresynapticRule, SpikeRule
from fwsim.rules.stochastic_release import StochasticRelease

FUNCTIONS = {"exp": "exp", "log": "ln"}
"""sympy's names of functions → those of NESTML."""

WORDS = """
integer real string boolean void function inline return if elif else for while in step inf and or not recordable kernel
model state parameters internals update equations input output continuous onReceive onCondition spike inhibitory
excitatory t e pi ms abs ceil clip convolve cos cosh delta emit_spike erf erfc exp expm1 floor info integrate_odes ln
log10 max min pow print println random_normal random_poisson random_uniform resolution round sin sinh steps tan tanh
timestep warning weight delay receptor_type synapse_label size_of pre_spikes post_spikes
"""
RESERVED = frozenset(WORDS.split())
"""Words of NESTML, and parameters that every connection of NEST has."""

OWN = (
    "w",
    "t_last_update",
    "elapsed",
    "release",
    "released",
    "sites",
    "cv",
    "empty",
    "refill",
    "left",
    "full",
)
"""Names in the code that are not of the rule."""

SETTLING = "1e-13 ms"  # least time between two spikes: a time constant of 0 has relaxed after it
INSTANT = "1e-15 ms"  # replaces a time constant of 0 in chains, which divide by differences of rates


@derives(SpikeRule)
def nestml(rule: SpikeRule, *, name: str | None = None) -> str:
    """The rule as the text of a synapse model in NESTML, from which NEST's code generator makes a synapse in C++.

    A spike transmits `w` times the release. Times are in ms, as in NEST. Parameters begin at the values of this rule.
    `StochasticRelease` draws with NEST's generators.

    Parameters
    ----------
    name
        Name of the model; `None`: that of the class, as in `tsodyks_markram_synapse`.

    Raises
    ------
    ConfigError
        The rule also needs postsynaptic spikes, has parameters of several synapses, or has variables that drive each
        other in loops or in chains of three or more.

    Examples
    --------
    >>> from fwsim.rules import TsodyksMarkram
    >>> "onReceive(pre_spikes):" in TsodyksMarkram().nestml()
    True
    """
    owner = type(rule).__name__
    if not isinstance(rule, PresynapticRule):
        raise ConfigError(
            f"{owner} has no nestml: it needs postsynaptic spikes too; presynaptic rules such as TsodyksMarkram have it"
        )
    if batch_shape(rule).numel() != 1:
        raise ConfigError(
            f"{owner}: nestml writes one set of parameters, and this rule has those of {batch_shape(rule).numel()} "
            "synapses; give one number each, and set the others in NEST"
        )
    if name is None:
        name = re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", owner).lower() + "_synapse"
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        raise ConfigError(f"name={name!r} cannot name a model; use letters, digits and _ as in 'my_synapse'")
    return _Model(rule, name).text()


class _Model:
    """The parts of the text; `names` has the rule's names in NESTML, and `own` those that only the code has."""

    def __init__(self, rule: PresynapticRule, name: str) -> None:
        self.rule, self.name = rule, name
        self.kind: Structure = structure(rule)
        pairs = [f"{what}_{i}_{j}" for i, j in self.kind.jacobian for what in ("gap", "pair") if i != j]
        now = [f"{each}_now" for each in self.kind.names]
        self.names = _translated([*(each for each, _, _ in leaves(rule)), *self.kind.names])
        self.own = _translated([*OWN, *now, *pairs], taken=self.names.values())
        self.elapsed = sympy.Symbol("elapsed", positive=True)
        self.now = {symbol: sympy.Dummy(real=True) for symbol in self.kind.state.values()}
        self.units = {
            symbol: spec.unit for (_, symbol, _), (_, _, spec) in zip(leaves(self.kind.rule), leaves(rule))
        }
        self.resource = None
        if isinstance(rule, StochasticRelease) and rule.depletion == "site":
            self.resource = resource_of(structure(rule.rule))

    def text(self) -> str:
        """The whole model."""
        blocks = {
            "parameters": self._parameters(),
            "state": self._state(),
            "input": ["pre_spikes <- spike"],
            "output": ["spike"],
            "onReceive(pre_spikes)": [*self._relaxation(), "", *self._spike()],
        }
        lines = [*(f"# {each}".rstrip() for each in self._header()), "", f"model {self.name}:"]
        for title, body in blocks.items():
            lines += [f"    {title}:", *(f"        {each}".rstrip() for each in body), ""]
        return "\n".join(lines)

    def _header(self) -> list[str]:
        owner = type(self.rule).__name__
        begins = ", ".join(
            str(symbol) for symbol, rest in equations(self.rule).rest.items() if rest.free_symbols
        )
        advice = (
            [f"{begins} begins at rest for the values below: set it together with them."] if begins else []
        )
        return [
            f"{self.name}: the rule {owner} of fwsim, exact from spike to spike.",
            "",
            *str(equations(self.rule)).splitlines(),
            "",
            *advice,
            f'Generate code with codegen_opts={{"weight_variable": {{"{self.name}": "{self.own["w"]}"}}}}.',
        ]

    def _parameters(self) -> list[str]:
        lines = [f"{self.own['w']} real = 1  # a spike transmits {self.own['w']} times the release"]
        for name, value, spec in leaves(self.rule):
            number = float(value)
            if spec.unit == "s":
                shown = "inf * 1 ms" if number == float("inf") else f"{_in_ms(number)!r} ms"
                lines.append(f"{self.names[name]} ms = {shown}")
            else:
                remark = "  # in Hz" if spec.unit == "Hz" else ""
                lines.append(f"{self.names[name]} real = {number!r}{remark}")
        if isinstance(self.rule, StochasticRelease):
            lines.append(f"{self.own['sites']} integer = {self.rule.sites}  # release sites")
            lines.append(f"{self.own['cv']} real = {self.rule.cv!r}  # coefficient of variation of a quantum")
        return lines

    def _state(self) -> list[str]:
        kept = {each: value for each, value in self.kind.rest.items() if each != self.resource}
        lines = [f"{self.names[each]} real = {self._write(value)}" for each, value in kept.items()]
        if self.resource:
            lines.append(f"{self.own['empty']} integer = 0  # sites that released and are not full again")
        return [*lines, f"{self.own['t_last_update']} ms = 0 ms"]

    def _relaxation(self) -> list[str]:
        """The state at this spike, `<variable>_now`, from the state after the last one."""
        last = self.own["t_last_update"]
        lines = [f"{self.own['elapsed']} ms = max(t - {last}, {SETTLING})", f"{last} = t"]
        for component in self.kind.components:
            routes = self.kind.routes(component)
            if routes is None or any(len(way) > 2 for ways in routes.values() for way in ways):
                raise ConfigError(
                    f"{type(self.rule).__name__}: nestml has no form for {', '.join(component)}, which drive each "
                    "other in a loop or in a chain of three or more; use rule.brian2()"
                )
            lines += chain.from_iterable(self._relaxed(each, routes) for each in component)
        return lines

    def _relaxed(self, name: str, routes: Mapping) -> list[str]:
        """A decay for the variable itself, and a pair of decays for each variable that drives it."""
        kind, rest = self.kind, self.kind.rest[name]
        rate = {each: -kind.jacobian.get((each, each), sympy.S.Zero) * self.elapsed for each in kind.names}
        parts, lines = [] if rest == 0 else [self._write(rest)], list[str]()
        for driver in (j for i, j in routes if i == name):
            deviation = self._write(kind.state[driver] - kind.rest[driver], inside=True)
            if driver == name:
                decay = f"exp({self._write(-rate[name])})" if rate[name] != 0 else "1"
                parts.append(f"{deviation} * {decay}")
                continue
            gain = self._write(kind.jacobian[name, driver] * self.elapsed, floored=True)
            one, other = (self._write(rate[each], floored=True) for each in (name, driver))
            gap, pair = (self.own[f"{what}_{name}_{driver}"] for what in ("gap", "pair"))
            lines += [
                f"{gap} real = abs({one} - {other})",
                f"{pair} real = exp(-min({one}, {other})) * ({gap} > 0 ? -expm1(-{gap})/{gap} : 1.0)",
            ]
            parts.append(f"{deviation} * ({gain}) * {pair}")
        if name == self.resource:  # of an empty site: the chance that it is full again
            decay = f"exp({self._write(-rate[name])})"
            return [f"{self.own['refill']} real = 1 - {decay}"]
        return [*lines, f"{self.own[f'{name}_now']} real = {' + '.join(parts) or '0'}"]

    def _spike(self) -> list[str]:
        after, release = self.kind.pre
        lines = []
        if self.resource:
            empty = self.own["empty"]
            lines += self._drawn("left", empty, self.own["refill"], f"{empty} -= 1")
            release = release.subs(self.kind.state[self.resource], 1)
        read = release.subs(self.now)
        lines.append(f"{self.own['release']} real = {self._write(read)}")
        for name, value in after.items():
            if name != self.resource:
                lines.append(f"{self.names[name]} = {self._write(value.subs(self.now))}")
        if not isinstance(self.rule, StochasticRelease):
            return [*lines, f"emit_spike({self.own['w']} * {self.own['release']})"]
        return [*lines, *self._quanta()]

    def _quanta(self) -> list[str]:
        """The number of sites that release, and what they transmit."""
        released, sites, cv = (self.own[each] for each in ("released", "sites", "cv"))
        there = f"{sites} - {self.own['empty']}" if self.resource else sites
        empties = [f"{self.own['empty']} += {released}"] if self.resource else []
        amplitude, w = f"{released} * 1.0 / {sites}", self.own["w"]
        noisy = f"({released} + {cv} * {released}**0.5 * random_normal(0, 1)) / {sites}"
        return [
            f"{released} integer = 0",
            *self._drawn("full", there, self.own["release"], f"{released} += 1"),
            *empties,
            f"if {cv} > 0:",
            f"    emit_spike({w} * {noisy})",
            "else:",
            f"    emit_spike({w} * {amplitude})",
        ]

    def _drawn(self, counter: str, number: str, chance: str, then: str) -> list[str]:
        """A statement that is done, for each of a number of sites, with a chance."""
        left = self.own[counter]
        return [
            f"{left} integer = {number}",
            f"while {left} > 0:",
            f"    {left} -= 1",
            f"    if random_uniform(0, 1) < {chance}:",
            f"        {then}",
        ]

    def _write(self, expression: Any, *, inside: bool = False, floored: bool = False) -> str:
        """Write an expression; `inside` a product, or with `floored` time constants of which none is 0."""
        expression = sympy.sympify(expression)
        in_ms = self._free_of_time_unit(expression)
        texts = {symbol: self.names[name] for name, symbol in self.kind.state.items()}
        texts |= {self.now[symbol]: self.own[f"{name}_now"] for name, symbol in self.kind.state.items()}
        texts[self.elapsed] = self.own["elapsed"] if in_ms else f"({self.own['elapsed']} / (1000 ms))"
        for symbol, unit in self.units.items():
            text = self.names[symbol.name]
            if unit == "s":
                text = f"max({text}, {INSTANT})" if floored else text
                text = text if in_ms else f"({text} / (1000 ms))"
            elif unit == "Hz" and in_ms:
                text = f"({text} / (1000 ms))"
            texts[symbol] = text
        text = _Printer(type(self.rule).__name__, texts).doprint(expression)
        return f"({text})" if inside and precedence(expression) < precedence(sympy.Mul) else text

    def _free_of_time_unit(self, expression: Any) -> bool:
        """Whether the value is the same with all times in ms instead of s, as it is for times divided by times."""
        power = {"s": 1, "Hz": -1}
        scale = sympy.Symbol("scale", positive=True)
        scaled = {
            symbol: symbol * scale ** power[unit] for symbol, unit in self.units.items() if unit in power
        }
        scaled[self.elapsed] = self.elapsed * scale
        in_other_units = expression.subs(scaled, simultaneous=True)
        return in_other_units == expression or bool(sympy.simplify(in_other_units - expression) == 0)


class _Printer(StrPrinter):
    """Expressions in NESTML. Its C++ code takes 1/3 as a division of whole numbers, and `min` of equal types only."""

    def __init__(self, owner: str, texts: Mapping[Any, str]) -> None:
        super().__init__()
        self._owner, self._texts = owner, texts

    def _print_Symbol(self, expr: Any) -> str:  # noqa: N802
        return self._texts[expr]

    _print_Dummy = _print_Symbol  # noqa: N815

    def _print_Rational(self, expr: Any) -> str:  # noqa: N802
        return f"{expr.p}.0/{expr.q}.0"

    def _print_Float(self, expr: Any) -> str:  # noqa: N802
        return repr(float(expr))

    def _print_Exp1(self, expr: Any) -> str:  # noqa: N802
        return "e"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:  # noqa: N802
        return super()._print_Pow(expr, rational=True)  # without sqrt, which NESTML lacks

    def _print_Min(self, expr: Any) -> str:  # noqa: N802
        parts = [f"{each}.0" if each.is_Integer else self._print(each) for each in expr.args]
        return reduce(lambda least, part: f"min({least}, {part})", parts)

    def _print_Function(self, expr: Any) -> str:  # noqa: N802
        name = FUNCTIONS.get(expr.func.__name__)
        if name is None:
            raise ConfigError(f"{self._owner}: nestml has no form for {expr}; use rule.brian2()")
        return f"{name}({self.stringify(expr.args, ', ')})"


def _in_ms(seconds: float) -> float:
    """A time in ms, without the digits that only come from the conversion."""
    return float(f"{1000 * seconds:.15g}")


def _translated(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A name in NESTML for each name, all different, and none reserved or taken."""
    found, avoided = dict[str, str](), {*RESERVED, *taken}
    for name in dict.fromkeys(names):
        plain = re.sub("[^A-Za-z0-9_]", lambda each: f"u{ord(each[0]):x}", name)
        tried = chain([plain], (f"syn_{plain}" if k == 1 else f"syn_{plain}_{k}" for k in count(1)))
        found[name] = next(each for each in tried if each not in avoided)
        avoided.add(found[name])
    return found
