"""Inputs of a run in whatever form a user has them: as the tensor that a network takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fwsim.arrays import as_they_are
from fwsim.engine import checks
from fwsim.engine.precision import automatic
from fwsim.engine.transfer import to_device
from fwsim.errors import ConfigError, ShapeError, type_of

ENDS = (("trial", "batch"), ("time", "step"), ("input", "unit", "channel"))
"""How the names of the three axes of a DataArray may end."""


def as_drive(name: str, given: Any, like: Tensor, channels: int, axis: str, *, copy: bool = False) -> Tensor:
    """Tensor `[batch, time, channels]` of the dtype and device of `like`.

    Parameters
    ----------
    name
        What messages call it.
    given
        A tensor, an array, nested lists, an `xarray.DataArray` whose dimensions are named in this order, or for
        a single trial one `[time, channels]` or a `pandas.DataFrame`; of whole numbers, truth values or floats of any
        width.
    copy
        Whether what the caller does to it later must not matter.

    Raises
    ------
    ConfigError
        It holds no numbers, or one that is NaN, infinite or too large for the network's dtype.
    ShapeError
        Its shape is another, or its dimensions have other names.
    """
    x = _dense(name, given) if isinstance(given, Tensor) else _from_array(name, given, axis)
    checks.sequence(name, x, channels, axis)
    converted = _once(x).to(like.dtype, copy=copy)
    widened = x.is_floating_point() and torch.promote_types(x.dtype, like.dtype) == like.dtype
    if not widened and not bool(converted.isfinite().all()):
        raise ConfigError(
            f"{name} has numbers too large for {like.dtype}; scale them, or convert the network: net.double()"
        )
    return to_device(converted, like.device).expand(x.shape)


def as_input(name: str, given: Any, like: Tensor, channels: int, axis: str) -> Tensor:
    """Input of a call through which gradients flow: a tensor as it is, if it fits; anything else as by `as_drive`.

    Raises
    ------
    ConfigError, ShapeError
        As in `as_drive`, or a tensor has another dtype or device than `like`.
    """
    if not isinstance(given, Tensor):
        return as_drive(name, given, like, channels, axis)
    if automatic(like.device) and given.is_floating_point():
        given = given.to(like.dtype)  # as torch's modules do
    checks.sequence(name, given, channels, axis)
    checks.alike(name, given, like)
    return given


def as_pattern(name: str, given: Any, batch: int, like: Tensor) -> Tensor:
    """States `[batch, unit]` of a network whose W is `like`: a tensor as it is, if it fits; arrays and lists converted.

    Raises
    ------
    ConfigError, ShapeError
        They do not fit, or are not finite numbers.
    """
    as_they_are(name, given, ("batch", "trial", "unit"))
    if isinstance(given, Tensor):
        checks.pattern(name, given, batch, like)
        return given
    values = torch.from_numpy(as_numbers(name, given, "[batch, unit]")).to(like.dtype)
    checks.pattern(name, values.to(like.device), batch, like)
    return to_device(values, like.device)


def _once(x: Tensor) -> Tensor:
    """The tensor without the repetitions that `expand` made, which may be a thousand times as many numbers."""
    return x[tuple(slice(1 if size and not stride else None) for size, stride in zip(x.shape, x.stride()))]


def _dense(name: str, given: Tensor) -> Tensor:
    if given.layout is not torch.strided or given.is_quantized:
        raise ConfigError(f"{name} is a tensor of layout {given.layout}; give a dense one: {name}.to_dense()")
    if given.is_complex():
        raise ConfigError(f"{name} is {given.dtype}; give real numbers")
    return given.detach()


def _from_array(name: str, given: Any, axis: str) -> Tensor:
    return torch.from_numpy(as_numbers(name, as_array(name, given, axis), f"[batch, time, {axis}]"))


def as_numbers(name: str, given: Any, shape: str) -> np.ndarray:
    """Real numbers in float32 if they are, else in float64, as torch can use them."""
    try:
        values = np.asarray(given)
    except (ValueError, TypeError) as error:  # a TypeError from a Dataset
        raise ShapeError(f"{name} has rows of different lengths, or no numbers; give {shape}") from error
    if values.dtype.kind not in "biuf":
        found = getattr(given, "dtype", type(given).__name__)
        raise ConfigError(f"{name} is {found}, not real numbers; give a tensor or an array {shape}")
    if values.dtype.kind == "f" and values.dtype.itemsize in (2, 4):
        kind: type = np.float32
    else:
        kind = np.float64
    # A copy where torch could not use the memory: read-only, with negative strides, in another byte order.
    return np.require(values, kind, ["C", "W"])


def as_array(name: str, given: Any, axis: str) -> np.ndarray:
    """Values of an array, nested lists, a DataArray or a DataFrame, whose dimensions are checked; see `as_drive`."""
    module = type(given).__module__.partition(".")[0]
    if module == "xarray":
        return _labelled(name, given, axis)
    if module == "pandas":
        return _table(name, given, axis)
    as_they_are(name, given)
    if not isinstance(given, (list, tuple)) and not hasattr(given, "__array__"):
        raise ConfigError(
            f"{name} is {type_of(given)}; give numbers [batch, time, {axis}] as a tensor, an array or lists"
        )
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ShapeError(
            f"{name} has rows of different lengths, or no numbers; give [batch, time, {axis}]"
        ) from error


def _labelled(name: str, given: Any, axis: str) -> np.ndarray:
    """Values of a DataArray, whose dimensions say which is which."""
    if not hasattr(given, "dims") or hasattr(given, "data_vars"):
        raise ConfigError(f"{name} is {type_of(given)}; give one of its variables, a DataArray")
    dims = [str(dim) for dim in given.dims]
    values = np.asarray(given.values)
    if all(dim.startswith("dim_") for dim in dims):
        return values
    if len(dims) not in (2, 3) or not all(map(str.endswith, dims, ENDS[-len(dims) :])):
        raise ShapeError(
            f"{name} has dimensions ({', '.join(dims)}); give (trial, time, {axis}), or (time, {axis}) for one trial, "
            "by these names in this order: transpose(...), rename(...)"
        )
    return values if len(dims) == 3 else values[None]


def _table(name: str, given: Any, axis: str) -> np.ndarray:
    """Values of a DataFrame, one trial."""
    values = given.to_numpy()
    if values.ndim != 2:
        raise ShapeError(f"{name} is {type_of(given)}; give a DataFrame [time, {axis}] or an array")
    return values[None]
