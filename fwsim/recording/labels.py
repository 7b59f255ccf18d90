"""Units and names of variables, in every recording and every result."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from fwsim.errors import instance
from fwsim.names import known_arguments

Described = tuple[Sequence[str], Any, str, str]
"""Dimensions, values, SI unit (`"1"` for a pure number), and the label of an axis without the unit."""


@known_arguments
def labelled(values: xr.DataArray, long_name: str, units: str = "1") -> xr.DataArray:
    """Add the attributes that label an axis: the meaning (`long_name`) and the SI `units`."""
    instance(
        "values", values, (xr.DataArray, xr.Dataset), "an array with named dimensions (xarray.DataArray)"
    )
    return values.assign_attrs(units=units, long_name=long_name)


@known_arguments
def labelled_dataset(
    variables: Mapping[str, Described],
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[Hashable, Any] | None = None,
) -> xr.Dataset:
    """Make a dataset whose variables all have a unit and a meaning.

    Parameters
    ----------
    variables
        By name: dimensions, values, unit, label.
    coords, attrs
        As in `xarray.Dataset`.

    Examples
    --------
    >>> labelled_dataset({"error": ("epoch", [0.5, 0.1], "1", "test error")}).error.attrs
    {'units': '1', 'long_name': 'test error'}
    """
    instance("variables", variables, Mapping, "{name: (dimensions, values, unit, label)}")
    return xr.Dataset(
        {
            name: (dims, values, {"units": units, "long_name": label})
            for name, (dims, values, units, label) in variables.items()
        },
        coords,
        attrs,
    )
