"""Branches of fixed points over a parameter, through folds and across branch points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.errors import ConfigError, ShapeError, choice, number, truth, whole
from fwsim.measure.arclength import Curve, CurvePoint, ParameterStep, Path, follow, next_point, reversed_point
from fwsim.measure.bifurcations import BRANCH_POINT, between, other_direction
from fwsim.measure.differentiation import checked_states
from fwsim.measure.equilibria import fixed_points
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.labels import labelled_dataset


@known_arguments
def continuation(
    step: ParameterStep,
    starts: Tensor,
    parameter: float,
    bounds: tuple[float, float],
    kind: str = "map",
    *,
    length: float = 0.02,
    points: int = 1000,
    switch: bool = True,
    branches: int = 20,
) -> xr.Dataset:
    """Follow fixed points over a parameter by pseudo-arclength, and find their bifurcations.

    Parameters
    ----------
    step
        The map (x, p) → step(x, p), or the vector field dx/dt = step(x, p), in torch, the same for every row: states
        `[batch, unit]` and parameter `[batch, 1]` → `[batch, unit]`.
    starts
        States `[batch, unit]` in float64. The fixed points near them at `parameter` are followed in both directions.
    parameter
        Value of the parameter at the starts.
    bounds
        Lowest and highest value of the parameter.
    kind
        `"map"` or `"flow"`.
    length
        Longest step along a branch. Changes of the state count relative to 1 + |x|, those of the parameter relative to
        its range. Steps are shortened where a branch turns.
    points
        Largest number of steps in each direction.
    switch
        Whether to follow the other branch at a branch point where two cross.
    branches
        Largest number of branches.

    Returns
    -------
    Dataset
        `parameter[branch, point]`; `state[branch, point, unit]`; `eigenvalue[branch, point, mode]` of the Jacobian of
        `step` by x, complex, the least stable first; `stable[branch, point]`; `index[branch, point]`, the number of
        unstable modes; `bifurcation[branch, point]`: `"fold"`, `"branch point"`, `"hopf"` (flow), `"flip"` or
        `"neimark-sacker"` (map), empty at ordinary points; `arc[branch, point]`, the relative length so far;
        `parent[branch]`, the branch from which it branches off, −1 if from none; `end[branch, side]`, why it ends:
        `"bound"`, `"closed"`, `"points"` or `"stuck"`. Branches have different lengths. Beyond the last point, numbers
        are NaN, `index` is −1, `stable` is False and `bifurcation` is empty.

    Raises
    ------
    ConfigError, ShapeError
        An argument is not allowed; no start is near a fixed point; or the fixed point is not isolated there.

    Notes
    -----
    Folds and branch points are where an eigenvalue passes 0 (flow) or 1 (map). Bifurcations are located to a relative
    length of about 1e-8. Two that cancel within one step are found by parabolas through the ends and the middle of the
    step; a pair that is much closer together than the step can still be missed, so shorten `length` if in doubt. Other
    branches are followed from branch points where exactly two branches cross.

    Keller 1977, in Applications of Bifurcation Theory, ed. Rabinowitz; Kuznetsov 2004, Elements of Applied
    Bifurcation Theory, chapter 10.

    Examples
    --------
    >>> import fwsim as fw
    >>> pitchfork = lambda x, p: p * x - x**3
    >>> found = fw.measure.continuation(pitchfork, torch.zeros(1, 1).double(), -1.0, (-1.0, 1.0), kind="flow")
    >>> found.sizes["branch"], str(found.bifurcation.values[0][found.bifurcation.values[0] != ""][0])
    (2, 'branch point')
    """
    low, high = _checked(parameter, bounds, kind, length, points, branches)
    truth(switch=switch)

    if not callable(step):
        raise ConfigError(
            f"step is {step!r}; give a function of states [batch, unit] and parameter [batch, 1]"
        )

    def at(x: Tensor) -> Tensor:
        return step(x, torch.full_like(x[:, :1], parameter))

    starts = checked_states("starts", starts, at)
    if starts.dtype != torch.float64:
        raise ShapeError(f"starts is {starts.dtype}; bifurcations need float64, give starts.double()")
    found = fixed_points(at, starts, kind)
    states = found.state.values[found.converged.values]
    if len(states) == 0:
        raise ConfigError(
            f"no start is near a fixed point at parameter={parameter!r}; give states from a simulation"
        )
    curve = Curve(step, kind, low, high, starts.device)
    with track("following branches", branches) as advance:
        search = _Search(curve, length, points, branches, lambda: advance(0))
        for state in states:
            search.follow_start(np.append(state, parameter))
        done = 0
        while switch and done < len(search.branches):
            search.follow_others(done)
            done += 1
            advance()
    return _dataset(curve, search.branches)


@dataclass(frozen=True, eq=False)
class _Branch:
    points: list[CurvePoint]
    ends: tuple[str, str]
    parent: int = -1


class _Search:
    """Branches that have been followed so far."""

    def __init__(
        self, curve: Curve, length: float, points: int, most: int, advance: Callable[[], None]
    ) -> None:
        self.curve, self.length, self.points, self.most, self.advance = curve, length, points, most, advance
        self.branches: list[_Branch] = []

    def follow_start(self, place: np.ndarray) -> None:
        """Follow the branch through a fixed point, unless it is known."""
        if self._known(place):
            return
        weights = self.curve.weights(place)
        _, size, right = np.linalg.svd(self.curve.linear(place)[1] / weights)
        if size[-1] <= 1e-9 * size[0]:
            raise ConfigError(
                f"the fixed point is not isolated at parameter={place[-1]:g} (a line of fixed points, or a branch "
                "point); start at another value of the parameter"
            )
        tangent = right[-1] / weights
        start = self._beside(self.curve.point(place, tangent if tangent[-1] >= 0 else -tangent))
        forward = self._follow(start)
        closed = forward.end == "closed"
        backward = Path([start], "closed") if closed else self._follow(reversed_point(start))
        joined = [*backward.points[:0:-1], *forward.points]
        self.branches.append(_Branch(joined, (backward.end, forward.end)))

    def _beside(self, start: CurvePoint) -> CurvePoint:
        """The start, or if it is a bifurcation itself, a neighbouring point, so that the branch passes through it."""
        if np.abs(start.growth).min() > 1e-6:
            return start
        moved = next_point(self.curve, start, self.length / 8)
        if moved is None:
            return start
        return moved if moved.tangent[-1] >= 0 else reversed_point(moved)

    def follow_others(self, parent: int) -> None:
        """Follow the branches that cross a known one, unless they are known."""
        for point in self.branches[parent].points:
            if point.label != BRANCH_POINT or (direction := other_direction(self.curve, point)) is None:
                continue
            forward = self._leave(point, direction)
            backward = self._leave(point, -direction, forward)
            if forward.points or backward.points:
                joined = [*backward.points[::-1], point, *forward.points]
                self.branches.append(_Branch(joined, (backward.end, forward.end), parent))

    def _leave(self, point: CurvePoint, direction: np.ndarray, sibling: Path | None = None) -> Path:
        """Follow a branch from a branch point in one direction; no points if it is known."""
        for size in (self.length / 2, self.length / 16, self.length / 128):
            place = self.curve.correct(point.place + size * direction, direction)
            if place is not None and self.curve.distance(point.place, place) < 2 * size:
                break
        else:
            return Path([], "stuck")
        if not self.curve.low <= place[-1] <= self.curve.high:
            return Path([], "bound")
        if self._known(place, sibling):
            return Path([], "closed")
        return self._follow(self.curve.point(place, direction))

    def _known(self, place: np.ndarray, sibling: Path | None = None) -> bool:
        paths = [branch.points for branch in self.branches] + ([sibling.points] if sibling else [])
        return len(self.branches) >= self.most or any(self.curve.passes(path, place) for path in paths)

    def _follow(self, start: CurvePoint) -> Path:
        return follow(self.curve, start, self.length, self.points, between, self.advance)


def _checked(
    parameter: float, bounds: tuple[float, float], kind: str, length: float, points: int, branches: int
) -> tuple[float, float]:
    """Bounds of the parameter, after a check of all numbers."""
    choice("kind", kind, ("map", "flow"))
    low, high = checked_bounds(bounds)
    number("parameter", parameter, least=low, most=high)
    number("length", length, above=0, most=0.5)
    whole("points", points, least=1)
    whole("branches", branches, least=1)
    return low, high


def checked_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest value of a parameter, checked."""
    if not isinstance(bounds, Sequence | np.ndarray) or len(bounds) != 2:
        raise ConfigError(f"bounds={bounds!r} is not allowed; give the lowest and the highest value")
    low, high = bounds
    number("bounds[0]", low)
    number("bounds[1]", high, above=low)
    return float(low), float(high)


def _dataset(curve: Curve, branches: list[_Branch]) -> xr.Dataset:
    longest = max(len(branch.points) for branch in branches)
    units = len(branches[0].points[0].place) - 1

    def table(
        value: Callable[[CurvePoint], object], shape: tuple[int, ...], dtype: type, rest: object
    ) -> np.ndarray:
        array: np.ndarray = np.full((len(branches), longest, *shape), rest, dtype=dtype)
        for row, branch in zip(array, branches):
            row[: len(branch.points)] = [value(point) for point in branch.points]
        return array

    place = table(lambda point: point.place, (units + 1,), float, np.nan)
    arc = np.full((len(branches), longest), np.nan)
    for row, branch in zip(arc, branches):
        steps = [curve.distance(a.place, b.place) for a, b in zip(branch.points, branch.points[1:])]
        row[: len(branch.points)] = np.cumsum([0.0, *steps])
    index = table(lambda point: point.unstable, (), int, -1)
    eigenvalue = table(lambda point: point.eigenvalue, (units,), complex, np.nan)
    labels = np.array(
        [
            [point.label for point in branch.points] + [""] * (longest - len(branch.points))
            for branch in branches
        ]
    )
    along = ("branch", "point")
    per = "1" if curve.kind == "map" else "1/s"
    return labelled_dataset(
        {
            "parameter": (along, place[..., -1], "1", "parameter"),
            "state": ((*along, "unit"), place[..., :-1], "1", "state"),
            "eigenvalue": ((*along, "mode"), eigenvalue, per, "eigenvalue of the Jacobian"),
            "stable": (along, index == 0, "1", "stable fixed point"),
            "index": (along, index, "1", "number of unstable modes"),
            "bifurcation": (along, labels, "1", "bifurcation"),
            "arc": (along, arc, "1", "relative length along the branch"),
            "parent": ("branch", [branch.parent for branch in branches], "1", "branch it branches off from"),
            "end": (
                ("branch", "side"),
                [list(branch.ends) for branch in branches],
                "1",
                "why the branch ends",
            ),
        },
        attrs={"kind": curve.kind},
    )
