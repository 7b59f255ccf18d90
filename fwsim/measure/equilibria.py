"""Fixed points of maps and flows, and slow points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.errors import ConfigError, choice, number, whole
from fwsim.measure.clusters import merged, representatives
from fwsim.measure.differentiation import (
    Step,
    checked_search,
    checked_states,
    jacobian,
    require_derivative,
)
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.labels import labelled_dataset

JACOBIAN_ENTRIES = 2**25
"""Starting states are searched in groups, whose Jacobians together have about this many elements."""

FLAT = 1e-3
"""A speed is at a local minimum if its gradient is smaller than this fraction of |J|·|residual|."""


@known_arguments
def fixed_points(
    step: Step,
    starts: Tensor,
    kind: str = "map",
    *,
    tolerance: float | None = None,
    same: float = 1e-3,
    iterations: int = 200,
    settle: int = 0,
    marginal: float | None = None,
) -> xr.Dataset:
    """Find fixed points from many starting states at once by a damped Gauss–Newton (Levenberg–Marquardt) search.

    The residual is step(x) − x for a map and step(x) for a flow. If its length is at a local minimum
    but not zero, the search has found a slow point. Slow points are listed separately.

    Parameters
    ----------
    step
        The map x → step(x), or the vector field dx/dt = step(x), `[batch, unit]` → `[batch, unit]` in
        torch, the same for every row. `fwsim.measure.Composite` joins states of several parts.
    starts
        `[batch, unit]`; their dtype and device are used. Precise results need float64.
    kind
        `"map"` or `"flow"`.
    tolerance
        Largest speed, relative to 1 + |x|, of a fixed point; by default ε^0.6 of the dtype, 4e-10 in float64.
    same
        Points closer than this, relative to 1 + |x|, count as one.
    iterations
        Largest number of steps of the search.
    settle
        Steps of the map before the search. Without any, a search finds points nearby, which
        for random states are often saddles. After some hundred steps, it finds the attractors of their basins.
    marginal
        A mode is neither stable nor unstable if |eigenvalue| − 1 of a map, or the real part of a flow's relative to its
        largest |eigenvalue|, is this close to 0; by default ε^0.3 of the dtype, 2e-5 in float64.

    Returns
    -------
    Dataset
        Fixed points first, then slow points, the slowest first:
        `state[point, unit]`; `speed[point]`, |residual|, per step of a map and per second of a flow;
        `eigenvalue[point, mode]` of the Jacobian of `step`, complex, the least stable first, NaN if the Jacobian is
        not finite;
        `stable[point]`: a fixed point with all |eigenvalue| < 1 (map) or all real parts < 0 (flow);
        `marginal[point]`: a fixed point without unstable modes, but with some that are neither, as on a line or a
        ring of fixed points, where the eigenvalues do not decide;
        `index[point]`, the number of unstable modes; `converged[point]`: a fixed point; `slow[point]`: a local
        minimum of the speed that is no fixed point (neither: the search reached its limit); `count[point]`, number of
        starts that ended there; `end[start]`, the point at which each start ended.

    Raises
    ------
    ShapeError, ConfigError
        `starts` is not `[batch, unit]` or not finite; `step` does not preserve its shape; `settle` is given for a
        flow; or states become infinite while they settle.

    Notes
    -----
    Sussillo & Barak 2013, Neural Comput. 25:626, with second-order steps instead of gradient descent.
    """
    choice("kind", kind, ("map", "flow"))
    starts = checked_states("starts", starts, step)
    require_derivative(starts, step)
    tolerance = checked_search(starts, tolerance, same, iterations)
    whole("settle", settle, least=0)
    marginal = torch.finfo(starts.dtype).eps ** 0.3 if marginal is None else marginal
    number("marginal", marginal, least=0)
    starts = _settled(step, starts, settle, kind)

    def residual(x: Tensor) -> Tensor:
        return step(x) - x if kind == "map" else step(x)

    groups = starts.split(max(1, JACOBIAN_ENTRIES // starts.shape[1] ** 2))
    with torch.no_grad(), track("searching fixed points", len(starts)) as advance:
        found = []
        for group in groups:
            found.append(_search(residual, group, iterations))
            advance(len(group))
    state, speed, flat = (
        torch.cat([getattr(one, name) for one in found]) for name in ("state", "speed", "flat")
    )
    converged = speed <= tolerance * (1 + state.norm(dim=-1))
    slow = flat & ~converged
    return _dataset(step, state, speed, converged, slow, kind, same, marginal)


@torch.no_grad()
def _settled(step: Step, starts: Tensor, steps: int, kind: str) -> Tensor:
    """Starting states after some steps of the map."""
    if steps and kind == "flow":
        raise ConfigError(
            "settle is for maps; of a flow, give states that an integrator has reached as starts"
        )
    for _ in range(steps):
        starts = step(starts)
    if not bool(starts.isfinite().all()):
        raise ConfigError(f"starts become NaN or infinite within settle={steps} steps; take fewer")
    return starts


@dataclass(frozen=True, eq=False)
class _Search:
    """Rows of a search: state `[batch, unit]`; speed, damping, whether its gradient is 0, `[batch]`."""

    state: Tensor
    speed: Tensor
    damping: Tensor
    flat: Tensor


def _search(residual: Step, starts: Tensor, iterations: int) -> _Search:
    """Step all rows until none moves; rows that have converged are no longer computed."""
    speed = residual(starts).norm(dim=-1)
    search = _Search(
        starts.clone(), speed, torch.full_like(speed, 1e-2), torch.zeros_like(speed, dtype=torch.bool)
    )
    floor = 10 * torch.finfo(starts.dtype).eps
    for _ in range(iterations):
        arrived = search.speed <= floor * (1 + search.state.norm(dim=-1))
        active = (~arrived & (search.damping < 1e12)).nonzero()[:, 0]
        if len(active) == 0:
            break
        moved = _step(residual, _Search(*(value[active] for value in vars(search).values())))
        for old, new in zip(vars(search).values(), vars(moved).values()):
            old[active] = new
    return search


def _step(residual: Step, search: _Search) -> _Search:
    """One Levenberg–Marquardt step, accepted only where it decreases the speed; then the damping decreases too."""
    force = residual(search.state)
    slope = jacobian(residual, search.state).nan_to_num(
        0.0, 0.0, 0.0
    )  # where the gradient is 0 there is no direction
    size = slope.flatten(1).norm(dim=-1).nan_to_num(posinf=torch.finfo(slope.dtype).max ** 0.5)
    # Least squares on [J; √μ I] instead of JᵀJ + μ I: the condition number is not squared.
    scale = (search.damping.sqrt() * size / slope.shape[-1] ** 0.5).clamp_min(torch.finfo(size.dtype).tiny)
    ridge = scale[:, None, None] * torch.eye(slope.shape[-1], dtype=slope.dtype, device=slope.device)
    target = torch.cat([-force, torch.zeros_like(force)], dim=-1)
    move = torch.linalg.lstsq(torch.cat([slope, ridge], dim=1), target[..., None]).solution[..., 0]
    state = search.state + move
    speed = residual(state).norm(dim=-1)
    better = speed < search.speed  # False where the speed is NaN

    uphill = torch.einsum("bij,bi->bj", slope, force).norm(dim=-1)
    return replace(
        search,
        state=torch.where(better[:, None], state, search.state),
        speed=torch.where(better, speed, search.speed),
        damping=torch.where(better, search.damping / 5, search.damping * 4).clamp_min(1e-16),
        flat=uphill <= FLAT * size * search.speed,
    )


@torch.no_grad()  # the map may contain parameters that are trained
def _dataset(
    step: Step,
    state: Tensor,
    speed: Tensor,
    converged: Tensor,
    slow: Tensor,
    kind: str,
    same: float,
    marginal: float,
) -> xr.Dataset:
    """Merge the ends of all starts into distinct points and describe each."""
    rank = (~converged).int() * 2 + (~converged & ~slow).int()
    order = torch.argsort(speed, stable=True)
    order = order[torch.argsort(rank[order], stable=True)]
    end = merged(state[order], rank[order], same)
    points = order[representatives(end)]
    end = end[torch.argsort(order)]

    groups = state[points].split(max(1, JACOBIAN_ENTRIES // state.shape[1] ** 2))
    eigenvalue = torch.cat([eigenvalues(jacobian(step, group)) for group in groups])
    growth = eigenvalue.abs() - 1 if kind == "map" else eigenvalue.real
    growth, by_growth = growth.sort(dim=-1, descending=True)
    scale = 1.0 if kind == "map" else eigenvalue.abs().amax(-1, keepdim=True)
    index = (~(growth <= marginal * scale)).sum(-1)  # a mode that is NaN is not stable
    decaying = (growth < -marginal * scale).all(-1)
    converged = converged[points].cpu()
    per = "1" if kind == "map" else "1/s"
    values = {
        "state": (("point", "unit"), state[points], "1", "state"),
        "speed": (("point",), speed[points], per, "speed"),
        "eigenvalue": (
            ("point", "mode"),
            eigenvalue.gather(-1, by_growth),
            per,
            "eigenvalue of the Jacobian",
        ),
        "stable": (("point",), decaying & converged, "1", "stable fixed point"),
        "marginal": (
            ("point",),
            (index == 0) & ~decaying & converged,
            "1",
            "fixed point whose stability eigenvalues do not decide",
        ),
        "index": (("point",), index, "1", "number of unstable modes"),
        "converged": (("point",), converged, "1", "fixed point"),
        "slow": (("point",), slow[points], "1", "slow point"),
        "count": (
            ("point",),
            torch.bincount(end, minlength=len(points)),
            "1",
            "number of starts that ended here",
        ),
        "end": (("start",), end, "1", "point at which the start ended"),
    }
    return labelled_dataset(
        {
            name: (dims, value.cpu().numpy(), unit, label)
            for name, (dims, value, unit, label) in values.items()
        },
        attrs={"kind": kind, "marginal": marginal},
    )


def eigenvalues(matrices: Tensor) -> Tensor:
    """Eigenvalues `[batch, mode]`, complex. torch's routine fails for some matrices of low rank, as few items give."""
    values = matrices.detach().cpu().numpy()
    known = np.isfinite(values).all((-2, -1))
    found = np.linalg.eigvals(np.where(known[..., None, None], values, 0.0)).astype(complex)
    found[~known] = np.nan
    return torch.as_tensor(found)
