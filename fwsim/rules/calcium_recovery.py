"""Facilitation and depression by residual calcium, which also speeds up recovery: Dittman, Kreitzer & Regehr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fwsim.rules.parameters import number, probability, time_constant
from fwsim.rules.rule import PresynapticRule, Values


@dataclass(frozen=True, eq=False)
class CalciumRecovery(PresynapticRule):
    """Release F D, with F = U + (1 − U) c/(c + K) and sites D that refill faster while calcium is bound.

    A spike adds 1 to the bound calcium c and b of both sensors, which decay with τ_facil and τ_calcium, and removes F D
    from D. Sites refill at the rate 1/τ_rec + (boost/τ_calcium) b/(b + K_rec), so
    dD/dt = (1 − D)(1/τ_rec + (boost/τ_calcium) b/(b + K_rec)).

    That is not linear in the state. But e = (1 − D)(1 + b/K_rec)^−boost only decays with τ_rec, whatever b does, so e
    is the variable here, and D = 1 − e (1 + b/K_rec)^boost. Regular, random and recorded trains are exact; the mean
    field averages the jumps of e.

    Source: Dittman, Kreitzer & Regehr 2000, J. Neurosci. 20:1374 (the FD model), with concentrations in units of what
    a spike adds: U is their F₁, K their K_F, K_rec their K_D, 1/τ_rec their k₀, and boost/τ_calcium their k_max − k₀.
    The defaults are Schaffer collaterals, as in ModelDB 98003 (K follows from their facilitation ratio of 2.2).

    Parameters
    ----------
    U
        Release probability at rest, in [0, 1].
    K
        Calcium at which facilitation is half of the largest possible one; above 0.
    tau_facil
        Time constant of its decay in s.
    tau_rec
        Time constant of recovery without calcium in s.
    boost
        Recovery that calcium adds, at least 0: after one spike from rest it refills 1 − (1 + 1/K_rec)^−boost of what is
        empty, apart from the recovery with τ_rec.
    K_rec
        Calcium at which the added rate of recovery is half of the largest possible one; above 0.
    tau_calcium
        Time constant of the decay of that calcium in s.
    """

    fractions: ClassVar[tuple[str, ...]] = ("e",)

    U: Any = probability(0.24)
    K: Any = number(0.671, low=0.0, positive=True)
    tau_facil: Any = time_constant(0.1, usual=60.0)
    tau_rec: Any = time_constant(0.5, usual=60.0)
    boost: Any = number(1.4, low=0.0)
    K_rec: Any = number(2.0, low=0.0, positive=True)
    tau_calcium: Any = time_constant(0.05, usual=60.0)

    def rest(self) -> Values:
        """No calcium, and no site is empty."""
        return {"c": 0, "b": 0, "e": 0}

    def drift(self, state: Values) -> Values:
        """Calcium leaves, and sites refill."""
        return {
            "c": -state["c"] / self.tau_facil,
            "b": -state["b"] / self.tau_calcium,
            "e": -state["e"] / self.tau_rec,
        }

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Release from the full sites, then add calcium."""
        c, b = state["c"], state["b"]
        full = self.full_sites(state)
        released = (self.U + (1 - self.U) * c / (c + self.K)) * full
        after = {"c": c + 1, "b": b + 1, "e": state["e"]}
        return self.with_full_sites(after, full - released), released

    def full_sites(self, state: Values) -> Any:
        """D."""
        return 1 - state["e"] * (1 + state["b"] / self.K_rec) ** self.boost

    def with_full_sites(self, state: Values, share: Any) -> Values:
        """With this D and the same calcium."""
        return {**state, "e": (1 - share) * (1 + state["b"] / self.K_rec) ** -self.boost}
