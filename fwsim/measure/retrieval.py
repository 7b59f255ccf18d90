"""Overlap with patterns, retention of patterns, and stored information."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, RecordingError, ShapeError, whole
from fwsim.measure.recorded import described, lengths, numbers, recorded, require_entries, with_dims
from fwsim.recording.timing import distinct, slack
from fwsim.theory import binary_information


def overlap(
    run: xr.Dataset | xr.DataArray,
    patterns: ArrayLike | xr.DataArray,
    *,
    centre: ArrayLike | xr.DataArray | None = None,
) -> xr.DataArray:
    """Cosine between recorded states and patterns.

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, or any DataArray with a dimension `unit`, such as `run["inner"]`.
        Dask-backed recordings stay lazy.
    patterns
        `[pattern, unit]` or `[trial, pattern, unit]`.
    centre
        `[unit]`, subtracted from states and patterns first. States of rectified units share a mean, which makes all
        cosines large; `centre=run.hidden.mean(["trial", "time"])` removes it.

    Returns
    -------
    DataArray
        `overlap[..., pattern]` without the unit; 0 if the state or the pattern is zero, NaN if the state is
        NaN or infinite in any unit.
    """
    states = recorded(run, "hidden", "rate")
    require_entries(states, "unit")
    patterns = _patterns(patterns, states)
    states = states.drop_vars("unit", errors="ignore")
    if centre is not None:
        mean = with_dims("centre", centre, ("unit",))
        if mean.sizes["unit"] != states.sizes["unit"]:
            raise ShapeError(
                f"centre has {mean.sizes['unit']} units, the recording {states.sizes['unit']}; give [unit]"
            )
        if not bool(np.isfinite(mean.values).all()):
            raise ConfigError("centre is NaN or infinite somewhere; give finite numbers")
        states, patterns = states - mean, patterns - mean
    states, patterns = _unit_sized(states), _unit_sized(patterns)
    cosine = xr.dot(states, patterns, dim="unit")
    return described(cosine, "overlap", "1", "overlap")


def _unit_sized(vectors: xr.DataArray) -> xr.DataArray:
    """Vectors of length 1; zero vectors remain 0."""
    size = lengths(vectors)
    return vectors / size.where(size != 0, 1.0)


def retention(
    run: xr.Dataset,
    patterns: ArrayLike | xr.DataArray,
    *,
    shown: ArrayLike | None = None,
) -> xr.Dataset:
    """Remaining strength of patterns in state and memory, by the time since they were shown.

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, with `memory`, or with both.
    patterns
        `[pattern, unit]` or `[trial, pattern, unit]`, in the order in which they were shown.
    shown
        Time (s) at which each was shown, `[pattern]`; by default one at every sample of `run.time`, from the first.
        Times that differ only by rounding count as one lag.

    Returns
    -------
    Dataset
        Over `lag` (s): `overlap[trial, lag]`, mean cosine of the state with the patterns shown that long ago;
        `strength[trial, lag]`, mean of ξᵀAξ/|ξ|⁴, the weight with which the memory stores them (η λ^age for
        orthogonal patterns on one time scale); `patterns[lag]`, number of averaged pairs. NaN if the
        recording is NaN in one of these pairs.
    """
    if not isinstance(run, xr.Dataset) or not ({"hidden", "rate", "memory"} & set(run.variables)):
        raise RecordingError(
            "retention needs a recording with 'hidden', 'rate' or 'memory'; record one of them"
        )
    result = {}
    patterns = with_dims("patterns", patterns, ("pattern", "unit"), ("trial", "pattern", "unit"))
    count = patterns.sizes["pattern"]
    if shown is None:
        samples = recorded(run, "hidden", "rate", "memory")["time"].values
        if len(samples) < count:
            raise ShapeError(
                f"{count} patterns, but {len(samples)} samples in time, each of which is taken for the time "
                "of one pattern; give fewer patterns or a longer recording"
            )
        shown = samples[:count]
    shown = numbers(shown, "shown")
    if shown.shape != (count,):
        raise ShapeError(
            f"shown has shape {list(shown.shape)} for {count} patterns; say when each was shown, [pattern]"
        )
    if not count or not bool(np.isfinite(shown).all()):
        raise ConfigError(
            f"shown={shown.tolist()} is not allowed; give a finite time in s for each of the patterns"
        )
    if "hidden" in run or "rate" in run:
        values = overlap(run, patterns)
        result["overlap"] = _by_lag(values, shown)
    if "memory" in run:
        result["strength"] = _by_lag(_strength(recorded(run, "memory"), patterns), shown)
    whole = xr.merge([values.rename(name) for name, (values, _) in result.items()], join="outer")
    counts = max((count for _, count in result.values()), key=len)
    whole["patterns"] = counts.assign_attrs(units="1", long_name="number of patterns averaged")
    for name, label in (("overlap", "overlap with the pattern"), ("strength", "strength in the memory")):
        if name in whole:
            whole[name] = described(whole[name], name, "1", label)
    return whole


def information(overlaps: ArrayLike | xr.DataArray, units: int) -> np.ndarray | xr.DataArray:
    """Stored bits: Σ over patterns of N [1 − H₂((1+m)/2)] from overlaps of recalled with stored ±1 patterns.

    With N units this estimate is too large by 1/(2 ln 2) bits per pattern on average (Miller 1955). This is
    subtracted, so that chance contributes nothing; single values may therefore be slightly negative.

    Parameters
    ----------
    overlaps
        `[..., pattern]`, each of one recalled state. Average the bits over repetitions, not the overlaps.
    units
        Number of units N of a pattern.

    Returns
    -------
    array or DataArray
        `[...]`, bits; NaN if an overlap is NaN.

    Raises
    ------
    ConfigError
        An overlap is beyond ±1 by more than rounding.
    """
    if isinstance(overlaps, xr.DataArray):
        bits = xr.apply_ufunc(
            information, overlaps, input_core_dims=[["pattern"]], kwargs={"units": units}, dask="parallelized"
        )
        return described(bits, "information", "bit", "information stored")
    whole("units", units, least=1)
    # At overlap 1 the estimate has no bias, because nothing fluctuates.
    values = numbers(overlaps, "overlaps")
    if not values.ndim:
        raise ShapeError("overlaps are one number; give [..., pattern]")
    bias = np.where(np.abs(values) < 1 - 1 / units, 1 / (2 * math.log(2)), 0.0)
    return np.sum(units * binary_information(values) - bias, axis=-1)


def _patterns(patterns: ArrayLike | xr.DataArray, states: xr.DataArray) -> xr.DataArray:
    patterns = with_dims("patterns", patterns, ("pattern", "unit"), ("trial", "pattern", "unit"))
    if patterns.sizes["unit"] != states.sizes.get("unit"):
        raise ShapeError(
            f"patterns have {patterns.sizes['unit']} units, the recording {states.sizes.get('unit')}"
        )
    if not bool(np.isfinite(patterns.values).all()):
        raise ConfigError("patterns are NaN or infinite somewhere; give finite numbers")
    if "trial" in patterns.dims and patterns.sizes["trial"] != states.sizes.get("trial"):
        raise ShapeError(
            f"patterns have {patterns.sizes['trial']} trials, the recording {states.sizes.get('trial')}"
        )
    return patterns


def _strength(memory: xr.DataArray, patterns: ArrayLike | xr.DataArray) -> xr.DataArray:
    memory = memory.sum("timescale", skipna=False) if "timescale" in memory.dims else memory
    memory = memory.drop_vars(["post", "pre"], errors="ignore")
    patterns = _patterns(patterns, memory.rename(post="unit"))
    through = xr.dot(memory, patterns.rename(unit="pre"), dim="pre")
    return xr.dot(through, patterns.rename(unit="post"), dim="post") / (patterns**2).sum("unit") ** 2


def _by_lag(values: xr.DataArray, shown: np.ndarray) -> tuple[xr.DataArray, xr.DataArray]:
    """Average `values[trial, time, pattern]` over pairs with the same time since the pattern was shown."""
    values = values if "trial" in values.dims else values.expand_dims("trial")
    time = values["time"].values
    rounding = float(max(slack(time).max(), slack(shown).max()))
    lag, place = distinct(time.astype(float)[:, None] - shown.astype(float), rounding)
    first = int(np.searchsorted(lag, -rounding))
    lags, later = np.maximum(lag[first:], 0.0), place >= first
    if not len(lags):
        raise ConfigError(
            f"all patterns were shown after the recording ends, at {time.max():g} s; give shown in s"
        )
    place = place[later] - first
    pairs = values.transpose("trial", "time", "pattern").values[:, later]
    counts = np.bincount(place, minlength=len(lags))
    sums = [np.bincount(place, weights=trial, minlength=len(lags)) for trial in pairs]
    means = np.array(sums).reshape(len(pairs), len(lags)) / counts
    coords = {"lag": ("lag", lags, {"units": "s", "long_name": "time since the pattern was shown"})}
    if "trial" in values.coords:
        coords["trial"] = values.coords["trial"]
    return xr.DataArray(means, dims=("trial", "lag"), coords=coords), xr.DataArray(
        counts, dims=("lag",), coords={"lag": coords["lag"]}
    )
