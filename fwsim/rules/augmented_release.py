"""Depression and facilitation after Tsodyks and Markram, and augmentation: a slow component of the utilisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fwsim.rules.parameters import probability, time_constant
from fwsim.rules.rule import PresynapticRule, Values


@dataclass(frozen=True, eq=False)
class AugmentedRelease(PresynapticRule):
    """Release p x with p = 1 − (1 − u)(1 − w): a full site is kept back only by both u and w.

    u and x are those of `TsodyksMarkram` in `maass2002`: du/dt = (U − u)/τ_facil, dx/dt = (1 − x)/τ_rec, and a spike
    raises u by U(1 − u) and removes p x from x. Augmentation w rests at 0, dw/dt = −w/τ_aug, and a spike raises it by
    A(1 − w). So p stays a probability, and begins at U.

    Sources: augmentation as a slow increase of the release probability, of some 7 s, after Zucker & Regehr 2002, Annu.
    Rev. Physiol. 64:355; how the two combine is a choice of fwsim, which keeps p below 1.

    Parameters
    ----------
    U
        Utilisation that one spike adds, in [0, 1].
    tau_rec, tau_facil
        Time constants of recovery and of facilitation in s.
    A
        Augmentation that one spike adds, in [0, 1].
    tau_aug
        Its time constant in s.
    """

    fractions: ClassVar[tuple[str, ...]] = ("u", "x", "w")

    U: Any = probability(0.2)
    tau_rec: Any = time_constant(0.2, usual=60.0)
    tau_facil: Any = time_constant(0.3, usual=60.0)
    A: Any = probability(0.02)
    tau_aug: Any = time_constant(7.0, usual=600.0)

    def rest(self) -> Values:
        """Full resources, no augmentation."""
        return {"u": self.U, "x": 1, "w": 0}

    def drift(self, state: Values) -> Values:
        """Relaxation of all three."""
        return {
            "u": (self.U - state["u"]) / self.tau_facil,
            "x": (1 - state["x"]) / self.tau_rec,
            "w": -state["w"] / self.tau_aug,
        }

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Release and deplete, then facilitate and augment."""
        u, x, w = state["u"], state["x"], state["w"]
        released = (1 - (1 - u) * (1 - w)) * x
        return {"u": u + self.U * (1 - u), "x": x - released, "w": w + self.A * (1 - w)}, released
