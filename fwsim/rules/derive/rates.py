"""Rate dynamics: drift plus rate times jump, for all state variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from fwsim.rules.derive.symbols import structure
from fwsim.rules.derived import derives
from fwsim.rules.parameters import NEGLIGIBLE, without_zeros
from fwsim.rules.rule import SpikeRule, Values

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RateDynamics:
    """ds/dt = drift(s) + r_pre (s⁺_pre − s) + r_post (s⁺_post − s): make it once, and use it in every step.

    Variables with a time constant of 0 do not move by themselves: the other variables determine them.

    Parameters
    ----------
    rule
        The rule; its functions are called with the shapes of the states and rates.
    instant
        For each variable that relaxes instantly in some element: where it does, and how it follows the others.
    """

    rule: SpikeRule
    instant: dict[str, tuple[Tensor, dict[str, Tensor]]]

    def rest(self) -> Values:
        """State without activity."""
        return self.rule.rest()

    def release(self, state: Values) -> Any:
        """Mean-field release per spike (or weight before a spike); the release rate is r·release."""
        return self.rule.at_pre(state)[1]

    def forcing(self, state: Values, pre: Any, post: Any = 0.0) -> tuple[Values, Any]:
        """Contribution of activity to the drift in 1/s, for the variables that it changes; and the release.

        Parameters and shapes are those of `drift`; a solver that relaxes the rule exactly needs only this.
        """
        after, release = self.rule.at_pre(state)
        change: Values = {}
        for rate, reached in ((pre, after), (post, self.rule.at_post(state))):
            for name, value in reached.items():
                if value is not state[name]:  # broadcasting an unchanged variable would inflate it
                    push = rate * (value - state[name])
                    change[name] = change[name] + push if name in change else push
        return change, release

    def drift(self, state: Values, pre: Any, post: Any = 0.0) -> Values:
        """Time derivative of every variable in 1/s.

        Parameters
        ----------
        state
            Variables with shapes that broadcast, for example `[batch, post, pre]` at synapses beside
            `[batch, 1, pre]` at presynaptic neurons (see `AssociativeRule.places`).
        pre, post
            Rates in Hz, with such shapes too.
        """
        change = self.rule.drift(state)
        for name, push in self.forcing(state, pre, post)[0].items():
            change[name] = change[name] + push
        for name, (where, follows) in self.instant.items():
            zero = torch.zeros((), dtype=torch.float64, device=where.device)
            followed = sum((gain * change[driver] for driver, gain in follows.items()), zero)
            change[name] = torch.where(where, followed, change[name])
        return change


@derives(SpikeRule)
def rate_dynamics(rule: SpikeRule) -> RateDynamics:
    """Averaged dynamics of the whole state for rates instead of spikes."""
    kind = structure(rule)
    rule = without_zeros(rule)
    slopes = {
        key: slope if isinstance(slope, torch.Tensor) else torch.tensor(slope, dtype=torch.float64)
        for key, slope in kind.evaluate(rule, kind.jacobian).items()
    }
    instant = {}
    for name in kind.names:
        rate = -slopes.get((name, name), torch.zeros(()))
        where = rate > 0.5 / NEGLIGIBLE
        if bool(where.any()):
            instant[name] = where, {j: slope / rate for (i, j), slope in slopes.items() if i == name != j}
    drivers_first = [name for name in kind.drivers_first() if name in instant]
    return RateDynamics(rule, {name: instant[name] for name in drivers_first})
