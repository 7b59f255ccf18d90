"""What analyses of sweeps have in common: point by point, row by row, intervals over networks, numbers as text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.errors import ConfigError, instance, short
from fwsim.measure import bootstrap
from fwsim.names import known_arguments
from fwsim.study.analysis import configuration
from fwsim.study.sweeps.take import points


@known_arguments
def each_point(
    recording: xr.Dataset, dims: Sequence[Hashable], analyse: Callable[[xr.Dataset], xr.Dataset]
) -> xr.Dataset:
    """Analyse every point of a sweep by itself, loaded into memory, and join the results.

    Parameters
    ----------
    recording
        Of a sweep, or of a run.
    dims
        Its dimensions over which the points differ; without any, the recording is the only point.
    analyse
        From the recording of one point to its result.

    Returns
    -------
    Dataset
        `[*dims, ...]`, with the coordinates of the recording along `dims`.

    Examples
    --------
    >>> rate = xr.DataArray([[1.0, 3.0], [2.0, 6.0]], {"tau": [0.1, 0.2]}, ("tau", "unit"))
    >>> each_point(rate.to_dataset(name="rate"), ["tau"], lambda point: point.mean())["rate"].values
    array([2., 4.])
    """
    if not dims:
        return analyse(recording.load())
    first, *others = dims
    parts = [
        each_point(recording.isel({first: place}), others, analyse) for place in range(recording.sizes[first])
    ]
    return xr.concat(parts, recording[first] if first in recording.coords else first)


@known_arguments
def each_run(recording: xr.Dataset) -> Iterator[xr.Dataset]:
    """Go over the runs of a sweep that did not fail, or over the only run of a recording.

    Parameters
    ----------
    recording
        Of a sweep with seeds, or of a run.

    Yields
    ------
    Dataset
        The recording of one run, with a dimension `seed` of length 1.
    """
    instance("recording", recording, xr.Dataset, "the recording of a run or a sweep (xarray.Dataset)")
    if "seed" not in recording.dims:
        yield recording.expand_dims(seed=[recording.attrs["experiment_seed"]])
        return
    for point in points(recording):
        if not point.failed:
            yield point.recording.expand_dims(seed=[point.seed])


@known_arguments
def join_runs(
    recordings: Iterable[xr.Dataset], analyse: Callable[[xr.Dataset], xr.Dataset], names: Sequence[str]
) -> xr.Dataset:
    """Analyse several runs of an experiment, and join the results as those of a sweep.

    Parameters
    ----------
    recordings
        Of the runs.
    analyse
        From the recording of one run to its result.
    names
        Fields of the configuration in which the runs differ; their seeds may differ too.

    Returns
    -------
    Dataset
        `[*names, seed, ...]`; NaN where there is no run.
    """
    results: list[xr.Dataset] = []
    for one in recordings:
        settings = configuration(one)
        here: dict[Hashable, Any] = {name: [settings[name]] for name in names}
        results.append(analyse(one).expand_dims(here | {"seed": [one.attrs["experiment_seed"]]}))
    joined = xr.combine_by_coords(results, join="outer", combine_attrs="drop_conflicts")
    assert isinstance(joined, xr.Dataset)
    return joined


@known_arguments
def mean_interval(values: xr.DataArray) -> np.ndarray:
    """Mean over networks and its 95 % interval (Student's t); values that are not finite are left out.

    Parameters
    ----------
    values
        Any shape; the networks that failed, or that have not learned, are NaN.

    Returns
    -------
    ndarray
        `[mean, low, high]`; the ends are NaN for a single network, all three if there is none.

    Examples
    --------
    >>> mean_interval(xr.DataArray([1.0, 3.0, float("nan")])).round(2)
    array([  2.  , -10.71,  14.71])
    """
    found = finite(values)
    return bootstrap(found) if len(found) else np.full(3, np.nan)


@known_arguments
def standard_error(values: xr.DataArray, over: str | Sequence[Hashable]) -> xr.DataArray:
    """Standard error of the mean over some dimensions, of the values that are not NaN.

    Parameters
    ----------
    values
        Any shape; repetitions that failed are NaN.
    over
        Dimension of the repetitions, or several.

    Returns
    -------
    DataArray
        Without these dimensions; NaN where there are fewer than two values.

    Examples
    --------
    >>> standard_error(xr.DataArray([1.0, 3.0, float("nan")], dims="trial"), "trial").item()
    1.0
    """
    instance("values", values, xr.DataArray, "one variable of a dataset (xarray.DataArray)")
    return values.std(over, ddof=1) / np.sqrt(values.notnull().sum(over).clip(1))


@known_arguments
def verdict(
    interval: ArrayLike,
    low: float,
    high: float,
    words: tuple[str, str, str] = ("lost", "in part", "survives"),
) -> str:
    """Choose one of three words, from where an interval lies.

    Parameters
    ----------
    interval
        Estimate, low and high end, as `mean_interval` returns them.
    low, high
        Bounds: the first word is for an interval below `low`, the last for one above `high`, else it is the second.
    words
        The three words.

    Returns
    -------
    str
        "undecided" without an interval, as for a single network.

    Examples
    --------
    >>> verdict([80, 76, 84], 60, 75), verdict([80, 70, 90], 60, 75), verdict([50, 45, 55], 60, 75)
    ('survives', 'in part', 'lost')
    """
    _, begin, end = np.asarray(interval, float)
    if np.isnan(begin):
        return "undecided"
    below, between, above = words
    return above if begin > high else below if end < low else between


@known_arguments
def finite(values: xr.DataArray) -> np.ndarray:
    """All values that are finite, in a row."""
    instance("values", values, xr.DataArray, "one variable of a dataset (xarray.DataArray)")
    flat = np.ravel(values.values.astype(float))
    return flat[np.isfinite(flat)]


@known_arguments
def each_setting(result: xr.Dataset, dims: Iterable[Hashable]) -> Iterator[tuple[dict[str, Any], xr.Dataset]]:
    """Go over every combination of the values along some dimensions, the last dimension fastest.

    Parameters
    ----------
    result
        Of an analysis; of a sweep, with the swept fields as dimensions.
    dims
        Which dimensions; without any, `result` as a whole is the only setting.

    Yields
    ------
    values
        Of the coordinates along these dimensions, by name; several where fields were swept together.
    at
        The result there, with all its other dimensions.

    Examples
    --------
    >>> error = xr.DataArray([[0.2, 0.1], [0.4, 0.3]], {"tau": [1.0, 5.0], "seed": [0, 1]}, ("tau", "seed"))
    >>> for values, at in each_setting(error.to_dataset(name="error"), ["tau"]):
    ...     print(values, at["error"].values)
    {'tau': 1.0} [0.2 0.1]
    {'tau': 5.0} [0.4 0.3]
    """
    dims = list(dims)
    names = [name for name, each in result.coords.items() if each.dims and set(each.dims) <= set(dims)]
    for places in itertools.product(*(range(result.sizes[dim]) for dim in dims)):
        at = result.isel(dict(zip(dims, places)))
        yield {str(name): at[name].item() for name in names}, at


@known_arguments
def formatted(
    values: ArrayLike, form: str = ".2f", *, missing: str = "", interval: str = "[{}, {}]", scale: float = 1.0
) -> str:
    """Write a number, or an estimate with the ends of its interval, as text.

    Parameters
    ----------
    values
        A number, or estimate, low and high as `fwsim.measure.bootstrap` returns them. Ends that are NaN (of a single
        repetition) are not written.
    form
        Format of every number.
    missing
        What to write where the number, or the estimate, is NaN or infinite.
    interval
        How the ends of the interval are written behind the estimate.
    scale
        Factor of all values: 100 for per cent, 1e3 for milliseconds.

    Examples
    --------
    >>> formatted(0.5), formatted([0.5, 0.25, 0.75]), formatted(float("nan"), missing="never")
    ('0.50', '0.50 [0.25, 0.75]', 'never')
    >>> formatted([0.5, float("nan"), float("nan")])
    '0.50'
    """
    try:
        estimate, *ends = (scale * np.asarray(values, float)).ravel()
    except (TypeError, ValueError):  # no numbers, or none at all
        raise ConfigError(
            f"values={short(values)} is not allowed; give a number, or estimate, low and high"
        ) from None
    if not np.isfinite(estimate):
        return missing
    ends = [] if np.isnan(ends).any() else ends
    low_high = [f"{end:{form}}" for end in ends]
    return f"{estimate:{form}}" + (f" {interval.format(*low_high)}" if ends else "")
