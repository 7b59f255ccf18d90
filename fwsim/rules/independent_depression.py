"""Depression with and without release: resources that release removes, and a factor that every spike lowers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fwsim.rules.parameters import probability, time_constant
from fwsim.rules.rule import PresynapticRule, Values


@dataclass(frozen=True, eq=False)
class IndependentDepression(PresynapticRule):
    """Release u D x: as `TsodyksMarkram` in `maass2002`, with a probability that falls whatever was released.

    A spike multiplies D by d, and dD/dt = (1 − D)/τ_D. Resources x lose what is released, u D x. So a response after a
    failure is depressed too, which depletion alone cannot give.

    Source: Fuhrmann, Cowan, Segev, Tsodyks & Stricker 2004, J. Physiol. 557:415 (release-independent depression).

    Parameters
    ----------
    U
        Utilisation that one spike adds, in [0, 1].
    tau_rec, tau_facil
        Time constants of recovery and of facilitation in s.
    d
        Factor of D at a spike, in [0, 1].
    tau_D
        Time constant of its recovery in s.
    """

    fractions: ClassVar[tuple[str, ...]] = ("u", "x", "D")

    U: Any = probability(0.5)
    tau_rec: Any = time_constant(0.5, usual=60.0)
    tau_facil: Any = time_constant(0.0, usual=60.0)
    d: Any = probability(0.8)
    tau_D: Any = time_constant(0.1, usual=60.0)  # noqa: N815

    def rest(self) -> Values:
        """Full resources, no depression."""
        return {"u": self.U, "x": 1, "D": 1}

    def drift(self, state: Values) -> Values:
        """Relaxation of all three."""
        return {
            "u": (self.U - state["u"]) / self.tau_facil,
            "x": (1 - state["x"]) / self.tau_rec,
            "D": (1 - state["D"]) / self.tau_D,
        }

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Release and deplete, then facilitate, and depress whatever was released."""
        u, x, depression = state["u"], state["x"], state["D"]
        released = u * depression * x
        return {"u": u + self.U * (1 - u), "x": x - released, "D": self.d * depression}, released
