"""Hebbian memory with one or many time scales: the fast weights of Ba et al. 2016."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

from fwsim.errors import ConfigError, truth
from fwsim.rules.decays import chained
from fwsim.rules.memory_rule import (
    MemoryRule,
    by_step,
    decay,
    gated,
    given_axes,
    numbers,
    over_memory,
    parameter,
)
from fwsim.rules.open_loop import Writes
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
        Time constants in s: a scalar, `[timescale]` or `[batch, timescale]`, or with `axes`. With infinity nothing is
        forgotten, with 0 only the last write is stored.
    eta
        Strength of one write, same shapes. It may be negative: an anti-Hebbian memory.
    eta_rate
        Instead of `eta`: strength per second, in 1/s. A write then has η_k = η_rate τ_k (1 − e^{−dt/τ_k}),
        so that the memory of a constant state does not depend on `dt`.
    axes
        Names of the axes of `tau` and `eta`, if these differ between neurons or synapses: some of `"batch"`,
        `"post"`, `"pre"`, `"timescale"`, in this order. `axes=("post", "pre")` is one value for each synapse. Each
        parameter is a scalar or has all these axes, with size 1 where it does not differ. The rule keeps both as
        `[post, pre, timescale]` or `[batch, post, pre, timescale]`.
    oja
        Whether a write takes away η_k post² A_k as well (by postsynaptic neuron), which limits the weights. Source:
        Oja 1982, J. Math. Biol. 15:267.

    Examples
    --------
    >>> Hebbian(tau=[0.5, 10.0], eta=[0.3, 0.05]).timescales
    2
    >>> Hebbian(tau=[5.0, 10.0, 20.0], eta=0.5, axes="post").sizes
    (3, 1)
    """

    tau: Any
    eta: Any = None
    eta_rate: Any = None
    axes: Any = None
    oja: bool = False

    def __post_init__(self) -> None:
        if (self.eta is None) == (self.eta_rate is None):
            raise ConfigError(
                "Hebbian takes either eta (per write) or eta_rate (1/s); give exactly one of them"
            )
        truth(oja=self.oja)
        named, kept = given_axes(self.axes)
        tau = parameter("tau", self.tau, "time", at_least=0.0, infinite=True, axes=named)
        object.__setattr__(self, "tau", tau)
        for name, dimension in (("eta", "number"), ("eta_rate", "rate")):
            if getattr(self, name) is not None:
                value = parameter(name, getattr(self, name), dimension, axes=named)
                object.__setattr__(self, name, value)
        object.__setattr__(self, "axes", kept)
        self.shape  # noqa: B018  # raises where the shapes do not fit

    @classmethod
    def from_decay(
        cls, decay: Any, *, eta: Any, dt: float | str = 1.0, axes: Any = None, oja: bool = False
    ) -> Self:
        """Use the paper's λ, the fraction of a memory that remains after a step of `dt` seconds: τ = −dt/ln λ.

        λ = 0.95 with dt = 1 s gives τ = 19.50 s, a half-life of 13.51 s; with λ = 1 nothing is forgotten. `axes` and
        `oja` are as in the class.
        """
        decay = numbers("decay", decay, "number", at_least=0.0)
        dt = checked("dt", dt, "time", above=0)
        if bool((decay > 1).any()):
            raise ConfigError(f"decay={decay.max().item():g} is not allowed; it must lie in [0, 1]")
        tau = dt / decay.log().abs()  # abs: −ln 1 would be −0
        return cls(tau=tau, eta=eta, axes=axes, oja=oja)

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
        """Worst relative error of κ(Δ) as the best multiple of Δ^−exponent, over shortest ≤ Δ ≤ longest (s)."""
        if self.eta is None or self.oja or self.shape != (self.timescales,):
            raise ConfigError(
                "power_law_error needs eta (per write), oja=False and parameters by time scale alone"
            )
        tau, eta = self.tau.expand(self.shape), self.eta.expand(self.shape)
        return relative_error(tau.tolist(), eta.tolist(), exponent, shortest=shortest, longest=longest)

    def decay(self, dt: float) -> Tensor:
        """Fraction of each time scale that remains after `dt` seconds, λ_k, of the rule's `shape`."""
        return decay(self.tau, dt).expand(self.shape)

    def strength(self, dt: float) -> Tensor:
        """Strength of one write, η_k, of the rule's `shape`."""
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
            `[lag]` or `[batch, lag]`; with `axes` `[post, pre, lag]` or `[batch, post, pre, lag]`.

        Raises
        ------
        ConfigError
            With `oja`, where it depends on the later writes.
        """
        if self.oja:
            raise ConfigError(
                "a memory with oja=True has no kernel: what is left of a write depends on later ones"
            )
        lag = lag.to(self.tau.dtype)
        return (self.strength(dt)[..., None, :] * self.decay(dt)[..., None, :] ** lag[:, None]).sum(-1)

    @property
    def dense_only(self) -> str | None:
        """Why the memory must be kept as a matrix, if past states cannot stand for it."""
        if type(self).write is not Hebbian.write or type(self).read is not Hebbian.read:
            return super().dense_only
        if self.oja:
            return "with oja=True what is left of a write depends on later ones"
        if min(self.sizes) > 1:
            return "constants by synapse do not factorise over past states"
        return None

    def write(
        self,
        memory: Tensor,
        pre: Tensor,
        post: Tensor,
        dt: float,
        *,
        keep: Tensor | None = None,
        store: Tensor | None = None,
    ) -> Tensor:
        """λ A + η post preᵀ for each time scale; see `MemoryRule.write`."""
        change = post[:, None, :, None] * pre[:, None, None, :]
        if self.oja:
            change = change - post.square()[:, None, :, None] * memory
        left, strength = (
            over_memory(value.to(memory.dtype)) for value in (self.decay(dt), self.strength(dt))
        )
        return gated(left, keep) * memory + gated(strength, store) * change

    def all_writes(self, pre: Tensor, dt: float, keep: Tensor | None, store: Tensor | None) -> Writes | None:
        """The writes of a sequence, unless constants are by neuron or synapse, or with `oja`."""
        if self.axes or self.oja or not self.has_equations_of(Hebbian):
            return None
        left, eta = by_step(self.decay(dt), keep, pre), by_step(self.strength(dt), store, pre)
        return Writes(pre, left, eta, corrects=False)

    def half_life(self) -> Tensor:
        """Time in s after which half of a memory remains, τ ln 2: shape of `tau`."""
        return self.tau * math.log(2.0)
