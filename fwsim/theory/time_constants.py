"""Time constants, decays and the span of attention."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, ShapeError
from fwsim.names import known_arguments
from fwsim.theory.values import numbers, positive


@known_arguments
def tau_from_decay(decay: ArrayLike, dt: float = 1.0) -> np.ndarray:
    """Time constant (s) of a memory of which the fraction `decay` remains after a step of `dt` seconds."""
    decay = numbers("decay", decay)
    step = positive("dt", dt, "time")
    if not np.all((decay > 0) & (decay <= 1)):
        raise ConfigError(f"decay={decay.tolist()} is not in (0, 1]; give the fraction kept in one step")
    with np.errstate(divide="ignore"):
        return np.asarray(step / np.abs(np.log(decay)))[()]


@known_arguments
def decay_from_tau(tau: ArrayLike, dt: float = 1.0) -> np.ndarray:
    """Fraction of a memory with time constant `tau` (s) that remains after a step of `dt` seconds."""
    return np.exp(-positive("dt", dt, "time") / positive("tau", tau, "time"))[()]


@known_arguments
def half_life(tau: ArrayLike) -> np.ndarray:
    """Time (s) in which an exponential with time constant `tau` (s) halves."""
    return (positive("tau", tau, "time") * math.log(2.0))[()]


@known_arguments
def attention_span(tau: ArrayLike, eta: ArrayLike = 1.0, dt: float = 1.0) -> float:
    """Effective time (s) over which a set of time scales attends to its past.

    The inverse participation number (Σκ)²/Σκ² of the kernel κ(Δ) = Σ_k η_k e^{−Δ/τ_k}, Δ = 0, dt, …,
    which is what `fwsim.measure.attention` reports for a recording; dt·(1+λ)/(1−λ) for one time scale.

    Parameters
    ----------
    tau
        Time constants (s), scalar or [timescale].
    eta
        Strength of one write on each time scale, scalar or [timescale].
    dt
        Step (s).
    """
    step = positive("dt", dt, "time")
    rate, eta = np.atleast_1d(step / positive("tau", tau, "time")), positive("eta", eta)
    if not rate.size or not np.isfinite(eta).all():
        raise ConfigError(
            f"tau={np.asarray(tau).tolist()} and eta={eta.tolist()}: give one time scale or more, all finite"
        )
    if not np.all(rate > 0):
        raise ConfigError(
            f"tau={np.asarray(tau).tolist()} never forgets, so its span is infinite; give finite ones"
        )
    if eta.ndim and eta.shape != rate.shape:
        raise ShapeError(f"tau {list(rate.shape)} and eta {list(eta.shape)}: give [timescale] for both")
    eta = np.broadcast_to(eta, rate.shape)
    total = np.sum(eta / -np.expm1(-rate))  # 1 − e^{−dt/τ}, precise for long time constants
    squared = np.sum(np.outer(eta, eta) / -np.expm1(-np.add.outer(rate, rate)))
    return float(step * total**2 / squared)
