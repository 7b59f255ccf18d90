"""Hebbian memory with one or many time scales: the fast weights of Ba et al. 2016."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from fwsim.errors import ConfigError
from fwsim.rules.decays import chained
from fwsim.rules.memory_rule import MemoryRule, decay, parameter
from fwsim.rules.parameters import NEGLIGIBLE
from fwsim.rules.power_law import fit_power_law, relative_error
from fwsim.units import checked

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Hebbian(MemoryRule):
    """Outer products that decay: A_k ← λ_k A_k + η_k post preᵀ, A = Σ_k A_k, λ_k = exp(−dt/τ_k).

    Source: Ba, Hinton, Mnih, Leibo & Ionescu 2016 (arXiv 1610.06258), eq. 1.

    Parameters
    ----------
    tau
        Time constants in s: a scalar, `[timescale]` or `[batch, timescale]`. With infinity nothing is forgotten,
        with 0 only the last write is stored.
    eta
        Strength of one write, same shapes.
    eta_rate
        Instead of `eta`: strength per second, in 1/s. A write then has η_k = η_rate τ_k (1 − e^{−dt/τ_k}),
        so that the memory of a constant state does not depend on `dt`.

    Examples
    --------
    >>> Hebbian(tau=[0.5, 10.0], eta=[0.3, 0.05]).timescales
    2
    """

    tau: Any
    eta: Any = None
    eta_rate: Any = None

    def __post_init__(self) -> None:
        if (self.eta is None) == (self.eta_rate is None):
            raise ConfigError(
                "Hebbian takes either eta (per write) or eta_rate (1/s); give exactly one of them"
            )
        object.__setattr__(self, "tau", parameter("tau", self.tau, "time", at_least=0.0, infinite=True))
        for name, dimension in (("eta", "number"), ("eta_rate", "rate")):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, parameter(name, getattr(self, name), dimension))
        self.shape  # noqa: B018  # raises where the shapes do not fit

    @classmethod
    def from_decay(cls, decay: Any, *, eta: Any, dt: float = 1.0) -> Self:
        """Use the paper's λ, the fraction of a memory that remains after a step of `dt` seconds: τ = −dt/ln λ.

        λ = 0.95 with dt = 1 s gives τ = 19.50 s, a half-life of 13.51 s; with λ = 1 nothing is forgotten.
        """
        decay = parameter("decay", decay, at_least=0.0)
        dt = checked("dt", dt, "time", above=0)
        if bool((decay > 1).any()):
            raise ConfigError(f"decay={decay.max().item():g} is not allowed; it must lie in [0, 1]")
        return cls(tau=dt / decay.log().abs(), eta=eta)  # abs: −ln 1 would be −0

    @classmethod
    def power_law(
        cls,
        exponent: float,
        *,
        shortest: float,
        longest: float,
        strength: float = 1.0,
        tolerance: float = 0.01,
    ) -> Self:
        """Forget as Δ^−exponent between two ages, with the smallest number of time scales that the tolerance allows.

        Parameters
        ----------
        exponent
            Of the power law, positive.
        shortest, longest
            Ages in s between which the power law is valid.
        strength
            κ(shortest), the strength of a write at that age.
        tolerance
            Largest relative error allowed; `power_law_error` of the result returns the actual error.
        """
        fit = fit_power_law(
            exponent, shortest=shortest, longest=longest, strength=strength, tolerance=tolerance
        )
        return cls(tau=fit.tau, eta=fit.eta)

    def power_law_error(self, exponent: float, *, shortest: float, longest: float) -> float:
        """Worst relative error of κ against κ(shortest)-fitted Δ^−exponent, over shortest ≤ Δ ≤ longest (s)."""
        if self.eta is None or self.shape != (self.timescales,):
            raise ConfigError("power_law_error needs eta (per write) and parameters without a batch axis")
        tau, eta = self.tau.expand(self.shape), self.eta.expand(self.shape)
        return relative_error(tau.tolist(), eta.tolist(), exponent, shortest=shortest, longest=longest)

    def decay(self, dt: float) -> Tensor:
        """Fraction of each time scale that remains after `dt` seconds, λ_k: `[timescale]` or `[batch, timescale]`."""
        return decay(self.tau, dt).expand(self.shape)

    def strength(self, dt: float) -> Tensor:
        """Strength of one write, η_k: `[timescale]` or `[batch, timescale]`."""
        if self.eta is not None:
            return self.eta.expand(self.shape)
        rate = 1 / self.tau.clamp(min=NEGLIGIBLE)
        held = chained([rate, torch.zeros_like(rate)], rate.new_tensor(dt))
        return (self.eta_rate * torch.where(self.tau > 0, held, 0.0)).expand(self.shape)

    def kernel(self, lag: Tensor, dt: float) -> Tensor:
        """Weight of a past state in the memory's answer, κ(Δ) = Σ_k η_k λ_k^Δ.

        Parameters
        ----------
        lag
            Numbers of writes Δ ≥ 0 since the state was written, `[lag]`.
        dt
            Seconds between writes.

        Returns
        -------
        Tensor
            `[lag]` or `[batch, lag]`.
        """
        lag = lag.to(self.tau.dtype)
        return (self.strength(dt)[..., None, :] * self.decay(dt)[..., None, :] ** lag[:, None]).sum(-1)

    def write(self, memory: Tensor, pre: Tensor, post: Tensor, dt: float) -> Tensor:
        """λ A + η post preᵀ for each time scale; see `MemoryRule.write`."""
        outer = post[:, None, :, None] * pre[:, None, None, :]
        decay, strength = self.decay(dt).to(memory.dtype), self.strength(dt).to(memory.dtype)
        return decay[..., None, None] * memory + strength[..., None, None] * outer

    def half_life(self) -> Tensor:
        """Time in s after which half of a memory remains, τ ln 2: shape of `tau`."""
        return self.tau * math.log(2.0)
