"""Methods of rules that are derived from their functions, registered by the modules of `fwsim.rules.derive`.

A derivation is a function of a rule, marked with `derives(kind)` for each kind of rule that has it. Its line in
`Derived` names its module, so that nothing is imported before it is used. Its line in the stub
`derived.pyi` tells type checkers its arguments. The rules themselves know none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import MethodType
from typing import Any

from fwsim.errors import ConfigError
from fwsim.names import known_arguments


class Derivation:
    """A method of rules, imported when it is first used.

    Parameters
    ----------
    modules
        Modules of `fwsim.rules.derive` that register its functions.
    """

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self.functions: dict[type, Callable[..., Any]] = {}  # by the kind of rule
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, rule: Any, owner: type) -> Callable[..., Any]:
        """Return the function of the nearest kind among the rule's classes, bound to the rule if there is one."""
        for module in self.modules:
            import_module(f"fwsim.rules.derive.{module}")
        function = next((self.functions[kind] for kind in owner.__mro__ if kind in self.functions), None)
        if function is None:
            return self._missing(owner)
        return function if rule is None else MethodType(function, rule)

    def _missing(self, owner: type) -> Callable[..., Any]:
        """Replaces a derivation that a kind of rule does not have; `underived` of its class gives the reason."""
        reason = getattr(owner, "underived", None)
        if reason is None or self.name.startswith("_"):
            raise AttributeError(f"{owner.__name__} has no {self.name}", name=self.name)

        def refuse(*_: object, **__: object) -> Any:
            raise ConfigError(f"{owner.__name__} has no {self.name}: {reason}")

        return refuse


def derives(*kinds: type, name: str | None = None) -> Callable[[Any], Any]:
    """Register a function of a rule as a method of these kinds of rule, under its own name or another."""

    def register(function: Any) -> Any:
        method = name or function.__name__
        vars(Derived)[method].functions |= dict.fromkeys(kinds, known_arguments(function, method))
        return function

    return register


class Derived:
    """Base class of every kind of rule, which provides the derivations."""

    propagate = Derivation("propagate")
    respond = Derivation("respond")
    site_chances = Derivation("sites")
    steady_state = Derivation("steady_state")
    rate_dynamics = Derivation("rates")
    reduced = Derivation("reduced")
    equations = Derivation("equations")
    latex = Derivation("equations")
    places = Derivation("symbols")
    brian2 = Derivation("brian2_code", "brian2_binomial")
    nestml = Derivation("nestml")
    _repr_html_ = Derivation("display")
