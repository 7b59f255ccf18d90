"""Rows of an analysis's table: the settings of a result, and numbers as text."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.names import known_arguments


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
    estimate, *ends = (scale * np.asarray(values, float)).ravel()
    if not np.isfinite(estimate):
        return missing
    ends = [] if np.isnan(ends).any() else ends
    low_high = [f"{end:{form}}" for end in ends]
    return f"{estimate:{form}}" + (f" {interval.format(*low_high)}" if ends else "")
