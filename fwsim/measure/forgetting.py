"""Fits of laws of forgetting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import least_squares
from scipy.special import stdtr

from fwsim.errors import ConfigError, ShapeError, number
from fwsim.measure.recorded import computable, in_seconds, numbers, require_entries
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.labels import labelled_dataset

Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Law:
    """A function of lag whose parameters are all positive; amplitudes come first, then time constants."""

    curve: Curve
    amplitudes: int
    time_constants: int
    exponents: int = 0

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.amplitudes + self.time_constants + self.exponents

    def starts(self, lag: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
        """Initial parameters of the fits: time constants over the whole range of lags."""
        scale = float(np.abs(values).max()) or 1.0
        shortest, longest = float(lag[lag > 0].min()), float(lag.max())
        spread = np.geomspace(shortest / 2, 2 * longest, 5)
        chosen = [spread[i : i + self.time_constants] for i in range(len(spread) - self.time_constants + 1)]
        chosen += [spread[[0, -1]]] if self.time_constants == 2 else []
        amplitude = np.full(self.amplitudes, scale / self.amplitudes)
        return [np.concatenate([amplitude, tau, np.ones(self.exponents)]) for tau in chosen]


LAWS = {
    "exponential": Law(lambda p, t: p[0] * np.exp(-t / p[1]), 1, 1),
    "two exponentials": Law(lambda p, t: p[0] * np.exp(-t / p[2]) + p[1] * np.exp(-t / p[3]), 2, 2),
    "power law": Law(lambda p, t: p[0] * (1 + t / p[1]) ** -p[2], 1, 1, 1),
}

LITTLE_SUPPORT = 4.0
"""A law whose criterion is larger than the smallest by more than this has considerably less support."""


@known_arguments
def forgetting_curve(
    values: ArrayLike | xr.DataArray, lag: ArrayLike | None = None, *, level: float = 0.95
) -> xr.Dataset:
    """Fit laws of forgetting, and choose the simplest that the data do not reject.

    a e^{−t/τ}; a (1 + t/τ)^{−exponent}; and a₁ e^{−t/τ₁} + a₂ e^{−t/τ₂}, from simple to complex, by least squares.

    Errors of neighbouring lags are usually correlated, because the same memory is measured at all of them. From several
    streams of items (`values` with a dimension `trial`) laws are therefore judged by cross-validation: fitted to all
    streams but one, and compared at that one. A law is rejected if its error there is larger than that of the
    best law in a paired t test over streams. A single curve is judged by information criteria instead, whose number of
    lags is corrected for the correlation of the residuals: a law is rejected if its criterion is larger than the
    smallest by more than 4 (Burnham & Anderson 2002). This is less reliable; give streams if there are any.

    Parameters
    ----------
    values
        Remaining strength, `[lag]`, for instance `strength − strength_control` of `retention`. The other dimensions of
        a DataArray (trials) are streams, which are independent. Subtract the chance level first. A lag without
        data (NaN in all trials) is left out.
    lag
        Times (s) from 0 on, `[lag]`; by default the coordinate of `values`.
    level
        1 − the largest p-value with which a law is rejected.

    Returns
    -------
    Dataset
        Over `law`: `validated`, root mean squared error at left-out streams, and `p_value`, of predicting as well as
        the best law, NaN for a single curve; `aicc`, corrected Akaike criterion, `bic`, and `weight`, Akaike weight,
        of the mean curve; `amplitude[law, term]`, `tau[law, term]` (s), longest first, `exponent[law]`, NaN if a law
        has none; `curve[law, lag]`; `r_squared[law]`; `rejected[law]`. `attrs["best"]` is the simplest law that is not
        rejected, `attrs["chosen_by"]` says how, `attrs["effective_lags"]` is the number of lags in the criteria.
    """
    number("level", level, above=0, below=1)
    if isinstance(values, xr.DataArray):
        if "lag" not in values.dims:
            raise ShapeError(f"values have dimensions {list(values.dims)}; expected [lag]")
        lag = in_seconds(values, "lag")["lag"].values if lag is None and "lag" in values.coords else lag
        streams = _streams(computable(values))
    else:
        streams = numbers(values, "values").astype(float)[None]
    if lag is None:
        raise ShapeError("the times of the values are not known; give lag=[lag] in s")
    times = numbers(lag, "lag").astype(float)
    if times.ndim != 1 or times.shape != streams.shape[1:]:
        raise ShapeError(
            f"values {list(streams.shape[1:])} and lag {list(times.shape)}; expected [lag] for both"
        )
    if not (np.isfinite(times) & (times >= 0)).all() or np.isinf(streams).any():
        raise ConfigError(
            "lag is negative or not finite, or a value is infinite; give times from 0 on, and NaN for none"
        )
    valid = np.isfinite(streams).all(0)
    times, streams = times[valid], streams[:, valid]
    most = max(law.size for law in LAWS.values())
    if len(np.unique(times)) < most + 3:
        raise ShapeError(f"{len(times)} finite values; telling the laws apart needs at least {most + 3} lags")
    size = float(np.abs(streams.mean(0)).max()) or 1.0  # so that squares do not overflow
    scaled = streams / size
    fits = {name: _fit(law, times, scaled.mean(0)) for name, law in LAWS.items()}
    validated = _validated(times, scaled, fits)
    for name, law in LAWS.items():
        fits[name][: law.amplitudes] *= size
    return _comparison(fits, times, streams.mean(0), validated, size, level)


def _streams(values: xr.DataArray) -> np.ndarray:
    """Curves `[stream, lag]`, of all other dimensions together."""
    require_entries(values, *values.dims)
    others = [dim for dim in values.dims if dim != "lag"]
    missing = values.isnull()
    partly = missing.any(others) & ~missing.all(others)
    if bool(partly.any()):
        raise ConfigError(
            f"values are NaN in some of {', '.join(map(str, others))} at {int(partly.sum())} lags; leave those out"
        )
    return values.transpose(*others, "lag").values.reshape(-1, values.sizes["lag"])


def _fit(law: Law, lag: np.ndarray, values: np.ndarray, starts: list[np.ndarray] | None = None) -> np.ndarray:
    """Least-squares parameters, positive because their logarithms are fitted, from the best of several starts."""

    def error(logs: np.ndarray) -> np.ndarray:
        return law.curve(np.exp(np.clip(logs, -50, 50)), lag) - values

    fits = [
        least_squares(error, np.log(start), x_scale="jac", max_nfev=2000)
        for start in starts or law.starts(lag, values)
    ]
    best = min(fits, key=lambda fit: fit.cost if math.isfinite(fit.cost) else math.inf)
    return np.exp(np.clip(best.x, -50, 50))


def _validated(lag: np.ndarray, streams: np.ndarray, fits: dict[str, np.ndarray]) -> np.ndarray:
    """Mean squared error `[law, stream]` at each stream of laws that are fitted to the others; NaN without others."""
    count = len(streams)
    error = np.full((len(LAWS), count), np.nan)
    if count == 1:
        return error
    with track("validating laws of forgetting", count) as advance:
        for i, left_out in enumerate(streams):
            others = (streams.sum(0) - left_out) / (count - 1)
            for row, (name, law) in enumerate(LAWS.items()):
                fitted = _fit(law, lag, others, [fits[name]])
                error[row, i] = np.mean((law.curve(fitted, lag) - left_out) ** 2)
            advance()
    return error


def _p_values(validated: np.ndarray) -> np.ndarray:
    """One-sided paired t test over streams of each law against the best, `[law]`; 1 for the best."""
    excess = validated - validated[np.argmin(validated.mean(1))]
    count = validated.shape[1]
    mean, spread = excess.mean(1), excess.std(1, ddof=1) / math.sqrt(count)
    rounding = 1e-10 * np.abs(validated).mean() + np.finfo(float).tiny
    return stdtr(count - 1, -np.where(mean > rounding, mean / np.maximum(spread, rounding), -math.inf))


def _effective(residual: np.ndarray, floor: float) -> float:
    """Number of independent lags with as much information, from the correlation of neighbouring residuals."""
    count = len(residual)
    square = float(residual @ residual)
    correlation = float(residual[:-1] @ residual[1:]) / square if square > floor else 0.0
    if correlation < 2 / math.sqrt(count):  # as of independent errors
        return count
    return max(count * (1 - correlation) / (1 + correlation), max(law.size for law in LAWS.values()) + 3)


def _comparison(
    fits: dict[str, np.ndarray],
    lag: np.ndarray,
    values: np.ndarray,
    validated: np.ndarray,
    size: float,
    level: float,
) -> xr.Dataset:
    """Describe the fits; `validated [law, stream]` is relative to `size`, the largest value, squared."""
    count = len(lag)
    curves = np.array([law.curve(fits[name], lag) for name, law in LAWS.items()])
    # Every law that contains the true one as a special case fits noiseless data to rounding: make them equal there.
    floor = count * 1e-14
    residual = np.maximum(np.sum(((curves - values) / size) ** 2, axis=1), floor)
    effective = _effective((curves - values)[np.argmin(residual)] / size, floor)
    k = np.array([law.size + 1 for law in LAWS.values()])  # the parameters and the size of the errors
    deviance = effective * (np.log(residual / count) + 2 * math.log(size))
    spread = np.sum(((values - values.mean()) / size) ** 2)
    aicc = deviance + 2 * k + 2 * k * (k + 1) / (effective - k - 1)
    weight = np.exp((aicc.min() - aicc) / 2)
    by_streams = validated.shape[1] > 1
    p_value = _p_values(validated) if by_streams else np.full(len(LAWS), np.nan)
    rejected = p_value <= 1 - level if by_streams else aicc - aicc.min() > LITTLE_SUPPORT
    names = np.array(list(LAWS))
    simplest = min(np.flatnonzero(~rejected), key=lambda row: k[row])
    terms = max(law.amplitudes for law in LAWS.values())
    amplitude, tau, exponent = (np.full((len(LAWS), terms), math.nan) for _ in range(3))
    for row, (name, law) in enumerate(LAWS.items()):
        a, t, e = np.split(fits[name], np.cumsum([law.amplitudes, law.time_constants]))
        order = np.argsort(-t)
        amplitude[row, : len(a)], tau[row, : len(t)], exponent[row, : len(e)] = a[order], t[order], e
    values_of = {
        "validated": (("law",), size * np.sqrt(validated.mean(1)), "1", "error at left-out streams"),
        "p_value": (("law",), p_value, "1", "p-value of predicting as well as the best"),
        "rejected": (("law",), rejected, "1", "rejected"),
        "aicc": (("law",), aicc, "1", "corrected Akaike information criterion"),
        "bic": (("law",), deviance + k * math.log(effective), "1", "Bayesian information criterion"),
        "weight": (("law",), weight / weight.sum(), "1", "Akaike weight"),
        "amplitude": (("law", "term"), amplitude, "1", "amplitude"),
        "tau": (("law", "term"), tau, "s", "time constant"),
        "exponent": (("law",), exponent[:, 0], "1", "exponent"),
        "curve": (("law", "lag"), curves, "1", "fitted curve"),
        "r_squared": (
            ("law",),
            1 - residual / spread if spread > floor else np.full(len(residual), math.nan),
            "1",
            "explained variance",
        ),
    }
    return labelled_dataset(
        values_of,
        coords={"law": names.tolist(), "lag": ("lag", lag, {"units": "s", "long_name": "lag"})},
        attrs={
            "best": str(names[simplest]),
            "chosen_by": "validation" if by_streams else "information criterion",
            "effective_lags": float(effective),
        },
    )
