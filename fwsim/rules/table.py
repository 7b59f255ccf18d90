"""Every rule by the name it has on the command line. To add a rule, add its line here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from fwsim.errors import ConfigError, choice
from fwsim.rules.base import PresynapticRule, SpikeRule
from fwsim.rules.bcpnn import BCPNN
from fwsim.rules.benna_fusi import BennaFusi
from fwsim.rules.delta import Delta
from fwsim.rules.enhancement import Enhancement
from fwsim.rules.hebbian import Hebbian
from fwsim.rules.hebbian_traces import HebbianTraces
from fwsim.rules.linear_nonlinear import LinearNonlinear
from fwsim.rules.memory import MemoryRule
from fwsim.rules.tsodyks_markram import TsodyksMarkram
from fwsim.rules.varela import Varela

RULES: dict[str, type[SpikeRule] | type[MemoryRule]] = {
    "tsodyks_markram": TsodyksMarkram,
    "varela": Varela,
    "enhancement": Enhancement,
    "linear_nonlinear": LinearNonlinear,
    "hebbian_traces": HebbianTraces,
    "bcpnn": BCPNN,
    "benna_fusi": BennaFusi,
    "hebbian": Hebbian,
    "delta": Delta,
}


def presynaptic_rule(name: str, settings: Sequence[str]) -> PresynapticRule:
    """Make a presynaptic rule from texts, as the command line gives them.

    Parameters
    ----------
    name
        In `RULES`.
    settings
        `"NAME=VALUE"` each; a value is a number, numbers with commas between them (nothing for none), or the
        name of an option.

    Raises
    ------
    ConfigError
        No such rule or field, or a value that it does not allow.
    """
    presynaptic = {key: rule for key, rule in RULES.items() if issubclass(rule, PresynapticRule)}
    choice("rule", name, tuple(presynaptic))
    known = [f.name for f in fields(presynaptic[name])]
    given = dict(setting.partition("=")[::2] for setting in settings)
    for field, setting in zip(given, settings):
        if "=" not in setting or field not in known:
            raise ConfigError(
                f"{setting!r} is no setting of {name}; write NAME=VALUE with {', '.join(known)}"
            )
    return presynaptic[name](**{field: _value(text) for field, text in given.items()})


def _value(text: str) -> float | str | tuple[float | str, ...]:
    parts = tuple(_part(part.strip()) for part in text.split(",") if part.strip())
    return parts[0] if len(parts) == 1 else parts


def _part(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
