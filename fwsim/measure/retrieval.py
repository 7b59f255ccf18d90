"""Overlap with patterns, retention of patterns, and stored information."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, RecordingError, ShapeError, whole
from fwsim.measure.recorded import (
    described,
    lengths,
    numbers,
    recorded,
    require_entries,
    same_order,
    with_dims,
)
from fwsim.names import known_arguments
from fwsim.recording.timing import distinct, slack
from fwsim.theory import binary_information


@known_arguments
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
    same_order("patterns", patterns, states, "unit", "trial")
    same_order("centre", centre, states, "unit")
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


@known_arguments
def retention(
    run: xr.Dataset,
    patterns: ArrayLike | xr.DataArray,
    *,
    shown: ArrayLike | None = None,
    centre: ArrayLike | xr.DataArray | None = None,
) -> xr.Dataset:
    """Remaining strength of patterns in state and memory, by the time since they were shown, and that of shuffled ones.

    A pattern overlaps with the others that are stored, and with the diagonal of the memory. All given patterns are
    therefore measured together: their strengths are the least-squares coefficients of A ≈ Σ strength ξξᵀ. If they are
    all that was stored, the coefficients are exactly the weights with which they are stored. Of more patterns than
    N(N + 1)/4 the coefficients are not determined well; then each is measured alone, as ξᵀAξ/|ξ|⁴. Whatever else is in
    the memory gives shuffled patterns a strength too, the control. Subtract it before a law of forgetting is fitted:

        kept = fw.measure.retention(run, patterns)
        law = fw.measure.forgetting_curve(kept.strength - kept.strength_control)

    Parameters
    ----------
    run
        A recording with `hidden` or `rate`, with `memory`, or with both.
    patterns
        `[pattern, unit]` or `[trial, pattern, unit]`, in the order in which they were shown.
    shown
        Time (s) at which each was shown, `[pattern]`; by default one at every sample of `run.time`, from the first.
        Times that differ only by rounding count as one lag.
    centre
        `[unit]`, subtracted from states and patterns first, as in `overlap`.

    Returns
    -------
    Dataset
        Over `lag` (s): `overlap[trial, lag]`, mean cosine of the state with the patterns shown that long ago;
        `strength[trial, lag]`, the mean weight with which the memory stores them (η λ^age on one time scale);
        `overlap_control[trial, lag]` and `strength_control[trial, lag]`, the same for patterns whose units are
        shuffled, as the mean over all orders of units, and in what is left of the memory after the given patterns if
        these are measured together; `patterns[lag]`, number of averaged pairs. NaN if the recording is NaN in one
        of these pairs.
    """
    if not isinstance(run, xr.Dataset) or not ({"hidden", "rate", "memory"} & set(run.variables)):
        raise RecordingError(
            "retention needs a recording with 'hidden', 'rate' or 'memory'; record one of them"
        )
    for name, given in (("patterns", patterns), ("centre", centre)):
        same_order(name, given, run, "unit", "trial")
    patterns = with_dims("patterns", patterns, ("pattern", "unit"), ("trial", "pattern", "unit"))
    shown = _shown(run, patterns.sizes["pattern"], shown)
    values = {}
    if "hidden" in run or "rate" in run:
        values["overlap"] = overlap(run, patterns, centre=centre), "overlap with the pattern"
        shuffled = _shuffled_overlap(run, patterns, centre)
        values["overlap_control"] = shuffled, "overlap with shuffled patterns"
    if "memory" in run:
        strength, control = _strength(recorded(run, "memory"), patterns, centre)
        values["strength"] = strength, "strength in the memory"
        values["strength_control"] = control, "strength of shuffled patterns in the memory"
    result = {name: (*_by_lag(value, shown), label) for name, (value, label) in values.items()}
    merged = xr.merge([mean.rename(name) for name, (mean, _, _) in result.items()], join="outer")
    counts = max((count for _, count, _ in result.values()), key=len)
    merged["patterns"] = counts.assign_attrs(units="1", long_name="number of patterns averaged")
    for name, (_, _, label) in result.items():
        merged[name] = described(merged[name], name, "1", label)
    return merged


def _shown(run: xr.Dataset, count: int, shown: ArrayLike | None) -> np.ndarray:
    """Times at which patterns were shown; by default those of the first samples."""
    if shown is None:
        samples = recorded(run, "hidden", "rate", "memory")["time"].values
        if len(samples) < count:
            raise ShapeError(
                f"{count} patterns, but {len(samples)} samples in time, each of which is taken for the time "
                "of one pattern; give fewer patterns or a longer recording"
            )
        shown = samples[:count]
    times = numbers(shown, "shown")
    if times.shape != (count,):
        raise ShapeError(
            f"shown has shape {list(times.shape)} for {count} patterns; say when each was shown, [pattern]"
        )
    if not count or not bool(np.isfinite(times).all()):
        raise ConfigError(
            f"shown={times.tolist()} is not allowed; give a finite time in s for each of the patterns"
        )
    return times


@known_arguments
def information(overlaps: ArrayLike | xr.DataArray, units: int) -> np.ndarray | xr.DataArray:
    """Stored bits: Σ over patterns of ±N [1 − H₂((1+m)/2)] from overlaps of recalled with stored ±1 patterns.

    A pattern whose negative is recalled (m < 0) counts as negative: it is not retrieved. With N units the estimate is
    too large by 1/(2 ln 2) bits per pattern on average (Miller 1955). This is subtracted, and at chance positive and
    negative overlaps cancel, so that chance contributes nothing; sums of weak overlaps may be slightly negative.

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
    return np.sum(np.sign(values) * (units * binary_information(values) - bias), axis=-1)


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


def _shuffled_overlap(
    run: xr.Dataset, patterns: xr.DataArray, centre: ArrayLike | xr.DataArray | None
) -> xr.DataArray:
    """Mean cosine of states and patterns over all orders of the patterns' units: the product of their mean entries."""
    states = recorded(run, "hidden", "rate").drop_vars("unit", errors="ignore")
    if centre is not None:
        mean = with_dims("centre", centre, ("unit",))
        states, patterns = states - mean, patterns - mean
    states, patterns = _unit_sized(states), _unit_sized(patterns)
    return states.sum("unit", skipna=False) * patterns.sum("unit") / states.sizes["unit"]


def _strength(
    memory: xr.DataArray, patterns: xr.DataArray, centre: ArrayLike | xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Weights with which the memory stores patterns, and those of shuffled ones, `[..., pattern]`."""
    memory = memory.sum("timescale", skipna=False) if "timescale" in memory.dims else memory
    memory = memory.drop_vars(["post", "pre"], errors="ignore")
    if memory.sizes["pre"] != memory.sizes["post"]:
        raise ShapeError(
            f"the memory has {memory.sizes['post']} post- and {memory.sizes['pre']} presynaptic channels; retention "
            "needs one of units with themselves: record 'hidden' alone"
        )
    memory = memory.where(np.isfinite(memory))
    patterns = _patterns(patterns, memory.rename(post="unit"))
    if centre is not None:
        patterns = patterns - with_dims("centre", centre, ("unit",))
    through = xr.dot(memory, patterns.rename(unit="pre"), dim="pre")
    along = xr.dot(through, patterns.rename(unit="post"), dim="post")
    diagonal = xr.DataArray(np.eye(patterns.sizes["unit"]), dims=("post", "pre"))
    trace = xr.dot(memory, diagonal, dim=("post", "pre"))
    total = memory.sum(("post", "pre"), skipna=False)

    square = (patterns**2).sum("unit")
    gram = xr.dot(patterns, patterns.rename(pattern="other"), dim="unit") ** 2
    if patterns.sizes["pattern"] <= patterns.sizes["unit"] * (patterns.sizes["unit"] + 1) / 4:
        strength = _solved(gram, along)
        other = strength.rename(pattern="other")
        trace = trace - xr.dot(other, square.rename(pattern="other"), dim="other")
        total = total - xr.dot(other, (patterns.sum("unit") ** 2).rename(pattern="other"), dim="other")
    else:
        strength = along / square**2
    return strength, _shuffled_strength(trace, total, patterns)


def _solved(gram: xr.DataArray, along: xr.DataArray) -> xr.DataArray:
    """Least-squares coefficients of patterns whose outer products have these products with each other and with A."""
    inverse = np.linalg.pinv(gram.transpose(..., "pattern", "other").values, hermitian=True)
    dims = [dim for dim in gram.dims if dim not in ("pattern", "other")] + ["pattern", "other"]
    return xr.dot(xr.DataArray(inverse, dims=dims), along.rename(pattern="other"), dim="other")


def _shuffled_strength(trace: xr.DataArray, total: xr.DataArray, patterns: xr.DataArray) -> xr.DataArray:
    """Mean of ξᵀAξ/|ξ|⁴ over all orders of a pattern's units, from the trace of A and the sum of its entries."""
    units = patterns.sizes["unit"]
    square, mean_square = (patterns**2).sum("unit"), patterns.sum("unit") ** 2
    off = (total - trace) * (mean_square - square) / (units * max(units - 1, 1))
    return (trace * square / units + off) / square**2


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
