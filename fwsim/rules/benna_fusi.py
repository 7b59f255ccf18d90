"""A chain of variables behind every weight, after Benna and Fusi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsim.errors import whole
from fwsim.rules.parameters import number, time_constant
from fwsim.rules.rule import AssociativeRule, Values


@dataclass(frozen=True, eq=False)
class BennaFusi(AssociativeRule):
    """Beakers u_1 … u_m of increasing size, connected by tubes of decreasing width; the weight is u_1.

    C_k du_k/dt = [g_{k−1}(u_{k−1} − u_k) − g_k(u_k − u_{k+1})]/τ with C_k = 2^{k−1}, g_k = 2^{−k}, u_{m+1} = 0
    and g_m the leak. Spikes write into u_1 as in `HebbianTraces`: a pre-spike adds η q, a post-spike η p.
    Σ C_k u_k is conserved without input and leak. A stored trace decreases as t^{−1/2} for
    1 ≪ t/τ ≪ 4^m.

    Source: Benna & Fusi 2016, Nature Neuroscience 19:1697, eqs. 1–2.

    Parameters
    ----------
    length
        Number of variables m.
    tau
        τ, the unit of time in s, positive.
    eta
        Change of u_1 per pair of spikes at zero distance.
    leak
        g_m; with 0 nothing is forgotten, with 2^{−m} the series continues.
    tau_pre, tau_post
        Decay of the traces of spikes in s.
    """

    length: int = 6
    tau: Any = time_constant(1.0, positive=True)
    eta: Any = number(0.01)
    leak: Any = number(0.0, low=0.0)
    tau_pre: Any = time_constant(0.02, usual=10.0)
    tau_post: Any = time_constant(0.02, usual=10.0)

    def __post_init__(self) -> None:
        whole("BennaFusi: length", self.length, least=1)
        super().__post_init__()

    @property
    def chain(self) -> list[str]:
        """Names of the variables, `u_1` first."""
        return [f"u_{k}" for k in range(1, self.length + 1)]

    def capacity(self) -> list[int]:
        """C_k, sizes of the beakers."""
        return [2**k for k in range(self.length)]

    def rest(self) -> Values:
        """All 0."""
        return dict.fromkeys(["p", "q", *self.chain], 0)

    def drift(self, state: Values) -> Values:
        """Flow between neighbours."""
        level = [state[name] for name in self.chain]
        width = [2.0**-k for k in range(1, self.length)]
        flow = [g * (here - there) for g, here, there in zip(width, level, level[1:])]
        into, out = [0, *flow], [*flow, self.leak * level[-1]]
        change = {
            name: (gain - loss) / (size * self.tau)
            for name, gain, loss, size in zip(self.chain, into, out, self.capacity())
        }
        return {"p": -state["p"] / self.tau_pre, "q": -state["q"] / self.tau_post, **change}

    def on_pre(self, state: Values) -> Values:
        """Increase the presynaptic trace, and write the postsynaptic trace."""
        return {**state, "p": state["p"] + 1, "u_1": state["u_1"] + self.eta * state["q"]}

    def on_post(self, state: Values) -> Values:
        """Increase the postsynaptic trace, and write the presynaptic trace."""
        return {**state, "q": state["q"] + 1, "u_1": state["u_1"] + self.eta * state["p"]}

    def strength(self, state: Values) -> Any:
        """First variable of the chain."""
        return state["u_1"]
