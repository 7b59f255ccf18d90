"""Associative short-term potentiation that spikes write through traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsim.rules.functions import minimum
from fwsim.rules.parameters import component_names, each, number, same_length, time_constant
from fwsim.rules.rule import AssociativeRule, Values


@dataclass(frozen=True, eq=False)
class HebbianTraces(AssociativeRule):
    """Weight Σ_k w_k: a pre-spike adds 1 to p and η_k q to w_k, a post-spike adds 1 to q and η_k p to w_k.

    dp/dt = −p/τ_pre, dq/dt = −q/τ_post, dw_k/dt = −w_k/τ_k. Independent Poisson trains make
    dw/dt = −w/τ + η(τ_pre + τ_post) r_pre r_post, the outer product of fast weights (`reduced`).

    Sources: pair-based plasticity with all-to-all traces (Morrison, Diesmann & Gerstner 2008, Biol.
    Cybern. 98:459), both signs Hebbian; the default time scales are the two of associative short-term
    potentiation (Erickson, Maramara & Lisman 2010: 1.6 min and 19 min).

    Parameters
    ----------
    tau
        Decay of the weight in s: a number, `[timescale]` or `[batch, timescale]`.
    eta
        Change of the weight per pair of spikes at zero distance, same shapes.
    tau_pre, tau_post
        Decay of the traces in s.
    w_max
        Limit of each w_k, same shapes; `None`: no limit.
    """

    tau: Any = time_constant((96.0, 1140.0), components=True)
    eta: Any = number((0.01, 0.01), components=True)
    tau_pre: Any = time_constant(0.02, usual=10.0)
    tau_post: Any = time_constant(0.02, usual=10.0)
    w_max: Any = number(None, low=0.0, components=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._weights()

    def _weights(self) -> list[str]:
        groups = {"tau": self.tau, "eta": self.eta} | (
            {"w_max": self.w_max} if self.w_max is not None else {}
        )
        return component_names("w", same_length("HebbianTraces", **groups))

    def rest(self) -> Values:
        """All 0."""
        return dict.fromkeys(["p", "q", *self._weights()], 0)

    def drift(self, state: Values) -> Values:
        """Traces and weights decay."""
        traces = {"p": -state["p"] / self.tau_pre, "q": -state["q"] / self.tau_post}
        return traces | {name: -state[name] / tau for name, tau in each(self._weights(), self.tau)}

    def on_pre(self, state: Values) -> Values:
        """Increase the presynaptic trace, and potentiate by the postsynaptic trace."""
        return {**state, "p": state["p"] + 1, **self._potentiated(state, state["q"])}

    def on_post(self, state: Values) -> Values:
        """Increase the postsynaptic trace, and potentiate by the presynaptic trace."""
        return {**state, "q": state["q"] + 1, **self._potentiated(state, state["p"])}

    def _potentiated(self, state: Values, trace: Any) -> Values:
        raised = {name: state[name] + eta * trace for name, eta in each(self._weights(), self.eta)}
        if self.w_max is None:
            return raised
        return {name: minimum(raised[name], limit) for name, limit in each(self._weights(), self.w_max)}

    def strength(self, state: Values) -> Any:
        """Sum over the time scales."""
        return sum(state[name] for name in self._weights())
