"""Bifurcations between two neighbouring points of a curve of fixed points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from fwsim.measure.arclength import Curve, CurvePoint, aligned

FOLD, BRANCH_POINT, HOPF, FLIP, NEIMARK_SACKER = "fold", "branch point", "hopf", "flip", "neimark-sacker"

PRECISION = 1e-9
"""A bifurcation lies between two points that are this close, in relative length."""

REFINEMENTS = 8
"""Largest number of parabolas that search the extremum of a test function within a step."""

NEAR = 0.7
"""An extremum is searched further if the next one is expected below this fraction of the smallest value so far."""

REAL = 1e-6
"""An eigenvalue is real if its imaginary part is smaller than this fraction of the largest |eigenvalue|."""


def between(curve: Curve, before: CurvePoint, after: CurvePoint) -> list[CurvePoint]:
    """Bifurcations between two neighbouring points of a curve, in their order, with their labels.

    An eigenvalue passes through 0 (flow) or 1 (map) at folds and branch points; the parameter turns back at the
    first, the bordered determinant changes its sign at the second. Other changes of the number of unstable modes are
    Hopf points of flows, and flips and Neimark–Sacker points of maps. A step is divided where a test function has an
    extremum of the other sign, so that two bifurcations that cancel within the step are seen.
    """
    if not (np.isfinite(before.growth).all() and np.isfinite(after.growth).all()):
        return _folds(curve, before, after)  # whose stability is not known
    stops = [before, *_extremes(curve, before, after), after]
    return [point for one, other in pairwise(stops) for point in _between(curve, one, other)]


def _extremes(curve: Curve, before: CurvePoint, after: CurvePoint) -> list[CurvePoint]:
    """Points within a step at which a test function has a sign that it has at neither end, in their order."""
    middle = _on_chord(curve, before, after, 0.5)
    if middle is None:
        return []
    found: dict[float, CurvePoint] = {}
    for row, ends in enumerate(zip(_tests(before), _tests(middle), _tests(after))):
        if (ends[0] > 0) == (ends[2] > 0):
            found |= _extreme(curve, before, after, row, ends, middle)
    return [found[share] for share in sorted(found)]


def _extreme(
    curve: Curve,
    before: CurvePoint,
    after: CurvePoint,
    row: int,
    values: tuple[float, float, float],
    middle: CurvePoint,
) -> dict[float, CurvePoint]:
    """Where a test function has the other sign, by parabolas through three points: share of the step and point."""
    sign = 1.0 if values[0] > 0 else -1.0
    shares = [0.0, 0.5, 1.0]
    heights = [sign * value for value in values]  # positive at both ends
    rounding = REAL * max(heights[0], heights[2])
    if heights[1] < -rounding:
        return {0.5: middle}
    for _ in range(REFINEMENTS):
        share, height = _vertex(shares, heights)
        if not (shares[0] < share < shares[2] and height < NEAR * min(heights)):
            return {}
        point = _on_chord(curve, before, after, share)
        if point is None:
            return {}
        height = sign * _tests(point)[row]
        if height < -rounding:
            return {share: point}
        inner = sorted([*zip(shares, heights), (share, height)])
        lowest = min((1, 2), key=lambda k: inner[k][1])
        shares, heights = (list(each) for each in zip(*inner[lowest - 1 : lowest + 2]))
    return {}


def _vertex(shares: list[float], heights: list[float]) -> tuple[float, float]:
    """Place and value of the minimum of a parabola through three points; NaN if it has none."""
    quadratic, linear, constant = np.linalg.solve(np.vander(shares, 3), heights)
    if not quadratic > 0:
        return np.nan, np.nan
    return -linear / (2 * quadratic), constant - linear**2 / (4 * quadratic)


def _tests(point: CurvePoint) -> np.ndarray:
    """Functions that change their sign at bifurcations: growth of each mode, and direction of the parameter."""
    return np.append(point.growth, point.tangent[-1])


def _on_chord(curve: Curve, before: CurvePoint, after: CurvePoint, share: float) -> CurvePoint | None:
    """The point of the curve beside a place of a chord; `None` if there is none, or it is on another curve."""
    chord = after.place - before.place
    place = curve.correct(before.place + share * chord, chord)
    if place is None:
        return None
    point = curve.point(place, before.tangent)
    return point if aligned(curve, before, point) and aligned(curve, point, after) else None


def _between(curve: Curve, before: CurvePoint, after: CurvePoint) -> list[CurvePoint]:
    """Bifurcations between two points, where test functions change their sign once at most."""
    found: list[CurvePoint] = []
    if (before.sign >= 0) != (after.sign >= 0):
        reference = max(before.log_size, after.log_size)
        place = _located(curve, before, after, lambda point: point.sign * np.exp(point.log_size - reference))
        found.append(replace(place, label=BRANCH_POINT, tangent=_mean_tangent(curve, before, after)))
    for fold in _folds(curve, before, after):
        _add(curve, found, fold)
    found.sort(key=lambda point: curve.distance(before.place, point.place))
    for one, other in pairwise([before, *found, after]):
        for mode in _changing(one, other):
            place = _located(curve, one, other, partial(_growth, mode=mode))
            _add(curve, found, replace(place, label=_kind(curve.kind, place, mode)))
    return sorted(found, key=lambda point: curve.distance(before.place, point.place))


def _folds(curve: Curve, before: CurvePoint, after: CurvePoint) -> list[CurvePoint]:
    """The point at which the parameter turns back between two points, if it does."""
    if (before.tangent[-1] >= 0) == (after.tangent[-1] >= 0):
        return []
    return [replace(_located(curve, before, after, lambda point: point.tangent[-1]), label=FOLD)]


def _changing(before: CurvePoint, after: CurvePoint) -> range:
    """Modes, by their place in the order of growth, that become stable or unstable between two points."""
    low, high = min(
        (sorted((x, y)) for x in _counts(before) for y in _counts(after)), key=lambda pair: pair[1] - pair[0]
    )
    return range(low, high)


def _counts(point: CurvePoint) -> tuple[int, ...]:
    """Possible numbers of unstable modes; at a fold or branch point, the critical one may count as either."""
    if not point.label:
        return (point.unstable,)
    others = np.delete(point.growth, np.abs(point.growth).argmin())
    return (int((others > 0).sum()), int((others > 0).sum()) + 1)


def other_direction(curve: Curve, point: CurvePoint) -> np.ndarray | None:
    """Direction of the second curve through a branch point, `[unit + 1]`; `None` unless exactly two curves cross.

    The directions v of both solve the algebraic branching equation ψ·D²F(v, v) = 0 in the null space of DF, where ψ
    spans that of its transpose (Keller 1977, in Applications of Bifurcation Theory, ed. Rabinowitz).
    """
    weights = curve.weights(point.place)
    left, size, right = np.linalg.svd(point.slope / weights)
    if len(size) > 1 and size[-2] < 1e-7 * size[0]:
        return None
    null = right[-2:] / weights
    form = np.array([[left[:, -1] @ _second(curve, point.place, v, w) for w in null] for v in null])
    (smaller, larger), axes = np.linalg.eigh((form + form.T) / 2)
    if not (np.isfinite(form).all() and smaller < -1e-7 * larger and larger > 1e-7 * -smaller):
        return None
    pair = [axes @ (np.sqrt(larger), sign * np.sqrt(-smaller)) @ null for sign in (1, -1)]
    pair = [v / np.linalg.norm(weights * v) for v in pair]
    return min(pair, key=lambda v: abs((weights**2 * v) @ point.tangent))


def _second(curve: Curve, place: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
    """D²F(v, w) at a place, `[unit]`."""
    at, along, across = (curve.tensor(each)[None] for each in (place, v, w))

    def slope(places: Tensor) -> Tensor:
        return torch.func.jvp(curve.residual, (places,), (along,))[1]

    with torch.no_grad():
        return torch.func.jvp(slope, (at,), (across,))[1][0].cpu().numpy()


def _located(
    curve: Curve, before: CurvePoint, after: CurvePoint, test: Callable[[CurvePoint], float]
) -> CurvePoint:
    """The point at which a test function changes its sign, by false position on the chord between two points.

    The value at an end that is kept twice is halved (the Illinois method), so that both ends come close. The chord
    shortens as they do, which keeps Newton's method on this curve near a branch point, where another is close.
    """
    direction, kept = before.tangent, ""
    low, high = test(before), test(after)
    for _ in range(60):
        if curve.distance(before.place, after.place) <= PRECISION:
            break
        share = np.clip(low / (low - high), 1e-3, 1 - 1e-3) if low != high else 0.5
        chord = after.place - before.place
        place = curve.correct(before.place + share * chord, chord)
        if place is None:  # so close to a branch point that the two curves cannot be told apart
            break
        middle = curve.point(place, direction)
        value = test(middle)
        if (value >= 0) == (low >= 0):
            before, low, high = middle, value, high / 2 if kept == "after" else high
            kept = "after"
        else:
            after, high, low = middle, value, low / 2 if kept == "before" else low
            kept = "before"
    return curve.point((before.place + after.place) / 2, direction)


def _add(curve: Curve, found: list[CurvePoint], point: CurvePoint) -> None:
    """Add a point unless one that has been found is at the same place."""
    if all(curve.distance(point.place, other.place) > 1e-6 for other in found):
        found.append(point)


def _growth(point: CurvePoint, mode: int) -> float:
    return float(point.growth[mode])


def _kind(kind: str, point: CurvePoint, mode: int) -> str:
    """Which bifurcation it is when an eigenvalue reaches the border of stability."""
    value = point.eigenvalue[mode]
    if abs(value.imag) > REAL * np.abs(point.eigenvalue).max():
        return NEIMARK_SACKER if kind == "map" else HOPF
    return FLIP if kind == "map" and value.real < 0 else BRANCH_POINT


def _mean_tangent(curve: Curve, before: CurvePoint, after: CurvePoint) -> np.ndarray:
    """Direction of the curve halfway between two points; at a branch point, it cannot be computed from the slope."""
    tangent = before.tangent + after.tangent
    return tangent / np.linalg.norm(curve.weights(before.place) * tangent)
