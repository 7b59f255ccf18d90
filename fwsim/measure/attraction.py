"""Basins: the attractor at which each starting state ends."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from fwsim.errors import number
from fwsim.measure.clusters import merged, representatives
from fwsim.measure.differentiation import Step, checked_search, checked_states, require_rows
from fwsim.measure.intervals import wilson
from fwsim.names import known_arguments
from fwsim.progress import track
from fwsim.recording.labels import labelled_dataset

LONGEST_CYCLE = 16


@known_arguments
def basins(
    step: Step,
    starts: Tensor,
    *,
    iterations: int = 1000,
    tolerance: float | None = None,
    same: float = 1e-2,
    level: float = 0.95,
) -> xr.Dataset:
    """Iterate a map from many starting states; find where each ends, and how large the basin of each attractor is.

    Parameters
    ----------
    step
        The map, `[batch, unit]` → `[batch, unit]` in torch, the same for every row; for a flow, its integrator.
    starts
        `[start, unit]`. Volumes are fractions of these states: draw them from the distribution of interest.
    iterations
        Largest number of iterations.
    tolerance
        A state has converged when one iteration changes it by less than this, relative to 1 + |x|; by default
        ε^0.6 of the dtype.
    same
        Ends closer than this, relative to 1 + |x|, are one attractor.
    level
        Probability of the confidence intervals.

    Returns
    -------
    Dataset
        `state[attractor, unit]`, the largest basin first; `volume[attractor]` with Wilson interval
        `volume_low`, `volume_high`; `end[start]`, −1 if it did not converge; `iterations[start]` until it
        converged; `period[start]`: 1 if it converged, 2 … 16 for a cycle, 0 if neither was found.
    """
    starts = checked_states("starts", starts, step)
    require_rows(starts, step)
    tolerance = checked_search(starts, tolerance, same, iterations)
    number("level", level, above=0, below=1)
    with torch.no_grad():
        state, used = _iterate(step, starts, iterations, tolerance)
        period = _period(step, state, tolerance)
    settled = period == 1
    end = torch.full_like(used, -1)
    end[settled] = merged(state[settled], torch.zeros_like(used[settled]), same)
    counts = torch.bincount(end[settled], minlength=0)
    order = torch.argsort(counts, descending=True, stable=True)
    attractors = state[settled][representatives(end[settled])][order]
    end[settled] = torch.argsort(order)[end[settled]]

    drawn = counts[order].cpu().numpy()
    low, high = wilson(drawn, len(starts), level)
    values = {
        "state": (("attractor", "unit"), attractors.cpu().numpy(), "1", "attractor state"),
        "volume": ("attractor", drawn / len(starts), "1", "share of starts that end here"),
        "volume_low": ("attractor", low, "1", f"lower end of the {level:.0%} interval"),
        "volume_high": ("attractor", high, "1", f"upper end of the {level:.0%} interval"),
        "end": ("start", end.cpu().numpy(), "1", "attractor at which the start ended"),
        "iterations": ("start", used.cpu().numpy(), "1", "iterations until it settled"),
        "period": ("start", period.cpu().numpy().astype(np.int64), "1", "period of the cycle it ended on"),
    }
    return labelled_dataset(values, attrs={"level": level})


def _iterate(step: Step, starts: Tensor, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """Iterate each row until it stops changing; the states, and the number of iterations of each."""
    state = starts.clone()
    used = torch.zeros(len(starts), dtype=torch.long, device=starts.device)
    active = torch.arange(len(starts), device=starts.device)
    with track("following starts", iterations) as advance:
        for _ in range(iterations):
            if len(active) == 0:
                break
            after = step(state[active])
            moving = ~_same(after, state[active], tolerance)
            state[active] = after
            active = active[moving]
            used[active] += 1
            advance()
    return state, used


def _period(step: Step, state: Tensor, tolerance: float) -> Tensor:
    """Smallest p for which p iterations return a row to its state; 0 if there is none up to the longest cycle."""
    period = torch.zeros(len(state), dtype=torch.long, device=state.device)
    after = state
    for p in range(1, LONGEST_CYCLE + 1):
        after = step(after)
        period[(period == 0) & _same(after, state, 10 * tolerance)] = p
    return period


def _same(one: Tensor, other: Tensor, tolerance: float) -> Tensor:
    apart, reach = (one - other).norm(dim=-1), tolerance * (1 + other.norm(dim=-1))
    return (apart <= reach) & reach.isfinite()  # nothing is near infinity
