"""The plane of two principal components, and the landscape in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from fwsim.explore.matrix import has_memory, memory_matrix
from fwsim.explore.scene import Scene
from fwsim.recording.display import configured

GRID = 24  # points along each side
LOOPS = 20  # number of inner loops that are read to find the states on their way
MARGIN = 0.25  # fraction of the states' range that is added on every side


@dataclass(frozen=True, eq=False)
class Plane:
    """Two directions of largest variance.

    Parameters
    ----------
    mean
        `[unit]`.
    components
        Orthonormal, `[2, unit]`; zero if states vary along fewer directions.
    explained
        Fraction of the variance along each, `[2]`.
    states
        The states from which it was computed, `[sample, unit]`.
    reach
        Other states that its grid includes, `[sample, unit]`.
    """

    mean: np.ndarray
    components: np.ndarray
    explained: np.ndarray
    states: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, states: np.ndarray, reach: np.ndarray | None = None) -> Plane:
        """Plane of states `[sample, unit]`; for few samples of many units no covariance is computed."""
        states = states[np.isfinite(states).all(1)]
        mean = states.mean(0) if len(states) else np.zeros(states.shape[1])
        _, sizes, directions = np.linalg.svd(states - mean, full_matrices=False)
        components, explained = np.zeros((2, len(mean))), np.zeros(2)
        found = min(2, int((sizes > 1e-12 * max(1.0, sizes.max(initial=0.0))).sum()))
        components[:found] = directions[:found]
        explained[:found] = sizes[:found] ** 2 / (sizes**2).sum() if found else 0.0
        fits = reach is not None and reach.shape[1] == len(mean)
        return cls(mean, components, explained, states, reach if fits and reach is not None else states[:0])

    def project(self, states: np.ndarray) -> np.ndarray:
        """Coordinates in the plane, `[..., unit]` → `[..., 2]`."""
        return (states - self.mean) @ self.components.T

    def lift(self, points: np.ndarray) -> np.ndarray:
        """States in the plane, `[..., 2]` → `[..., unit]`."""
        return self.mean + points @ self.components

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the grid along both axes, `[GRID]` each; they include all states."""
        seen = self.project(np.concatenate([self.states, self.reach]))
        low, high = (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(2), np.zeros(2))
        room = MARGIN * np.where(high > low, high - low, 1.0)
        x, y = (np.linspace(a, b, GRID) for a, b in zip(low - room, high + room))
        return x, y


@dataclass(frozen=True, eq=False)
class Landscape:
    """Heights over the plane, low where the dynamics tends to be, and the flow if it is known.

    Parameters
    ----------
    title
        Meaning of the height.
    height
        `[y, x]`.
    flow
        Displacement in one iteration, `[y, x, 2]`.
    """

    title: str
    height: np.ndarray
    flow: np.ndarray | None = None


def landscape(scene: Scene, plane: Plane, time: float) -> Landscape:
    """Landscape at one time: flow, memory energy or visits, the first that the recording allows."""
    x, y = plane.grid()
    points = np.stack(np.meshgrid(x, y), -1)
    loop = inner_loop(scene, time)
    if loop is not None:
        matrix, sustained, cell = loop
        moved = iterate(plane.lift(points), matrix, sustained, cell) - plane.lift(points)
        speed = np.log10(np.sqrt((moved**2).mean(-1)) + 1e-12)
        return Landscape(
            "log₁₀ of the step that the inner loop takes (rms)", speed, moved @ plane.components.T
        )
    memory = memory_matrix(scene, time)
    if memory is not None and memory.shape == (len(plane.mean),) * 2:
        states = plane.lift(points)
        return Landscape("energy −½ hᵀA h of the memory", -0.5 * ((states @ memory.T) * states).sum(-1))
    return Landscape("−ln of the share of time spent there", negative_log_occupancy(plane, x, y))


def inner_states(scene: Scene, times: np.ndarray) -> np.ndarray:
    """States of the inner loop in at most `LOOPS` of the steps at these times in s, `[sample, unit]`; may be empty."""
    chosen = times[:: -(-len(times) // LOOPS)] if len(times) else times
    found = [scene.at("inner", time) for time in chosen]
    kept = [
        each.transpose("iteration", "unit")
        for each in found
        if each is not None and {"iteration", "unit"} <= set(each.dims)
    ]
    return np.concatenate([np.asarray(each, float) for each in kept]) if kept else np.empty((0, 0))


@dataclass(frozen=True, eq=False)
class InnerStep:
    """Activation, normalisation, and its gain and bias `[unit]`."""

    activation: str
    normalise: str
    gain: np.ndarray
    bias: np.ndarray


def inner_loop(scene: Scene, time: float) -> tuple[np.ndarray, np.ndarray, InnerStep] | None:
    """Memory, boundary condition and conventions of the loop in the step of this time, if they were recorded."""
    run = scene.run
    if not {"sustained", "gain", "bias"} <= set(run.variables) or not has_memory(scene):
        return None
    configuration = configured(run)
    options: dict[str, Any] = {
        name: run.attrs.get(name, configuration.get(name)) for name in ("activation", "normalise")
    }
    sustained = scene.at("sustained", time)
    if sustained is None or None in options.values():
        return None
    read = time if configuration.get("write") == "before" else time - float(run.attrs.get("dt", 1.0))
    memory = memory_matrix(scene, read)
    matrix = np.zeros((sustained.size, sustained.size)) if memory is None else memory
    return (
        matrix,
        np.asarray(sustained, float),
        InnerStep(**options, gain=_array(run, "gain"), bias=_array(run, "bias")),
    )


def iterate(states: np.ndarray, matrix: np.ndarray, sustained: np.ndarray, step: InnerStep) -> np.ndarray:
    """One iteration h → f(LN[z + A h]) of states `[..., unit]`, as in the network."""
    import torch

    from fwsim.engine.cell import Cell

    gain, bias = torch.from_numpy(step.gain), torch.from_numpy(step.bias)
    cell = Cell(torch.diag(gain), gain, bias, 1, step.activation, step.normalise, "final")
    answer = torch.from_numpy(states @ matrix.T)
    return cell.iterate(torch.from_numpy(sustained).expand_as(answer), answer).numpy()


def negative_log_occupancy(plane: Plane, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """−ln of the smoothed histogram of the recorded states, `[y, x]`."""
    seen = plane.project(plane.states)
    edges = [np.linspace(a[0], a[-1], GRID + 1) for a in (y, x)]
    counts = np.histogram2d(seen[:, 1], seen[:, 0], bins=edges)[0]
    share = gaussian_filter(counts, 1.2) / max(1, len(seen))
    return -np.log(np.maximum(share, 1e-4))


def _array(run: xr.Dataset, name: str) -> np.ndarray:
    return np.asarray(run[name], float)
