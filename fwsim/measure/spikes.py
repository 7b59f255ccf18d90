"""Statistics of spike trains: rate, irregularity, variability, synchrony."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from fwsim.errors import ConfigError, whole
from fwsim.measure.recorded import described
from fwsim.names import known_arguments
from fwsim.recording.trains import Trains, trains_of
from fwsim.units import checked

Groups = Mapping[str, slice | Sequence[int]]
"""Name → units of one group, as in `Circuit.members`."""


@known_arguments
def firing_rate(
    run: xr.Dataset,
    bin: float | None = None,
    *,
    groups: Groups | None = None,
    start: float = 0.0,
    stop: float | None = None,
) -> xr.DataArray:
    """Firing rate over time, or over the whole window.

    Parameters
    ----------
    run
        A recording with `spike_time`, `spike_unit`, `spike_trial`.
    bin
        Length of a bin in s; `None`: the whole window.
    groups
        Units to average over, by name; `None`: each unit separately.
    start, stop
        Window in s; `stop=None` is the end of the run.

    Returns
    -------
    DataArray
        `[trial, time, unit]` in Hz at the ends of the bins, or `[trial, unit]`.
    """
    trains = trains_of(run, start, stop)
    width = trains.stop - trains.start if bin is None else checked("bin", bin, "time", above=0)
    rates = _averaged(trains.counts(width) / width, groups)
    coords = {"trial": np.arange(trains.trials), "unit": _labels(run, trains, groups)}
    if bin is None:
        values = xr.DataArray(rates[:, 0], dims=("trial", "unit"), coords=coords)
    else:
        values = xr.DataArray(
            rates, dims=("trial", "time", "unit"), coords={**coords, "time": trains.times(width)}
        )
        values["time"].attrs = {"units": "s", "long_name": "time"}
    return described(values, "rate", "Hz", "firing rate")


@known_arguments
def isi_cv(
    run: xr.Dataset, *, start: float = 0.0, stop: float | None = None, spikes: int = 3
) -> xr.DataArray:
    """Coefficient of variation of the intervals between spikes: 0 for a clock, 1 for a Poisson process.

    Parameters
    ----------
    run, start, stop
        As in `firing_rate`.
    spikes
        Units with fewer spikes in a trial get NaN.

    Returns
    -------
    DataArray
        `[trial, unit]`.
    """
    whole("spikes", spikes, least=3)  # two intervals
    trains = trains_of(run, start, stop)
    order = np.lexsort((trains.time, trains.train))
    time, train = trains.time[order], trains.train[order]
    same = train[1:] == train[:-1]
    interval, owner = np.diff(time)[same], train[1:][same]
    size = trains.trials * trains.units
    number, total = np.bincount(owner, minlength=size), np.bincount(owner, interval, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        variance = np.bincount(owner, (interval - mean[owner]) ** 2, size) / (number - 1)
        cv = np.where(number >= spikes - 1, np.sqrt(variance) / mean, np.nan)
    values = xr.DataArray(cv.reshape(trains.trials, trains.units), dims=("trial", "unit"))
    return described(values, "isi_cv", "1", "coefficient of variation of interspike intervals")


@known_arguments
def fano_factor(
    run: xr.Dataset, window: float | str, *, start: float = 0.0, stop: float | None = None
) -> xr.DataArray:
    """Variance over mean of the number of spikes in windows: 1 for a Poisson process of constant rate.

    Parameters
    ----------
    run, start, stop
        As in `firing_rate`.
    window
        Length in s. Windows of all trials are pooled.

    Returns
    -------
    DataArray
        `[unit]`; NaN for units without spikes.
    """
    trains = trains_of(run, start, stop)
    window = checked("window", window, "time", above=0)
    binned = trains.counts(window, "window")
    counts = binned.reshape(binned.shape[0] * binned.shape[1], trains.units)
    if len(counts) < 2:
        raise ConfigError(f"window={window:g} s leaves {len(counts)} window; shorten it, or give more trials")
    mean = counts.mean(0)
    fano = np.where(mean > 0, counts.var(0, ddof=1) / np.where(mean > 0, mean, 1.0), np.nan)
    return described(xr.DataArray(fano, dims="unit"), "fano_factor", "1", "Fano factor of spike counts")


@known_arguments
def synchrony(
    run: xr.Dataset,
    bin: float,
    *,
    groups: Groups | None = None,
    start: float = 0.0,
    stop: float | None = None,
) -> xr.DataArray:
    """Fraction of the units' fluctuations that is shared: 0 if independent, 1 if identical.

    (Var Σ n − Σ Var n) / ((Σ √Var n)² − Σ Var n) for the counts n in bins: the average correlation of pairs, with
    the products of their standard deviations as weights.

    Parameters
    ----------
    run, groups, start, stop
        As in `firing_rate`; without groups, all units are one group.
    bin
        Length of a bin in s.

    Returns
    -------
    DataArray
        `[trial, unit]` with groups as units; NaN if fewer than two units fluctuate.
    """
    trains = trains_of(run, start, stop)
    counts = trains.counts(bin).astype(float)
    chosen: Groups = {"all": slice(None)} if groups is None else groups
    _require_groups(chosen)
    found = []
    for name, units in chosen.items():
        part = _group(counts, name, units)
        variance = part.var(1)
        own, most = variance.sum(-1), np.sqrt(variance).sum(-1) ** 2
        pairs = most - own
        shared = part.sum(-1).var(1) - own
        several = pairs > 1e-12 * np.maximum(most, 1e-300)
        found.append(np.where(several, shared / np.where(several, pairs, 1.0), np.nan))
    values = xr.DataArray(np.stack(found, -1), dims=("trial", "unit"), coords={"unit": list(chosen)})
    return described(values, "synchrony", "1", "correlation of spike counts")


def _averaged(values: np.ndarray, groups: Groups | None) -> np.ndarray:
    if groups is None:
        return values
    _require_groups(groups)
    return np.stack([_group(values, name, groups[name]).mean(-1) for name in groups], -1)


def _require_groups(groups: Groups) -> None:
    if not isinstance(groups, Mapping) or not groups:
        raise ConfigError(f"groups={groups!r} is not allowed; give names and the units that belong to each")


def _group(values: np.ndarray, name: str, units: slice | Sequence[int]) -> np.ndarray:
    """Counts `[..., unit]` of the units of one group."""
    try:
        members = np.arange(values.shape[-1])[units]
        named = np.array([0]) if isinstance(units, slice) else np.asarray(units)
        negative = bool((named < 0).any()) or len(np.unique(members)) < len(members)
    except (IndexError, TypeError, ValueError):
        members, negative = np.array([]), False
    if members.ndim != 1 or not len(members) or negative:
        raise ConfigError(
            f"group {name!r} has units {units!r}; give one or more different ones of {values.shape[-1]}, "
            "counted from 0"
        )
    return values[..., members]


def _labels(run: xr.Dataset, trains: Trains, groups: Groups | None) -> np.ndarray:
    if groups is not None:
        return np.array(list(groups))
    return run["unit"].values.copy() if "unit" in run.coords else np.arange(trains.units)
