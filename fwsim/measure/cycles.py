"""Branches of limit cycles over a parameter, from Hopf points or from a simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.errors import ConfigError, number, whole
from fwsim.measure.arclength import Curve, CurvePoint, ParameterStep, follow, reversed_point
from fwsim.measure.bifurcations import between
from fwsim.measure.branches import checked_bounds
from fwsim.measure.collocation import CycleCurve, Mesh
from fwsim.measure.cycle_starts import Guess, guesses
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.labels import labelled_dataset

DEGREE = 4
SEGMENT = 8
"""The mesh is adapted to the cycle after so many steps."""

PHASES = 128
"""Number of phases at which cycles are given."""

LARGEST = 6000
"""Largest number of unknowns, whose matrix is solved without use of its zeros."""

REPEATS = 16
"""A simulation is searched for up to so many repetitions of the cycle."""

SMALLEST = 1e-3
"""Cycles smaller than this, relative to 1 + |x|, are taken as fixed points: the branch ends at a Hopf point."""


@known_arguments
def limit_cycles(
    field: ParameterStep,
    start: xr.Dataset | Tensor,
    bounds: tuple[float, float],
    *,
    parameter: float | None = None,
    period: float | None = None,
    length: float = 0.05,
    points: int = 200,
    intervals: int = 20,
    longest: float = 100.0,
) -> xr.Dataset:
    """Follow limit cycles of a flow over a parameter, and find their bifurcations.

    Parameters
    ----------
    field
        The vector field dx/dt = field(x, p) in torch, the same for every row: states `[batch, unit]` and parameter
        `[batch, 1]` → `[batch, unit]`.
    start
        A result of `continuation(field, ..., kind="flow")`: cycles are followed from all its Hopf points within the
        bounds, except those at which an earlier branch has ended. Or one period of a simulation, a tensor
        `[time, unit]` in float64 of equally spaced states, the first of which is not repeated; then give `parameter`
        and `period` too.
    bounds
        Lowest and highest value of the parameter.
    parameter, period
        Value of the parameter and period in s of a simulation.
    length
        Longest step along a branch. Changes of the cycle count relative to 1 + |x| (root mean square), those of the
        period relative to the period, those of the parameter relative to its range.
    points
        Largest number of steps in each direction: a branch has one direction from a Hopf point, and two from a
        simulation. Bifurcations are points in addition.
    intervals
        Number of intervals of a period, with polynomials of degree 4. The intervals are adapted to the cycle.
    longest
        A branch ends when the period is this many times as long as at its start, as near a homoclinic orbit.

    Returns
    -------
    Dataset
        `parameter[branch, point]`; `period[branch, point]` in s; `state[branch, point, phase, unit]` at 128 equally
        spaced phases, and its extremes `minimum[branch, point, unit]`, `maximum[branch, point, unit]`;
        `multiplier[branch, point, mode]`, the Floquet multipliers without that of the flow's direction, the least
        stable first; `stable[branch, point]`; `index[branch, point]`, the number of unstable modes;
        `bifurcation[branch, point]`: `"fold"`, `"flip"` (period doubling), `"neimark-sacker"` (torus) or `"branch
        point"`, empty at ordinary points; `error[branch, point]`, how far the multiplier along the flow is from 1.
        Above 0.01 the multipliers are not known: they are NaN, `index` is −1, `stable` is False, and only folds are
        found. `end[branch, side]` is why a branch ends: `"hopf"`, `"bound"`, `"period"`, `"points"`, `"stuck"`, or
        `"closed"` if it comes back to the cycle of the simulation, which is then its first and its last point. Branches
        have different lengths; beyond the last point all numbers are NaN.

    Raises
    ------
    ConfigError, ShapeError
        An argument is not allowed; the continuation has no Hopf point within the bounds; no cycle is near the
        simulation, or it holds several periods; or the system is too large.

    Notes
    -----
    Orthogonal collocation at Gauss points on an adapted mesh with pseudo-arclength continuation (Doedel, Keller &
    Kernévez 1991, Int. J. Bifurcation Chaos 1:745). Multipliers are eigenvalues of a product of matrices, one for each
    interval, so those that are small beside the largest are not precise, and cycles with very unstable directions have
    none. More `intervals` make `error` smaller. Branches that begin at flips and branch points are not followed. A
    discrete step of a network is a map, not a flow; write its equations as a field.

    Examples
    --------
    The Stuart–Landau oscillator has cycles of radius √p and period 2π:

    >>> def field(x, p):
    ...     turned = torch.stack([-x[:, 1], x[:, 0]], 1)
    ...     return (p - x.square().sum(1, keepdim=True)) * x + turned
    >>> import fwsim as fw
    >>> rest = fw.measure.continuation(field, torch.zeros(1, 2).double(), -0.5, (-0.5, 1.0), kind="flow", length=0.1)
    >>> cycles = fw.measure.limit_cycles(field, rest, (-0.5, 1.0), length=0.2)
    >>> last = cycles.isel(branch=0).where(cycles.parameter[0] == 1.0, drop=True)
    >>> round(float(last.period[0]), 6), round(float(last.maximum[0, 0]), 3)
    (6.283185, 1.0)
    """
    low, high = checked_bounds(bounds)
    number("length", length, above=0, most=0.5)
    number("longest", longest, above=1)
    whole("points", points, least=1)
    whole("intervals", intervals, least=4)
    if not callable(field):
        raise ConfigError(
            f"field is {field!r}; give a function of states [batch, unit] and parameter [batch, 1]"
        )
    mesh = Mesh(np.linspace(0, 1, intervals + 1), DEGREE)
    plain = Curve(field, "flow", low, high, _device(start))
    branches: list[_Branch] = []
    with track("following limit cycles", 1) as advance:
        for guess in guesses(field, start, parameter, period, plain):
            if guess.units * len(mesh.nodes) > LARGEST:
                raise ConfigError(
                    f"{guess.units} units in {intervals} intervals have {guess.units * len(mesh.nodes)} unknowns, more "
                    f"than {LARGEST}; give fewer intervals, or a smaller system such as one unit for each population"
                )
            follower = _Follower(plain, mesh, length, points, longest, lambda: advance(0))
            first = follower.first(guess)
            if not any(branch.passes(first) for branch in branches):
                branches.append(follower.branch(first, guess.from_hopf))
    return _dataset(branches)


@dataclass(frozen=True, eq=False)
class _Cycle:
    """A point of a branch with the curve that describes it."""

    curve: CycleCurve
    point: CurvePoint

    @property
    def period(self) -> float:
        return float(self.point.place[-2])

    @property
    def profile(self) -> np.ndarray:
        return self.curve.split(self.point.place)[0]

    @property
    def offset(self) -> np.ndarray:
        """The profile without its mean over the period."""
        return self.profile - self.curve.mesh.weights @ self.profile

    def is_point(self) -> bool:
        """Whether the cycle is so small that it counts as a fixed point."""
        share = self.curve.mesh.weights[:, None]
        return bool((share * self.offset**2).sum() < (SMALLEST**2) * (1 + (share * self.profile**2).sum()))

    def repeats(self) -> int:
        """How many times the cycle repeats itself in its period."""
        phases = np.arange(8 * PHASES) / (8 * PHASES)
        now = self.curve.mesh.at(self.offset, phases)
        for count in range(REPEATS, 1, -1):
            later = self.curve.mesh.at(self.offset, (phases + 1 / count) % 1)
            if np.linalg.norm(later - now) < SMALLEST * np.linalg.norm(now):
                return count
        return 1

    def on(self, curve: CycleCurve) -> CurvePoint:
        """The cycle on the mesh of another curve, at about the phase that the curve asks for."""
        phases = np.arange(PHASES) / PHASES
        wanted = curve.mesh.at(curve.reference, phases)
        given = self.curve.mesh.at(self.profile, phases)
        overlap = np.fft.irfft(
            (np.fft.rfft(given, axis=0) * np.fft.rfft(wanted, axis=0).conj()).sum(1), PHASES
        )
        moved = self.curve.mesh.at(self.profile, (curve.mesh.nodes + phases[overlap.argmax()]) % 1)
        return replace(self.point, place=np.append(moved.ravel(), self.point.place[-2:]))


@dataclass(frozen=True, eq=False)
class _Branch:
    """Cycles in their order and why they end; at a Hopf point, also the one beyond it, which is none of the branch."""

    cycles: list[_Cycle]
    ends: tuple[str, str]
    beyond: _Cycle | None = None

    def passes(self, cycle: _Cycle) -> bool:
        """Whether the branch passes a cycle."""
        path = self.cycles if self.beyond is None else [*self.cycles, self.beyond]
        return any(_between(before, after, cycle) for before, after in pairwise(path))


def _between(before: _Cycle, after: _Cycle, cycle: _Cycle) -> bool:
    """Whether the step between two cycles passes a third one, at whatever phase."""
    curve = after.curve
    start = before.point if before.curve is curve else before.on(curve)
    chord, guess = after.point.place - start.place, cycle.on(curve).place
    if curve.distance(start.place, guess) > 2 * curve.distance(start.place, after.point.place):
        return False
    place = curve.correct(guess, chord)  # with the phase and the error of this mesh
    return place is not None and curve.passes([start, after.point], place)


def _device(start: xr.Dataset | Tensor) -> torch.device:
    return start.device if isinstance(start, Tensor) else torch.device("cpu")


class _Follower:
    """Follows one branch of cycles, with a new mesh for every few steps."""

    def __init__(
        self,
        plain: Curve,
        mesh: Mesh,
        length: float,
        points: int,
        longest: float,
        advance: Callable[[], None],
    ) -> None:
        self.plain, self.mesh, self.length, self.points = plain, mesh, length, points
        self.longest, self.advance = longest, advance

    def first(self, guess: Guess) -> _Cycle:
        """The cycle at a guess."""
        return self._from_hopf(guess) if guess.from_hopf else self._from_simulation(guess)

    def branch(self, first: _Cycle, from_hopf: bool) -> _Branch:
        """The branch through a cycle: away from a Hopf point, or in both directions from a simulated cycle."""
        ahead, end, beyond = self._follow(first)
        if from_hopf or end == "closed":
            return _Branch(ahead, ("hopf" if from_hopf else end, end), beyond)
        behind, other, _ = self._follow(replace(first, point=reversed_point(first.point)))
        return _Branch([*behind[:0:-1], *ahead], (other, end))

    def _curve(self, reference: np.ndarray) -> CycleCurve:
        plain = self.plain
        return CycleCurve(plain.step, "map", plain.low, plain.high, plain.device, self.mesh, reference)

    def _from_hopf(self, guess: Guess) -> _Cycle:
        around = guess.around(self.mesh.nodes)
        curve = self._curve(around)
        flat = np.broadcast_to(guess.centre, around.shape)
        place = np.append(flat.ravel(), [guess.period, guess.parameter])
        direction = np.append(around.ravel(), [0.0, 0.0])
        direction = direction / np.linalg.norm(curve.weights(place) * direction)
        for size in (self.length / 4, self.length / 16, self.length / 64):
            found = curve.correct(place + size * direction, direction)
            if found is not None and curve.distance(place, found) < 3 * size:
                start = _Cycle(curve, curve.point(found, direction))
                return start if not start.is_point() else self._larger(start, direction)
        raise ConfigError(
            f"no cycle was found beside the Hopf point at parameter={guess.parameter:g}; give a shorter length"
        )

    def _larger(self, cycle: _Cycle, direction: np.ndarray) -> _Cycle:
        """A cycle that does not count as a fixed point, next to one that does."""
        curve, place = cycle.curve, cycle.point.place
        found = curve.correct(place + 4 * SMALLEST * direction, direction)
        if found is None:
            raise ConfigError(f"no cycle was found beside the Hopf point at parameter={place[-1]:g}")
        return _Cycle(curve, curve.point(found, direction))

    def _from_simulation(self, guess: Guess) -> _Cycle:
        profile = guess.centre + guess.around(self.mesh.nodes)
        curve = self._curve(profile)
        along_parameter = np.zeros(profile.size + 2)
        along_parameter[-1] = 1.0
        place = curve.correct(np.append(profile.ravel(), [guess.period, guess.parameter]), along_parameter)
        if place is None or place[-2] <= 0:
            raise ConfigError(
                "no limit cycle is near the simulation; give exactly one period, after the transient, and its period"
            )
        cycle = _Cycle(curve, curve.point(place, along_parameter))
        if cycle.is_point():
            raise ConfigError("the simulation leads to a fixed point, not to a limit cycle; use continuation")
        if (count := cycle.repeats()) > 1:
            raise ConfigError(f"the simulation holds {count} periods of a limit cycle; give exactly one")
        return cycle

    def _follow(self, start: _Cycle) -> tuple[list[_Cycle], str, _Cycle | None]:
        """Cycles in the direction of the start's tangent, why they end, and the cycle beyond a Hopf point."""
        path, here, left, limit = [start], start, self.points, self.longest * start.period
        while left > 0:
            curve, guess, tangent = here.curve.remeshed(here.point.place, here.point.tangent)
            place = curve.correct(guess, tangent)
            if place is None:
                return path, "stuck", None
            begun = curve.point(place, tangent)
            found = follow(curve, begun, self.length, min(left, SEGMENT), between, self.advance)
            left -= SEGMENT
            cycles = [_Cycle(curve, point) for point in found.points]
            for before, after in pairwise(cycles):
                if (
                    before.offset * after.offset * curve.mesh.weights[:, None]
                ).sum() <= 0 or after.is_point():
                    return self._before_hopf(path), "hopf", after
                if len(path) > 3 and _between(before, after, start):
                    return [*path, start], "closed", None
                path.append(after)
                if after.period > limit:
                    return path, "period", None
            if found.end != "points":
                return path, found.end, None
            here = path[-1]
        return path, "points", None

    @staticmethod
    def _before_hopf(path: list[_Cycle]) -> list[_Cycle]:
        """A path without what seemed to be bifurcations in its last step, to a fixed point."""
        while path[-1].point.label:
            path.pop()
        return path


def _dataset(branches: list[_Branch]) -> xr.Dataset:
    longest = max(len(branch.cycles) for branch in branches)
    units = branches[0].cycles[0].profile.shape[1]
    phases = np.arange(PHASES) / PHASES
    fine = np.arange(8 * PHASES) / (8 * PHASES)

    def table(
        value: Callable[[_Cycle], object], shape: tuple[int, ...], dtype: type, rest: object
    ) -> np.ndarray:
        array: np.ndarray = np.full((len(branches), longest, *shape), rest, dtype=dtype)
        for row, branch in zip(array, branches):
            row[: len(branch.cycles)] = [value(cycle) for cycle in branch.cycles]
        return array

    def state(cycle: _Cycle, at: np.ndarray) -> np.ndarray:
        return cycle.curve.mesh.at(cycle.profile, at)

    index = table(
        lambda cycle: cycle.point.unstable if np.isfinite(cycle.point.growth).all() else -1, (), int, -1
    )
    along = ("branch", "point")
    labels = table(lambda cycle: cycle.point.label, (), "U20", "")  # type: ignore[arg-type]
    return labelled_dataset(
        {
            "parameter": (along, table(lambda c: c.point.place[-1], (), float, np.nan), "1", "parameter"),
            "period": (along, table(lambda c: c.period, (), float, np.nan), "s", "period"),
            "state": (
                (*along, "phase", "unit"),
                table(lambda c: state(c, phases), (PHASES, units), float, np.nan),
                "1",
                "state",
            ),
            "minimum": (
                (*along, "unit"),
                table(lambda c: state(c, fine).min(0), (units,), float, np.nan),
                "1",
                "smallest value in the cycle",
            ),
            "maximum": (
                (*along, "unit"),
                table(lambda c: state(c, fine).max(0), (units,), float, np.nan),
                "1",
                "largest value in the cycle",
            ),
            "multiplier": (
                (*along, "mode"),
                table(lambda c: c.point.eigenvalue, (units - 1,), complex, np.nan),
                "1",
                "Floquet multiplier",
            ),
            "stable": (along, index == 0, "1", "stable limit cycle"),
            "index": (along, index, "1", "number of unstable modes"),
            "bifurcation": (along, labels, "1", "bifurcation"),
            "error": (
                along,
                table(lambda c: c.curve.trivial_error(c.point.place), (), float, np.nan),
                "1",
                "distance from 1 of the multiplier along the flow",
            ),
            "end": (
                ("branch", "side"),
                [list(branch.ends) for branch in branches],
                "1",
                "why the branch ends",
            ),
        },
        coords={"phase": ("phase", phases, {"units": "1", "long_name": "phase"})},
    )
