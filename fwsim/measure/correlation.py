"""Intrinsic time scale of recorded activity."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fwsim.errors import ShapeError
from fwsim.measure.recorded import recorded, require_entries
from fwsim.recording.timing import sampling_step

WINDOW = 1.5
"""Wolff's S: the assumed ratio of the true to the integrated time constant, which determines the window."""


def autocorrelation_time(run: xr.Dataset | xr.DataArray) -> xr.Dataset:
    """Time constant of the autocorrelation, with its standard error, without fitting a curve.

    The autocorrelation is summed over a window whose length Wolff's criterion determines. The sum is corrected for the
    bias of subtracting a measured mean, and returned as the time constant of the exponential with the same sum.
    Trials are pooled as repetitions of one stationary process. Each should be several time constants long, and all
    together many.

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, or a DataArray with dimension `time`, evenly sampled.

    Returns
    -------
    Dataset
        Over all dimensions but `time` and `trial`: `tau` (s), `error` (s, one standard error), `window` (s), and
        `resolved`: whether the window ended within half a trial; otherwise `tau` is a lower bound.
        NaN if nothing varies, or if a sample is NaN or infinite.

    Notes
    -----
    Wolff 2004, Comput. Phys. Commun. 156:143, eqs. 35, 42, 49, 52.
    """
    values = recorded(run, "hidden", "rate")
    require_entries(values, *values.dims)
    require_entries(values, "time")
    dt = _step(values)
    values = values if "trial" in values.dims else values.expand_dims("trial")
    outputs = xr.apply_ufunc(
        _time_scale,
        values.astype(float),
        input_core_dims=[["trial", "time"]],
        output_core_dims=[[], [], [], []],
        vectorize=True,
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[float, float, float, bool],
    )
    labels = {
        "tau": ("s", "autocorrelation time"),
        "error": ("s", "standard error of the autocorrelation time"),
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


def _time_scale(values: np.ndarray) -> tuple[float, float, float, bool]:
    """Time constant, error and window in samples, and whether they are resolved, from `[trial, time]`."""
    trials, length = values.shape
    if not np.isfinite(values).all():
        return np.nan, np.nan, np.nan, False
    values = values / (np.abs(values).max() or 1.0)  # so that squares do not overflow
    centred = values - values.mean()
    variance = np.mean(centred**2)
    if not variance > 1e-24 * np.mean(values**2):
        return np.nan, np.nan, np.nan, False
    spectrum = np.abs(np.fft.rfft(centred, 2 * length)) ** 2
    sums = np.fft.irfft(spectrum).sum(0)[:length]
    covariance = sums / (trials * np.arange(length, 0, -1))

    samples = trials * length
    half_sum = 0.5 + np.cumsum(covariance[1 : length // 2 + 1]) / covariance[0]
    lag = np.arange(1, len(half_sum) + 1)
    guess = WINDOW * _exponential(half_sum)
    gain = np.exp(-lag / guess) - guess / np.sqrt(lag * samples)
    window = int(np.argmax(gain < 0)) if np.any(gain < 0) else len(lag) - 1
    resolved = bool(np.any(gain < 0))

    W = window + 1
    corrected = covariance + 2 * covariance[0] * half_sum[window] / samples
    total = 0.5 + corrected[1 : W + 1].sum() / corrected[0]
    tau = float(_exponential(np.array(total)))
    error = 2 * total * np.sqrt(max(W + 0.5 - total, 0.5) / samples)
    slope = 1 / (total**2 - 0.25) * tau**2 if total > 0.5 else 1.0
    return tau, float(error * slope), float(W), resolved


def _exponential(half_sum: np.ndarray) -> np.ndarray:
    """Time constant in samples of the exponential for which ½ + Σ_{t≥1} ρ(t) is `half_sum`; near 0 if uncorrelated."""
    half_sum = np.maximum(half_sum, 0.5 + 1e-12)
    return 1 / np.log((half_sum + 0.5) / (half_sum - 0.5))
