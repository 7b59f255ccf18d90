"""Traces of past spikes, summed and read through a saturating function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsim.errors import choice
from fwsim.rules.functions import exp, minimum
from fwsim.rules.parameters import component_names, each, number, same_length, time_constant
from fwsim.rules.rule import PresynapticRule, Values

READOUTS = ("logistic", "cloglog")
SATURATED = 30.0  # both read-outs are 1 here in double precision; beyond it their derivatives would overflow


@dataclass(frozen=True, eq=False)
class LinearNonlinear(PresynapticRule):
    """Release g(baseline + Σ s): linear in the past, supralinear from rest, saturating at 1.

    A spike reads the sum and then adds a_k to the trace s_k, which decays with tau_trace_k. For small
    release it is exponential in the sum, so that facilitations on several time scales multiply. The
    read-out g is

    ========== ================== =============================================================
    readout    g(v)               meaning
    ========== ================== =============================================================
    `logistic` 1/(1 + e^−v)       the spike response plasticity model
    `cloglog`  1 − exp(−e^v)      a site releases at most once, with fusions as a Poisson process
                                  of intensity e^v; saturates more sharply
    ========== ================== =============================================================

    Sources: Rossbroich, Trotter, Beninger, Tóth & Naud 2021, PLoS Comput. Biol. 17:e1008013, eqs. 1–5
    (`logistic`, there relative to the first release); `cloglog` is the complementary log–log link of
    McCullagh & Nelder 1989. The defaults are mossy fibres of the hippocampus, fitted with `fwsim.fit`
    (docs/results/synapse_fit.md); trains of half a second give only a lower bound for their slow time constant (0.4 s).

    Parameters
    ----------
    baseline
        v at rest.
    a
        Change of each trace at a spike, negative for depression: a number, several, or a tensor whose
        last axis is the component.
    tau_trace
        Time constants of the traces in s, same shapes.
    readout
        One of the two above.
    """

    baseline: Any = number(-1.88)
    a: Any = number((0.39, 0.36), components=True)
    tau_trace: Any = time_constant((0.046, 0.68), components=True, usual=100.0)
    readout: str = "cloglog"

    def __post_init__(self) -> None:
        choice("readout", self.readout, READOUTS)
        super().__post_init__()
        same_length("LinearNonlinear", a=self.a, tau_trace=self.tau_trace)

    def _traces(self) -> list[str]:
        return component_names("s", max(len(self.a), len(self.tau_trace)))

    def rest(self) -> Values:
        """All traces at 0."""
        return dict.fromkeys(self._traces(), 0)

    def drift(self, state: Values) -> Values:
        """Every trace decays to 0."""
        return {name: -state[name] / tau for name, tau in each(self._traces(), self.tau_trace)}

    def on_pre(self, state: Values) -> tuple[Values, Any]:
        """Read the sum of the traces, then add to each."""
        added = {name: state[name] + a for name, a in each(self._traces(), self.a)}
        return added, self._read(self.baseline + sum(state[name] for name in self._traces()))

    def _read(self, v: Any) -> Any:
        if self.readout == "logistic":
            return 1 / (1 + exp(minimum(-v, SATURATED)))
        return 1 - exp(-exp(minimum(v, SATURATED)))
