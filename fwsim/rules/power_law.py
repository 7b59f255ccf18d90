"""Power-law forgetting as a sum of exponentials."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fwsim.errors import ConfigError, number
from fwsim.units import checked

GRID = 400  # ages at which the error is computed; the error curve has 2n extrema, all far wider than the grid
ROUNDS = 100  # largest number of linear programs
LARGEST_LOG = 100 * math.log(10)  # of the range of strengths, beyond which the fit would overflow
MOST_TERMS = 16  # a sum of 16 spans 12 decades to 1e-3


class PowerLawFit(NamedTuple):
    """Time constants `tau` (s), strengths `eta`, and the worst relative error of the sum."""

    tau: list[float]
    eta: list[float]
    relative_error: float


def fit_power_law(
    exponent: float, *, shortest: float, longest: float, strength: float, tolerance: float
) -> PowerLawFit:
    """Smallest number of terms for which Σ_k η_k e^{−Δ/τ_k} is strength·(Δ/shortest)^−exponent within the tolerance.

    The time constants are free: they may lie outside `shortest … longest`. The worst relative error is
    minimised by a sequence of linear programs in the logarithms of the parameters, within a trust region.

    Raises
    ------
    ConfigError
        An argument is out of range, or the tolerance needs more than 16 terms.
    """
    shortest, longest = _checked(exponent, shortest, longest)
    number("strength", strength, above=0)
    number("tolerance", tolerance, above=0)
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
    """Worst relative error of Σ_k η_k e^{−Δ/τ_k} compared with the power law of the best strength."""
    shortest, longest = _checked(exponent, shortest, longest)
    age = np.geomspace(1.0, longest / shortest, GRID)
    kernel = np.exp(-age[:, None] * shortest / np.asarray(tau)) @ np.asarray(eta)
    ratio = kernel * age**exponent
    return float((ratio.max() - ratio.min()) / (ratio.max() + ratio.min()))


def _checked(exponent: float, shortest: float, longest: float) -> tuple[float, float]:
    number("exponent", exponent, above=0)
    shortest = checked("shortest", shortest, "time", above=0)
    longest = checked("longest", longest, "time", above=shortest)
    if exponent * math.log(longest / shortest) > LARGEST_LOG:
        raise ConfigError(
            f"exponent={exponent:g} from {shortest:g} to {longest:g} s falls by more than a factor of 10^100; "
            "give a smaller exponent or a shorter range"
        )
    return shortest, longest


def _fit(terms: int, exponent: float, longest: float) -> PowerLawFit:
    """Best sum of `terms` exponentials for Δ^−exponent on 1 ≤ Δ ≤ longest, in the worst relative error."""
    age = np.geomspace(1.0, longest, GRID)
    target = age**exponent  # multiplies the sum, so that 1 is perfect

    def parts(log: NDArray) -> NDArray:
        with np.errstate(all="ignore"):  # a term that never decays has its time constant at infinity
            return np.exp(-age[:, None] / np.exp(log[:terms])) * np.exp(log[terms:]) * target[:, None]

    def slope(log: NDArray, parts: NDArray) -> NDArray:
        with np.errstate(all="ignore"):
            return np.concatenate([parts * age[:, None] / np.exp(log[:terms]), parts], axis=1)

    tau = np.geomspace(1.0, longest, terms) if terms > 1 else np.array([np.sqrt(longest)])
    log = np.log(np.concatenate([tau, tau**-exponent / terms]))
    log[terms:] -= np.log(np.median(parts(log).sum(1)))
    from scipy.optimize import least_squares

    log = least_squares(
        lambda log: parts(log).sum(1) - 1, log, lambda log: slope(log, parts(log)), method="lm"
    ).x
    worst, radius = np.abs(parts(log).sum(1) - 1).max(), 1.0
    for _ in range(ROUNDS):
        now = parts(log)
        move, promised = _move(now.sum(1) - 1, slope(log, now), radius)
        if promised > (1 - 1e-4) * worst or radius < 1e-6:
            break
        reached = np.abs(parts(log + move).sum(1) - 1).max()
        if reached < worst:
            log, worst, radius = log + move, reached, 2 * radius
        else:
            radius /= 4
    order = np.argsort(log[:terms])
    tau, eta = np.exp(log[:terms][order]), np.exp(log[terms:][order])
    return PowerLawFit(tau.tolist(), eta.tolist(), float(worst))


def _move(error: NDArray, slope: NDArray, radius: float) -> tuple[NDArray, float]:
    """Change of the parameters within `radius` that minimises the worst error to first order, and that error.

    `error [age]`, `slope [age, parameter]`; both are scaled, since the solver's tolerance is absolute.
    """
    scale = np.abs(error).max()
    error, slope, ones = error / scale, slope / scale, np.ones((len(error), 1))
    from scipy.optimize import linprog

    found = linprog(
        np.append(np.zeros(slope.shape[1]), 1.0),
        A_ub=np.block([[slope, -ones], [-slope, -ones]]),
        b_ub=np.concatenate([-error, error]),
        bounds=[(-radius, radius)] * slope.shape[1] + [(0, None)],
    )
    return (np.zeros(slope.shape[1]), scale) if found.x is None else (found.x[:-1], scale * found.x[-1])
