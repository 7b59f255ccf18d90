"""Facilitation and any number of depressions as factors, after Varela and colleagues."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fwsim.rules.parameters import component_names, each, number, probability, same_length, time_constant
from fwsim.rules.rule import PresynapticRule, Values


@dataclass(frozen=True, eq=False)
class Varela(PresynapticRule):
    """Amplitude A·F·D_1·D_2 …, read before the spike's own change.

    A spike adds f to F and multiplies each D_i by d_i; dF/dt = (1 − F)/τ_F, dD_i/dt = (1 − D_i)/τ_Di.

    Source: Varela, Sen, Gibson, Fost, Abbott & Nelson 1997, J. Neurosci. 17:7926, eqs. 1–4; the
    defaults are their layer-2/3 synapses of rat visual cortex.

    Parameters
    ----------
    f
        Facilitation that one spike adds, at least 0; 0 is none.
    tau_F
        Its time constant in s.
    d
        Factors of depression in [0, 1]: a number, several, or a tensor whose last axis is the component.
    tau_D
        Their time constants in s, same shapes. A single value of `d` or `tau_D` is used for all components of the
        other: `d=0.4, tau_D=(0.1, 0.2)` means two depressions.
    amplitude
        A, the response from rest.
    """

    f: Any = number(0.917, low=0.0)
    tau_F: Any = time_constant(0.094, usual=60.0)  # noqa: N815
    d: Any = probability((0.416, 0.975), components=True)
    tau_D: Any = time_constant((0.380, 9.2), components=True, usual=200.0)  # noqa: N815
    amplitude: Any = number(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        same_length("Varela", d=self.d, tau_D=self.tau_D)

    def _depressions(self) -> list[str]:
        return component_names("D", max(len(self.d), len(self.tau_D)))

    def rest(self) -> Values:
        """All factors at 1."""
        return dict.fromkeys(["F", *self._depressions()], 1)

    def drift(self, state: Values) -> Values:
        """Every factor relaxes to 1."""
        return {"F": (1 - state["F"]) / self.tau_F} | {
            name: (1 - state[name]) / tau for name, tau in each(self._depressions(), self.tau_D)
        }

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Read the product, then facilitate and depress."""
        release = self.amplitude * state["F"] * math.prod(state[name] for name in self._depressions())
        depressed = {name: d * state[name] for name, d in each(self._depressions(), self.d)}
        return {**state, "F": state["F"] + self.f, **depressed}, release
