"""States from which the variables of a rule begin, where a user gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, choice
from fwsim.rules.parameters import as_tensors, own
from fwsim.rules.rule import SpikeRule, Values
from fwsim.rules.stochastic_release import NO_STATE, StochasticRelease

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-5  # of a state that was recorded in single precision


def checked_state(where: str, rule: SpikeRule, state: Any) -> Values:
    """Convert the given values of a rule's variables to numbers and tensors.

    Raises
    ------
    ConfigError
        A name that the rule does not have, a value that is no finite number or for a fraction not in [0, 1], or single
        sites, whose state is another.
    """
    if not isinstance(state, Mapping):
        raise ConfigError(
            f"{where}: state={state!r} is not allowed; give values by name, such as {_example(rule)}"
        )
    if isinstance(rule, StochasticRelease) and rule.depletion == "site":
        raise ConfigError(f"{where}: {NO_STATE}")
    found = {}
    for name, value in state.items():
        choice(f"{where}: variable of state", name, tuple(rule.rest()))
        as_they_are(f"{where}: state of {name}", value)
        try:
            tensor = own(value)
        except (TypeError, ValueError, RuntimeError):
            raise ConfigError(
                f"{where}: state of {name}={value!r} is not a number or an array of numbers"
            ) from None
        if not bool(tensor.detach().isfinite().all()):
            raise ConfigError(f"{where}: state of {name} is NaN or infinite; give finite numbers")
        if name in _fractions(rule) and bool(((tensor < -ROUNDING) | (tensor > 1 + ROUNDING)).any()):
            raise ConfigError(f"{where}: state of {name} is a fraction; give numbers in [0, 1]")
        found[name] = tensor if tensor.ndim or tensor.requires_grad else tensor.item()
    return found


def _fractions(rule: SpikeRule) -> tuple[str, ...]:
    """Variables of a rule, and of rules that it consists of, that are fractions."""
    parts = [each for each in vars(rule).values() if isinstance(each, SpikeRule)]
    return (*rule.fractions, *(name for each in parts for name in _fractions(each)))


def begun(rule: SpikeRule, state: Values, like: Tensor) -> Values:
    """The whole state: given values, and those of rest for the other variables, in the precision of `like`."""
    rest = as_tensors(rule, dtype=like.dtype, device=like.device).rest()
    return {
        name: torch.as_tensor(state.get(name, value), dtype=like.dtype, device=like.device)
        for name, value in rest.items()
    }


def _example(rule: SpikeRule) -> str:
    return "{" + ", ".join(f"{name!r}: 0.5" for name in list(rule.rest())[:2]) + "}"
