"""Normalisation of the fields of a rate network: layer normalisation and what a circuit has instead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fwsim.engine.cell import EPSILON
from fwsim.errors import ConfigError, choice
from fwsim.names import known_arguments
from fwsim.rules.parameters import own

Normalisation = Callable[[Tensor], Tensor]
"""Any function of fields `[batch, unit]` that gives fields `[batch, unit]`."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Layer normalisation; see `layer_norm`."""

    gain: Tensor | None = None
    bias: Tensor | None = None

    def __call__(self, field: Tensor) -> Tensor:
        """Normalised fields."""
        return functional.layer_norm(field, field.shape[-1:], self.gain, self.bias, EPSILON)


@dataclass(frozen=True, eq=False)
class Divisive:
    """Divisive global inhibition; see `divisive`."""

    strength: float | Tensor = 1.0
    floor: float | Tensor = 1.0

    def __call__(self, field: Tensor) -> Tensor:
        """Normalised fields."""
        return field / (self.floor + self.strength * _pool(field))


@dataclass(frozen=True, eq=False)
class Subtractive:
    """Subtractive global inhibition; see `subtractive`."""

    strength: float | Tensor = 1.0

    def __call__(self, field: Tensor) -> Tensor:
        """Normalised fields."""
        return field - self.strength * _pool(field)


@known_arguments
def layer_norm(gain: Tensor | None = None, bias: Tensor | None = None) -> Layer:
    """Make layer normalisation: fields of mean 0 and variance 1 over the units, times `gain`, plus `bias`.

    Biased variance and ε as in `FastWeightNetwork`.

    Parameters
    ----------
    gain, bias
        `[unit]`; 1 and 0 by default.
    """
    return Layer(_checked("layer_norm", "gain", gain), _checked("layer_norm", "bias", bias))


@known_arguments
def divisive(strength: float | Tensor = 1.0, floor: float | Tensor = 1.0) -> Divisive:
    """Make divisive global inhibition: F / (floor + strength · mean_j max(F_j, 0)).

    An inhibitory pool that receives all fields, fast, shunts every unit alike.

    Source: Carandini & Heeger 2012, Nature Reviews Neuroscience 13:51, eq. 10 with exponent 1.

    Parameters
    ----------
    strength
        Of the inhibition, at least 0; a number or `[batch, 1]`.
    floor
        What it is divided by without activity, in units of h, positive; alike.
    """
    floor = _checked("divisive", "floor", floor, above=0.0)
    return Divisive(_checked("divisive", "strength", strength, least=0.0), floor)


@known_arguments
def subtractive(strength: float | Tensor = 1.0) -> Subtractive:
    """Make subtractive global inhibition: F − strength · mean_j max(F_j, 0).

    Parameters
    ----------
    strength
        Of the inhibition, at least 0; a number or `[batch, 1]`.
    """
    return Subtractive(_checked("subtractive", "strength", strength, least=0.0))


NORMALISATIONS: dict[str, Callable[[], Normalisation]] = {
    "layer": layer_norm,
    "divisive": divisive,
    "subtractive": subtractive,
}


def normalisation(given: str | Normalisation) -> Normalisation | None:
    """Turn a name (its defaults) or a normalisation into one; `"none"` is `None`."""
    if callable(given):
        return given
    choice("normalise", given, ("none", *NORMALISATIONS))
    return None if given == "none" else NORMALISATIONS[given]()


def _pool(field: Tensor) -> Tensor:
    """Activity of the inhibitory pool, `[batch, 1]`."""
    return torch.relu(field).mean(-1, keepdim=True)


def _checked(owner: str, name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf) -> Any:
    """Give a number or a copy of an array within bounds; a tensor that requires a gradient stays the same."""
    if value is None:
        return None
    try:
        tensor = own(value)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{owner}: {name}={value!r} is not a number or a tensor") from None
    seen = tensor.detach()
    if not bool(((seen > above) & (seen >= least) & seen.isfinite()).all()):
        bounds = {"positive": above, "at least 0": least}
        limit = "".join(f"{word} and " for word, bound in bounds.items() if math.isfinite(bound))
        raise ConfigError(f"{owner}: {name}={value!r} is not allowed; it must be {limit}finite")
    return tensor if tensor.ndim or isinstance(value, Tensor) else float(tensor)
