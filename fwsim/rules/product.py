"""Two rules at one synapse: an associative weight times a presynaptic release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsim.errors import ConfigError
from fwsim.rules.rule import AssociativeRule, PresynapticRule, Values
from fwsim.rules.stochastic_release import StochasticRelease


@dataclass(frozen=True, eq=False)
class Product(AssociativeRule):
    """Efficacy weight × release: what a spike transmits if both sides of a synapse are plastic.

    Each rule acts separately on its own variables; a presynaptic spike reads the product.

    Parameters
    ----------
    weight
        The associative rule, for the postsynaptic side.
    release
        The presynaptic rule.

    Examples
    --------
    >>> from fwsim.rules import HebbianTraces, TsodyksMarkram
    >>> list(Product(HebbianTraces(tau=10.0, eta=0.1), TsodyksMarkram()).rest())
    ['p', 'q', 'w', 'u', 'x']
    """

    weight: AssociativeRule
    release: PresynapticRule

    def __post_init__(self) -> None:
        for field, kind in (("weight", AssociativeRule), ("release", PresynapticRule)):
            if not isinstance(getattr(self, field), kind):
                given = type(getattr(self, field)).__name__
                raise ConfigError(f"Product: {field} is a {given}; give an instance of {kind.__name__}")
        if isinstance(self.release, StochasticRelease):
            raise ConfigError(
                "Product: release is random; multiply weight.respond by release.respond instead"
            )
        for what in ("rest", "parameters"):
            shared = getattr(self.weight, what)().keys() & getattr(self.release, what)().keys()
            if shared:
                names = ", ".join(sorted(shared))
                raise ConfigError(f"Product: both rules have {names}; combine rules whose names differ")
        super().__post_init__()

    def rest(self) -> Values:
        """Both at rest."""
        return self.weight.rest() | self.release.rest()

    def drift(self, state: Values) -> Values:
        """Drift of each rule."""
        return self.weight.drift(state) | self.release.drift(state)

    def on_pre(self, state: Values) -> Values:
        """Jumps of each rule."""
        return self.at_pre(state)[0]

    def at_pre(self, state: Values) -> tuple[Values, Any]:
        """State after a presynaptic spike, and weight × release."""
        learnt, weight = self.weight.at_pre(_part(self.weight, state))
        used, release = self.release.at_pre(_part(self.release, state))
        return learnt | used, weight * release

    def on_post(self, state: Values) -> Values:
        """Only the weight changes."""
        return state | self.weight.on_post(_part(self.weight, state))

    def strength(self, state: Values) -> Any:
        """Weight × release of a spike at this moment."""
        return self.at_pre(state)[1]


def _part(rule: AssociativeRule | PresynapticRule, state: Values) -> Values:
    return {name: state[name] for name in rule.rest()}
