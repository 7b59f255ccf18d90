"""The configuration of an experiment: described fields, units, one-line errors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo

from fwsim.errors import ConfigError, short
from fwsim.names import unknown
from fwsim.units import quantity, unusual

HIGHEST = 1.0  # V; more is probably meant in mV


@dataclass(frozen=True)
class Unit:
    """Marks a field as a quantity, so that help and tables show its SI unit."""

    symbol: str


Seconds = Annotated[float, BeforeValidator(partial(quantity, dimension="time")), Unit("s")]
"""A time in s, given as `0.2` or `"200 ms"`."""
Duration = Annotated[Seconds, Field(ge=0)]
"""A time in s that is not negative, given likewise: `tuple[Duration, ...]`."""
Hertz = Annotated[float, BeforeValidator(partial(quantity, dimension="rate")), Unit("Hz")]
"""A rate in Hz, given as `20` or `"0.02 kHz"`."""


def _volts(given: Any, field: ValidationInfo) -> float:
    unusual(field.field_name or "", given, "voltage", HIGHEST)
    return quantity(given, "voltage")


Volts = Annotated[float, BeforeValidator(_volts), Unit("V")]
"""A voltage in V, given as `-0.07` or `"-70 mV"`."""


class Config(BaseModel):
    """Base of every experiment's configuration: frozen, without unknown keys, with a description of every field.

    A field is described by `Field(description=...)` or by a docstring below it.

    Raises
    ------
    ConfigError
        A value is not allowed or NaN, a key is unknown, or a field is missing. When the class is
        defined: a field has no description.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Recall(Config):
    ...     delay: Seconds = Field(default=0.2, description="Time between storing and recalling.")
    >>> Recall(delay="200 ms").delay
    0.2
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        ser_json_inf_nan="constants",
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(explain(error, type(self))) from None
        for name, value in self:
            if _has_nan(value):
                raise ConfigError(f"{name}={short(value)} is not allowed; give numbers, not NaN")

    @model_validator(mode="before")
    @classmethod
    def _one_of_several(cls, values: Any) -> Any:
        """Accept a single value for a field of several: `tau = "5 s"`, as in options and sweeps."""
        return spread(cls, values) if isinstance(values, dict) else values

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse fields without a description."""
        bare = [name for name, field in cls.model_fields.items() if not field.description]
        if bare:
            raise ConfigError(
                f"{cls.__name__} has fields without a description: {', '.join(bare)};"
                " write a docstring below each"
            )


def _has_nan(value: Any) -> bool:
    """Whether a value is NaN, or holds one at any depth."""
    if isinstance(value, float):
        return math.isnan(value)
    parts = value.values() if isinstance(value, Mapping) else value
    return isinstance(parts, Iterable) and not isinstance(parts, str) and any(map(_has_nan, parts))


def spread(config: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by field; for a field of several values, as a sequence."""
    fields = config.model_fields
    return {
        name: (value,) if name in fields and takes_several(fields[name].annotation, value) else value
        for name, value in values.items()
    }


def takes_several(annotation: Any, value: Any) -> bool:
    """Whether a field takes several values and this is a single one."""
    if value is None or (isinstance(value, Iterable) and not isinstance(value, str)):
        return False
    origin = get_origin(annotation)
    if origin is Annotated:
        return takes_several(get_args(annotation)[0], value)
    if origin in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return all(takes_several(kind, value) for kind in kinds)
    return origin in (tuple, list, set, frozenset, Sequence)


def unit_of(field: FieldInfo) -> str | None:
    """SI symbol of a field's unit, also of a sequence or an optional; None for a plain number."""
    return _unit(field.annotation, field.metadata)


def _unit(annotation: Any, metadata: Any) -> str | None:
    for mark in metadata:
        if isinstance(mark, Unit):
            return mark.symbol
    for inner in getattr(annotation, "__args__", ()):
        found = _unit(inner, getattr(inner, "__metadata__", ()))
        if found:
            return found
    return None


def readable(annotation: Any) -> Any:
    """Allow the text of an option for numbers: pydantic matches Literal[1, 2] by value only."""
    if get_origin(annotation) is Literal:
        texts = {str(value): value for value in get_args(annotation)}
        return Annotated[
            annotation,
            BeforeValidator(lambda given: texts.get(given, given) if isinstance(given, str) else given),
        ]
    return annotation


def explain(error: ValidationError, config: type[BaseModel], field: str | None = None) -> str:
    """Convert pydantic's report, on a configuration or one `field`, to one line: name, given, allowed."""
    start = () if field is None else (field,)
    found = error.errors()
    places = [(*start, *item["loc"]) for item in found]
    within = {place[:-1] for place in places if len(place) > 1}  # a refused value is left out of its tuple
    return "; ".join(
        _explain(item, place, config) for item, place in zip(found, places) if place not in within
    )


def _explain(item: Any, location: tuple[str | int, ...], config: type[BaseModel]) -> str:
    name, given = ".".join(map(str, location)), item["input"]
    shown = short(given)
    if isinstance(location[-1] if location else "", int) and isinstance(given, str) and "," in given:
        option = f"--{str(location[0]).replace('_', '-')}"
        typed = " ".join(f"{option} {value.strip()}" for value in given.split(","))
        return f"{name}={shown} is not one value; give several one by one, as options: {typed}"
    match item["type"]:
        case "extra_forbidden":
            return unknown("field", name, tuple(config.model_fields))
        case "missing":
            return f"{name} is missing and has no default"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"{name}={shown} is not allowed: should be a whole number"
        case "float_parsing" | "float_type":
            return f"{name}={shown} is not allowed: should be a number"
        case "bool_parsing" | "bool_type":
            return f"{name}={shown} is not allowed: should be yes or no"
        case "value_error":
            said = item["msg"].removeprefix("Value error, ")
            return f"{name}: {said}" if name else said
        case _:
            allowed = item["msg"].removeprefix("Input ")
            return f"{name}={shown} is not allowed: {allowed}"
