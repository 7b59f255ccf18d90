"""Access to the variables of a recording, whatever their time axis and storage."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, RecordingError, ShapeError, type_of
from fwsim.recording.labels import labelled
from fwsim.recording.schema import STREAMED, VARIABLES
from fwsim.units import SYMBOLS


def recorded(run: xr.Dataset | xr.DataArray, *names: str) -> xr.DataArray:
    """The first of the variables `names` that a recording has, as numbers; its own time axis is renamed to `time`.

    A DataArray is taken as the variable itself; see `computable`.
    """
    return computable(held(run, *names))


def held(run: xr.Dataset | xr.DataArray, *names: str) -> xr.DataArray:
    """As `recorded`, in the stored type."""
    if isinstance(run, xr.DataArray):
        return in_seconds(run, "time")
    if not isinstance(run, xr.Dataset):
        raise ConfigError(f"run is {type_of(run)}; give a recording (xarray.Dataset) or a DataArray")
    name = next((name for name in names if name in run), None)
    if name is None:
        wanted = " or ".join(map(repr, names))
        there = [
            key for key, kind in VARIABLES.items() if key in run and set(STREAMED) & set(kind.dimensions)
        ]
        raise RecordingError(
            f"the recording holds no {wanted} but {', '.join(map(repr, there)) or 'nothing'}; "
            f"record it: simulate(..., record=[{names[0]!r}])"
        )
    values = run[name]
    coords = {key: coord for key, coord in values.coords.items() if key != name}
    clean = xr.DataArray(values.variable, coords=coords, name=name, attrs=values.attrs)
    own = f"{name}_time"
    return in_seconds(clean.rename({own: "time"}) if own in clean.dims else clean, "time")


def in_seconds(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return the values if the coordinate of a dimension is in seconds, or says no unit.

    Raises
    ------
    ConfigError
        It is in another unit of time.
    """
    unit = values.coords[dim].attrs.get("units", "s") if dim in values.coords else "s"
    if (factor := SYMBOLS["time"].get(str(unit), 1.0)) != 1.0:
        raise ConfigError(
            f"{dim} of {values.name or 'array'} is in {unit}; give seconds: "
            f"x.assign_coords({dim}=x.{dim} * {factor:g})"
        )
    return values


def same_order(name: str, given: Any, values: xr.DataArray | xr.Dataset, *dims: str) -> None:
    """Raise `ShapeError` if labels of an array are those of a recording in another order.

    Entries count by their place. Labels that the recording does not have say nothing about their order.
    """
    for dim in dims:
        if dim not in getattr(given, "coords", ()) or dim not in values.coords:
            continue
        ours, theirs = given.coords[dim].values, values.coords[dim].values
        if (
            ours.shape == theirs.shape
            and set(ours.tolist()) == set(theirs.tolist())
            and (ours != theirs).any()
        ):
            raise ShapeError(
                f"{name} has {dim} in another order than the recording; "
                f"give {name}.sel({dim}=run.{dim}), or drop the labels: {name}.drop_vars({dim!r})"
            )


def computable(values: xr.DataArray) -> xr.DataArray:
    """Values in a type for sums of squares: half precision becomes single, integers and truth values become double.

    Raises
    ------
    ConfigError
        They are not real numbers.
    """
    wider = _wider(values.dtype, str(values.name or "array"))
    return values if wider == values.dtype else values.astype(wider)


def _wider(dtype: np.dtype, name: str) -> np.dtype:
    if dtype.kind not in "biuf":
        raise ConfigError(f"{name} is {dtype}, not real numbers; give an array or tensor of real numbers")
    return (
        np.dtype(np.float32 if dtype.itemsize == 2 else dtype) if dtype.kind == "f" else np.dtype(np.float64)
    )


def with_dims(name: str, values: ArrayLike | xr.DataArray, *allowed: tuple[str, ...]) -> xr.DataArray:
    """`values` as a DataArray without coordinates. A plain array gets the dimensions that fit its axes."""
    if isinstance(values, xr.DataArray):
        if not any(set(values.dims) == set(dims) for dims in allowed):
            raise ShapeError(f"{name} has dimensions {list(values.dims)}; expected {_listed(allowed)}")
        return computable(values.drop_vars(list(values.coords)).rename(name))
    array = numbers(values, name)
    for dims in allowed:
        if array.ndim == len(dims):
            return xr.DataArray(array, dims=dims)
    raise ShapeError(f"{name} has shape {list(array.shape)}; expected {_listed(allowed)}")


def plain(values: ArrayLike, name: str = "array") -> np.ndarray:
    """Convert an array or tensor on any device to a numpy array; errors use `name`."""
    as_they_are(name, values)
    given: Any = values
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given  # which NumPy lacks
    try:
        return np.asarray(given)
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"{name} has rows of different lengths, or is no array; give them all the same"
        ) from error


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Like `plain`, for real numbers only, in a type to compute with; see `computable`."""
    array = plain(values, name)
    return array.astype(_wider(array.dtype, name), copy=False)


def lengths(vectors: xr.DataArray) -> xr.DataArray:
    """√Σ x² over units; NaN if one is NaN or infinite. Squares neither overflow nor underflow."""
    largest = abs(vectors).max("unit", skipna=False)
    scale = largest.where((largest > 0) & (largest < np.inf), 1.0)
    size = scale * ((vectors / scale) ** 2).sum("unit", skipna=False) ** 0.5
    return size.where(np.isfinite(largest))


def require_dims(values: xr.DataArray, *dims: Hashable) -> None:
    """Raise `ShapeError` unless `values` has all of these dimensions."""
    missing = [str(dim) for dim in dims if dim not in values.dims]
    if missing:
        raise ShapeError(
            f"{values.name or 'array'} has dimensions {list(values.dims)}; it needs {', '.join(missing)}"
        )


def require_entries(values: xr.DataArray, *dims: Hashable) -> None:
    """Raise `ShapeError` unless `values` has all of these dimensions, none of them empty."""
    require_dims(values, *dims)
    empty = [str(dim) for dim in dims if not values.sizes[dim]]
    if empty:
        raise ShapeError(
            f"{values.name or 'array'} is empty along {', '.join(empty)}; there is nothing to measure"
        )


def described(values: xr.DataArray, name: str, units: str, long_name: str) -> xr.DataArray:
    """`values` with a name, and with the attributes that label an axis."""
    return labelled(values.rename(name), long_name, units)


def _listed(allowed: tuple[tuple[str, ...], ...]) -> str:
    return " or ".join(f"[{', '.join(dims)}]" for dims in allowed)
