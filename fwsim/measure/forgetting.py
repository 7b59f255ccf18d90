"""Fits of laws of forgetting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from fwsim.errors import ConfigError, ShapeError
from fwsim.measure.recorded import computable, numbers, require_entries
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


def forgetting_curve(values: ArrayLike | xr.DataArray, lag: ArrayLike | None = None) -> xr.Dataset:
    """Fit laws of forgetting and compare them by information criteria.

    a e^{−t/τ}; a₁ e^{−t/τ₁} + a₂ e^{−t/τ₂}; and a (1 + t/τ)^{−exponent}, by least squares with errors of equal
    size at all lags.

    Parameters
    ----------
    values
        Remaining strength, `[lag]`, for instance `retention(run, patterns).strength`. Other dimensions of a DataArray
        (trials) are averaged. Subtract the chance level first. A lag without data (NaN in all trials) is
        left out.
    lag
        Times (s) from 0 on, `[lag]`; by default the coordinate of `values`.

    Returns
    -------
    Dataset
        Over `law`: `aicc`, corrected Akaike criterion, `bic`, and `weight`, Akaike weight, the fraction of the
        evidence for the law; `amplitude[law, term]`, `tau[law, term]` (s), longest first, `exponent[law]`, NaN if a
        law has none; `curve[law, lag]`; `r_squared[law]`. `attrs["best"]` is the law with the smallest `aicc`.
    """
    if isinstance(values, xr.DataArray):
        if "lag" not in values.dims:
            raise ShapeError(f"values have dimensions {list(values.dims)}; expected [lag]")
        lag = values["lag"].values if lag is None and "lag" in values.coords else lag
        values = _averaged(computable(values))
    if lag is None:
        raise ShapeError("the times of the values are not known; give lag=[lag] in s")
    times, left = numbers(lag, "lag").astype(float), numbers(values, "values").astype(float)
    if times.ndim != 1 or times.shape != left.shape:
        raise ShapeError(f"values {list(left.shape)} and lag {list(times.shape)}; expected [lag] for both")
    if not (np.isfinite(times) & (times >= 0)).all() or np.isinf(left).any():
        raise ConfigError(
            "lag is negative or not finite, or a value is infinite; give times from 0 on, and NaN for none"
        )
    valid = np.isfinite(left)
    times, left = times[valid], left[valid]
    most = max(law.size for law in LAWS.values())
    if len(np.unique(times)) < most + 3:
        raise ShapeError(f"{len(times)} finite values; telling the laws apart needs at least {most + 3} lags")
    size = float(np.abs(left).max()) or 1.0  # so that squares do not overflow
    fits = {name: _fit(law, times, left / size) for name, law in LAWS.items()}
    for name, law in LAWS.items():
        fits[name][: law.amplitudes] *= size
    return _comparison(fits, times, left)


def _averaged(values: xr.DataArray) -> np.ndarray:
    """Mean `[lag]` over all other dimensions; NaN if all values are NaN."""
    require_entries(values, *values.dims)
    others = [dim for dim in values.dims if dim != "lag"]
    missing = values.isnull()
    partly = missing.any(others) & ~missing.all(others)
    if bool(partly.any()):
        raise ConfigError(
            f"values are NaN in some of {', '.join(map(str, others))} at {int(partly.sum())} lags; leave those out"
        )
    return values.mean(others, skipna=False).values


def _fit(law: Law, lag: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares parameters, positive because their logarithms are fitted, from the best of several starts."""

    def error(logs: np.ndarray) -> np.ndarray:
        return law.curve(np.exp(np.clip(logs, -50, 50)), lag) - values

    fits = [
        least_squares(error, np.log(start), x_scale="jac", max_nfev=2000) for start in law.starts(lag, values)
    ]
    best = min(fits, key=lambda fit: fit.cost if math.isfinite(fit.cost) else math.inf)
    return np.exp(np.clip(best.x, -50, 50))


def _comparison(fits: dict[str, np.ndarray], lag: np.ndarray, values: np.ndarray) -> xr.Dataset:
    count = len(lag)
    curves = np.array([law.curve(fits[name], lag) for name, law in LAWS.items()])
    # Every law that contains the true one as a special case fits noiseless data to rounding: make them equal there.
    size = float(np.abs(values).max()) or 1.0
    floor = count * 1e-14
    residual = np.maximum(np.sum(((curves - values) / size) ** 2, axis=1), floor)
    k = np.array([law.size + 1 for law in LAWS.values()])  # the parameters and the size of the errors
    deviance = count * (np.log(residual / count) + 2 * math.log(size))
    spread = np.sum(((values - values.mean()) / size) ** 2)
    aicc = deviance + 2 * k + 2 * k * (k + 1) / (count - k - 1)
    weight = np.exp((aicc.min() - aicc) / 2)
    terms = max(law.amplitudes for law in LAWS.values())
    amplitude, tau, exponent = (np.full((len(LAWS), terms), math.nan) for _ in range(3))
    for row, (name, law) in enumerate(LAWS.items()):
        a, t, e = np.split(fits[name], np.cumsum([law.amplitudes, law.time_constants]))
        order = np.argsort(-t)
        amplitude[row, : len(a)], tau[row, : len(t)], exponent[row, : len(e)] = a[order], t[order], e
    values_of = {
        "aicc": (("law",), aicc, "1", "corrected Akaike information criterion"),
        "bic": (("law",), deviance + k * math.log(count), "1", "Bayesian information criterion"),
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
    names = list(LAWS)
    return labelled_dataset(
        values_of,
        coords={"law": names, "lag": ("lag", lag, {"units": "s", "long_name": "lag"})},
        attrs={"best": names[int(np.argmin(aicc))]},
    )
