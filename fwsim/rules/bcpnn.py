"""Bayesian confidence propagation: weights as log odds of joint activity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fwsim.rules.functions import log
from fwsim.rules.parameters import frequency, number, time_constant
from fwsim.rules.rule import AssociativeRule, Values


@dataclass(frozen=True, eq=False)
class BCPNN(AssociativeRule):
    """Weight ln(P_ij/(P_i P_j)) from estimates of activity.

    Traces of spikes relax to a floor, dZ_i/dt = (ε − Z_i)/τ_i; a spike adds 1/(f_max τ_i), so that a
    neuron at its largest rate f_max has a mean of 1 + ε. Estimates follow them:
    dP_i/dt = κ(Z_i − P_i)/τ_p, dP_ij/dt = κ(Z_i Z_j − P_ij)/τ_p.

    The state contains c = (Z_i − ε)(Z_j − ε), which decays with 1/τ_i + 1/τ_j and makes the drift
    affine: Z_i Z_j = c + ε Z_i + ε Z_j − ε².

    Source: Fiebig & Lansner 2017, J. Neurosci. 37:83, eqs. 1–5.

    Parameters
    ----------
    tau_pre, tau_post
        Time constants of the traces in s, positive.
    tau_p
        Time constant of the estimates in s.
    kappa
        κ, speed of learning; with 0 the estimates do not change.
    f_max
        Rate in Hz that counts as fully active.
    epsilon
        ε, activity at silence, positive.
    """

    tau_pre: Any = time_constant(0.005, positive=True, usual=10.0)
    tau_post: Any = time_constant(0.005, positive=True, usual=10.0)
    tau_p: Any = time_constant(5.0)
    kappa: Any = number(1.0, low=0.0)
    f_max: Any = frequency(20.0)
    epsilon: Any = number(0.01, low=0.0, positive=True)

    def rest(self) -> Values:
        """All traces at the floor ε: activities are independent, and the weight is 0."""
        floor = self.epsilon
        return {
            "z_pre": floor,
            "z_post": floor,
            "c": 0,
            "p_pre": floor,
            "p_post": floor,
            "p_joint": floor * floor,
        }

    def drift(self, state: Values) -> Values:
        """Traces relax, estimates follow."""
        z_pre, z_post, c, floor = state["z_pre"], state["z_post"], state["c"], self.epsilon
        product = c + floor * z_pre + floor * z_post - floor * floor
        speed = self.kappa / self.tau_p
        return {
            "z_pre": (floor - z_pre) / self.tau_pre,
            "z_post": (floor - z_post) / self.tau_post,
            "c": -c * (1 / self.tau_pre + 1 / self.tau_post),
            "p_pre": speed * (z_pre - state["p_pre"]),
            "p_post": speed * (z_post - state["p_post"]),
            "p_joint": speed * (product - state["p_joint"]),
        }

    def on_pre(self, state: Values) -> Values:
        """Increase the presynaptic trace, and its product with the other."""
        step = 1 / (self.f_max * self.tau_pre)
        return {
            **state,
            "z_pre": state["z_pre"] + step,
            "c": state["c"] + step * (state["z_post"] - self.epsilon),
        }

    def on_post(self, state: Values) -> Values:
        """Increase the postsynaptic trace, and its product with the other."""
        step = 1 / (self.f_max * self.tau_post)
        return {
            **state,
            "z_post": state["z_post"] + step,
            "c": state["c"] + step * (state["z_pre"] - self.epsilon),
        }

    def strength(self, state: Values) -> Any:
        """Log odds of joint activity, 0 if the two are independent."""
        return log(state["p_joint"] / (state["p_pre"] * state["p_post"]))

    def bias(self, state: Values) -> Any:
        """Log activity of the postsynaptic neuron, ln P_j: its current without input."""
        return log(state["p_post"])
