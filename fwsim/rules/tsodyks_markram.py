"""Short-term depression and facilitation after Tsodyks and Markram, in four conventions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from fwsim.errors import ConfigError, choice
from fwsim.rules.parameters import probability, time_constant
from fwsim.rules.rule import PresynapticRule, Values

CONVENTIONS = ("maass2002", "tm1998", "mongillo2008", "mixed")


@dataclass(frozen=True, eq=False)
class TsodyksMarkram(PresynapticRule):
    """Utilisation u and resources x: du/dt = (U − u)/τ_facil, dx/dt = (1 − x)/τ_rec.

    A spike raises u to u⁺ = u + U(1 − u). In papers, "Tsodyks–Markram" can mean any of four models:

    ============== ========== ======= =========== ==================================================
    convention     u rests at release depletion   used by
    ============== ========== ======= =========== ==================================================
    `maass2002`    U          u x     x −= u x    Maass & Markram 2002; NEST `tsodyks2_synapse`; the
                                                  rate equations of Mongillo 2008, Mi 2017, Masse 2019
    `tm1998`       0          u⁺ x    x −= u⁺ x   Tsodyks, Pawelzik & Markram 1998; Tsodyks, Uziel &
                                                  Markram 2000; NEST `tsodyks_synapse`
    `mongillo2008` U          u⁺ x    x −= u⁺ x   spiking networks after Mongillo, Barak & Tsodyks 2008
    `mixed`        U          u x     x −= u⁺ x   seen in published code; for comparison only
    ============== ========== ======= =========== ==================================================

    In `tm1998`, released resources are first active (y), and recover only after inactivation:
    dx/dt = (1 − x − y)/τ_rec, dy/dt = −y/τ_inact, and a spike moves u⁺x from x to y. With
    `tau_inact=0` its releases are those of `maass2002`. The first release from rest is U, but
    U(2 − U) for `mongillo2008`: compare first releases across conventions, never U. The defaults are a depressing
    synapse of layer 5 (Tsodyks, Pawelzik & Markram 1998).

    Parameters
    ----------
    U
        Utilisation that one spike adds, in [0, 1].
    tau_rec
        Time constant of recovery from depression in s.
    tau_facil
        Time constant of facilitation in s; 0 means no facilitation, for simultaneous spikes too.
    convention
        One of the four above.
    tau_inact
        Time constant of inactivation in s, `tm1998` only; 0 if not given.
    """

    fractions: ClassVar[tuple[str, ...]] = ("u", "x", "y")

    U: Any = probability(0.5)
    tau_rec: Any = time_constant(0.8, usual=60.0)
    tau_facil: Any = time_constant(0.0, usual=60.0)
    convention: str = "maass2002"
    tau_inact: Any = time_constant(None, usual=1.0)

    def __post_init__(self) -> None:
        choice("convention", self.convention, CONVENTIONS)
        if self.convention == "tm1998" and self.tau_inact is None:
            object.__setattr__(self, "tau_inact", 0.0)
        if self.convention != "tm1998" and self.tau_inact is not None:
            raise ConfigError(
                f"tau_inact={self.tau_inact!r} has no meaning in {self.convention!r}; leave it out or use 'tm1998'"
            )
        super().__post_init__()

    def rest(self) -> Values:
        """Full resources; u is 0 in `tm1998`, otherwise U."""
        if self.convention == "tm1998":
            return {"u": 0, "x": 1, "y": 0}
        return {"u": self.U, "x": 1}

    def drift(self, state: Values) -> Values:
        """Relaxation of u, x and, in `tm1998`, y."""
        u, x = state["u"], state["x"]
        if self.convention == "tm1998":
            y = state["y"]
            return {"u": -u / self.tau_facil, "x": (1 - x - y) / self.tau_rec, "y": -y / self.tau_inact}
        return {"u": (self.U - u) / self.tau_facil, "x": (1 - x) / self.tau_rec}

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Raise u, release, deplete x; the convention says which u counts."""
        u, x = state["u"], state["x"]
        raised = u + self.U * (1 - u)
        released = (u if self.convention in ("maass2002", "mixed") else raised) * x
        depleted = (u if self.convention == "maass2002" else raised) * x
        after = {**state, "u": raised, "x": x - depleted}
        if self.convention == "tm1998":
            after["y"] = state["y"] + depleted
        return after, released
