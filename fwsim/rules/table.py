"""Every rule by its name on the command line. To add a rule, add its line here."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from fwsim.errors import ConfigError, RecordingError, choice
from fwsim.names import known_arguments
from fwsim.rules.augmented_release import AugmentedRelease
from fwsim.rules.bcpnn import BCPNN
from fwsim.rules.benna_fusi import BennaFusi
from fwsim.rules.calcium_recovery import CalciumRecovery
from fwsim.rules.delta import Delta
from fwsim.rules.enhancement import Enhancement
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.hebbian_traces import HebbianTraces
from fwsim.rules.independent_depression import IndependentDepression
from fwsim.rules.linear_nonlinear import LinearNonlinear
from fwsim.rules.memory_rule import MemoryRule
from fwsim.rules.product import Product
from fwsim.rules.rule import AssociativeRule, PresynapticRule, SpikeRule
from fwsim.rules.stochastic_release import StochasticRelease
from fwsim.rules.tsodyks_markram import TsodyksMarkram
from fwsim.rules.varela import Varela

RULES: dict[str, type[SpikeRule] | type[MemoryRule]] = {
    "tsodyks_markram": TsodyksMarkram,
    "varela": Varela,
    "enhancement": Enhancement,
    "linear_nonlinear": LinearNonlinear,
    "augmented_release": AugmentedRelease,
    "independent_depression": IndependentDepression,
    "calcium_recovery": CalciumRecovery,
    "hebbian_traces": HebbianTraces,
    "bcpnn": BCPNN,
    "benna_fusi": BennaFusi,
    "hebbian": Hebbian,
    "delta": Delta,
}


def presynaptic_rule(name: str, settings: Sequence[str]) -> PresynapticRule:
    """Make a presynaptic rule from texts of the command line.

    Parameters
    ----------
    name
        A name in `RULES`.
    settings
        `"NAME=VALUE"` each; a value is a number, numbers with commas between them (nothing for none), or the
        name of an option.

    Raises
    ------
    ConfigError
        The rule or field does not exist, or a value is not allowed.
    """
    presynaptic = {key: rule for key, rule in RULES.items() if issubclass(rule, PresynapticRule)}
    choice("rule", name, tuple(presynaptic))
    known = [f.name for f in fields(presynaptic[name])]
    values = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or field not in known:
            raise ConfigError(
                f"{setting!r} is no setting of {name}; write NAME=VALUE with {', '.join(known)}"
            )
        if field in values:
            raise ConfigError(f"{field} is given twice, the second time as {setting!r}; give it once")
        values[field] = _value(text)
    return presynaptic[name](**values)


@known_arguments
def described_rule(given: Any) -> SpikeRule | MemoryRule:
    """Make a rule from its class and fields, as recordings describe the synapses of a circuit.

    A recording is data: it can only select rules of the table, and set their parameters.

    Parameters
    ----------
    given
        `{"rule": class, field: value, …}`; a value is a number, numbers in lists, a truth value, the name of an option
        or `None`. For random release and products, the rules inside are described in the same way.

    Raises
    ------
    RecordingError
        It describes no rule of fwsim.
    ConfigError, ShapeError
        A value is not allowed.
    """
    named = given.get("rule") if isinstance(given, Mapping) else None
    if isinstance(named, Mapping):  # random release, which has a field of this name
        return StochasticRelease(_of_table(PresynapticRule, named), **_fields(StochasticRelease, given))
    if named == Product.__name__:
        weight = _of_table(AssociativeRule, given.get("weight"))
        return Product(weight, _of_table(PresynapticRule, given.get("release")))
    return _of_table(object, given)


def _of_table(kind: type, given: Any) -> Any:
    """A rule of one kind, with plain values for its fields."""
    name = given.get("rule") if isinstance(given, Mapping) else given
    kinds = {rule.__name__: rule for rule in RULES.values() if issubclass(rule, kind)}
    if not isinstance(given, Mapping) or not isinstance(name, str) or name not in kinds:
        raise RecordingError(
            f"a rule is described as {_short(name)}; the rules that can be read are {', '.join(kinds)}"
        )
    return kinds[name](**_fields(kinds[name], given))


def _fields(rule: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the fields of a rule, all of them plain; `"rule"` names the rule itself."""
    values = {field: value for field, value in given.items() if field != "rule"}
    known = [f.name for f in fields(rule)]
    deepest = 4 if issubclass(rule, MemoryRule) else 2  # lists in lists: [batch, post, pre, timescale]
    for field, value in values.items():
        if field not in known or not _is_plain(value, deepest):
            raise RecordingError(
                f"{rule.__name__} is described with {_short(field)} = {_short(value)}; it has {', '.join(known)}, "
                "all of them numbers or names of options"
            )
    return values


def _is_plain(value: Any, depth: int) -> bool:
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(part, depth - 1) for part in value)
    return value is None or isinstance(value, bool | int | float | str)


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60, placeholder="…")


def _value(text: str) -> float | str | tuple[float | str, ...]:
    parts = tuple(_part(part.strip()) for part in text.split(",") if part.strip())
    return parts[0] if len(parts) == 1 else parts


def _part(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
