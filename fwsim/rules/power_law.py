"""Sums of exponentials that forget as a power law."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares

from fwsim.errors import ConfigError

GRID = 400  # ages at which the error is judged; the error curve has 2n extrema, all far wider than the grid
ROUNDS = 60  # of reweighting
MOST_TERMS = 16  # a sum of 16 spans 12 decades to 1e-3


class PowerLawFit(NamedTuple):
    """Time constants `tau` (s), strengths `eta`, and the worst relative error of the sum."""

    tau: list[float]
    eta: list[float]
    relative_error: float


def fit_power_law(
    exponent: float, *, shortest: float, longest: float, strength: float, tolerance: float
) -> PowerLawFit:
    """Fewest terms for which Σ_k η_k e^{−Δ/τ_k} is strength·(Δ/shortest)^−exponent within the tolerance.

    The time constants are free: they may lie outside `shortest … longest`. The worst relative error is
    made small by iteratively reweighted least squares (Lawson 1961) in logarithms.

    Raises
    ------
    ConfigError
        An argument is out of range, or the tolerance needs more than 16 terms.
    """
    values = {"exponent": exponent, "shortest": shortest, "strength": strength, "tolerance": tolerance}
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise ConfigError(f"{name}={value} is not allowed; it must be positive and finite")
    if not shortest < longest < np.inf:
        raise ConfigError(
            f"longest={longest} is not allowed; it must be finite and above shortest={shortest}"
        )
    fit = PowerLawFit([], [], np.inf)
    for terms in range(1, MOST_TERMS + 1):
        fit = _fit(terms, exponent, longest / shortest)
        if fit.relative_error <= tolerance:
            tau, eta = shortest * np.array(fit.tau), strength * np.array(fit.eta)
            return PowerLawFit(tau.tolist(), eta.tolist(), fit.relative_error)
    raise ConfigError(
        f"tolerance={tolerance:g} is not reached with {MOST_TERMS} time scales (got {fit.relative_error:.2g}); "
        "allow a larger tolerance or a shorter range"
    )


def relative_error(
    tau: ArrayLike, eta: ArrayLike, exponent: float, *, shortest: float, longest: float
) -> float:
    """Worst relative error of Σ_k η_k e^{−Δ/τ_k} against the power law that fits it best in strength."""
    age = np.geomspace(1.0, longest / shortest, GRID)
    kernel = np.exp(-age[:, None] * shortest / np.asarray(tau)) @ np.asarray(eta)
    ratio = kernel * age**exponent
    return float((ratio.max() - ratio.min()) / (ratio.max() + ratio.min()))


def _fit(terms: int, exponent: float, longest: float) -> PowerLawFit:
    """Best sum of `terms` exponentials for Δ^−exponent on 1 ≤ Δ ≤ longest."""
    age = np.geomspace(1.0, longest, GRID)
    target = age**exponent  # multiplies the sum, so that 1 is perfect

    def ratio(log: NDArray) -> NDArray:
        tau, eta = np.exp(log[:terms]), np.exp(log[terms:])
        return np.exp(-age[:, None] / tau) * (eta * target[:, None])

    def jacobian(log: NDArray, weight: NDArray) -> NDArray:
        parts = ratio(log) * weight[:, None]
        return np.concatenate([parts * age[:, None] / np.exp(log[:terms]), parts], axis=1)

    tau = np.geomspace(1.0, longest, terms) if terms > 1 else np.array([np.sqrt(longest)])
    log = np.log(np.concatenate([tau, tau**-exponent / terms]))
    log[terms:] -= np.log(np.median(ratio(log).sum(1)))
    weight = np.ones(GRID)
    best, best_error = log, np.inf
    for _ in range(ROUNDS):
        with np.errstate(all="ignore"):  # a term that never decays has its time constant at infinity
            log = least_squares(
                lambda log, w: w * (ratio(log).sum(1) - 1),
                log,
                jacobian,
                method="lm",
                args=(weight,),
                max_nfev=200,
            ).x
        error = np.abs(ratio(log).sum(1) - 1)
        worst = error.max()
        if worst < best_error:
            best, best_error = log, worst
        weight = np.clip(weight * np.sqrt(error / worst + 1e-3), 1e-4, None)
        weight /= weight.max()
    with np.errstate(over="ignore"):
        tau, eta = np.exp(best[:terms]), np.exp(best[terms:])
    order = np.argsort(tau)
    return PowerLawFit(tau[order].tolist(), eta[order].tolist(), float(best_error))
