"""Limit cycles of a flow as a curve of places: orthogonal collocation at Gauss points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss

from fwsim.measure.arclength import Curve

RESOLVED = 1e-2
"""Multipliers are not known if that along the flow differs from 1 by more, as where directions are very unstable."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Intervals of one period, and polynomials of some degree on each.

    A profile is given at `nodes`: `degree` of equal distance in each interval, and the end of the last one.

    Parameters
    ----------
    edges
        Ends of the intervals, from 0 to 1, `[interval + 1]`.
    degree
        Degree of the polynomials.
    """

    edges: np.ndarray
    degree: int

    @cached_property
    def nodes(self) -> np.ndarray:
        """Phases of the nodes, `[node]`."""
        local = np.arange(self.degree) / self.degree
        return np.append((self.edges[:-1, None] + np.diff(self.edges)[:, None] * local).ravel(), 1.0)

    @cached_property
    def weights(self) -> np.ndarray:
        """Share of the period that each node stands for, `[node]`."""
        gaps = np.diff(self.nodes)
        return (np.append(gaps, 0.0) + np.append(0.0, gaps)) / 2

    @cached_property
    def gauss(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values and slopes of the basis polynomials at Gauss points, `[point, basis]`, and their weights."""
        places, weights = leggauss(self.degree)
        values, slopes = self.basis((places + 1) / 2)
        return values, slopes, weights / 2

    def basis(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and slopes of the Lagrange polynomials of an interval [0, 1], `[point, basis]`."""
        nodes = np.arange(self.degree + 1) / self.degree
        powers = np.arange(self.degree + 1)
        coefficients = np.linalg.inv(nodes[:, None] ** powers)  # [power, basis]
        slopes = powers[1:] * local[:, None] ** powers[:-1]
        return local[:, None] ** powers @ coefficients, slopes @ coefficients[1:]

    def pieces(self, profile: np.ndarray) -> np.ndarray:
        """A profile `[node, unit]` by interval, `[interval, basis, unit]`; neighbours share a node."""
        starts = self.degree * np.arange(len(self.edges) - 1)
        return profile[starts[:, None] + np.arange(self.degree + 1)]

    def at(self, profile: np.ndarray, phases: np.ndarray) -> np.ndarray:
        """A profile at other phases, `[phase, unit]`."""
        interval = np.clip(np.searchsorted(self.edges, phases, side="right") - 1, 0, len(self.edges) - 2)
        local = (phases - self.edges[interval]) / np.diff(self.edges)[interval]
        return np.einsum("tb,tbu->tu", self.basis(local)[0], self.pieces(profile)[interval])

    def adapted(self, profile: np.ndarray) -> Mesh:
        """A mesh on which every interval has about the same error (de Boor; Ascher, Mattheij & Russell 1995, 9.3)."""
        widths = np.diff(self.edges)
        highest = np.linalg.inv(
            (np.arange(self.degree + 1) / self.degree)[:, None] ** np.arange(self.degree + 1)
        )
        derivative = (
            np.einsum("b,ibu->iu", highest[-1], self.pieces(profile)) / widths[:, None] ** self.degree
        )
        jump = np.linalg.norm(
            np.roll(derivative, -1, 0) - derivative, axis=1
        )  # between an interval and the next
        next_one = jump / (widths + np.roll(widths, -1))
        error = (next_one + np.roll(next_one, 1)) ** (1 / (self.degree + 1))
        total = error @ widths
        monitor = error + (0.2 * total if total > 0 else 1.0)  # some intervals are spread evenly
        passed = np.append(0.0, np.cumsum(monitor * widths))
        edges = np.interp(np.linspace(0, passed[-1], len(self.edges)), passed, self.edges)
        edges[[0, -1]] = 0.0, 1.0
        return Mesh(edges, self.degree)


@dataclass(frozen=True, eq=False)
class CycleCurve(Curve):
    """Limit cycles dx/dphase = T f(x, p), x(0) = x(1), as places (profile, T, p) on a curve.

    A shift of the phase is excluded by ∫ x · dr/dphase = 0 with a reference profile r. `kind` is `"map"`, since the
    Floquet multipliers are eigenvalues of a map, the return to a section across the cycle.

    Parameters
    ----------
    mesh
        Where profiles are given.
    reference
        Profile of the phase condition, `[node, unit]`.
    """

    mesh: Mesh
    reference: np.ndarray

    def split(self, place: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Profile `[node, unit]`, period and parameter of a place."""
        return place[:-2].reshape(len(self.mesh.nodes), -1), float(place[-2]), float(place[-1])

    def weights(self, place: np.ndarray) -> np.ndarray:
        """Factors that make changes at a place relative: to 1 + |x| (root mean square), to T, and to the range of p."""
        profile, period, _ = self.split(place)
        share = np.sqrt(self.mesh.weights)[:, None]
        size = 1 + np.linalg.norm(share * profile)
        weights = np.broadcast_to(share / size, profile.shape).ravel()
        return np.append(weights, [1 / period, 1 / (self.high - self.low)])

    def linear(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Residual of collocation, periodicity and phase, and its derivative `[equation, equation + 1]`."""
        profile, period, parameter = self.split(place)
        units, mesh = profile.shape[1], self.mesh
        blocks, moved, by_parameter = self._intervals(profile, period, parameter)
        intervals, rows = blocks.shape[:2]
        force = np.zeros(len(place) - 1)
        slope = np.zeros((len(place) - 1, len(place)))
        _, along, _ = mesh.gauss
        change = np.einsum("gb,ibu->igu", along, mesh.pieces(profile)) / np.diff(mesh.edges)[:, None, None]
        collocated = intervals * rows
        force[:collocated] = (change - period * moved).ravel()
        for k in range(intervals):
            begin = k * mesh.degree * units
            slope[k * rows : (k + 1) * rows, begin : begin + blocks.shape[2]] = blocks[k]
        slope[:collocated, -2] = -moved.ravel()
        slope[:collocated, -1] = -period * by_parameter.ravel()
        ends = slice(collocated, collocated + units)
        force[ends] = profile[-1] - profile[0]
        slope[ends, -2 - units : -2] = np.eye(units)
        slope[ends, :units] -= np.eye(units)
        phase = self._phase()
        force[-1] = phase @ place[:-2]
        slope[-1, :-2] = phase
        return force, slope

    def eigenvalues(self, place: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Floquet multipliers without that of the flow's own direction, which is 1; NaN if they are not resolved."""
        monodromy, flow = self.monodromy(place)
        if not _relative(monodromy @ flow - flow, flow) <= RESOLVED:
            return np.full(len(flow) - 1, np.nan, dtype=complex)
        across = np.linalg.svd(flow[None])[2][1:]  # orthonormal, across the flow
        return np.linalg.eigvals(across @ monodromy @ across.T).astype(complex)

    def monodromy(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Derivative of the state after a period by the state before, `[unit, unit]`, and the flow there `[unit]`."""
        profile, period, parameter = self.split(place)
        units = profile.shape[1]
        blocks, *_ = self._intervals(profile, period, parameter)
        product = np.eye(units)
        for block in blocks:
            product = np.linalg.solve(block[:, units:], -block[:, :units])[-units:] @ product
        return product, self._field(profile[:1], parameter)[0][0]

    def trivial_error(self, place: np.ndarray) -> float:
        """How far the multiplier along the flow is from 1, which shows the precision."""
        monodromy, flow = self.monodromy(place)
        return _relative(monodromy @ flow - flow, flow)

    def remeshed(self, place: np.ndarray, tangent: np.ndarray) -> tuple[CycleCurve, np.ndarray, np.ndarray]:
        """The same curve on a mesh that suits a place, with that place and a direction on it."""
        profile, *_ = self.split(place)
        mesh = self.mesh.adapted(profile)
        moved = self.mesh.at(profile, mesh.nodes)
        turned = self.mesh.at(self.split(tangent)[0], mesh.nodes)
        curve = CycleCurve(self.step, self.kind, self.low, self.high, self.device, mesh, moved)
        return curve, np.append(moved.ravel(), place[-2:]), np.append(turned.ravel(), tangent[-2:])

    def _field(self, states: np.ndarray, parameter: float) -> tuple[np.ndarray, np.ndarray]:
        """The vector field `[batch, unit]` and its derivative by state and parameter `[batch, unit, unit + 1]`."""
        places = np.column_stack([states, np.full(len(states), parameter)])

        def summed(at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            force = self.step(at[:, :-1], at[:, -1:])
            return force.sum(0), force

        with torch.no_grad():
            slope, force = torch.func.jacrev(summed, has_aux=True)(self.tensor(places))
        return force.cpu().numpy(), slope.movedim(1, 0).cpu().numpy()

    def _intervals(
        self, profile: np.ndarray, period: float, parameter: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Derivative of the collocation equations of each interval by its nodes, `[interval, equation, node unit]`.

        Also the vector field at the Gauss points and its derivative by the parameter, `[interval, point, unit]`.
        """
        mesh, units = self.mesh, profile.shape[1]
        values, along, _ = mesh.gauss
        states = np.einsum("gb,ibu->igu", values, mesh.pieces(profile))
        force, slope = self._field(states.reshape(-1, units), parameter)
        shape = (len(mesh.edges) - 1, mesh.degree)
        by_state = slope[:, :, :-1].reshape(*shape, units, units)
        widths = np.diff(mesh.edges)[:, None, None, None, None]
        identity = np.eye(units)[:, None, :]
        blocks = along[:, None, :, None] * identity / widths
        blocks = blocks - period * np.einsum("gb,iguv->igubv", values, by_state)
        flat = blocks.reshape(shape[0], mesh.degree * units, (mesh.degree + 1) * units)
        return flat, force.reshape(*shape, units), slope[:, :, -1].reshape(*shape, units)

    def _phase(self) -> np.ndarray:
        """Row of the phase condition, `[node unit]`: ∫ x · dr/dphase at Gauss points."""
        mesh = self.mesh
        values, along, gauss = mesh.gauss
        rise = np.einsum(
            "gb,ibu->igu", along, mesh.pieces(self.reference)
        )  # dr/dphase times the interval's width
        rows = np.einsum("g,gb,igu->ibu", gauss, values, rise)
        phase = np.zeros_like(self.reference)
        starts = mesh.degree * np.arange(len(mesh.edges) - 1)
        np.add.at(phase, starts[:, None] + np.arange(mesh.degree + 1), rows)
        return phase.ravel() / max(np.linalg.norm(self.reference - self.reference.mean(0)), 1e-300)


def _relative(difference: np.ndarray, to: np.ndarray) -> float:
    return float(np.linalg.norm(difference) / np.linalg.norm(to))
