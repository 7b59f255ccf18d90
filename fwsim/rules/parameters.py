"""Parameters of spike-driven rules: declared once; values are numbers, tensors or symbols."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
import torch

from fwsim.arrays import as_they_are
from fwsim.errors import ConfigError, ShapeError
from fwsim.units import si, unusual

NEGLIGIBLE = 1e-18  # s; replaces a time constant of 0; below the rounding of any other time constant

R = TypeVar("R")


@dataclass(frozen=True)
class Parameter:
    """Allowed values of a field of a rule.

    Parameters
    ----------
    unit
        `"s"`, `"Hz"` or `"1"`.
    low, high
        Closed bounds.
    positive
        Whether `low` itself is not allowed.
    components
        Whether several values are allowed, on the last axis.
    optional
        Whether it may be omitted, `None`.
    usual
        The largest value that is no cause for a warning; see `fwsim.units.unusual`.
    """

    unit: str = "1"
    low: float = -math.inf
    high: float = math.inf
    positive: bool = False
    components: bool = False
    optional: bool = False
    usual: float = math.inf

    @property
    def dimension(self) -> str:
        """Dimension of the quantities that a user may pass; see `fwsim.units.si`."""
        return {"s": "time", "Hz": "rate", "1": "number"}[self.unit]

    @property
    def allowed(self) -> str:
        """The bounds in words."""
        left = "(" if self.positive or self.low == -math.inf else "["
        right = ")" if self.high == math.inf and self.unit != "s" else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}" + ("" if self.unit == "1" else f" {self.unit}")

    def admits(self, value: torch.Tensor) -> bool:
        """Whether every value is within the bounds; only times may be infinite, and NaN is not allowed."""
        above = value > self.low if self.positive else value >= self.low
        good = above & (value <= self.high)
        if self.unit != "s":
            good = good & value.isfinite()
        return bool(good.all())


def number(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """Declare a dimensionless parameter."""
    return _declare("1", default, **bounds)


def probability(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """Declare a parameter in [0, 1]."""
    return _declare("1", default, low=0.0, high=1.0, **bounds)


def time_constant(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """Declare a time constant in s, 0 included unless `positive=True`."""
    return _declare("s", default, low=0.0, **bounds)


def frequency(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """Declare a positive rate in Hz."""
    return _declare("Hz", default, low=0.0, positive=True, **bounds)


def _declare(unit: str, default: Any, **bounds: Any) -> Any:
    spec = Parameter(unit, optional=default is None, **bounds)
    return field(default=default, metadata={"parameter": spec})


def declared(rule: Any) -> dict[str, Parameter]:
    """Fields of a rule (or of its class) that are parameters, with their allowed values."""
    return {f.name: f.metadata["parameter"] for f in fields(rule) if "parameter" in f.metadata}


def component_names(name: str, count: int) -> list[str]:
    """`["w"]`, or `["w_1", "w_2"]` if there are several."""
    return [name] if count == 1 else [f"{name}_{k}" for k in range(1, count + 1)]


def each(names: list[str], values: tuple) -> list[tuple[str, Any]]:
    """Pair names with components; a single component is used for all names."""
    return list(zip(names, values * len(names) if len(values) == 1 else values))


def normalise(owner: str, name: str, value: Any, spec: Parameter, *, timescale_axis: bool) -> Any:
    """Check a user's value, and convert it to a number, a tensor, or a tuple of components.

    Arrays and tensors are copied, so that later changes do not change the rule. A tensor that requires
    a gradient is not copied, since an optimiser changes it in place. With `timescale_axis` the last axis of a
    tensor is always the time scale; a parameter without components then needs length 1 there.
    """
    if value is None and spec.optional:
        return None
    given, value = value, si(f"{owner}: {name}", value, spec.dimension)
    if spec.components:
        value = tuple(_leaf(owner, name, part, spec) for part in _parts(owner, name, value))
    else:
        value = _leaf(owner, name, value, spec)
    if spec.usual < math.inf:
        unusual(f"{owner}: {name}", given, spec.dimension, spec.usual)
    if timescale_axis and isinstance(value, torch.Tensor) and value.ndim:
        if value.shape[-1] != 1:
            raise ShapeError(
                f"{owner}.{name} has shape {list(value.shape)}; the last axis is the time scale, of which "
                "there is one here: give a scalar or [batch, 1]"
            )
        value = value[..., 0]
    return value


def _parts(owner: str, name: str, value: Any) -> Sequence[Any]:
    if isinstance(value, tuple):
        return value
    if isinstance(value, list) and not any(isinstance(part, (list, tuple)) for part in value):
        return value
    if isinstance(value, (int, float)):
        return (value,)
    tensor = _tensor(owner, name, value)
    return tensor.unbind(-1) if tensor.ndim else (tensor,)


def _tensor(owner: str, name: str, value: Any) -> torch.Tensor:
    as_they_are(f"{owner}: {name}", value)
    try:
        return own(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"{owner}: {name}={value!r} is not a number, a list of numbers or a tensor"
        ) from error


def own(value: Any, *, dtype: type | None = np.float64) -> torch.Tensor:
    """Return a real, dense floating-point tensor that nobody else changes, unless it requires a gradient.

    Tensors keep their precision; other arrays are converted to `dtype`, or with `None` keep theirs.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        It is no array of real numbers; a single truth value is none.
    """
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{value} is a truth value, not a number")
    if isinstance(value, torch.Tensor):
        if value.is_complex() or value.layout != torch.strided or value.is_quantized:
            raise TypeError(
                f"a {value.dtype} tensor of layout {value.layout} is not a dense tensor of real numbers"
            )
        if not value.is_floating_point():
            return value.double()
        return value if value.requires_grad else value.clone()
    if isinstance(value, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in value):
        return torch.stack([own(part).double() for part in value])
    array = np.array(value)
    if array.dtype.kind not in "fiub":
        given = type(value).__name__ if array.dtype.kind == "O" else array.dtype
        raise TypeError(f"{given} is not a type of real numbers")
    kept = dtype is None and hasattr(value, "dtype") and array.dtype.kind == "f" and array.dtype.itemsize <= 8
    return torch.from_numpy(array if kept else array.astype(np.float64))


def _leaf(owner: str, name: str, value: Any, spec: Parameter) -> Any:
    tensor = _tensor(owner, name, value)
    if not tensor.numel():
        raise ConfigError(f"{owner}: {name}={value!r} is empty; give a number or a tensor")
    if not spec.admits(tensor.detach()):
        raise ConfigError(f"{owner}: {name}={value!r} is not allowed; it must lie in {spec.allowed}")
    return float(value) if isinstance(value, (int, float)) else tensor


def same_length(owner: str, **groups: tuple) -> int:
    """Common number of components; a single one is used with all the others."""
    count = max(len(group) for group in groups.values())
    if any(len(group) not in (1, count) for group in groups.values()):
        given = ", ".join(f"{name} {len(group)}" for name, group in groups.items())
        raise ShapeError(f"{owner} has components {given}; give one of each, or the same number of all")
    return count


def replaced(rule: R, change: Callable[[str, Any, Parameter], Any]) -> R:
    """Copy a rule with every parameter value changed, nested rules included, without validation.

    `change` receives the name (`"d_2"` for a component), the value and its declaration. If it changes nothing, the
    rule itself is returned.
    """
    specs = declared(rule)
    values: dict[str, Any] = {}
    for f in fields(rule):  # type: ignore[arg-type]
        value = getattr(rule, f.name)
        if f.name in specs and isinstance(value, tuple):
            names = component_names(f.name, len(value))
            parts = tuple(change(name, part, specs[f.name]) for name, part in zip(names, value))
            value = value if all(map(operator.is_, parts, value)) else parts
        elif f.name in specs and value is not None:
            value = change(f.name, value, specs[f.name])
        elif dataclasses.is_dataclass(value):
            value = replaced(value, change)
        values[f.name] = value
    if all(value is getattr(rule, name) for name, value in values.items()):
        return rule
    copy = object.__new__(type(rule))
    for name, value in values.items():
        object.__setattr__(copy, name, value)
    return copy


def leaves(rule: Any) -> list[tuple[str, Any, Parameter]]:
    """Every parameter value of a rule: name, value, declaration; nested rules included."""
    found: list[tuple[str, Any, Parameter]] = []
    replaced(rule, lambda *leaf: found.append(leaf))
    return found


def without_zeros(rule: R) -> R:
    """Copy a rule with a negligible time constant instead of 0, so that all equations are finite."""

    def change(name: str, value: Any, spec: Parameter) -> Any:
        if spec.unit != "s":
            return value
        return value.clamp(min=NEGLIGIBLE) if isinstance(value, torch.Tensor) else max(value, NEGLIGIBLE)

    return replaced(rule, change)


def as_tensors(rule: R, *, dtype: torch.dtype = torch.float64, device: Any = "cpu") -> R:
    """Copy a rule with all parameters as tensors, and without zeros."""
    return replaced(
        without_zeros(rule), lambda name, value, spec: torch.as_tensor(value, dtype=dtype, device=device)
    )


def batch_shape(rule: Any) -> torch.Size:
    """Common shape of all parameters of a rule.

    Raises
    ------
    ShapeError
        They do not broadcast against each other.
    """
    shapes = {name: value.shape for name, value, _ in leaves(rule) if isinstance(value, torch.Tensor)}
    try:
        return torch.broadcast_shapes(*shapes.values())
    except RuntimeError as error:
        given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ShapeError(
            f"parameters of {type(rule).__name__} do not fit together: {given}; their shapes must broadcast"
        ) from error
