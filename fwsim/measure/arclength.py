"""Curves of fixed points over a parameter, followed by pseudo-arclength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

ParameterStep = Callable[[Tensor, Tensor], Tensor]
"""A map or vector field of states `[batch, unit]` and parameter `[batch, 1]`, for every row separately."""

CONVERGED = 1e-9
"""A correction has converged when its last move is shorter. The next one would be about its square."""

LARGEST_TURN = 0.95
"""Cosine between the directions at two neighbouring points; below it, the step is shortened."""

SHORTEST = 1e-6
"""A step is not shortened below this fraction of the longest one."""


@dataclass(frozen=True, eq=False)
class CurvePoint:
    """A place (x, p) on a curve.

    Parameters
    ----------
    place
        State and parameter, `[unit + 1]`.
    tangent
        Direction of the curve, `[unit + 1]`, of length 1 in the curve's measure.
    slope
        Derivative of the residual, `[unit, unit + 1]`.
    eigenvalue
        Of the Jacobian of the map or flow by the state, the least stable first, `[mode]`.
    growth
        |eigenvalue| − 1 of a map, or the real part of a flow's, descending, `[mode]`.
    sign, log_size
        Of the determinant of `slope` bordered by the tangent; it changes its sign at simple branch points.
    label
        Name of the bifurcation, empty at ordinary points.
    """

    place: np.ndarray
    tangent: np.ndarray
    slope: np.ndarray
    eigenvalue: np.ndarray
    growth: np.ndarray
    sign: float
    log_size: float
    label: str = ""

    @property
    def unstable(self) -> int:
        """Number of unstable modes."""
        return int((self.growth > 0).sum())


@dataclass(frozen=True, eq=False)
class Curve:
    """Fixed points of a system: F(x, p) = 0, with F = step(x, p) − x of a map and step(x, p) of a flow.

    Lengths are relative: a change of the state counts relative to 1 + |x|, one of the parameter relative to its range.
    """

    step: ParameterStep
    kind: str
    low: float
    high: float
    device: torch.device

    def residual(self, places: Tensor) -> Tensor:
        """F of `[batch, unit + 1]`: `[batch, unit]`."""
        state, parameter = places[:, :-1], places[:, -1:]
        moved = self.step(state, parameter)
        return moved - state if self.kind == "map" else moved

    def linear(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F at a place, `[unit]`, and its derivative `[unit, unit + 1]`."""

        def summed(places: Tensor) -> tuple[Tensor, Tensor]:
            force = self.residual(places)
            return force.sum(0), force

        with torch.no_grad():
            slope, force = torch.func.jacrev(summed, has_aux=True)(self.tensor(place)[None])
        return force[0].cpu().numpy(), slope[:, 0].cpu().numpy()

    def tensor(self, place: np.ndarray) -> Tensor:
        """A place as a tensor of the system's device."""
        return torch.as_tensor(place, device=self.device)

    def weights(self, place: np.ndarray) -> np.ndarray:
        """Factors `[unit + 1]` that make changes at a place relative."""
        weights = np.full(len(place), 1 / (1 + np.linalg.norm(place[:-1])))
        weights[-1] = 1 / (self.high - self.low)
        return weights

    def distance(self, one: np.ndarray, other: np.ndarray) -> float:
        """Relative distance of two places."""
        return float(np.linalg.norm(self.weights(one) * (other - one)))

    def correct(
        self, guess: np.ndarray, direction: np.ndarray, weights: np.ndarray | None = None
    ) -> np.ndarray | None:
        """Newton's method from `guess`, in the plane through it across `direction`; `None` if it does not converge."""
        weights = self.weights(guess) if weights is None else weights
        row, place = weights**2 * direction, guess
        for _ in range(8):
            force, slope = self.linear(place)
            target = np.append(-force, -row @ (place - guess))
            move = _solved(np.vstack([slope, row]), target)
            length = np.linalg.norm(weights * move)
            if not length < 1:  # NaN too
                return None
            place = place + move
            if length <= CONVERGED:
                return place
        return None

    def point(self, place: np.ndarray, direction: np.ndarray) -> CurvePoint:
        """Describe a place of the curve; its tangent points in about the same direction as `direction`."""
        _, slope = self.linear(place)
        weights = self.weights(place)
        bordered = np.vstack([slope, weights**2 * direction])
        tangent = _solved(bordered, np.append(np.zeros(len(slope)), 1.0))
        tangent = tangent / np.linalg.norm(weights * tangent)
        sign, log_size = np.linalg.slogdet(bordered)
        eigenvalue = self.eigenvalues(place, slope)
        growth = np.abs(eigenvalue) - 1 if self.kind == "map" else eigenvalue.real
        order = np.argsort(-growth, kind="stable")
        return CurvePoint(
            place, tangent, slope, eigenvalue[order], growth[order], float(sign), float(log_size)
        )

    def eigenvalues(self, place: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Eigenvalues that decide about stability at a place, given the derivative of the residual there."""
        jacobian = slope[:, :-1] + (np.eye(len(slope)) if self.kind == "map" else 0.0)
        return np.linalg.eigvals(jacobian).astype(complex)

    def passes(self, path: Sequence[CurvePoint], place: np.ndarray) -> bool:
        """Whether a path that has been followed passes a place of a curve."""
        if len(path) < 2:
            return False
        places, weights = np.stack([each.place for each in path]), self.weights(place)
        chords, offsets = np.diff(places, axis=0) * weights, (place - places[:-1]) * weights
        lengths = np.maximum((chords**2).sum(-1), 1e-300)
        share = (offsets * chords).sum(-1) / lengths
        apart = np.linalg.norm(offsets - share[:, None] * chords, axis=-1)
        near = (share > -0.1) & (share < 1.1) & (apart <= 0.25 * np.sqrt(lengths) + 1e-9)
        for index in near.nonzero()[0]:
            chord = places[index + 1] - places[index]
            there = self.correct(places[index] + share[index] * chord, chord, weights)
            if there is not None and self.distance(there, place) <= 1e-6:
                return True
        return False


@dataclass(frozen=True, eq=False)
class Path:
    """Points in the order in which they were followed, and why the path ended.

    `end` is `"bound"` (of the parameter's range), `"closed"` (back at the start), `"points"` (as many as allowed), or
    `"stuck"` (no next point, as at a corner of the curve).
    """

    points: list[CurvePoint]
    end: str


def follow(
    curve: Curve,
    start: CurvePoint,
    length: float,
    points: int,
    between: Callable[[Curve, CurvePoint, CurvePoint], list[CurvePoint]],
    advance: Callable[[], None],
) -> Path:
    """Follow a curve in the direction of the start's tangent.

    Parameters
    ----------
    curve, start
        The curve, and where to begin.
    length
        Longest step.
    points
        Largest number of steps.
    between
        Finds the bifurcations between two neighbouring points, in their order.
    advance
        Called after every step.
    """
    path, size = [start], length / 4
    here = start
    for count in range(points):
        ahead = None
        while ahead is None:
            ahead = next_point(curve, here, size)
            if ahead is None and size <= SHORTEST * length:
                return Path(path, "stuck")
            size = size / 2 if ahead is None else min(length, 1.5 * size)
        outside = not curve.low <= ahead.place[-1] <= curve.high
        if outside:
            ahead = _at_bound(curve, here, ahead)
            if ahead is None:
                return Path(path, "bound")
        closed = count > 2 and aligned(curve, start, ahead) and curve.passes([here, ahead], start.place)
        ahead = start if closed else ahead  # not beyond it, where bifurcations would be found twice
        path += [*between(curve, here, ahead), ahead]
        advance()
        if outside or closed:
            return Path(path, "closed" if closed else "bound")
        here = ahead
    return Path(path, "points")


def reversed_point(point: CurvePoint) -> CurvePoint:
    """The same point, to be followed in the other direction."""
    return replace(point, tangent=-point.tangent, sign=-point.sign)


def next_point(curve: Curve, here: CurvePoint, size: float) -> CurvePoint | None:
    """The point about `size` further on; `None` if there is none, or the curve turns too much on the way."""
    place = curve.correct(here.place + size * here.tangent, here.tangent)
    if place is None or not 0.2 * size < curve.distance(here.place, place) < 5 * size:
        return None
    ahead = curve.point(place, here.tangent)
    return ahead if aligned(curve, here, ahead) else None


def aligned(curve: Curve, one: CurvePoint, other: CurvePoint) -> bool:
    """Whether a curve has about the same direction at two points."""
    weights = curve.weights(other.place)
    tangent = one.tangent / np.linalg.norm(weights * one.tangent)
    return bool((weights**2 * tangent) @ other.tangent >= LARGEST_TURN)


def _at_bound(curve: Curve, inside: CurvePoint, outside: CurvePoint) -> CurvePoint | None:
    """The point at the bound of the parameter between two points; `None` if the first is already there."""
    bound = curve.low if outside.place[-1] < curve.low else curve.high
    share = (bound - inside.place[-1]) / (outside.place[-1] - inside.place[-1])
    if share <= 1e-9:
        return None
    along_parameter = np.zeros_like(inside.place)
    along_parameter[-1] = 1.0
    place = curve.correct(inside.place + share * (outside.place - inside.place), along_parameter)
    if place is None:
        return None
    place[-1] = bound
    return curve.point(place, inside.tangent)


def _solved(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Solution of a linear system; the shortest of the best ones where the matrix is singular."""
    if not np.isfinite(matrix).all() or not np.isfinite(target).all():
        return np.full_like(target, np.nan)
    try:
        return np.linalg.solve(matrix, target)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(matrix, target)[0]
