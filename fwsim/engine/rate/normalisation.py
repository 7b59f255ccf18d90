"""Normalisation of the fields of a rate network: layer normalisation and what a circuit has instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fwsim.engine.cell import EPSILON
from fwsim.errors import ConfigError, choice

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


def layer_norm(gain: Tensor | None = None, bias: Tensor | None = None) -> Layer:
    """Make layer normalisation: fields of mean 0 and variance 1 over the units, times `gain`, plus `bias`.

    Biased variance and ε as in `FastWeightNetwork`.

    Parameters
    ----------
    gain, bias
        `[unit]`; 1 and 0 by default.
    """
    return Layer(gain, bias)


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
    _check("divisive", strength=(strength, False), floor=(floor, True))
    return Divisive(strength, floor)


def subtractive(strength: float | Tensor = 1.0) -> Subtractive:
    """Make subtractive global inhibition: F − strength · mean_j max(F_j, 0).

    Parameters
    ----------
    strength
        Of the inhibition, at least 0; a number or `[batch, 1]`.
    """
    _check("subtractive", strength=(strength, False))
    return Subtractive(strength)


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


def _check(owner: str, **values: tuple[float | Tensor, bool]) -> None:
    for name, (value, positive) in values.items():
        tensor = torch.as_tensor(value)
        good = tensor > 0 if positive else tensor >= 0
        if not bool((good & tensor.isfinite()).all()):
            limit = "positive" if positive else "at least 0"
            raise ConfigError(f"{owner}: {name}={value!r} is not allowed; it must be {limit} and finite")
