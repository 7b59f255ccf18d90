"""Intrinsic time scale of recorded activity."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy.special import ndtri

from fwsim.errors import ShapeError, instance, number
from fwsim.measure.exponential import LONGEST, Sums
from fwsim.measure.recorded import recorded, require_entries
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.timing import sampling_step

WINDOW = 1.5
"""Wolff's S: the assumed ratio of the true to the integrated time constant, which determines the window."""

SHORTER = 8
"""The window is at most this part of a trial: longer sums of what is centred say little about the time constant."""

ENOUGH = 10
"""A time constant is resolved if all trials together are surely so many times longer."""


@known_arguments
def autocorrelation_time(run: xr.Dataset | xr.DataArray, *, level: float = 0.95) -> xr.Dataset:
    """Time constant of the autocorrelation, with its interval, without fitting a curve.

    The autocorrelation is summed over a window whose length Wolff's criterion determines. Returned is the time constant
    of the exponential process whose trials, of the same number and length, have the same sum on average. The bias of
    subtracting means is thus taken out for trials of any length. With several trials, what is common to them at
    each time is subtracted first (the evoked response), and then the mean of each trial: neither fluctuates in a trial.

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, or a DataArray with dimension `time`, evenly sampled. Trials are
        independent repetitions, of which the fluctuations around their means are stationary.
    level
        Probability of the interval.

    Returns
    -------
    Dataset
        Over all dimensions but `time` and `trial`: `tau` (s); `error` (s, one standard error); `tau_low` and `tau_high`
        (s), the interval; `window` (s); and `resolved`: whether all trials together are at least ten times as long as
        `tau_high`. If not, only the interval means something, and `tau` and `tau_high` may be infinite.
        NaN if nothing varies, or if a sample is NaN or infinite.

    Notes
    -----
    Wolff 2004, Comput. Phys. Commun. 156:143, eqs. 42, 49, 52; bias of short trials: Zeraati, Engel & Levina 2022, Nat.
    Comput. Sci. 2:193.
    """
    values = recorded(run, "hidden", "rate")
    require_entries(values, *values.dims)
    require_entries(values, "time")
    number("level", level, above=0, below=1)
    dt = _step(values)
    values = values if "trial" in values.dims else values.expand_dims("trial")
    with track("autocorrelation", values.isel(trial=0, time=0).size) as advance:
        outputs = xr.apply_ufunc(
            _time_scale,
            values.astype(float),
            kwargs={"level": level, "advance": advance if values.chunks is None else bool},
            input_core_dims=[["trial", "time"]],
            output_core_dims=[[]] * 6,
            vectorize=True,
            dask="parallelized",
            dask_gufunc_kwargs={"allow_rechunk": True},
            output_dtypes=[float] * 5 + [bool],
        )
    labels = {
        "tau": ("s", "autocorrelation time"),
        "error": ("s", "standard error of the autocorrelation time"),
        "tau_low": ("s", f"lower end of the {level:.0%} interval"),
        "tau_high": ("s", f"upper end of the {level:.0%} interval"),
        "window": ("s", "window of the sum"),
        "resolved": ("1", "recording long enough"),
    }
    return xr.Dataset(
        {
            name: (output if units == "1" else output * dt).assign_attrs(units=units, long_name=label)
            for output, (name, (units, label)) in zip(outputs, labels.items())
        }
    )


def _step(values: xr.DataArray) -> float:
    if values.sizes["time"] < 8:
        raise ShapeError(f"{values.sizes['time']} samples in time; an autocorrelation needs at least 8")
    if "time" not in values.coords:
        return 1.0
    return sampling_step(values["time"].values)


def _time_scale(
    values: np.ndarray, level: float, advance: Callable[[], object]
) -> tuple[float, float, float, float, float, bool]:
    """Time constant, error, interval and window in samples, and whether it is resolved, from `[trial, time]`."""
    advance()
    nothing = (np.nan, np.nan, np.nan, np.nan, np.nan, False)
    if not np.isfinite(values).all():
        return nothing
    values = values / (np.abs(values).max() or 1.0)  # so that squares do not overflow
    centred = values - values.mean(0) if len(values) > 1 else values
    centred = centred - centred.mean(1, keepdims=True)
    if not np.mean(centred**2) > 1e-24 * np.mean(values**2):
        return nothing
    trials, length = max(len(values) - 1, 1), values.shape[1]  # what is common to trials takes one of them
    spectrum = np.abs(np.fft.rfft(centred, 2 * length)) ** 2
    covariance = np.fft.irfft(spectrum).sum(0)[:length] / np.arange(length, 0, -1)
    sums = np.cumsum(covariance[1 : max(length // SHORTER, 1) + 1]) / covariance[0]  # over 1, 2, … lags

    window, tau = _window(sums, trials, length)
    found = Sums(window, length, trials)
    total, reach = float(sums[window - 1]), float(ndtri((1 + level) / 2))
    low, high = found.tau(total, reach), found.tau(total, -reach)  # of which the sum is so high, so low
    upper, lower = found.tau(total, -1.0), found.tau(total, 1.0)
    error = (upper - lower) / 2 if math.isfinite(lower) else math.inf
    return tau, error, low, high, float(window), values.size >= ENOUGH * high


def _window(sums: np.ndarray, trials: int, length: int) -> tuple[int, float]:
    """Window in lags by Wolff's criterion, and the time constant found with it, from the sums up to each lag."""
    lag = np.arange(1, len(sums) + 1)
    tau, window = 0.0, len(sums)
    for _ in range(20):
        tau = Sums(window, length, trials).tau(float(sums[window - 1]))
        guess = max(WINDOW * min(tau, LONGEST * length), 1e-6)
        enough = np.exp(-lag / guess) < guess / np.sqrt(lag * trials * length)
        found = int(lag[np.argmax(enough)]) if enough.any() else len(sums)
        if found == window:
            break
        window = found
    return window, tau


@known_arguments
def half_time(autocorrelation: xr.DataArray) -> xr.DataArray:
    """First lag at which an autocorrelation is one half of that at lag 0, interpolated linearly.

    Parameters
    ----------
    autocorrelation
        Along a dimension `lag` with a coordinate that begins at 0; other dimensions are kept.

    Returns
    -------
    DataArray
        In the unit of `lag`; NaN if one half is not reached, or if the autocorrelation at lag 0 is not positive.

    Examples
    --------
    >>> falling = xr.DataArray([1.0, 0.6, 0.4, 0.2], {"lag": [0.0, 1.0, 2.0, 3.0]}, ("lag",))
    >>> float(half_time(falling))
    1.5
    """
    instance("autocorrelation", autocorrelation, xr.DataArray, "a DataArray with a dimension 'lag'")
    require_entries(autocorrelation, "lag")

    def first(values: np.ndarray, lag: np.ndarray) -> float:
        below = np.flatnonzero(values < values[0] / 2)
        if not below.size or below[0] == 0:
            return np.nan
        at = slice(below[0] - 1, below[0] + 1)
        return float(np.interp(-values[0] / 2, -values[at], lag[at]))

    found: xr.DataArray = xr.apply_ufunc(
        first, autocorrelation, autocorrelation["lag"], input_core_dims=[["lag"], ["lag"]], vectorize=True
    )
    return found
