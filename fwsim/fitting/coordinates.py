"""The free parameters of a rule as points of a box, on scales on which steps have a uniform meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Generic, TypeVar

import torch
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError
from fwsim.rules.derive.symbols import structure
from fwsim.rules.parameters import Parameter, component_names, declared, leaves, replaced
from fwsim.rules.rule import PresynapticRule
from fwsim.rules.stochastic_release import StochasticRelease

R = TypeVar("R", bound=PresynapticRule)
Bounds = Mapping[str, tuple[float, float]]

# Limits of the search for a parameter, and the part of it from which starting points are drawn, by kind of parameter.
# For times: from a tenth of the shortest interval to ten times the longest train.
PROBABILITY = (1e-3, 1 - 1e-3), (0.02, 0.98)
POSITIVE = (1e-3, 1e2), (1e-2, 3.0)
REAL = (-20.0, 20.0), (-3.0, 3.0)
REACH = 10.0
GAIN = 1e5  # factor in both directions from the mean response
DISPERSION = (1e-10, 1e3), (0.5, 0.5)
EXPONENT = (0.0, 4.0), (2.0, 2.0)
GAINS = ("shared", "protocol")

Function = Callable[[Tensor], Tensor]
SCALES: dict[str, tuple[Function, Function]] = {
    "log": (torch.log, torch.exp),
    "log above 1": (lambda value: (value - 1).log(), lambda z: 1 + z.exp()),
    "logit": (torch.logit, torch.sigmoid),
    "linear": (torch.clone, torch.clone),
}


@dataclass(frozen=True)
class Coordinate:
    """One free parameter.

    Parameters
    ----------
    name
        As in `rule.parameters()`; or a gain, a property of the noise, or `sites`.
    scale
        `"log"`, `"log above 1"`, `"logit"` or `"linear"`.
    low, high
        Bounds of the search, in the parameter's unit.
    spread
        Range from which starting points are drawn.
    unit
        `"s"`, `"Hz"` or `"1"`.
    """

    name: str
    scale: str
    low: float
    high: float
    spread: tuple[float, float]
    unit: str

    def forward(self, value: Tensor | float) -> Tensor:
        """Value → coordinate."""
        value = torch.as_tensor(value, dtype=torch.float64)
        return SCALES[self.scale][0](value)

    def back(self, coordinate: Tensor) -> Tensor:
        """Coordinate → value."""
        return SCALES[self.scale][1](coordinate)


@dataclass(frozen=True, eq=False)
class Coordinates(Generic[R]):
    """A rule, gains and noise whose free parameters are `z` `[..., axis]`.

    Parameters
    ----------
    rule
        Contains the options and every fixed parameter.
    axes
        One for each free parameter of the rule, then one for each gain, then dispersion and exponent of
        the noise.
    gains
        Number of gains: 1, or the number of protocols.
    """

    rule: R
    axes: tuple[Coordinate, ...]
    gains: int

    @property
    def names(self) -> list[str]:
        """Names of the axes."""
        return [axis.name for axis in self.axes]

    @property
    def low(self) -> Tensor:
        """Lower limits, `[axis]`."""
        return torch.stack([axis.forward(axis.low) for axis in self.axes])

    @property
    def high(self) -> Tensor:
        """Upper limits, `[axis]`."""
        return torch.stack([axis.forward(axis.high) for axis in self.axes])

    def values(self, z: Tensor) -> Tensor:
        """Parameters in their units, `[..., axis]`."""
        return torch.stack([axis.back(part) for axis, part in zip(self.axes, z.unbind(-1))], -1)

    def rule_at(self, z: Tensor) -> R:
        """The rule with its free parameters from `z`: numbers for `[axis]`, otherwise tensors `[...]`."""
        return with_values(self.rule, self.names, self.values(z))

    def gain_at(self, z: Tensor) -> Tensor:
        """Gains `[..., gain]`."""
        return z[..., self.gain_axes].exp()

    def noise_at(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Dispersion and exponent, `[...]` each."""
        return z[..., -2].exp(), z[..., -1]

    @property
    def gain_axes(self) -> slice:
        """Indices of the gains."""
        return slice(len(self.axes) - 2 - self.gains, len(self.axes) - 2)

    def ordered(self, z: Tensor) -> Tensor:
        """The same rules with exchangeable components sorted by their time constants."""
        index = {axis.name: k for k, axis in enumerate(self.axes)}
        z = z.clone()
        for groups in _exchangeable(self.rule):
            if any(name not in index for names in groups for name in names):
                continue  # a component that the user fixed is not exchangeable
            columns = [[index[name] for name in names] for names in groups]
            if any(len({(self.axes[k].low, self.axes[k].high) for k in column}) > 1 for column in columns):
                continue  # nor is one with its own bounds
            order = z[..., columns[0]].argsort(-1)
            for column in columns:
                z[..., column] = z[..., column].gather(-1, order)
        return z


def with_values(rule: R, names: Sequence[str], values: Tensor) -> R:
    """A rule with some parameters from `values` `[..., name]`: numbers for `[name]`, otherwise tensors `[...]`."""
    free = dict(zip(names, values.tolist() if values.ndim == 1 else values.unbind(-1)))
    return replaced(rule, lambda name, value, spec: free.get(name, value))


def rule_axes(
    rule: PresynapticRule, times: Tensor, fixed: str | Sequence[str] = ()
) -> tuple[Coordinate, ...]:
    """One axis for each free parameter of a rule whose release is a probability; an amplitude is one of them.

    Raises
    ------
    ConfigError
        The rule cannot be fitted, or a fixed name is not one of its parameters.
    """
    _check_rule(rule)
    fixed = _leaves_of(rule, _names(fixed))
    found = leaves(rule)
    unknown = [name for name in fixed if name not in {leaf for leaf, _, _ in found}]
    if unknown:
        raise ConfigError(
            f"{type(rule).__name__} has no parameter {unknown[0]!r}; it has {', '.join(n for n, _, _ in found)}"
        )
    used = _in_equations(rule)
    free = [(name, spec) for name, _, spec in found if name in used and name not in fixed]
    axes = [_axis(name, spec, times, None) for name, spec in free]
    if "amplitude" in {name for name, _, _ in found} and "amplitude" not in fixed:
        axes.append(_bounded("amplitude", "logit", *PROBABILITY, "1", None))
    return tuple(axes)


def _names(fixed: str | Sequence[str]) -> Sequence[str]:
    fixed = (fixed,) if isinstance(fixed, str) else fixed
    if not isinstance(fixed, Sequence):
        raise ConfigError(f"fixed={fixed!r} is not allowed; give a name of a parameter or a list of names")
    return fixed


def coordinates(
    rule: R,
    times: Tensor,
    size: float,
    gain: str,
    fixed: str | Sequence[str] = (),
    bounds: Bounds | None = None,
) -> Coordinates[R]:
    """Coordinates of a rule for spike trains `times` and responses of the given mean size.

    Raises
    ------
    ConfigError
        The rule cannot be fitted, or a name or bound is not allowed.
    """
    _check_rule(rule)
    fixed = _names(fixed)
    if bounds is not None and not isinstance(bounds, Mapping):
        raise ConfigError(f"bounds={bounds!r} is not allowed; give a dict of names and (low, high)")
    fixed, limits = _leaves_of(rule, fixed), dict(bounds or {})
    both = [name for name in fixed if name in limits]
    if both:
        raise ConfigError(f"{both[0]} is fixed and has bounds; give one of the two")
    found = leaves(rule)
    gains = component_names("gain", 1 if gain == "shared" else len(times))
    known = {name for name, _, _ in found} | {*gains, "dispersion", "exponent"}
    scaling = [name for name in fixed if name in (*gains, "dispersion", "exponent")]
    if scaling:
        raise ConfigError(
            f"{scaling[0]} has no value to be fixed at; give narrow bounds={{{scaling[0]!r}: (low, high)}}"
        )
    unknown = [name for name in (*fixed, *limits) if name not in known]
    if unknown:
        raise ConfigError(
            f"{type(rule).__name__} has no parameter {unknown[0]!r}; it has {', '.join(sorted(known))}"
        )
    used = _in_equations(rule)
    axes = [
        _axis(name, spec, times, limits.get(name))
        for name, _, spec in found
        if name in used and name not in fixed
    ]
    around = (size / GAIN, size * GAIN), (size, size)
    extra = [
        *((name, "log", *around) for name in gains),
        ("dispersion", "log", *DISPERSION),
        ("exponent", "linear", *EXPONENT),
    ]
    axes += [_bounded(name, scale, box, spread, "1", limits.get(name)) for name, scale, box, spread in extra]
    return Coordinates(rule, tuple(axes), len(gains))


def _leaves_of(rule: PresynapticRule, names: Sequence[str]) -> list[str]:
    """Names of parameters; a name without number stands for all its components."""
    specs = declared(rule)
    several = {name for name in names if name in specs and specs[name].components}
    return [
        leaf
        for name in names
        for leaf in (component_names(name, len(getattr(rule, name))) if name in several else [name])
    ]


def starts(at: Coordinates, count: int, generator: torch.Generator) -> Tensor:
    """Starting points, `[start, axis]`: first the given rule, then random ones."""
    given = {name: float(value) for name, value, _ in leaves(at.rule)}
    first = [
        axis.forward(min(max(given.get(axis.name, axis.spread[0]), axis.low), axis.high)) for axis in at.axes
    ]
    low, high = (torch.stack([axis.forward(axis.spread[k]) for axis in at.axes]) for k in (0, 1))
    drawn = low + (high - low) * torch.rand(count - 1, len(at.axes), generator=generator, dtype=torch.float64)
    return torch.cat([torch.stack(first)[None], drawn])


def _check_rule(rule: object) -> None:
    if isinstance(rule, StochasticRelease):
        raise ConfigError("StochasticRelease is random; fit the rule inside it")
    if not isinstance(rule, PresynapticRule):
        given = rule.__name__ if isinstance(rule, type) else type(rule).__name__
        raise ConfigError(
            f"{given} cannot be fitted to presynaptic trains; give an instance of a presynaptic rule"
        )
    for name, value, _ in leaves(rule):
        if isinstance(value, Tensor) and value.ndim:
            raise ShapeError(
                f"{type(rule).__name__}.{name} has shape {list(value.shape)}; give a number to start from"
            )


def _in_equations(rule: PresynapticRule) -> set[str]:
    """Parameters that change responses. An amplitude is left out, since the gain has the same effect."""
    kind = structure(rule)
    after, output = kind.pre
    expressions = [*kind.rest.values(), *kind.drift.values(), *after.values(), output]
    return {symbol.name for e in expressions for symbol in e.free_symbols} - {"amplitude"}


def _axis(name: str, spec: Parameter, times: Tensor, given: tuple[float, float] | None) -> Coordinate:
    if spec.unit == "s":
        intervals, longest = times.diff(dim=-1), float(times.nan_to_num(0.0).amax())
        shortest = float(intervals[~intervals.isnan()].amin())
        box, spread = (shortest / REACH, longest * REACH), (shortest, longest)
        return _bounded(name, "log", box, spread, "s", given)
    if (spec.low, spec.high) == (0.0, 1.0):
        return _bounded(name, "logit", *PROBABILITY, spec.unit, given)
    scale, (box, spread) = ("log", POSITIVE) if spec.low >= 0 else ("linear", REAL)
    return _bounded(name, scale, box, spread, spec.unit, given)


def _bounded(
    name: str,
    scale: str,
    box: tuple[float, float],
    spread: tuple[float, float],
    unit: str,
    given: tuple[float, float] | None,
) -> Coordinate:
    """Coordinate with the user's bounds, if there are any."""
    low, high = box if given is None else _pair(name, given)
    inside = {"log": low > 0, "logit": low > 0 and high < 1, "linear": True}[scale]
    if not (low < high and math.isfinite(low) and math.isfinite(high) and inside):
        allowed = {"log": "above 0", "logit": "between 0 and 1", "linear": "finite"}[scale]
        raise ConfigError(f"bounds of {name} are {given}; give (low, high) with low < high, {allowed}")
    return Coordinate(
        name, scale, low, high, (min(max(spread[0], low), high), max(min(spread[1], high), low)), unit
    )


def _pair(name: str, given: object) -> tuple[float, float]:
    if isinstance(given, Sequence) and len(given) == 2 and all(isinstance(end, Real) for end in given):
        return given[0], given[1]
    raise ConfigError(f"bounds of {name} are {given!r}; give two numbers (low, high)")


def _exchangeable(rule: PresynapticRule) -> list[list[list[str]]]:
    """Names of components that may be exchanged together: times first, then the parameters that belong to them."""
    found = []
    specs = declared(rule)
    several = {
        f.name: component_names(f.name, len(getattr(rule, f.name)))
        for f in fields(rule)
        if f.name in specs and specs[f.name].components and len(getattr(rule, f.name)) > 1
    }
    times = [name for name in several if name.startswith("tau")]
    others = [name for name in several if name not in times]
    for time in times:
        partners = [name for name in others if name.lower() == time.removeprefix("tau_").lower()]
        found.append([several[name] for name in (time, *(others if len(times) == 1 else partners))])
    return found
